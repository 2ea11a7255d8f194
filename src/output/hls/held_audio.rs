//! Audio that waits for the next picture.
//!
//! A part of its own would have no playing time on the picture's time line, and a part that the
//! playlist names already cannot grow.

use bytes::{Bytes, BytesMut};

use crate::media::fragment::Fragment;

/// The most audio that waits, in bytes: more than a quarter of a minute at 256 kbit/s.
const MAX_HELD: usize = 512 * 1024;

/// Fragments with audio alone, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct HeldAudio(BytesMut);

impl HeldAudio {
    /// Keeps `audio` until the next picture. Returns false when it had to drop what was held before,
    /// because no picture has come for too long.
    #[must_use]
    pub(super) fn hold(&mut self, audio: &Fragment) -> bool {
        let has_room = self.0.len() + audio.bytes.len() <= MAX_HELD;
        if !has_room {
            self.0.clear();
        }
        self.0.extend_from_slice(&audio.bytes);
        has_room
    }

    /// The bytes of `picture`, with all audio that was held in front of them.
    pub(super) fn release_before(&mut self, picture: &Fragment) -> Bytes {
        if self.0.is_empty() {
            return picture.bytes.clone();
        }
        self.0.extend_from_slice(&picture.bytes);
        self.0.split().freeze()
    }

    /// Drops all audio that is held.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Bytes that are held.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::fragment::testing;

    #[test]
    fn audio_without_a_picture_is_bounded() {
        let mut audio = testing::fragment(&testing::init(1), false, 0, 0);
        audio.bytes = vec![0; MAX_HELD / 2].into();
        let mut held = HeldAudio::default();
        assert!(held.hold(&audio));
        assert!(held.hold(&audio));
        assert!(!held.hold(&audio), "the third one exceeds the bound");
        assert_eq!(held.len(), MAX_HELD / 2);
    }
}
