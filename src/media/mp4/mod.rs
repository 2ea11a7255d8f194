//! Fragmented MP4 for players: the init segment, and fragments of any number of frames.
//!
//! | Module | Owns |
//! |---|---|
//! | [`init`] | `ftyp` and `moov` |
//! | [`fragments`] | `moof` and `mdat` |
//! | [`written`] | reading fragments that an earlier process has written |
//! | [`track`] | numbers and time scales of the tracks, and errors |

pub(crate) mod fragments;
pub(crate) mod init;
pub(crate) mod track;
pub(crate) mod written;
