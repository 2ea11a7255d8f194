//! Packets of Opus, and the frames of which they are made.

use std::time::Duration;

use bytes::Bytes;

use crate::media::frame::Frame;
use crate::output::webrtc::timeline::Arrival;

/// The duration of a packet.
pub(in crate::output::webrtc) const PACKET: Duration = Duration::from_millis(20);

/// A packet of Opus.
#[derive(Debug, Clone)]
pub(in crate::output::webrtc) struct OpusPacket {
    /// The time of the sound, on the clock of the epoch.
    pub(in crate::output::webrtc) arrival: Arrival,
    /// The bytes.
    pub(in crate::output::webrtc) data: Bytes,
}

/// Returns whether a frame belongs to the AAC for HLS.
pub(super) fn is_sound(frame: &Frame) -> bool {
    frame.format.hls_audio().is_some_and(|(track, _)| track == frame.track)
}
