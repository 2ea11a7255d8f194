//! What an operator may choose for one camera's stream. By default the camera itself decides.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What becomes of the camera's video.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum VideoOption {
    /// H.264 stays as it is, H.265 as the setting `HEVC` says, anything else becomes H.264.
    #[default]
    Auto,
    /// H.264 and H.265 stay as they are; anything else is refused.
    Copy,
    /// Becomes H.264 in any case: for a camera whose own H.264 gives players trouble, or that is
    /// too large for its viewers.
    H264,
}

/// What becomes of the camera's audio.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AudioOption {
    /// AAC stays as it is, anything else becomes AAC.
    #[default]
    Auto,
    /// Becomes AAC in any case.
    Aac,
    /// Is left out.
    Off,
}

/// How RTP travels from the camera.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransportOption {
    /// TCP, and UDP when the camera refuses that.
    #[default]
    Auto,
    /// Inside of the RTSP connection: loses nothing, passes firewalls.
    Tcp,
    /// Datagrams: what is lost stays lost.
    Udp,
}

/// The options of one camera's stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StreamOptions {
    /// What becomes of the video.
    pub video: VideoOption,
    /// What becomes of the audio.
    pub audio: AudioOption,
    /// How RTP travels.
    pub transport: TransportOption,
}

/// Options to change; those that are `None` stay as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OptionChanges {
    /// What becomes of the video.
    pub video: Option<VideoOption>,
    /// What becomes of the audio.
    pub audio: Option<AudioOption>,
    /// How RTP travels.
    pub transport: Option<TransportOption>,
}

impl StreamOptions {
    /// The options after `changes`.
    #[must_use]
    pub fn with(self, changes: OptionChanges) -> Self {
        Self {
            video: changes.video.unwrap_or(self.video),
            audio: changes.audio.unwrap_or(self.audio),
            transport: changes.transport.unwrap_or(self.transport),
        }
    }
}
