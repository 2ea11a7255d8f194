//! Outputs: consumers that serve or store the playable frames of a stream.
//!
//! | Module | Owns |
//! |---|---|
//! | [`hls`] | low-latency HLS: segments on disk, playlists in memory |
//! | [`webrtc`] | WebRTC: RTP to viewers who negotiate by WHEP |
//! | [`blocking`] | running work that may block its thread |
//! | [`disk_budget`] | the disk space that the files of all streams use, and its limits |

pub(crate) mod blocking;
pub(crate) mod disk_budget;
pub(crate) mod hls;
pub(crate) mod webrtc;
