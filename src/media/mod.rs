//! Media: the fragments that an ingest delivers, and the hub that passes them to every consumer of a
//! stream. Nothing here opens files or connections.
//!
//! | Module | Owns |
//! |---|---|
//! | [`reader`] | reads fragments from the bytes that an ingest writes |
//! | [`fragment`] | a fragment of MP4, and the init segment that it needs |
//! | [`parameter_set`] | the sequence parameter sets of H.264 and H.265 |
//! | [`nut`] | the NUT container: packets to and from FFmpeg |
//! | [`hub`] | where a stream's fragments are published and read |

pub(crate) mod fragment;
pub(crate) mod hub;
pub(crate) mod nut;
pub(crate) mod parameter_set;
pub(crate) mod reader;
