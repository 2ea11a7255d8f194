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

/// The name of a part of a recorded file that is converted to H.264, in URLs: `h264/{start}-{span}.mp4` for the init segment,
/// and `h264/{start}-{span}-{offset}-{size}.m4s` for a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConvertedUrl {
    /// The file.
    pub(crate) file: FileUrl,
    /// Position and size of the segment in the file, in bytes; `None` for the init segment.
    pub(crate) bytes: Option<(u64, u64)>,
}

impl ConvertedUrl {
    /// Parses a name, without the directory. Returns `None` unless it is exactly the name of a part of a file.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let Some(segment) = name.strip_suffix(".m4s") else {
            return FileUrl::parse(name).map(|file| Self { file, bytes: None });
        };
        let (start, size) = segment.rsplit_once('-')?;
        let (file, offset) = start.rsplit_once('-')?;
        let file = FileUrl::parse(&format!("{file}.mp4"))?;
        let parsed = Self { file, bytes: Some((offset.parse().ok()?, size.parse().ok()?)) };
        (parsed.to_string().strip_prefix("h264/") == Some(name)).then_some(parsed)
    }
}

impl fmt::Display for ConvertedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileUrl { start_at, span } = self.file;
        match self.bytes {
            Some((offset, size)) => write!(f, "h264/{start_at}-{span}-{offset}-{size}.m4s"),
            None => write!(f, "h264/{}", self.file),
        }
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
            assert_eq!(ConvertedUrl::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_exact_names_of_converted_parts_are_parsed() {
        let file = FileUrl { start_at: 5, span: 7 };
        for bytes in [None, Some((0, 0)), Some((900, u64::MAX))] {
            let url = ConvertedUrl { file, bytes };
            let name = url.to_string();
            assert_eq!(ConvertedUrl::parse(name.strip_prefix("h264/").expect("a name")), Some(url));
        }
        for bad in [
            "5-7.m4s",
            "5-7-9.m4s",
            "5-7-9-1.mp4",
            "5-7-09-1.m4s",
            "5-7-9-+1.m4s",
            "5-7-9--1.m4s",
            "05-7-9-1.m4s",
            "5-7.mp4-9-1.m4s",
            "5-7-9-18446744073709551616.m4s",
            "h264/5-7-9-1.m4s",
            "5-7-9-1.m4s\0",
        ] {
            assert_eq!(ConvertedUrl::parse(bad), None, "{bad}");
        }
    }
}
