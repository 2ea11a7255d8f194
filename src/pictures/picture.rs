//! A picture of a camera.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::Instant;

use crate::media::frame::Frame;

/// A picture of a camera.
#[derive(Debug)]
pub(crate) struct Picture {
    /// The JPEG, or the grey values of a picture of the form [`Grey`](crate::pictures::live::form::Form::Grey).
    pub(crate) data: Bytes,
    /// Width and height of the camera's picture in pixels. The picture may be smaller.
    pub(crate) full_size: (u32, u32),
    /// The position of the picture in its stream.
    pub(crate) position: Position,
    /// The time at which the picture's frame arrived.
    pub(crate) received_at: Instant,
    /// The time on the wall clock at which the camera took the picture.
    pub(crate) taken_at: SystemTime,
}

/// The position of a picture in its stream. A picture that is shown later has a greater position. With B-frames, this is
/// not the order in which frames arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// Number of the epoch.
    pub(crate) epoch: u64,
    /// The time of presentation on the epoch's clock.
    pub(crate) time: Duration,
}

impl Picture {
    /// Returns the time since the picture's frame arrived.
    pub(crate) fn age(&self) -> Duration {
        self.received_at.elapsed()
    }
}

impl Position {
    /// Returns the position of a frame.
    pub(crate) fn of(frame: &Frame) -> Self {
        Self { epoch: frame.format.epoch, time: frame.presentation_time }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Returns a picture that is shown at this time of epoch 1, and that has just arrived.
    pub(crate) fn picture(time: Duration) -> Picture {
        Picture {
            data: Bytes::from_static(b"jpeg"),
            full_size: (640, 360),
            position: Position { epoch: 1, time },
            received_at: Instant::now(),
            taken_at: SystemTime::UNIX_EPOCH + time,
        }
    }
}
