//! The HLS output: cuts segments, writes them to disk, and publishes playlists in memory.
//!
//! ```text
//! hub ──> packager ──> layout ──> disk
//!            └──> playlist ──> published, in memory
//! ```
//!
//! | Module | Owns |
//! |---|---|
//! | [`output`] | the packagers of all streams, and where their playlists are found |
//! | [`packager`] | one stream's segments and playlists, fragment by fragment |
//! | [`cutter`] | where a segment ends |
//! | `files` | the files of one stream |
//! | `held_audio` | audio that waits for the next picture |
//! | [`playlist`] | the media playlist of one stream |
//! | [`multivariant`] | the multivariant playlist beside it |
//! | [`published`] | the playlists as players get them |
//! | [`layout`] | paths and file names below `STREAM_DIR` |
//! | [`sweep`] | files that an earlier process left behind |

pub(crate) mod cutter;
mod files;
mod held_audio;
pub(crate) mod layout;
pub(crate) mod multivariant;
pub(crate) mod output;
pub(crate) mod packager;
pub(crate) mod playlist;
pub(crate) mod published;
pub(crate) mod sweep;
