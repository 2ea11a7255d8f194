//! Media: the fragments that an ingest delivers, and the hub that passes them to every consumer of a
//! stream. Nothing here opens files or connections.
//!
//! | Module | Owns |
//! |---|---|
//! | [`access_unit`] | pictures of H.264 and H.265, in the form that MP4 needs |
//! | [`nal`] | NAL units, of which those pictures are made |
//! | [`parameter_set`] | the parameter sets of H.264 and H.265, which describe those pictures |
//! | [`bits`] | bits of a NAL unit |
//! | [`codec`] | names of codecs |
//! | [`aac`], [`opus`] | the parameters of AAC and Opus |
//! | [`mp4`] | MP4 for players |
//! | [`reader`] | reads fragments from the bytes that an ingest writes |
//! | [`fragment`] | a fragment of MP4, and the init segment that it needs |
//! | [`nut`] | the NUT container: packets to and from FFmpeg |
//! | [`hub`] | where a stream's fragments are published and read |

pub(crate) mod aac;
pub(crate) mod access_unit;
pub(crate) mod bits;
pub(crate) mod codec;
pub(crate) mod fragment;
pub(crate) mod hub;
pub(crate) mod mp4;
pub(crate) mod nal;
pub(crate) mod nut;
pub(crate) mod opus;
pub(crate) mod parameter_set;
pub(crate) mod reader;
