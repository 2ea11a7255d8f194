//! The reasons why media cannot be used.

use crate::media::nut::error::NutError;

/// The reason why the bytes of an ingest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The container is damaged.
    #[error("FFmpeg's output is damaged: {0}")]
    Container(#[from] NutError),
    /// There is no video, or its codec is neither H.264 nor H.265.
    #[error("there is no H.264 or H.265 video")]
    NotPlayable,
    /// The video is H.265, which the plan does not expect.
    #[error("the video is H.265")]
    Hevc,
    /// Reading failed, or the output ended in the middle of a frame.
    #[error("reading FFmpeg's output failed: {0}")]
    Read(#[from] std::io::Error),
}
