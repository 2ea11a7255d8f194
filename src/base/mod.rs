//! What every other module builds on. Nothing of the program is imported here.
//!
//! | Module | Owns |
//! |---|---|
//! | [`error`] | the error of requests and streams, and the table of its kinds |
//! | [`atomic_instant`] | a moment that any task can move forward and read |
//! | [`backoff`] | delays between attempts |
//! | [`counters`] | the counters of streams since the manager's start |
//! | [`host`] | names and addresses of hosts |
//! | [`lock`] | locking a mutex |
//! | [`proc`] | what the kernel reports about a process |
//! | [`secret`] | a text that must not be shown |
//! | [`tasks`] | waiting for several tasks |
//! | [`time`] | Unix seconds and RFC 3339 |
//! | [`url`] | parts of URLs |

pub(crate) mod atomic_instant;
pub(crate) mod backoff;
pub(crate) mod counters;
pub(crate) mod error;
pub(crate) mod host;
pub(crate) mod lock;
pub(crate) mod proc;
pub(crate) mod secret;
pub(crate) mod tasks;
pub(crate) mod time;
pub(crate) mod url;
