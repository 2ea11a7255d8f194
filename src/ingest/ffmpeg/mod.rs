//! FFmpeg as an ingest: its arguments, its runs, what its messages mean, and the picture that tests
//! a camera.
//!
//! | Module | Owns |
//! |---|---|
//! | [`launcher`] | one run, from its start to its diagnosis |
//! | [`args`] | FFmpeg's arguments and the script that keeps the URL out of them |
//! | [`stderr`] | what FFmpeg's messages mean |
//! | [`probe`] | one picture of a camera, to see whether it can be used |

pub mod args;
pub mod launcher;
pub mod probe;
pub mod stderr;
