//! The life of streams: which ones run, for whom, and how each one starts, recovers and ends.
//!
//! `docs/design/stream-lifecycle.md` explains the states and lists all transitions; [`state`] decides
//! them.
//!
//! A task per stream, the `supervisor`, owns the ingest's run and the output. The [`registry`] holds
//! cheap [`handle`]s; no guard of its map is held across an await. Get-or-start is atomic: any
//! number of simultaneous starts of one camera make one ingest. The next epoch never starts
//! before the last one's child is reaped. The [`reaper`] only proposes an end; the supervisor checks
//! the [`interest`] again and decides. A start that arrives while a stream ends waits until it is
//! gone, and starts another.
//!
//! | Module | Owns |
//! |---|---|
//! | [`registry`] | all streams, by name |
//! | [`handle`] | how other modules see and command a stream |
//! | [`state`] | the table of states, pure |
//! | [`status`] | what is known of a stream, as published |
//! | `supervisor` | the task of one stream |
//! | `run`, `waiters`, `deadlines`, `backoff` | its parts: the ingest's run, the callers who wait, and when it acts without an event |
//! | [`output`] | the interface between a stream and what serves it |
//! | [`interest`], [`viewers`] | what keeps a stream running, and who watches it |
//! | [`reaper`] | proposes the end of idle streams |
//! | [`start_queue`] | the order of starts |
//! | [`reporter`], `transition_metrics`, `active_count` | what is reported and counted |
//! | [`limits`], [`resources`], [`threads`] | what streams are made of |
//!
//! How an ingest works is `crate::ingest`; nothing here knows FFmpeg's arguments, HLS or HTTP.

mod active_count;
mod backoff;
mod deadlines;
pub(crate) mod handle;
pub(crate) mod interest;
pub(crate) mod limits;
pub(crate) mod output;
pub mod reaper;
pub(crate) mod registry;
pub(crate) mod reporter;
pub(crate) mod resources;
mod run;
pub(crate) mod start_queue;
pub(crate) mod state;
pub(crate) mod status;
mod supervisor;
pub(crate) mod threads;
mod transition_metrics;
pub(crate) mod viewers;
mod waiters;
