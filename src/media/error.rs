//! The reasons why media cannot be used.

use crate::media::nut::error::NutError;

/// The reason why the bytes of an ingest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The container is damaged.
    #[error("FFmpeg's output is damaged: {0}")]
    Container(#[from] NutError),
    /// There is no video, or it has a codec that only FFmpeg can use.
    #[error("there is no H.264, H.265 or Motion JPEG video")]
    NotPlayable,
    /// Reading failed, or the output ended in the middle of a frame.
    #[error("reading FFmpeg's output failed: {0}")]
    Read(#[from] std::io::Error),
}
