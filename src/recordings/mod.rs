//! Playing what was recorded: playlists, files, pictures and exports.
//!
//! | Module | Owns |
//! |---|---|
//! | [`footage`] | the recorded files of a span of time, those that are being written included |
//! | [`segments`] | the parts of a file that are needed for a span, and their division into segments |
//! | [`playlist`] | media playlists and I-frame playlists |
//! | [`multivariant`] | multivariant playlists |
//! | [`file_url`] | the names of recorded files in URLs |
//! | [`h264`] | converting segments to H.264 |
//! | [`source`] | reading local files, and copies off-site |
//! | [`body`] | reading parts of files while a client takes them |

pub(crate) mod body;
pub(crate) mod file_url;
pub(crate) mod footage;
pub(crate) mod h264;
pub(crate) mod multivariant;
pub(crate) mod playlist;
pub(crate) mod segments;
pub(crate) mod source;
#[cfg(test)]
pub(crate) mod testing;
