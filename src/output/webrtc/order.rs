//! Whether pictures arrive in the order in which they are shown.

use std::time::Duration;

use crate::media::frame::Frame;

/// The number of pictures in one group that are earlier than their predecessors, from which on the video has B-frames.
/// A single one can also come from a camera that sets its clock back.
const REORDERED: u32 = 2;

/// The order of the pictures of a stream.
#[derive(Debug, Default)]
pub(crate) struct PictureOrder {
    /// The epoch and the time of the last picture.
    last: Option<(u64, Duration)>,
    /// The number of pictures since the last keyframe that were earlier than their predecessors.
    steps_back: u32,
}

impl PictureOrder {
    /// Notes the next picture. Returns whether the pictures since the last keyframe show that the video has B-frames.
    pub(crate) fn note(&mut self, frame: &Frame) -> bool {
        let (epoch, time) = (frame.format.epoch, frame.presentation_time);
        match self.last {
            Some((last, earlier)) if last == epoch && !frame.is_keyframe => {
                self.steps_back += u32::from(time < earlier);
            }
            _ => self.steps_back = 0,
        }
        self.last = Some((epoch, time));
        frame.format.picture.may_reorder && self.steps_back >= REORDERED
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::media::frame::{Format, testing};

    /// Returns whether one of these pictures, of which the first is a keyframe, shows that the video has B-frames.
    fn has_b_frames(order: &mut PictureOrder, may_reorder: bool, times: &[u64]) -> bool {
        let mut format = testing::format(7);
        let Format { picture, .. } = Arc::get_mut(&mut format).expect("one owner");
        picture.may_reorder = may_reorder;
        let mut pictures = times
            .iter()
            .enumerate()
            .map(|(index, time)| testing::video(&format, index == 0, *time, 40));
        pictures.any(|picture| order.note(&picture))
    }

    #[test]
    fn pictures_that_go_back_again_and_again_are_b_frames() {
        let order = &mut PictureOrder::default();
        assert!(has_b_frames(order, true, &[0, 120, 40, 80, 240, 160, 200]));
        assert!(!has_b_frames(order, false, &[0, 120, 40, 80, 240, 160, 200]), "no reordering");
    }

    #[test]
    fn a_clock_that_is_set_back_is_no_b_frame() {
        let order = &mut PictureOrder::default();
        assert!(!has_b_frames(order, true, &[1000, 1040, 840, 880, 920]));
        assert!(!has_b_frames(order, true, &[500, 540, 340, 380]), "once in each group");
        assert!(!has_b_frames(order, true, &[100, 140, 180]), "back at a keyframe");
    }
}
