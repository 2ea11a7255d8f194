//! `stream-manager` turns IP cameras (RTSP) into video that a browser plays, on demand.
//!
//! ```text
//! back end ── HTTP ──> api ──> service ──> stream::registry ──> stream::supervisor (a task per stream)
//!                                                                    │ starts, watches, ends
//! camera ── RTSP ──> FFmpeg (ingest) ── fragmented MP4 on stdout ──> media::reader ──> media::hub
//!                                                                                          │
//!                                        output::hls: segments on disk, playlists in memory
//!                                                                    │             │
//! browser <── HLS ── nginx <── segments, by sendfile ────────────────┘             │
//!                     ├─ playlists ──────────────> api ────────────────────────────┘
//!                     └─ auth_request ───────────> api: may this viewer watch? keeps the stream running
//! ```
//!
//! Modules import downwards only; those on one line in the order in which they are written, the
//! right one the left one. `tests/layers.rs` checks this.
//!
//! | Layer | Modules |
//! |---|---|
//! | assembly | [`app`], [`cli`], [`fuzzing`] |
//! | the HTTP edge | [`api`] |
//! | use cases, without HTTP | [`service`] |
//! | subscribers of events | [`webhooks`] |
//! | consumers of streams | [`output`] |
//! | the life of streams | [`stream`] |
//! | what brings video | [`ingest`] |
//! | what cameras and callers are | [`config`], [`events`], [`onvif`], [`store`], [`access`], [`playback`] |
//! | media without I/O | [`media`] |
//! | what a camera is | [`camera`] |
//! | processes | [`child`] |
//! | what all share | [`base`] |

pub mod access;
pub(crate) mod api;
pub mod app;
pub mod base;
pub mod camera;
pub mod child;
pub mod cli;
pub mod config;
pub mod events;
#[doc(hidden)]
pub mod fuzzing;
pub mod ingest;
pub mod media;
pub mod onvif;
pub mod output;
pub mod playback;
#[cfg(test)]
mod reference;
pub(crate) mod service;
pub mod store;
pub mod stream;
pub mod webhooks;
