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
//! right one the left one. `tests/layers/` reads this table and checks all imports. A new module
//! needs its place in a row.
//!
//! | Layer | Modules |
//! |---|---|
//! | assembly | [`app`], [`parts`], [`cli`], [`fuzzing`] |
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
//!
//! `main` only calls [`cli`]. `reference` is compiled for tests: it renders pages of documentation.

mod access;
mod api;
mod app;
mod base;
mod camera;
mod child;
pub mod cli;
mod config;
mod events;
#[doc(hidden)]
pub mod fuzzing;
mod ingest;
mod media;
mod onvif;
mod output;
#[doc(hidden)]
pub mod parts;
mod playback;
#[cfg(test)]
mod reference;
mod service;
mod store;
mod stream;
mod webhooks;
