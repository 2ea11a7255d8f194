//! The life of streams: which ones run, for which clients, and how each one starts, recovers and ends.
//!
//! `docs/design/stream-lifecycle.md` explains the states and lists all transitions. The table in
//! [`state`] decides each transition.
//!
//! Each stream has a task, the `supervisor`, which owns the ingest's run and the output. The
//! [`registry`] holds [`handle`]s, which are cheap to clone. No lock of the registry's map is held across an await.
//! The registry looks a stream up and creates it in one atomic step, so simultaneous starts of one stream create
//! only one ingest. An epoch starts only after the FFmpeg of the previous epoch has ended and has been reaped. The
//! [`reaper`] finds idle streams, and proposes to their supervisors to end them. A supervisor then checks the
//! [`interest`] again, and decides. A start that arrives while a stream is ending waits until that stream is gone,
//! and then starts another stream.
//!
//! | Module | Owns |
//! |---|---|
//! | [`registry`] | all streams, by name |
//! | [`handle`] | the handle through which other modules read and control a stream |
//! | [`state`] | the table of states: a pure function |
//! | [`status`] | the published status of a stream |
//! | `supervisor` | the task of one stream |
//! | `run`, `plan_choice`, `waiters`, `deadlines`, `backoff` | the supervisor's parts: the ingest's run and its plan, the waiting callers, the deadlines, the delays before retries |
//! | [`playable`] | the frames that players can play |
//! | `rendition` | H.264 that is made from the stream's video while a consumer needs it |
//! | [`output`] | the interface between a stream and its output |
//! | `output_slot` | the output of one stream, which runs only while clients use it |
//! | `trial` | trying the new link of a camera before its live stream switches to it |
//! | [`interest`], [`viewers`] | the interest that keeps a stream running, and its viewers |
//! | `background_starts` | the starts whose result no caller waits for |
//! | [`kept`] | the streams that run without viewers |
//! | [`reaper`] | proposing the end of idle streams and unused outputs |
//! | [`start_queue`] | the order of starts |
//! | [`reporter`], `transition_metrics`, `active_count` | events and counters |
//! | [`limits`], [`resources`], [`threads`] | the limits, resources and threads that all streams share |
//!
//! `crate::ingest` implements ingests. Nothing here depends on FFmpeg's arguments or on HTTP. HLS is known only by
//! name, as the output that a caller can want.

mod active_count;
mod background_starts;
mod backoff;
mod deadlines;
pub(crate) mod handle;
pub(crate) mod interest;
pub(crate) mod kept;
pub(crate) mod limits;
pub(crate) mod output;
mod output_slot;
mod plan_choice;
pub(crate) mod playable;
pub mod reaper;
pub(crate) mod registry;
mod rendition;
pub(crate) mod reporter;
pub(crate) mod resources;
mod run;
pub(crate) mod start_queue;
pub(crate) mod state;
pub(crate) mod status;
mod supervisor;
pub(crate) mod threads;
mod transition_metrics;
mod trial;
pub(crate) mod viewers;
mod waiters;
