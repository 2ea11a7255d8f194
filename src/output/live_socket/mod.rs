//! The live socket: sends each frame of a stream in a message of its own, as soon as the frame arrives. With the format
//! `mp4`, frames are not copied for each viewer: all messages share the memory of the frames in the hub. With `raw`, the
//! video is copied into the form of Annex B while it is sent, one frame at a time.
//!
//! `docs/guide/live-socket.md` describes the protocol. This module decides which messages a client gets.
//! `api::media::live` sends them.
//!
//! | Module | Owns |
//! |---|---|
//! | [`protocol`] | the text messages of both sides |
//! | [`codecs`] | the codecs that a client can decode, and the choice of the audio |
//! | [`feed`] | the messages for one client: which frames it gets, and which ones it misses |
//! | [`backlog`] | whether a client is too slow |
//! | [`plain`] | what is different for players that do not follow this protocol |
//! | `mp4` | frames as MP4 |
//! | `raw` | frames for `WebCodecs` |

pub(crate) mod backlog;
pub(crate) mod codecs;
pub(crate) mod feed;
mod mp4;
pub(crate) mod plain;
pub(crate) mod protocol;
mod raw;
