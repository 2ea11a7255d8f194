//! The analysis of cameras' pictures: motion in front of a camera becomes an event. Runs nothing until the option `motion` of
//! a camera has the source `pictures`.
//!
//! | Module | Owns |
//! |---|---|
//! | `clock` | the times of pictures on one clock |
//! | [`pauses`] | the pauses that separate events |
//! | [`watcher`] | finding motion in the pictures of one stream |
//! | [`report`] | storing motion as events, in the background |
//! | `queue` | the motion that waits to be stored |
//! | [`shared`] | what is known about the analysed cameras |
//! | [`counters`] | metrics |
//!
//! `crate::motion` detects motion, and `crate::service::analysing` decides which streams are analysed.

mod clock;
pub(crate) mod counters;
pub(crate) mod pauses;
mod queue;
pub(crate) mod report;
pub(crate) mod shared;
pub(crate) mod watcher;
