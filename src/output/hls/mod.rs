//! The HLS output: cuts segments, writes them to disk, and publishes playlists in memory.
//!
//! ```text
//! frames ──> fragmenter ──> packager ──> files ──> disk
//!                              └──> playlist ──> published, in memory
//! ```
//!
//! | Module | Owns |
//! |---|---|
//! | [`output`] | running the packager of a stream, and finding a stream's playlists |
//! | [`packager`] | one stream's segments and playlists, fragment by fragment |
//! | [`cutter`] | where a segment ends |
//! | `files` | the files of one stream |
//! | [`fragment`] | a fragment of MP4, and the init segment that it needs |
//! | `fragmenter` | joining frames into fragments |
//! | `time_line` | the times of fragments over several epochs |
//! | `segment` | a segment and its parts, as playlists describe them |
//! | [`playlist`] | the media playlist of one stream, and its text |
//! | `continuation` | what is needed to continue a playlist after HLS has ended |
//! | `ended` | the files of streams whose HLS has just ended |
//! | [`multivariant`] | the multivariant playlist that refers to the media playlist |
//! | [`published`] | a stream's rendered playlists, as players get them |
//! | [`layout`] | paths and file names below `STREAM_DIR` |
//! | [`sweep`] | locking `STREAM_DIR`, and the files that an earlier process left behind |

mod continuation;
pub(crate) mod cutter;
mod ended;
mod files;
pub(crate) mod fragment;
mod fragmenter;
pub(crate) mod layout;
pub(crate) mod multivariant;
pub(crate) mod output;
pub(crate) mod packager;
pub(crate) mod playlist;
pub(crate) mod published;
mod segment;
pub(crate) mod sweep;
mod time_line;
