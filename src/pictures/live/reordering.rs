//! The number of frames that FFmpeg holds back, because B-frames are not decoded in the order in which they are shown. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::media::frame::Frame;

/// The most frames that H.264 and H.265 reorder.
const MOST: usize = 16;

/// Observes the frames of one epoch in the order in which they are decoded.
///
/// FFmpeg writes a frame when it has got as many later ones as the stream announces, or as the frames themselves have
/// shown to be necessary.
#[derive(Debug, Default)]
pub(super) struct Reordering {
    /// The times of presentation of the last frames.
    last: VecDeque<Duration>,
    announced: Option<usize>,
    /// True if frames may be reordered more than they were so far.
    is_open: bool,
    /// The largest number of frames that were decoded before a frame but are shown after it.
    observed: usize,
}

impl Reordering {
    /// Notes the next frame.
    pub(super) fn note(&mut self, frame: &Frame) {
        let picture = &frame.format.picture;
        self.announced = picture.max_reorder_frames.map(usize::from);
        self.is_open = picture.may_reorder && self.announced.is_none();
        let time = frame.presentation_time;
        let after = self.last.iter().filter(|last| **last > time).count();
        self.observed = self.observed.max(after);
        if self.last.len() == MOST {
            self.last.pop_front();
        }
        self.last.push_back(time);
    }

    /// Returns the number of later frames that FFmpeg usually needs before it writes a frame.
    pub(super) fn usual(&self) -> usize {
        self.observed.max(self.announced.unwrap_or_default())
    }

    /// Returns the largest number of later frames that FFmpeg may need before it writes a frame.
    pub(super) fn most(&self) -> usize {
        if self.is_open { MOST } else { self.usual() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::media::frame::{Format, testing};
    use crate::media::parameter_set::picture::PictureParameters;

    /// Returns the usual and the largest number of frames that are held back.
    fn held_back(announced: Option<u8>, may_reorder: bool, times: &[u64]) -> (usize, usize) {
        let format = Arc::into_inner(testing::format(7)).expect("the only reference");
        let picture =
            PictureParameters { max_reorder_frames: announced, may_reorder, ..format.picture };
        let format = Arc::new(Format { picture, ..format });
        let mut reordering = Reordering::default();
        for time in times {
            reordering.note(&testing::video(&format, false, time * 40, 40));
        }
        (reordering.usual(), reordering.most())
    }

    #[test]
    fn frames_are_held_back_as_announced_or_as_observed() {
        let (plain, b_frames) = ([0, 1, 2, 3], [0, 3, 1, 2, 6, 4, 5]);
        assert_eq!(held_back(Some(0), false, &plain), (0, 0));
        assert_eq!(held_back(None, false, &plain), (0, 0));
        assert_eq!(held_back(Some(2), true, &plain), (2, 2));
        assert_eq!(held_back(Some(1), true, &b_frames), (1, 1));
        assert_eq!(held_back(None, true, &b_frames), (1, MOST));
        let pyramid = [0, 4, 2, 1, 3, 8, 6, 5, 7];
        assert_eq!(held_back(Some(0), false, &pyramid), (2, 2), "the announcement is wrong");
    }
}
