//! FFmpeg as an ingest: how a camera is taken, FFmpeg's arguments, its process, what it says, and
//! one run of it as a whole; and FFmpeg for one picture, to see whether a camera can be taken.
//!
//! Knows FFmpeg and one run of it. When to run it again is the supervisor's (`crate::stream`).

pub mod args;
pub mod ingest;
pub mod pace;
pub mod stderr;
pub mod still;
