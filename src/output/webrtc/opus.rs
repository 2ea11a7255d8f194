//! The sound of streams as Opus, for viewers who cannot get the camera's sound over WebRTC as it is.
//!
//! Browsers take no AAC over WebRTC. While a stream has viewers who need Opus, an FFmpeg converts the AAC that HLS uses:
//! the camera's own, or the AAC that the ingest makes of other sound. All viewers of the stream share this FFmpeg.

use std::collections::HashMap;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::{broadcast, oneshot};
use tokio::time::{Instant, sleep};
use tracing::{Instrument as _, debug, info, warn};

use self::child::{End, OpusChild};
use self::packet::{OpusPacket, is_sound};
use crate::base::backoff::Exponential;
use crate::base::error::chain;
use crate::base::lock::lock;
use crate::camera::id::StreamId;
use crate::child::log::Work;
use crate::child::spawner::Spawner;
use crate::ingest::ffmpeg::check::ProgramFile;
use crate::media::frame::Frame;
use crate::media::hub::{HubReader, ReadFrom};
use crate::stream::handle::StreamHandle;

mod child;
pub(super) mod packet;
mod probe;

/// The largest number of packets by which a session can be behind: 1.3 s. A session that is behind further misses packets.
const MAX_BEHIND: usize = 64;
/// The largest number of bytes by which an FFmpeg can be behind the stream, whose video counts as well.
const MAX_BYTES_BEHIND: usize = 8 * 1024 * 1024;
/// The pauses before FFmpeg starts again after a failure.
const RESTARTS: Exponential =
    Exponential { first: Duration::from_millis(500), ceiling: Duration::from_secs(30) };
/// An FFmpeg that has run for this time counts as one that works, so the pauses begin with the first one again.
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// The problem of an FFmpeg without an encoder for Opus.
const NO_OPUS: &str = "FFmpeg cannot convert audio to Opus, so players get only the audio of cameras that send Opus or \
                       G.711 over WebRTC; use an FFmpeg with libopus";

/// The encoders of all streams. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct OpusEncoders(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    program: PathBuf,
    spawner: Spawner,
    running: Mutex<HashMap<StreamId, (StreamHandle, Weak<Running>)>>,
    /// The file of FFmpeg that was tested last; `None` before the first test. Locked while FFmpeg is tested.
    tested: tokio::sync::Mutex<Option<ProgramFile>>,
    /// The reason why this file cannot convert sound; `None` if it can.
    problem: Mutex<Option<String>>,
}

/// The encoder of one stream. Ends when it is dropped.
#[derive(Debug)]
struct Running {
    packets: broadcast::Sender<OpusPacket>,
    _end: oneshot::Sender<()>,
}

/// A session's position in the sound of a stream. While it exists, the sound is encoded.
#[derive(Debug)]
pub(super) struct OpusReader {
    packets: broadcast::Receiver<OpusPacket>,
    _running: Arc<Running>,
}

