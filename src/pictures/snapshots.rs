//! Takes single pictures of running streams. Requests for the same stream and width share a picture.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, SystemTime};

use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use super::decoder::Decoder;
use super::kept::{KeptPictures, PictureKey};
use super::picture::{Picture, Position};
use crate::base::counters::Counters;
use crate::base::error::{Error, ErrorKind};
use crate::base::lock::lock;
use crate::camera::id::{CameraId, StreamId};
use crate::camera::source::Source;
use crate::media::frame::{Frame, Track};
use crate::media::hub::ReadFrom;
use crate::stream::handle::StreamHandle;
use crate::stream::state::State;

/// The largest number of pictures that are decoded at the same time; fewer on a machine with fewer
/// processors.
const MAX_DECODERS: usize = 8;
/// The largest number of pictures that are being taken. This includes pictures that wait for a frame or for a
/// decoder, and pictures that are being decoded.
const MAX_QUEUED: usize = 64;
/// The longest time that a picture waits for a decoder.
const DECODER_WITHIN: Duration = Duration::from_secs(10);
/// The longest time to wait for a frame that is new enough.
const FRAME_WITHIN: Duration = Duration::from_secs(5);
/// The time after which a client should repeat a request that was refused, or whose stream ended.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// The largest amount of unread frames that the hub keeps for a request that waits for a frame, in bytes.
const HELD_BACK: usize = 8 * 1024 * 1024;

/// Takes pictures of streams. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Snapshots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    decoder: Decoder,
    decoders: Semaphore,
    queue: Semaphore,
    kept: Mutex<KeptPictures>,
    /// The locks of the pictures that are requested at the moment.
    turns: Mutex<HashMap<PictureKey, Weak<Turn>>>,
    counters: Counters,
}

/// A lock that is held while a picture is taken. Other requests for the same stream and width wait for the lock. It
/// contains the failure of the last attempt; `None` if the attempt succeeded, or before the first attempt.
type Turn = tokio::sync::Mutex<Option<Failure>>;

#[derive(Debug)]
struct Failure {
    began_at: Instant,
    error: Error,
}

/// A request for a picture.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    key: PictureKey,
    source: Source,
    requested_at: Instant,
    max_age: Duration,
}

impl Wanted {
    /// Creates a request, at the present time, for a picture of a stream from `source`. The picture should be
    /// at most `width` pixels wide, and at most `max_age` older than the request.
    pub(crate) fn new(id: StreamId, source: Source, width: Option<u32>, max_age: Duration) -> Self {
        let key = PictureKey { id, width };
        Self { key, source, requested_at: Instant::now(), max_age }
    }

    /// Returns whether the stream is live with the requested source.
    pub(crate) fn is_live_in(&self, stream: &StreamHandle) -> bool {
        let status = stream.status();
        status.state == State::Live && status.camera.source == self.source
    }

    fn is_met_by(&self, received_at: Instant) -> bool {
        received_at + self.max_age >= self.requested_at
    }
}

