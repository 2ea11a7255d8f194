//! The options that an operator can set for the streams of a camera. The defaults adapt to what the
//! camera sends.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The treatment of the camera's video.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum VideoOption {
    /// H.264 is copied, unless it is interlaced, or has more than 8 bits per sample or a sampling other than
    /// 4:2:0. H.265 is copied or converted as the setting `HEVC` specifies. All other video is converted to H.264.
    #[default]
    Auto,
    /// H.264 and H.265 are copied. Motion JPEG is copied as well, but players cannot play it, so HLS fails. Every
    /// other codec is refused.
    Copy,
    /// All video is converted to H.264, even if the camera sends H.264. For cameras whose video causes
    /// problems in players, or whose bit rate is too high.
    H264,
}

/// The treatment of the camera's audio.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AudioOption {
    /// AAC is copied, other codecs are converted to AAC. Audio that the camera refuses to send, or that cannot be
    /// converted, is left out.
    #[default]
    Auto,
    /// All audio is converted to AAC. Audio that cannot be converted is left out. If the camera refuses to send
    /// audio, the stream fails.
    Aac,
    /// The stream has no audio.
    Off,
}

/// The transport of the video and audio packets (RTP) from the camera.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransportOption {
    /// TCP, or UDP if the camera refuses TCP.
    #[default]
    Auto,
    /// TCP, within the RTSP connection. Lost packets are sent again, and no further ports are needed.
    Tcp,
    /// UDP. Lost packets are not sent again.
    Udp,
}

/// When a camera's main stream runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeepOption {
    /// The stream runs while it is in use.
    #[default]
    OnDemand,
    /// The stream starts with the manager, and runs without viewers. After a stop, the stream does not run until
    /// a client starts it or requests its playlist or a picture, until the option is switched on again, or until
    /// the manager is restarted.
    Always,
}

/// The options of a camera's streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StreamOptions {
    /// The treatment of the video.
    pub video: VideoOption,
    /// The treatment of the audio.
    pub audio: AudioOption,
    /// The transport of RTP.
    pub transport: TransportOption,
}

/// Changes of a camera's options. `None` leaves an option unchanged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OptionChanges {
    /// The treatment of the video.
    pub video: Option<VideoOption>,
    /// The treatment of the audio.
    pub audio: Option<AudioOption>,
    /// The transport of RTP.
    pub transport: Option<TransportOption>,
}

impl StreamOptions {
    /// Returns the options with `changes` applied.
    #[must_use]
    pub fn with(self, changes: OptionChanges) -> Self {
        Self {
            video: changes.video.unwrap_or(self.video),
            audio: changes.audio.unwrap_or(self.audio),
            transport: changes.transport.unwrap_or(self.transport),
        }
    }
}
