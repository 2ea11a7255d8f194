//! Outputs: consumers of a stream's hub that serve or store what they read.
//!
//! | Module | Owns |
//! |---|---|
//! | [`hls`] | low-latency HLS: segments on disk, playlists in memory |
//! | [`blocking`] | consumers that block their thread |
//! | [`disk_budget`] | how many bytes the files of all streams are allowed to take |

pub(crate) mod blocking;
pub(crate) mod disk_budget;
pub(crate) mod hls;
