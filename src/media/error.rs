//! The reasons why media cannot be used.

use crate::media::nut::error::NutError;

/// The reason why the output of an ingest's or a transcoder's FFmpeg cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The output is not NUT of a supported version, or is damaged.
    #[error("FFmpeg's output cannot be used: {0}")]
    Container(#[from] NutError),
    /// There is no video, or the manager does not support the codec of the video.
    #[error("there is no H.264, H.265 or Motion JPEG video")]
    NotPlayable,
    /// Reading failed, or the output ended in the middle of a frame or of the headers.
    #[error("reading FFmpeg's output failed: {0}")]
    Read(#[from] std::io::Error),
}
