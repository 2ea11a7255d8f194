//! Continuous pictures of running streams. All consumers of a stream share one decoder: an FFmpeg that starts with the
//! first consumer, and ends a few seconds after the last one. Each picture is decoded once, encoded once for each form,
//! and shared.
//!
//! | Module | Owns |
//! |---|---|
//! | [`reader`] | a consumer's position |
//! | `board` | the forms and rates that consumers want, and the newest pictures |
//! | [`form`] | the forms of pictures, and the wanted forms that are one output |
//! | `supervisor` | starting, replacing and ending the decoder of one stream |
//! | `plan` | the decision which decoders run |
//! | `start_limit` | fewer starts for a client that requests ever other sizes, or a camera that changes its video |
//! | `loop_filter` | the decision whether the loop filter is left out |
//! | `decoding` | passing frames to one decoder, from a keyframe on |
//! | `child` | one FFmpeg |
//! | `sink` | finding the frame of each picture that FFmpeg writes |
//! | `reordering` | the number of frames that FFmpeg holds back |
//! | `selection` | the frames that become pictures |
//! | `load` | fewer pictures while the machine is too busy |
//! | `args` | FFmpeg's arguments |

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument as _;

use crate::base::counters::Counters;
use crate::base::error::Error;
use crate::base::lock::lock;
use crate::camera::id::{CameraId, StreamId};
use crate::pictures::decoder::Decoder;
use crate::stream::handle::StreamHandle;
use board::Board;
use decoding::DecodedStream;
use form::Form;
use reader::{PictureReader, interval_of};

mod args;
mod board;
mod child;
mod decoding;
pub(crate) mod form;
mod load;
mod loop_filter;
mod plan;
pub(crate) mod reader;
mod reordering;
mod selection;
mod sink;
mod start_limit;
mod supervisor;

/// The pictures that a consumer wants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PictureSpec {
    /// The form. Pictures are never enlarged.
    pub(crate) form: Form,
    /// The largest number of pictures per second.
    pub(crate) rate: f64,
}

/// What is known about a sub stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubStream {
    /// Width of its pictures in pixels.
    Width(u32),
    /// There were no pictures, because the stream or its decoding has failed.
    Failed,
}

/// The time after which the width of a sub stream is not known any more, because somebody may have changed it in the
/// camera.
const WIDTH_KNOWN_FOR: Duration = Duration::from_mins(10);
/// The time for which a sub stream that has failed is not used.
pub(crate) const FAILED_FOR: Duration = Duration::from_mins(3);

/// The decoders of all streams. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Pictures(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    decoder: Decoder,
    counters: Counters,
    streams: Mutex<HashMap<StreamId, DecodedStream>>,
    /// What was learned about sub streams, and when. At most one entry for each stream that was ever used for small
    /// pictures.
    sub_streams: Mutex<HashMap<StreamId, (SubStream, Instant)>>,
}

impl Pictures {
    /// Creates the service, which runs no decoder yet.
    pub(crate) fn new(decoder: Decoder, counters: Counters) -> Self {
        Self(Arc::new(Inner {
            decoder,
            counters,
            streams: Mutex::default(),
            sub_streams: Mutex::default(),
        }))
    }

    /// Returns a reader of a stream's pictures. Starts the stream's decoder if necessary. Fails if JPEGs of too many
    /// different widths are wanted. The caller has to keep the stream running.
    pub(crate) fn read(
        &self,
        stream: &StreamHandle,
        spec: PictureSpec,
    ) -> Result<PictureReader, Error> {
        let interval = interval_of(spec.rate);
        let mut streams = lock(&self.0.streams);
        let running = streams.get(stream.id()).filter(|it| it.stream.is_same(stream));
        let joined = running.and_then(|running| running.board.join(spec.form, interval));
        let (entry, shown) = if let Some(joined) = joined {
            joined?
        } else {
            let decoded = DecodedStream {
                stream: stream.clone(),
                board: Arc::new(Board::new()),
                decoder: self.0.decoder.clone(),
                counters: self.0.counters.clone(),
            };
            decoded.note_full_width();
            let Some(joined) = decoded.board.join(spec.form, interval) else {
                return Err(reader::ended());
            };
            streams.insert(stream.id().clone(), decoded.clone());
            let registered = Registered { pictures: self.clone(), decoded };
            let supervise = async move { supervisor::run(&registered.decoded).await };
            tokio::spawn(supervise.in_current_span());
            joined?
        };
        Ok(PictureReader::new(entry, shown, interval))
    }

    /// Returns whether a consumer wants JPEGs of a stream.
    pub(crate) fn has_jpegs(&self, id: &StreamId) -> bool {
        let board = lock(&self.0.streams).get(id).map(|decoded| Arc::clone(&decoded.board));
        board.is_some_and(|board| board.has_jpegs())
    }

    /// Returns what is known about a sub stream; `None` if nothing was learned lately.
    pub(crate) fn known(&self, id: &StreamId) -> Option<SubStream> {
        let (known, learned_at) = lock(&self.0.sub_streams).get(id).copied()?;
        let valid_for = match known {
            SubStream::Width(_) => WIDTH_KNOWN_FOR,
            SubStream::Failed => FAILED_FOR,
        };
        (learned_at.elapsed() < valid_for).then_some(known)
    }

    /// Remembers what was learned about a sub stream.
    pub(crate) fn learn(&self, id: &StreamId, known: SubStream) {
        lock(&self.0.sub_streams).insert(id.clone(), (known, Instant::now()));
    }

    /// Forgets what is known about a camera that was changed or deleted.
    pub(crate) fn forget(&self, camera: &CameraId) {
        lock(&self.0.sub_streams).retain(|id, _| id.camera() != camera);
    }
}

/// The entry of a stream whose decoder runs. Dropping it ends the pictures of all readers, even if the decoder's task has
/// panicked.
struct Registered {
    pictures: Pictures,
    decoded: DecodedStream,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.decoded.board.close();
        let mut streams = lock(&self.pictures.0.streams);
        let id = self.decoded.stream.id();
        // Another decoder may have replaced this one.
        if streams.get(id).is_some_and(|it| Arc::ptr_eq(&it.board, &self.decoded.board)) {
            streams.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::spawner::{Bounds, Spawner};

    #[tokio::test(start_paused = true)]
    async fn what_was_learned_about_a_sub_stream_is_forgotten() {
        let bounds = Bounds { nice: 0, memory: 1 << 30, open_files: 256 };
        let spawner = Spawner::start(bounds, &[]).expect("a thread");
        let pictures = Pictures::new(Decoder::new("ffmpeg".into(), spawner), Counters::default());
        let [one, other] = ["one~sub", "other~sub"].map(|id| StreamId::parse(id).expect("an id"));
        assert_eq!(pictures.known(&one), None);
        pictures.learn(&one, SubStream::Width(640));
        pictures.learn(&other, SubStream::Failed);
        pictures.forget(one.camera());
        assert_eq!(pictures.known(&one), None, "the camera was changed");
        assert_eq!(pictures.known(&other), Some(SubStream::Failed));

        pictures.learn(&one, SubStream::Width(640));
        tokio::time::advance(FAILED_FOR).await;
        assert_eq!(pictures.known(&other), None);
        assert_eq!(pictures.known(&one), Some(SubStream::Width(640)));
        tokio::time::advance(WIDTH_KNOWN_FOR).await;
        assert_eq!(pictures.known(&one), None);
    }
}
