//! FFmpeg as an ingest: its arguments, its process, what it says, and one run of it as a whole.
//!
//! Knows FFmpeg and one run of it. When to run it again is the supervisor's (`crate::stream`).

pub mod args;
pub mod ingest;
pub mod process;
pub mod stderr;
