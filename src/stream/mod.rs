//! Streams: who runs, since when, for whom, and how each one lives and ends.
//!
//! | From | Event | To |
//! |---|---|---|
//! | absent | start | Starting |
//! | Starting | first segment is playable | Live |
//! | Starting | `start_timeout`, or a refusal by the camera | Failed; the waiting callers get the cause |
//! | Starting, Live | FFmpeg ends, for whatever exit code | Backoff, while somebody is watching or waiting |
//! | Live | no picture that advances for `stale_timeout` | Stopping(Retry) |
//! | Starting, Live | another source | Stopping(Replace) |
//! | Backoff | timer, or a start of a stream that was live | Starting: next generation, the playlist goes on after a discontinuity |
//! | any | stop, idle, shutdown | Stopping(End) |
//! | Stopping | `stop_grace` passes | SIGKILL to the group, still Stopping |
//! | Stopping | child reaped | gone with its directory; Backoff when it was a retry; Starting when the source was replaced; Failed after a failed start |
//!
//! A task per stream, the [`supervisor`], owns the child and the packager. The [`registry`] holds
//! cheap [`handle`]s; no guard of its map is held across an await. Get-or-start is atomic: any
//! number of simultaneous starts of one camera make one FFmpeg. The next generation never spawns
//! before the last one's child is reaped. The [`reaper`] only proposes; the supervisor reads the
//! last access again and decides. A start that arrives while a stream is ending waits until it
//! is gone and starts anew.
//!
//! All tasks of a stream run on one of the [`threads`] that requests do not use.
//!
//! How FFmpeg is run is `crate::ffmpeg`; what becomes of its fragments is `crate::hls`.

mod active_count;
mod backoff;
mod deadlines;
pub mod handle;
pub mod interest;
pub mod limits;
pub mod output;
pub mod reaper;
pub mod registry;
pub(crate) mod reporter;
pub mod resources;
mod run;
pub mod start_queue;
pub mod state;
mod supervisor;
pub mod threads;
pub mod transition_metrics;
pub mod viewers;
mod waiters;