impl Snapshots {
    /// Creates the service, which keeps no pictures yet.
    pub(crate) fn new(decoder: Decoder, counters: Counters) -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Inner {
            decoder,
            decoders: Semaphore::new(processors.min(MAX_DECODERS)),
            queue: Semaphore::new(MAX_QUEUED),
            kept: Mutex::default(),
            turns: Mutex::default(),
            counters,
        }))
    }

    /// Returns the kept picture for this request; `None` if no kept picture is new enough.
    pub(crate) fn kept(&self, wanted: &Wanted) -> Option<Arc<Picture>> {
        let picture = lock(&self.0.kept).get(&wanted.key, &wanted.source)?;
        wanted.is_met_by(picture.received_at).then_some(picture)
    }

    /// Returns the stream's kept picture, of any age, whose width is nearest to the requested one.
    pub(crate) fn last(&self, wanted: &Wanted) -> Option<Arc<Picture>> {
        lock(&self.0.kept).nearest(&wanted.key, &wanted.source)
    }

    /// Returns the time at which the camera took the newest kept picture of a stream. `source` is the
    /// stream's present source.
    pub(crate) fn taken_at(&self, id: &StreamId, source: &Source) -> Option<SystemTime> {
        lock(&self.0.kept).taken_at(id, source)
    }

    /// Drops the pictures of a camera that was deleted.
    pub(crate) fn forget(&self, camera: &CameraId) {
        lock(&self.0.kept).forget(camera);
    }

    /// Returns a picture from a running stream: a kept picture if it is new enough, or else a picture that is
    /// decoded now. If the hub keeps only the last keyframe, the picture may be older than requested.
    pub(crate) async fn take(
        &self,
        stream: &StreamHandle,
        mut wanted: Wanted,
    ) -> Result<Arc<Picture>, Error> {
        let full = stream.shared().hub.flow().map(|flow| u32::from(flow.format.picture.width));
        wanted.key.width = wanted.key.width.filter(|width| full.is_none_or(|full| *width < full));
        let mut turn = self.turn(&wanted.key).lock_owned().await;
        if let Some(picture) = self.kept(&wanted) {
            return Ok(picture);
        }
        // If an attempt that began after this request has failed, this request fails with the same error.
        if let Some(failure) = turn.as_ref()
            && failure.began_at >= wanted.requested_at
        {
            return Err(failure.error.clone());
        }
        let (send, taken) = oneshot::channel();
        let (this, stream) = (self.clone(), stream.clone());
        // Runs in a separate task, so that the child is reaped and other requests get the picture even if the
        // caller leaves.
        let work = async move {
            let began_at = Instant::now();
            let result = this.take_new(&stream, wanted).await;
            *turn = result.clone().err().map(|error| Failure { began_at, error });
            drop(turn);
            let _ = send.send(result);
        };
        tokio::spawn(work.in_current_span());
        let lost = |_| {
            Err(Error::new(ErrorKind::Internal, "taking the picture was interrupted; try again"))
        };
        taken.await.unwrap_or_else(lost)
    }

    fn turn(&self, key: &PictureKey) -> Arc<Turn> {
        let mut turns = lock(&self.0.turns);
        if let Some(turn) = turns.get(key).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::<Turn>::default();
        turns.insert(key.clone(), Arc::downgrade(&turn));
        turn
    }

    async fn take_new(&self, stream: &StreamHandle, wanted: Wanted) -> Result<Arc<Picture>, Error> {
        let result = self.find_and_decode(stream, &wanted).await;
        match &result {
            // The picture is not kept if the stream has another source by now, or is no longer live.
            Ok(picture) if wanted.is_live_in(stream) => {
                let picture = Arc::clone(picture);
                lock(&self.0.kept).put(wanted.key, wanted.source, picture);
            }
            Ok(_) => {}
            Err(error) => self.0.counters.snapshot_failed(error.kind),
        }
        result
    }

    async fn find_and_decode(
        &self,
        stream: &StreamHandle,
        wanted: &Wanted,
    ) -> Result<Arc<Picture>, Error> {
        let _queued = self.0.queue.try_acquire().map_err(|_| busy())?;
        wait_for_frame(stream, wanted).await?;
        let Ok(Ok(_decoder)) = timeout(DECODER_WITHIN, self.0.decoders.acquire()).await else {
            return Err(busy());
        };
        let frames = stream.shared().hub.last_pictures();
        let newest = frames.last().cloned().ok_or_else(no_frame)?;
        // If the hub keeps only the keyframe, an earlier request may have decoded this keyframe already.
        let last = lock(&self.0.kept).get(&wanted.key, &wanted.source);
        if let Some(last) = last.filter(|last| last.received_at == newest.received_at) {
            return Ok(last);
        }
        let began_at = Instant::now();
        let Frame { received_at, taken_at, ref format, .. } = *newest;
        let position = Position::of(&newest);
        let full_size = (format.picture.width.into(), format.picture.height.into());
        let data = self.0.decoder.decode(frames, wanted.key.width, full_size.0).await?;
        self.0.counters.snapshot_taken(began_at.elapsed());
        Ok(Arc::new(Picture { data, full_size, position, received_at, taken_at }))
    }
}

/// Waits until the hub has a frame of video that is new enough, and a keyframe from which to decode the
/// frame. Fails if the stream ends, or if no new frame arrives within [`FRAME_WITHIN`].
async fn wait_for_frame(stream: &StreamHandle, wanted: &Wanted) -> Result<(), Error> {
    let hub = &stream.shared().hub;
    let mut reader = hub.read(ReadFrom::Now, HELD_BACK);
    let is_new = |frame: &Arc<Frame>| wanted.is_met_by(frame.received_at);
    if hub.last_pictures().last().is_some_and(is_new) {
        return Ok(());
    }
    let wait = async {
        loop {
            match reader.next().await {
                Ok(Some(frame)) if frame.track == Track::Video && is_new(&frame) => {
                    if !hub.last_pictures().is_empty() {
                        return Ok(());
                    }
                }
                Ok(None) => return Err(ended()),
                // Audio, an old frame, or a gap. The next frame may be new enough.
                Ok(Some(_)) | Err(_) => {}
            }
        }
    };
    tokio::select! {
        result = timeout(FRAME_WITHIN, wait) => result.unwrap_or_else(|_| Err(no_frame())),
        () = stream.gone() => Err(ended()),
    }
}

fn busy() -> Error {
    let detail = "too many pictures are being taken; try again in a few seconds";
    Error::new(ErrorKind::Busy, detail).retry_after(RETRY_AFTER)
}

fn ended() -> Error {
    let detail = "the stream ended while its picture was taken; try again in a few seconds";
    Error::new(ErrorKind::StreamEnded, detail).retry_after(RETRY_AFTER)
}

fn no_frame() -> Error {
    let seconds = FRAME_WITHIN.as_secs();
    let detail = format!(
        "the camera sent no picture that can be decoded; the manager waited {seconds} s for it"
    );
    Error::new(ErrorKind::SourceTimeout, detail)
}
