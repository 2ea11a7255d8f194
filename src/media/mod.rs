//! Media without I/O of its own: fragments as they come from an ingest, and the hub that hands them
//! to every consumer of a stream.
//!
//! | Module | Owns |
//! |---|---|
//! | [`reader`] | fragments out of the bytes that an ingest writes |
//! | [`fragment`] | one fragment of MP4, and the init segment that it needs |
//! | [`parameter_set`] | H.264 parameter sets |
//! | [`hub`] | where a stream's fragments are published and read |

pub(crate) mod fragment;
pub(crate) mod hub;
pub(crate) mod parameter_set;
pub(crate) mod reader;
