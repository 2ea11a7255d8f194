//! The time line of a stream's fragments, which continues over epochs that use the same init segment. Pure
//! functions without I/O.

use std::sync::Arc;
use std::time::Duration;

use crate::media::frame::Frame;

/// The position of an epoch on the time line of the fragments. By default, the epoch's clock and the time
/// line have the same times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TimeLine {
    /// A time on the epoch's clock.
    epoch_time: Duration,
    /// The same time on the time line.
    time: Duration,
}

impl TimeLine {
    /// Creates the position at which the time `epoch_time` on the epoch's clock is `time` on the time line.
    pub(super) fn new(epoch_time: Duration, time: Duration) -> Self {
        Self { epoch_time, time }
    }

    /// Converts a time on the epoch's clock to the time line. The result is at least zero.
    pub(super) fn at(self, time: Duration) -> Duration {
        (time + self.time).saturating_sub(self.epoch_time)
    }

    /// Returns the frame with its times on the time line.
    pub(super) fn place(self, frame: &Arc<Frame>) -> Arc<Frame> {
        if self == Self::default() {
            return Arc::clone(frame);
        }
        Arc::new(Frame {
            decode_time: self.at(frame.decode_time),
            presentation_time: self.at(frame.presentation_time),
            ..Frame::clone(frame)
        })
    }
}
