//! The ground that every other module stands on: no module of the program is imported here.
//!
//! | Module | Owns |
//! |---|---|
//! | [`error`] | the one error of requests and streams, and its kinds |
//! | [`atomic_instant`] | a moment that any task can move forward and read |
//! | [`backoff`] | delays between attempts |
//! | [`counters`] | what is counted about streams since the manager's start |
//! | [`proc`] | what the kernel reports about a process |

pub mod atomic_instant;
pub mod backoff;
pub mod counters;
pub mod error;
pub mod proc;
