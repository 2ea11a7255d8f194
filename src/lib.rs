//! `stream-manager` turns IP cameras (RTSP) into video that a browser plays, on demand.
//!
//! ```text
//! back end ── HTTP ──> api ──> stream::registry ──> stream::supervisor (a task per stream)
//!                                                        │ spawns, watches, ends
//! camera ── RTSP ──> FFmpeg (own process group) ── fMP4 on stdout ──> hls::reader ──> fragments
//!                                                                        │  hls::packager ──> disk
//!                                                                        └──> other consumers  │
//! browser <── HLS ── nginx <── segments, by sendfile ──────────────────────────────────────────┘
//!                     ├─ playlists ──────────────> api ──> memory
//!                     └─ auth_request ───────────> api ──> stream touched ──> reaper leaves it alive
//! ```
//!
//! | Module | Owns |
//! |---|---|
//! | [`app`] | putting the parts together; the order of shutdown |
//! | [`base`] | what all modules share: errors, time, counters |
//! | [`config`] | the settings |
//! | [`api`] | the HTTP edge |
//! | [`access`] | who may do what |
//! | [`playback`] | who may watch what until when |
//! | [`store`] | the cameras that are known, in a database |
//! | [`onvif`] | cameras on the network, found and asked |
//! | [`stream`] | the life of streams |
//! | [`webhooks`] | telling the back end of it |
//! | [`metrics`] | what is counted, for a Prometheus |

pub mod access;
pub mod api;
pub mod app;
pub mod base;
pub mod camera;
pub mod child;
pub mod config;
pub mod events;
pub mod ingest;
pub mod media;
pub mod metrics;
pub mod onvif;
pub mod output;
pub mod playback;
pub mod store;
pub mod stream;
pub mod webhooks;
