//! A picture of a camera.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::Instant;

/// A picture of a camera, as a JPEG.
#[derive(Debug)]
pub(crate) struct Picture {
    /// The JPEG.
    pub(crate) jpeg: Bytes,
    /// Width of the camera's picture in pixels. The JPEG may be narrower.
    pub(crate) full_width: u32,
    /// The time at which the picture's frame arrived.
    pub(crate) received_at: Instant,
    /// The time on the wall clock at which the camera took the picture.
    pub(crate) taken_at: SystemTime,
}

impl Picture {
    /// Returns the time since the picture's frame arrived.
    pub(crate) fn age(&self) -> Duration {
        self.received_at.elapsed()
    }
}
