//! The settings that every run of FFmpeg depends on.

use std::path::PathBuf;
use std::time::Duration;

use crate::camera::networks::CameraNetworks;
use crate::camera::plan::Hevc;

/// Which FFmpeg to run, and the limits of a run.
#[derive(Debug, Clone)]
pub(crate) struct FfmpegSettings {
    /// FFmpeg's name or path.
    pub program: PathBuf,
    /// Treatment of H.265.
    pub hevc: Hevc,
    /// Networks in which cameras are allowed.
    pub nets: CameraNetworks,
    /// Time within which a camera must send its first picture.
    pub start_timeout: Duration,
    /// Longest time without progress in mid-stream.
    pub stale_timeout: Duration,
}
