//! Pictures of recorded frames. The last pictures are kept, so that a timeline that is shown again needs no decoding.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::decoder::Decoder;
use crate::base::error::{Error, ErrorKind};
use crate::base::kept_bytes::KeptBytes;
use crate::base::lock::lock;
use crate::base::storage::{ByStorage, Storage};
use crate::media::frame::Frame;

/// The largest number of pictures that are decoded at the same time; fewer on a machine with fewer processors.
const MAX_DECODERS: usize = 4;
/// The largest number of pictures from one kind of storage that are being taken, including those that wait.
const MAX_QUEUED: usize = 64;
/// The largest number of pictures whose frames are off-site and are being read, or wait for a decoder.
const MAX_READ_OFFSITE: usize = 8;
/// The longest time that a picture waits until its frames are read.
const READ_BEGINS_WITHIN: Duration = Duration::from_secs(15);
/// The longest time in which the frames must be read.
const READ_WITHIN: Duration = Duration::from_secs(20);
/// The longest time that a picture waits for a decoder.
const DECODER_WITHIN: Duration = Duration::from_secs(15);
/// The time after which a client should repeat a request that was refused.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// The largest total size of all kept pictures, in bytes.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// A recorded frame, and the size of its picture.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RecordedPictureKey {
    /// The id of the recorded stream.
    pub(crate) stream: i64,
    /// The number of the span, and the time at which the file begins.
    pub(crate) file: (i64, i64),
    /// The time of the frame, in milliseconds since the beginning of the file.
    pub(crate) time: i64,
    /// Greatest width in pixels; `None` for the full width.
    pub(crate) width: Option<u32>,
}

/// The frames that are needed for a picture.
#[derive(Debug)]
pub(crate) struct FramesOfPicture {
    /// The frames in the order of decoding, beginning with a keyframe.
    pub(crate) frames: Vec<Arc<Frame>>,
    /// The time of presentation of the frame that becomes the picture.
    pub(crate) shown_at: Duration,
    /// Width of the camera's picture in pixels.
    pub(crate) full_width: u32,
}

/// Takes pictures of recorded frames. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct RecordedPictures(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    decoder: Decoder,
    decoders: Semaphore,
    queue: ByStorage<Semaphore>,
    reads: ByStorage<Semaphore>,
    /// The last pictures.
    kept: Mutex<KeptBytes<RecordedPictureKey>>,
}

impl RecordedPictures {
    /// Creates the service, which keeps no pictures yet.
    pub(crate) fn new(decoder: Decoder) -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let decoders = processors.min(MAX_DECODERS);
        let places =
            |local, offsite| ByStorage::new(Semaphore::new(local), Semaphore::new(offsite));
        Self(Arc::new(Inner {
            decoder,
            decoders: Semaphore::new(decoders),
            queue: places(MAX_QUEUED, MAX_QUEUED),
            reads: places(decoders, MAX_READ_OFFSITE),
            kept: Mutex::new(KeptBytes::new(MAX_BYTES)),
        }))
    }

    /// Returns a picture as a JPEG: a kept one, or one that is decoded from the frames that `read` returns, which reads
    /// them from `storage`.
    pub(crate) async fn take(
        &self,
        key: RecordedPictureKey,
        storage: Storage,
        read: impl Future<Output = Result<FramesOfPicture, Error>>,
    ) -> Result<Bytes, Error> {
        if let Some(kept) = lock(&self.0.kept).get(&key) {
            return Ok(kept);
        }
        let _queued = self.0.queue.of(storage).try_acquire().map_err(|_| busy())?;
        let reads = self.0.reads.of(storage);
        let Ok(Ok(_reading)) = timeout(READ_BEGINS_WITHIN, reads.acquire()).await else {
            return Err(busy());
        };
        // Another request may have taken the same picture in the meantime.
        if let Some(kept) = lock(&self.0.kept).get(&key) {
            return Ok(kept);
        }
        let read = timeout(READ_WITHIN, read).await.map_err(|_| late())?;
        let FramesOfPicture { frames, shown_at, full_width } = read?;
        // A picture has no decoder while its frames are read, so that slow storage delays no other pictures.
        let Ok(Ok(_decoder)) = timeout(DECODER_WITHIN, self.0.decoders.acquire()).await else {
            return Err(busy());
        };
        let width = key.width.filter(|width| *width < full_width);
        let jpeg = self.0.decoder.decode_frame(frames, shown_at, width, full_width).await?;
        lock(&self.0.kept).put(key, jpeg.clone());
        Ok(jpeg)
    }
}

fn late() -> Error {
    let detail =
        "the recordings cannot be read, because their storage does not respond; try again later";
    Error::new(ErrorKind::StorageUnavailable, detail)
}

fn busy() -> Error {
    let detail = "too many pictures are being taken; try again in a few seconds";
    Error::new(ErrorKind::Busy, detail).retry_after(RETRY_AFTER)
}
