//! `stream-manager` turns IP cameras (RTSP) into video that a browser plays, on demand.
//!
//! ```text
//! back end ── HTTP ──> api ──> service ──> stream::registry ──> stream::supervisor (a task per stream)
//!                                                                    │ starts, watches, ends
//! camera ── RTSP ──> FFmpeg (ingest) ── NUT, frame by frame ──> media::demuxer ──> media::hub
//!                                                                                          │
//!                                        output::hls: segments on disk, playlists in memory
//!                                                                    │             │
//! browser <── HLS ── nginx <── segments, by sendfile ────────────────┘             │
//!                     ├─ playlists ──────────────> api ────────────────────────────┘
//!                     └─ auth_request ───────────> api: may this viewer watch? keeps the stream running
//! ```
//!
//! A module imports only modules in lower rows of this table, and modules to its left in the same row.
//! `tests/layers/` reads the table and checks all imports. Every new top-level module must be added to a row.
//!
//! | Layer | Modules |
//! |---|---|
//! | assembly | [`app`], [`parts`], [`cli`], [`fuzzing`] |
//! | the HTTP API | [`api`] |
//! | use cases, without HTTP | [`service`] |
//! | subscribers of events | [`webhooks`], [`push`] |
//! | recordings, for players; their copies in other places | [`offsite`], [`recordings`] |
//! | outputs, which serve streams | [`output`] |
//! | pictures, and their analysis | [`pictures`], [`analysis`] |
//! | the lifecycle of streams | [`stream`] |
//! | ingests, which receive video from cameras | [`ingest`] |
//! | settings, events, checks and discovery of cameras, camera store, access | [`config`], [`events`], [`reachability`], [`onvif`], [`store`], [`access`], [`playback`] |
//! | media formats, without I/O | [`media`] |
//! | cameras from files of other systems | [`imports`] |
//! | descriptions of cameras | [`camera`] |
//! | child processes | [`child`] |
//! | detection of motion in pictures, without I/O | [`motion`] |
//! | basics | [`base`] |
//!
//! `main` only calls [`cli`]. `reference` renders the reference documentation, and is compiled only for
//! tests.

mod access;
mod analysis;
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
mod imports;
mod ingest;
mod media;
mod motion;
mod offsite;
mod onvif;
mod output;
#[doc(hidden)]
pub mod parts;
mod pictures;
mod playback;
mod push;
mod reachability;
mod recordings;
#[cfg(test)]
mod reference;
mod service;
mod store;
mod stream;
mod webhooks;
