//! The ids of cameras and of their streams: what they may look like. Checked before they get near
//! a path or a process.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::error::{Error, ErrorKind};

/// Between a camera's id and the profile in a stream's name. No id has it in it.
const SEPARATOR: char = '~';

/// A camera's id, `[A-Za-z0-9_-]{1,64}`: safe as a URL segment, a directory name and a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CameraId(Arc<str>);

impl CameraId {
    /// The longest id, in characters.
    pub const MAX_LENGTH: usize = 64;

    /// Checks `text`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if (1..=Self::MAX_LENGTH).contains(&text.len()) && text.bytes().all(is_allowed) {
            return Ok(Self(text.into()));
        }
        Err(Error::new(
            ErrorKind::InvalidId,
            "a camera's id must be 1 to 64 characters out of A-Z, a-z, 0-9, _ and -",
        ))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CameraId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which of a camera's streams.
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
    /// The one with the large picture.
    #[default]
    Main,
    /// The one with the small picture, for a wall of cameras.
    Sub,
}

impl Profile {
    /// The profile as the API names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Sub => "sub",
        }
    }
}

/// One stream of one camera. Its text is the camera's id, with `~sub` behind it for the sub
/// stream: as safe as the id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    text: Arc<str>,
    camera: CameraId,
    profile: Profile,
}

impl StreamId {
    /// The stream of `camera` with that `profile`.
    pub fn new(camera: CameraId, profile: Profile) -> Self {
        let text = match profile {
            Profile::Main => Arc::clone(&camera.0),
            Profile::Sub => format!("{camera}{SEPARATOR}sub").into(),
        };
        Self { text, camera, profile }
    }

    /// Checks `text`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match text.split_once(SEPARATOR) {
            None => Ok(Self::new(CameraId::parse(text)?, Profile::Main)),
            Some((camera, "sub")) => Ok(Self::new(CameraId::parse(camera)?, Profile::Sub)),
            Some(_) => {
                Err(Error::new(ErrorKind::InvalidId, "a stream's name ends in ~sub or none"))
            }
        }
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The camera.
    pub fn camera(&self) -> &CameraId {
        &self.camera
    }

    /// Which of its streams.
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
    fn ids() {
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
    fn names_of_streams() {
        let main = StreamId::parse("front").expect("a name");
        assert_eq!((main.as_str(), main.profile()), ("front", Profile::Main));
        let sub = StreamId::parse("front~sub").expect("a name");
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
