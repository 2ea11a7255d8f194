//! Pictures of streams, decoded from the frames that their hubs keep. No picture takes another
//! connection to a camera. Before the first picture, nothing here runs or uses memory.
//!
//! | Module | Owns |
//! |---|---|
//! | [`snapshots`] | single pictures: who waits for which one, and how many are decoded at a time |
//! | [`picture`] | a picture and its age |
//! | `kept` | the last pictures, for further requests |
//! | [`decoder`] | an FFmpeg that decodes one picture |
//! | `args` | the decoder's arguments |

mod args;
pub(crate) mod decoder;
mod kept;
pub(crate) mod picture;
pub(crate) mod snapshots;
