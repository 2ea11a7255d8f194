//! Pictures of streams, decoded from the frames that the streams' hubs keep, without further connections
//! to cameras. Until the first picture is requested, the module runs nothing and keeps nothing.
//!
//! | Module | Owns |
//! |---|---|
//! | [`snapshots`] | taking pictures: waiting requests, and the limit on simultaneous decoders |
//! | [`picture`] | a picture and its age |
//! | `kept` | the last pictures of streams, for further requests |
//! | [`decoder`] | an FFmpeg that decodes one picture |
//! | `args` | the decoder's arguments |

mod args;
pub(crate) mod decoder;
mod kept;
pub(crate) mod picture;
pub(crate) mod snapshots;
