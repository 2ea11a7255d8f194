//! The names of recorded files in URLs: `{start}-{span}.mp4`, with the time of the first frame in UTC milliseconds and the
//! number of the span. The name of a file stays the same when the file is closed. Pure.

use std::fmt;

use crate::store::db::recording_table::RecordedFile;

/// The name of a recorded file in URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileUrl {
    /// The time of the first frame, in UTC milliseconds.
    pub(crate) start_at: i64,
    /// The number of the span.
    pub(crate) span: i64,
}

impl FileUrl {
    /// Returns the name of a file.
    pub(crate) fn of(file: &RecordedFile) -> Self {
        Self { start_at: file.start_at, span: file.span }
    }

    /// Parses a name. Returns `None` unless it is exactly the name of a file.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (start_at, span) = name.strip_suffix(".mp4")?.split_once('-')?;
        let number = |text: &str| text.parse().ok().filter(|number| *number >= 0);
        let parsed = Self { start_at: number(start_at)?, span: number(span)? };
        // A number can be written in several ways, of which only one is a name.
        (parsed.to_string() == name).then_some(parsed)
    }

    /// Returns whether this is the name of `file`.
    pub(crate) fn is_of(self, file: &RecordedFile) -> bool {
        self == Self::of(file)
    }
}

impl fmt::Display for FileUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}.mp4", self.start_at, self.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_names_are_parsed() {
        let name = FileUrl { start_at: 1_795_986_123_007, span: 1_795_986_000_000_123 };
        assert_eq!(name.to_string(), "1795986123007-1795986000000123.mp4");
        assert_eq!(FileUrl::parse(&name.to_string()), Some(name));
        for bad in [
            "",
            "-",
            "1-2",
            "1-2.mp4.mp4",
            "01-2.mp4",
            "1-02.mp4",
            "+1-2.mp4",
            "1--2.mp4",
            "-1-2.mp4",
            "1-2.MP4",
            "1-2.mp4/",
            "../1-2.mp4",
            "1-%32.mp4",
            "1-2.mp4?x",
            " 1-2.mp4",
            "1 -2.mp4",
            "1-99999999999999999999.mp4",
            "1-2.mp4\0",
        ] {
            assert_eq!(FileUrl::parse(bad), None, "{bad}");
        }
    }
}
