//! One function for each parser of bytes that come from outside, for the fuzz targets in `fuzz/`.
//!
//! Each function gives arbitrary bytes to one parser and panics when the parser breaks a promise.
//! `cargo fuzz` calls them on a nightly toolchain, and `tests/fuzz.rs` calls them on stable Rust.
//! Nothing else uses this module; it is public only because both are crates of their own.

mod access;
mod media;
mod onvif;
mod source;
mod support;

pub use access::{api_keys, id, playback_token, public_keys};
pub use media::{fragment_reader, parameter_set};
pub use onvif::{onvif_address, onvif_xml, soap_answer, ws_discovery_answer};
pub use source::{ffmpeg_stderr, source_url};
