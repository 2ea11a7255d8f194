//! FFmpeg as an ingest: its arguments, its runs, what its messages mean, and the picture that tests
//! a camera.
//!
//! | Module | Owns |
//! |---|---|
//! | [`launcher`] | starting a run and reporting its outcome |
//! | `run` | one run: its pipes and its end |
//! | `exit` | the cause of a run's end |
//! | [`check`] | whether FFmpeg can be run at all |
//! | [`args`] | FFmpeg's arguments, and the script that keeps the URL out of them |
//! | [`settings`] | the settings of every run |
//! | [`stderr`] | what FFmpeg's messages mean |
//! | [`probe`] | one picture of a camera, to see whether it can be used |

pub(crate) mod args;
pub(crate) mod check;
mod exit;
pub(crate) mod launcher;
pub(crate) mod probe;
mod run;
pub(crate) mod settings;
pub(crate) mod stderr;
