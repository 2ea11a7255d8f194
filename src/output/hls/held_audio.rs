//! Audio that waits for the next picture, with which it becomes one part.
//!
//! A part with audio alone would have no playing time on the video's time line. A part that the
//! playlist already names cannot grow.

use bytes::{Bytes, BytesMut};

use crate::media::fragment::Fragment;

/// The largest amount of held audio, in bytes: more than 15 s at 256 kbit/s.
const MAX_HELD: usize = 512 * 1024;

/// The bytes of fragments with audio alone, in the order in which they arrived.
#[derive(Debug, Default)]
pub(super) struct HeldAudio(BytesMut);

impl HeldAudio {
    /// Holds `audio` until the next picture. If no picture has come for too long, drops the audio that
    /// was held before, and returns false.
    #[must_use]
    pub(super) fn hold(&mut self, audio: &Fragment) -> bool {
        let fits = self.0.len() + audio.bytes.len() <= MAX_HELD;
        if !fits {
            self.0.clear();
        }
        self.0.extend_from_slice(&audio.bytes);
        fits
    }

    /// Returns the bytes of `picture`, preceded by all held audio.
    pub(super) fn release_before(&mut self, picture: &Fragment) -> Bytes {
        if self.0.is_empty() {
            return picture.bytes.clone();
        }
        self.0.extend_from_slice(&picture.bytes);
        self.0.split().freeze()
    }

    /// Drops the held audio.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns the number of held bytes.
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
    fn held_audio_is_limited() {
        let mut audio = testing::fragment(&testing::init(1), false, 0, 0);
        audio.bytes = vec![0; MAX_HELD / 2].into();
        let mut held = HeldAudio::default();
        assert!(held.hold(&audio));
        assert!(held.hold(&audio));
        assert!(!held.hold(&audio), "the third fragment exceeds the limit");
        assert_eq!(held.len(), MAX_HELD / 2);
    }
}
