//! The camera's id: what it may look like. Checked before it gets near a path or a process.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind};

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
            "indicator_id must be 1 to 64 characters out of A-Z, a-z, 0-9, _ and -",
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
}
