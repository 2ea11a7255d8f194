//! Outputs: consumers of a stream's hub that serve or store the frames that they read.
//!
//! | Module | Owns |
//! |---|---|
//! | [`hls`] | low-latency HLS: segments on disk, playlists in memory |
//! | [`blocking`] | running work that may block its thread |
//! | [`disk_budget`] | the disk space that the files of all streams use, and its limits |

pub(crate) mod blocking;
pub(crate) mod disk_budget;
pub(crate) mod hls;
