//! Continuous pictures of running streams. All consumers of a stream share one decoder: an FFmpeg that starts with the
//! first consumer, and ends a few seconds after the last one. Each picture is decoded once, encoded once for each size,
//! and shared.
//!
//! | Module | Owns |
//! |---|---|
//! | [`reader`] | a consumer's position |
//! | `board` | the sizes and rates that consumers want, and the newest pictures |
//! | `supervisor` | starting, replacing and ending the decoder of one stream |
//! | `decoding` | passing frames to one decoder, from a keyframe on |
//! | `child` | one FFmpeg |
//! | `sink` | finding the frame of each picture that FFmpeg writes |
//! | `selection` | the frames that become pictures |
//! | `load` | fewer pictures while the machine is too busy |
//! | `args` | FFmpeg's arguments |

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tracing::Instrument as _;

use crate::base::counters::Counters;
use crate::base::error::Error;
use crate::base::lock::lock;
use crate::camera::id::{CameraId, StreamId};
use crate::pictures::decoder::Decoder;
use crate::stream::handle::StreamHandle;
use board::Board;
use decoding::DecodedStream;
use reader::{PictureReader, interval_of};

mod args;
mod board;
mod child;
mod decoding;
mod load;
pub(crate) mod reader;
mod selection;
mod sink;
mod supervisor;

/// The pictures that a consumer wants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PictureSpec {
    /// Greatest width in pixels; `None` for the width of the camera's picture. Pictures are never enlarged.
    pub(crate) width: Option<u32>,
    /// The largest number of pictures per second.
    pub(crate) rate: f64,
}

/// The decoders of all streams. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Pictures(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    decoder: Decoder,
    counters: Counters,
    streams: Mutex<HashMap<StreamId, DecodedStream>>,
    /// The last known widths of streams, in pixels. At most one entry for each stream that was ever used for small
    /// pictures.
    widths: Mutex<HashMap<StreamId, u32>>,
}

impl Pictures {
    /// Creates the service, which runs no decoder yet.
    pub(crate) fn new(decoder: Decoder, counters: Counters) -> Self {
        Self(Arc::new(Inner {
            decoder,
            counters,
            streams: Mutex::default(),
            widths: Mutex::default(),
        }))
    }

    /// Returns a reader of a stream's pictures. Starts the stream's decoder if necessary. Fails if too many different
    /// widths of the stream's pictures are wanted. The caller has to keep the stream running.
    pub(crate) fn read(
        &self,
        stream: &StreamHandle,
        spec: PictureSpec,
    ) -> Result<PictureReader, Error> {
        let interval = interval_of(spec.rate);
        let mut streams = lock(&self.0.streams);
        let running = streams.get(stream.id()).filter(|it| it.stream.is_same(stream));
        let joined = running.and_then(|running| running.board.join(spec.width, interval));
        let (entry, newest) = if let Some(joined) = joined {
            joined?
        } else {
            let decoded = DecodedStream {
                stream: stream.clone(),
                board: Arc::new(Board::new()),
                decoder: self.0.decoder.clone(),
                counters: self.0.counters.clone(),
            };
            let Some(joined) = decoded.board.join(spec.width, interval) else {
                return Err(reader::ended());
            };
            streams.insert(stream.id().clone(), decoded.clone());
            let this = self.clone();
            let supervise = async move {
                supervisor::run(&decoded).await;
                this.remove(&decoded);
            };
            tokio::spawn(supervise.in_current_span());
            joined?
        };
        Ok(PictureReader::new(entry, newest, interval))
    }

    /// Returns the last known width of a stream's pictures, in pixels; `None` if it is not known.
    pub(crate) fn known_width(&self, id: &StreamId) -> Option<u32> {
        lock(&self.0.widths).get(id).copied()
    }

    /// Remembers the width of a stream's pictures, in pixels.
    pub(crate) fn note_width(&self, id: &StreamId, width: u32) {
        lock(&self.0.widths).insert(id.clone(), width);
    }

    /// Forgets what is known about a camera that was changed or deleted.
    pub(crate) fn forget(&self, camera: &CameraId) {
        lock(&self.0.widths).retain(|id, _| id.camera() != camera);
    }

    /// Forgets a stream whose decoder has ended, unless another decoder has replaced it.
    fn remove(&self, ended: &DecodedStream) {
        let mut streams = lock(&self.0.streams);
        let id = ended.stream.id();
        if streams.get(id).is_some_and(|it| Arc::ptr_eq(&it.board, &ended.board)) {
            streams.remove(id);
        }
    }
}
