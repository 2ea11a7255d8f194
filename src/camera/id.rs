//! The ids of cameras and of their streams. Every id is checked before it becomes part of a path, a
//! label or an argument.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::error::{Error, ErrorKind};

/// The rule of [`is_id`] as a regular expression, for schemas.
pub(crate) const ID_PATTERN: &str = "^[A-Za-z0-9_-]{1,64}$";
/// The rule for a stream's id as a regular expression, for schemas.
pub(crate) const STREAM_ID_PATTERN: &str = "^[A-Za-z0-9_-]{1,64}(~sub)?$";
/// The rule of [`is_id`] in words.
pub(crate) const ID_RULE: &str = "1 to 64 characters from A-Z, a-z, 0-9, _ and -";
/// The largest length of the id of a camera, an API key or a playback session, in bytes.
const MAX_LENGTH: usize = 64;
/// Separates the camera id from the profile in a stream id. Camera ids do not contain this character.
const SEPARATOR: char = '~';

/// Returns whether `text` is a valid id of a camera, an API key or a playback session. Valid ids are safe
/// as URL segments, directory names and labels, and in log lines.
pub(crate) fn is_id(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// A camera's id, `[A-Za-z0-9_-]{1,64}`. Cheap to clone.
///
/// ```
/// use stream_manager::parts::CameraId;
///
/// assert_eq!(CameraId::parse("front-door_2").unwrap().as_str(), "front-door_2");
/// for text in ["", "../etc", "a b", "front~sub", "ä"] {
///     assert!(CameraId::parse(text).is_err());
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CameraId(Arc<str>);

impl CameraId {
    /// Parses a camera id. Error: `InvalidId`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if is_id(text) {
            return Ok(Self(text.into()));
        }
        Err(Error::new(ErrorKind::InvalidId, format!("a camera's id must be {ID_RULE}")))
    }

    /// Returns the id as a string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CameraId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One of the two streams that a camera can offer.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// The main stream, usually at full resolution.
    #[default]
    Main,
    /// The sub stream, with a lower resolution, for pages that show many cameras.
    Sub,
}

impl Profile {
    /// Returns the name of the profile in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Sub => "sub",
        }
    }
}

/// The id of one stream of a camera: the camera's id, followed by `~sub` for the sub stream. A stream id
/// is safe wherever a camera id is. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    text: Arc<str>,
    camera: CameraId,
    profile: Profile,
}

impl StreamId {
    /// Creates the id of a camera's stream.
    pub fn new(camera: CameraId, profile: Profile) -> Self {
        let text = match profile {
            Profile::Main => Arc::clone(&camera.0),
            Profile::Sub => format!("{camera}{SEPARATOR}sub").into(),
        };
        Self { text, camera, profile }
    }

    /// Parses a stream id. Error: `InvalidId`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match text.split_once(SEPARATOR) {
            None => Ok(Self::new(CameraId::parse(text)?, Profile::Main)),
            Some((camera, "sub")) => Ok(Self::new(CameraId::parse(camera)?, Profile::Sub)),
            Some(_) => {
                let detail =
                    "a stream's id must be a camera's id, or a camera's id followed by ~sub";
                Err(Error::new(ErrorKind::InvalidId, detail))
            }
        }
    }

    /// Returns the id as a string.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the id of the camera.
    pub fn camera(&self) -> &CameraId {
        &self.camera
    }

    /// Returns the profile of the stream.
    pub fn profile(&self) -> Profile {
        self.profile
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn camera_ids_are_checked() {
        let longest = "x".repeat(64);
        for good in ["1", "cam-1_A", "-", longest.as_str()] {
            assert_eq!(CameraId::parse(good).expect(good).as_str(), good);
        }
        let too_long = "x".repeat(65);
        for bad in ["", ".", "..", "../x", "a/b", "a b", "a\0", "ä", "%2e", too_long.as_str()] {
            let error = CameraId::parse(bad).expect_err(bad);
            assert_eq!(error.kind, ErrorKind::InvalidId);
        }
    }

    #[test]
    fn the_patterns_of_camera_ids_and_stream_ids_agree() {
        let of_cameras = ID_PATTERN.strip_suffix('$').expect("an end");
        assert_eq!(STREAM_ID_PATTERN, format!("{of_cameras}({SEPARATOR}sub)?$"));
        assert!(ID_PATTERN.contains(&format!("{{1,{MAX_LENGTH}}}")));
    }

    #[test]
    fn stream_ids_are_checked() {
        let main = StreamId::parse("front").expect("an id");
        assert_eq!((main.as_str(), main.profile()), ("front", Profile::Main));
        let sub = StreamId::parse("front~sub").expect("an id");
        assert_eq!(
            (sub.as_str(), sub.camera(), sub.profile()),
            ("front~sub", main.camera(), Profile::Sub)
        );
        assert_eq!(StreamId::new(main.camera().clone(), Profile::Sub), sub);
        for bad in ["~sub", "front~", "front~main", "front~sub~sub", "a/b~sub"] {
            StreamId::parse(bad).expect_err(bad);
        }
    }
}
