//! From fragments to HLS: reading FFmpeg's output, cutting segments, making playlists.
//!
//! ```text
//! stdout of FFmpeg ──reader──> fragments ──(any number of consumers)──> packager ──> layout ──> disk
//!                                                                          └──> playlists, published in memory
//! ```
//!
//! Everything here works on fragments; whole segments exist on disk only. What starts and ends
//! streams is `crate::stream`.

pub mod index;
pub mod layout;
pub mod packager;
pub mod playlist;
pub mod published;
pub mod room;
pub mod sweep;