impl OpusReader {
    /// Returns the next packet. Never returns after the end of the stream. Can be cancelled without losing a packet.
    pub(super) async fn next(&mut self) -> OpusPacket {
        loop {
            match self.packets.recv().await {
                Ok(packet) => return packet,
                // The session was too slow. It continues with the oldest packet that is kept.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

impl OpusEncoders {
    /// Creates the encoders, which run no FFmpeg yet. `program` is FFmpeg.
    pub(crate) fn new(program: PathBuf, spawner: Spawner) -> Self {
        Self(Arc::new(Inner {
            program,
            spawner,
            running: Mutex::default(),
            tested: tokio::sync::Mutex::default(),
            problem: Mutex::default(),
        }))
    }

    /// Returns whether FFmpeg can convert sound to Opus; true if that is not known, because FFmpeg is too slow to tell,
    /// or cannot be run, which `/readyz` reports. Runs FFmpeg only for the first call, and when its file was replaced. Logs the reason if FFmpeg
    /// cannot convert sound.
    pub(crate) async fn can_convert(&self) -> bool {
        let inner = &self.0;
        // Locked during the test on purpose, so that FFmpeg runs once for simultaneous calls.
        let mut tested = inner.tested.lock().await;
        let Ok(file) = ProgramFile::of(&inner.program) else { return true };
        if tested.as_ref() != Some(&file) {
            let problem = match probe::probe(&inner.program, &inner.spawner).await {
                Ok(problem) => problem,
                Err(error) => {
                    debug!(%error, "FFmpeg could not be tested for the conversion to Opus");
                    return true;
                }
            };
            if let Some(cause) = &problem {
                warn!(ffmpeg = %inner.program.display(), %cause, "{NO_OPUS}");
            }
            *lock(&inner.problem) = problem;
            *tested = Some(file);
        }
        drop(tested);
        self.problem().is_none()
    }

    /// Returns the reason why FFmpeg cannot convert sound to Opus, and what to do about it; `None` if FFmpeg can, or if that
    /// is not known.
    pub(crate) fn problem(&self) -> Option<String> {
        lock(&self.0.problem).as_ref().map(|cause| format!("{NO_OPUS} ({cause})"))
    }

    /// Returns a reader of a stream's sound as Opus. Starts the stream's encoder if necessary.
    pub(super) fn read(&self, stream: &StreamHandle) -> OpusReader {
        let mut running = lock(&self.0.running);
        let known = running.get(stream.id()).filter(|(of, _)| of.is_same(stream));
        if let Some(running) = known.and_then(|(_, running)| running.upgrade()) {
            return OpusReader { packets: running.packets.subscribe(), _running: running };
        }
        let (packets, received) = broadcast::channel(MAX_BEHIND);
        let (end, ended) = oneshot::channel();
        let started = Arc::new(Running { packets: packets.clone(), _end: end });
        let entry = Arc::downgrade(&started);
        running.insert(stream.id().clone(), (stream.clone(), entry.clone()));
        let registered = Registered { encoders: self.clone(), stream: stream.clone(), entry };
        let run = async move {
            registered.encoders.0.run(&registered.stream, &packets, ended).await;
        };
        tokio::spawn(run.in_current_span());
        OpusReader { packets: received, _running: started }
    }
}

/// The entry of a stream whose encoder runs. It must not outlive the encoder's task, even if that has panicked or has
/// readers, because it keeps the stream and the stream's last frames.
struct Registered {
    encoders: OpusEncoders,
    stream: StreamHandle,
    entry: Weak<Running>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut running = lock(&self.encoders.0.running);
        let id = self.stream.id();
        // Another encoder may have replaced this one.
        if running.get(id).is_some_and(|(_, entry)| entry.ptr_eq(&self.entry)) {
            running.remove(id);
        }
    }
}

impl Inner {
    /// Encodes the sound of a stream until the stream ends, or until the sender of `ended` is dropped.
    async fn run(
        &self,
        stream: &StreamHandle,
        packets: &broadcast::Sender<OpusPacket>,
        ended: oneshot::Receiver<()>,
    ) {
        let shared = stream.shared();
        let mut stopped = pin!(async {
            tokio::select! {
                _ = ended => {}
                () = stream.ending() => {}
            }
        });
        let mut frames = shared.hub.read(ReadFrom::Now, MAX_BYTES_BEHIND);
        let (mut next, mut failures) = (None, 0);
        loop {
            let first = if next.is_some() {
                next.take()
            } else {
                tokio::select! {
                    first = next_sound(&mut frames) => first,
                    () = &mut stopped => None,
                }
            };
            let Some(first) = first else { return };
            let began = Instant::now();
            let end = match OpusChild::start(&self.program, &self.spawner, &first).await {
                Ok(child) => {
                    let pid = child.pid();
                    info!(pid = pid.as_raw(), camera = %stream.id(), "FFmpeg started to convert the sound to Opus");
                    tokio::select! {
                        end = child.run(&first, &mut frames, packets, &mut stopped) => end,
                        never = shared.process_log.watch(pid, Work::Stream) => match never {},
                    }
                }
                Err(error) => End::Failed(error),
            };
            match end {
                End::Ended(frame) => next = frame,
                End::Stopped => return,
                End::Failed(error) => {
                    if began.elapsed() >= STABLE_AFTER {
                        failures = 0;
                    }
                    let delay = RESTARTS.delay(failures);
                    failures += 1;
                    warn!(camera = %stream.id(), cause = chain(&error), retry_in = ?delay, "the sound cannot be converted to Opus");
                    // A reader that reads nothing would keep frames of the stream.
                    drop(frames);
                    tokio::select! {
                        () = sleep(delay) => {}
                        () = &mut stopped => return,
                    }
                    frames = shared.hub.read(ReadFrom::Now, MAX_BYTES_BEHIND);
                }
            }
        }
    }
}

/// Waits for the next frame of the AAC for HLS; `None` if the stream ends first.
async fn next_sound(frames: &mut HubReader) -> Option<Arc<Frame>> {
    loop {
        match frames.next().await {
            Ok(Some(frame)) if is_sound(&frame) => return Some(frame),
            Ok(None) => return None,
            Ok(Some(_)) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::camera::Camera;
    use crate::camera::options::StreamOptions;
    use crate::camera::source::Source;
    use crate::service::testing::Setup;
    use crate::stream::output::WantedOutput;

    #[tokio::test]
    async fn the_encoder_of_a_stream_that_has_ended_is_forgotten() {
        let (core, _dir) = Setup::new("boss:admin:boss-secret-0001").await.into_parts();
        let id = StreamId::parse("cam").expect("an id");
        let source = Source::parse("rtsp://cam/").expect("a link");
        let camera = Camera::new(id.clone(), source, StreamOptions::default());
        let started = core.registry.start_soon(camera, WantedOutput::None);
        let stream = started.expect("a stream");
        let count = || lock(&core.opus.0.running).len();
        let until_forgotten = async || {
            let forgotten = async {
                while count() > 0 {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(Duration::from_secs(10), forgotten).await.expect("the encoder is kept");
        };

        let readers = [core.opus.read(&stream), core.opus.read(&stream)];
        assert_eq!(count(), 1, "the readers share an encoder");
        drop(readers);
        until_forgotten().await;

        let _reader = core.opus.read(&stream);
        assert_eq!(count(), 1);
        assert!(core.registry.stop(&id).await);
        until_forgotten().await;
    }
}
