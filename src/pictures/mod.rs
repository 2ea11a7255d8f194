//! Pictures of streams, decoded from the frames in the streams' hubs, without further connections to cameras. Until
//! the first picture is requested, the module runs nothing and keeps nothing.
//!
//! | Module | Owns |
//! |---|---|
//! | [`snapshots`] | taking pictures: waiting requests, and the limit on simultaneous decoders |
//! | [`recorded`] | pictures of recorded frames |
//! | [`picture`] | a picture and its age |
//! | `kept` | the last pictures of streams, for further requests |
//! | [`decoder`] | starting decoders, and an FFmpeg that decodes one picture |
//! | `args` | the arguments of an FFmpeg that decodes one picture |
//! | [`live`] | continuous pictures: one FFmpeg for all consumers of a stream |

mod args;
pub(crate) mod decoder;
mod kept;
pub(crate) mod live;
pub(crate) mod picture;
pub(crate) mod recorded;
pub(crate) mod snapshots;
