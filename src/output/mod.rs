//! Consumers of the frames of a stream: the HLS output, live sockets and WebRTC sessions serve them to viewers, and the
//! recorder stores them.
//!
//! | Module | Owns |
//! |---|---|
//! | [`hls`] | low-latency HLS: segments on disk, playlists in memory |
//! | [`live_socket`] | the live socket: one message per frame |
//! | [`webrtc`] | WebRTC: RTP to viewers who negotiate by WHEP |
//! | [`recorder`] | recordings: files on disk, and their index in the database |
//! | `samples` | frames as samples of MP4 |
//! | `sound` | continuous audio, with silence where the camera sends none |
//! | [`blocking`] | running work that may block its thread |
//! | [`disk_budget`] | the disk space that the files of all streams use, and its limits |

pub(crate) mod blocking;
pub(crate) mod disk_budget;
pub(crate) mod hls;
pub(crate) mod live_socket;
pub(crate) mod recorder;
pub(crate) mod samples;
mod sound;
pub(crate) mod webrtc;
