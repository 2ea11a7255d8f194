//! The code of the fuzz targets in `fuzz/`: one function for each kind of untrusted bytes.
//!
//! Each function passes arbitrary bytes to the parsers of this kind, and panics if a check of the results fails.
//! `cargo fuzz` calls the functions on a nightly toolchain, and `tests/fuzz.rs` calls them on stable Rust.
//! Nothing else uses this module. It is public only because the fuzz targets and `tests/fuzz.rs` are
//! separate crates.

mod access;
mod go2rtc;
mod imports;
mod live_socket;
mod media;
mod mp4;
mod onvif;
mod push;
mod recordings;
mod source;
mod support;
mod webrtc;

pub use access::{api_keys, id, playback_token, public_keys};
pub use go2rtc::go2rtc_message;
pub use imports::{import_csv, import_frigate, import_go2rtc, import_mediamtx};
pub use live_socket::live_socket;
pub use media::nut;
pub use mp4::{annex_b, audio_config, recorded_file, sps};
pub use onvif::{http_auth, onvif_address, onvif_xml, soap_answer, ws_discovery_answer};
pub use push::push_subscription;
pub use recordings::recording_request;
pub use source::{ffmpeg_stderr, source_url};
pub use webrtc::{sdp_offer, webrtc_datagram};
