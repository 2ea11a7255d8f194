//! The settings of every run of FFmpeg that connects to a camera.

use std::path::PathBuf;
use std::time::Duration;

use crate::camera::networks::CameraNetworks;

/// The program to run, and the settings and limits of every run that connects to a camera.
#[derive(Debug, Clone)]
pub(crate) struct FfmpegSettings {
    /// FFmpeg's name or path.
    pub program: PathBuf,
    /// The networks in which cameras are allowed.
    pub nets: CameraNetworks,
    /// The time within which a stream must become playable.
    pub start_timeout: Duration,
    /// The longest time in mid-stream without progress of the picture.
    pub stale_timeout: Duration,
}
