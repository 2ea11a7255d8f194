//! Fragmented MP4 for players: the init segment, and fragments of any number of frames.
//!
//! | Module | Owns |
//! |---|---|
//! | [`init`] | `ftyp` and `moov` |
//! | [`fragments`] | `moof` and `mdat` |
//! | [`written`] | reading fragments that an earlier process has written |
//! | [`recorded`] | reading recorded files that an earlier process has not closed |
//! | [`recorded_frames`] | the frames of recorded fragments, for decoding |
//! | [`replaced_video`] | recorded media with other video |
//! | [`frame_table`] | the table of a recorded file's frames |
//! | [`movie`] | progressive MP4 of the frames of recorded files |
//! | [`track`] | numbers and time scales of the tracks, and errors |

pub(crate) mod fragments;
pub(crate) mod frame_table;
pub(crate) mod init;
pub(crate) mod movie;
pub(crate) mod recorded;
pub(crate) mod recorded_frames;
pub(crate) mod replaced_video;
pub(crate) mod track;
pub(crate) mod written;
