//! The names of recorded files: `{camera}-{identity}/{profile}/{day}/{time}-{span}.mp4` below a directory with
//! recordings. Pure.
//!
//! Day and time are those of the first frame, in UTC. A name contains all that the database needs to know of a file
//! and that the file itself does not contain, so that a file whose entry is missing can be added to the database.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use crate::camera::id::{CameraId, Profile};
use crate::camera::identity_tag::IdentityTag;
use crate::store::db::recording_table::{RecordedFile, RecordedStream};

/// The name of the file with the ids of the database and of the directory.
pub(crate) const MARKER: &str = ".stream-manager-recordings";
/// The extension of recorded files.
const EXTENSION: &str = "mp4";
/// The length of a time in a name, such as `07-15-02.123`.
const TIME_LENGTH: usize = 12;

/// A stream of a camera, to which a file belongs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RecordingKey {
    /// The camera.
    pub(crate) camera: CameraId,
    /// Distinguishes the camera from other cameras with the same id, and from the same camera of another owner.
    pub(crate) identity: IdentityTag,
    /// The profile.
    pub(crate) profile: Profile,
}

impl RecordingKey {
    /// Returns the path of the stream's files below the directory with recordings.
    pub(crate) fn path(&self) -> PathBuf {
        let Self { camera, identity, profile } = self;
        Path::new(&format!("{camera}-{identity}")).join(profile.as_str())
    }
}

impl From<&RecordedStream> for RecordingKey {
    fn from(stream: &RecordedStream) -> Self {
        let RecordedStream { camera, identity, profile, .. } = stream;
        Self { camera: camera.clone(), identity: *identity, profile: *profile }
    }
}

/// The name of a recorded file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileName {
    /// The profile.
    pub(crate) key: RecordingKey,
    /// The time at which the first frame was taken, in UTC milliseconds.
    pub(crate) start_at: i64,
    /// The number of the span.
    pub(crate) span: i64,
}

impl FileName {
    /// Returns the name of a file that the database contains.
    pub(crate) fn of(stream: &RecordedStream, file: &RecordedFile) -> Self {
        Self { key: stream.into(), start_at: file.start_at, span: file.span }
    }

    /// Returns the path below the directory with recordings.
    pub(crate) fn path(&self) -> PathBuf {
        let since = Duration::from_millis(u64::try_from(self.start_at).unwrap_or_default());
        let date = humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string();
        let (day, time) = date.trim_end_matches('Z').split_once('T').unwrap_or_default();
        let (time, span) = (time.replace(':', "-"), self.span);
        self.key.path().join(day).join(format!("{time}-{span}.{EXTENSION}"))
    }

    /// Returns true if this path below the directory with recordings can be a part of the path of a recorded file. Other
    /// directories, such as `lost+found`, need not be readable.
    pub(crate) fn can_begin_with(path: &Path) -> bool {
        let mut parts = path.iter().map(|part| part.to_str().unwrap_or_default());
        let is_camera = |name: &str| {
            name.rsplit_once('-').is_some_and(|(camera, identity)| {
                CameraId::parse(camera).is_ok() && IdentityTag::parse(identity).is_some()
            })
        };
        let is_profile =
            |name| [Profile::Main, Profile::Sub].into_iter().any(|it| it.as_str() == name);
        parts.next().is_none_or(is_camera) && parts.next().is_none_or(is_profile)
    }

    /// Parses a path below the directory with recordings. Returns `None` if it is not the path of a recorded file.
    pub(crate) fn parse(path: &Path) -> Option<Self> {
        let mut parts = path.iter().map(|part| part.to_str());
        let (camera, profile) = (parts.next()??, parts.next()??);
        let (day, name) = (parts.next()??, parts.next()??);
        if parts.next().is_some() {
            return None;
        }
        let (camera, identity) = camera.rsplit_once('-')?;
        let key = RecordingKey {
            camera: CameraId::parse(camera).ok()?,
            identity: IdentityTag::parse(identity)?,
            profile: [Profile::Main, Profile::Sub].into_iter().find(|it| it.as_str() == profile)?,
        };
        let (time, span) = name.split_at_checked(TIME_LENGTH)?;
        let span = span.strip_prefix('-')?.strip_suffix(EXTENSION)?.strip_suffix('.')?;
        let date = format!("{day}T{}Z", time.replace('-', ":"));
        let since = humantime::parse_rfc3339(&date).ok()?.duration_since(UNIX_EPOCH).ok()?;
        let start_at = i64::try_from(since.as_millis()).ok()?;
        let parsed = Self { key, start_at, span: span.parse().ok()? };
        // A number or a date can be written in several ways, of which only one is a name.
        (parsed.path() == path).then_some(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_contains_what_the_database_needs() {
        let name = FileName {
            key: RecordingKey {
                camera: CameraId::parse("front-door-0000abcd").expect("an id"),
                identity: IdentityTag::parse("1f0c22a9").expect("a number"),
                profile: Profile::Sub,
            },
            start_at: 1_795_986_123_007,
            span: 1_795_986_000_000_123,
        };
        let path = name.path();
        let expected =
            "front-door-0000abcd-1f0c22a9/sub/2026-11-29/21-02-03.007-1795986000000123.mp4";
        assert_eq!(path, Path::new(expected));
        assert_eq!(FileName::parse(&path), Some(name));
    }

    #[test]
    fn only_directories_of_streams_can_contain_recordings() {
        for path in ["", "a-1f0c22a9", "a-1f0c22a9/sub", "a-1f0c22a9/main/x", "a-1f0c22a9/main/x/y"]
        {
            assert!(FileName::can_begin_with(Path::new(path)), "{path}");
        }
        for path in ["lost+found", "a", "a-1f0c22a", "a-1f0c22a9/x", ".stream-manager-recordings"] {
            assert!(!FileName::can_begin_with(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn other_paths_are_not_names() {
        let good = "a-1f0c22a9/main/2026-11-29/21-02-03.007-5.mp4";
        assert!(FileName::parse(Path::new(good)).is_some());
        for (part, other) in [
            ("a-1", "1"),
            ("a-1f", "../a-1f"),
            ("a-1f", "a b-1f"),
            ("1f0c22a9", "1f0c22a"),
            ("main", "both"),
            ("2026-11-29", "2026-13-29"),
            ("21-02", "21-2"),
            ("21-02", "25-02"),
            ("-5", "-05"),
            ("-5", "-"),
            ("mp4", "mp4.tmp"),
            ("main/", "main/x/"),
            (".mp4", "mp4"),
        ] {
            let path = good.replacen(part, other, 1);
            assert_eq!(FileName::parse(Path::new(&path)), None, "{path}");
        }
    }
}
