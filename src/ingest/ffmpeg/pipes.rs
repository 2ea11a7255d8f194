//! Reads FFmpeg's pipes and publishes the frames.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use nix::fcntl::{FcntlArg, fcntl};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::unix::pipe;
use tokio::process::ChildStdout;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tracing::warn;

use crate::base::counters::Counters;
use crate::camera::plan::{Audio, Lesson, Plan, Times, Video};
use crate::ingest::clock_check::ClockCheck;
use crate::ingest::ffmpeg::exit::Fault;
use crate::ingest::ffmpeg::silence::SeenTracks;
use crate::media::demuxer::{Arrival, Demuxer};
use crate::media::error::MediaError;
use crate::media::frame::{Frame, Track};
use crate::media::hub::FrameHub;
use crate::media::nut::error::NutError;
use crate::media::nut::reader::NutReader;
use crate::media::nut::stream::NutItem;

/// The size of a block of memory for video, in bytes. A block stays in use until all frames in it are dropped, so a
/// block is small compared with all frames that the hub keeps. A block is also smaller than 128 KiB, because glibc
/// does not reuse freed blocks of 128 KiB or more, but returns them to the system at once.
pub(crate) const VIDEO_BLOCK: usize = 120 * 1024;
/// The size of a block of memory for audio, in bytes: enough for about half a second at 64 kbit/s.
const AUDIO_BLOCK: usize = 4 * 1024;
/// The wanted capacity of the pipe for video, in bytes: large enough for most keyframes, so that FFmpeg can
/// write them at once. By default, Linux gives a pipe 64 KiB. A pipe only uses memory for the bytes in it.
const VIDEO_PIPE: i32 = 256 * 1024;
/// A new block is allocated when the free bytes are fewer than the block size divided by this number.
const LEAST_FREE: usize = 8;

/// The longest time that the first frame waits until FFmpeg's description of the tracks has been read. FFmpeg prints
/// the description before it writes the frame, but separate tasks read the two pipes.
const DESCRIBED_WITHIN: Duration = Duration::from_secs(3);

/// The pipes of one run.
pub(super) struct OutputPipes {
    video: NutPipe<ChildStdout>,
    audio: Option<NutPipe<pipe::Receiver>>,
    aac: Option<NutPipe<pipe::Receiver>>,
}

/// A pipe with one NUT stream.
pub(crate) struct NutPipe<R> {
    source: R,
    reader: NutReader,
    block_size: usize,
    state: PipeState,
    /// True once a packet of audio has arrived.
    has_packet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PipeState {
    /// The frames are published.
    Used,
    /// The bytes cannot be used. They are read and dropped, because otherwise FFmpeg would hang.
    Dropped,
    /// FFmpeg has closed the pipe, or a read has failed.
    Closed,
}

/// The destination and the context of a run's frames.
pub(super) struct Sink {
    /// The counters of all streams.
    pub(super) counters: Counters,
    /// The stream's hub.
    pub(super) hub: FrameHub,
    /// Number of the epoch.
    pub(super) epoch: u64,
    /// The plan with which the camera is ingested.
    pub(super) plan: Plan,
    /// Set to true when the first keyframe arrives, with which decoding can begin.
    pub(super) has_played: Arc<AtomicBool>,
    /// The tracks from which packets have arrived.
    pub(super) seen: Arc<SeenTracks>,
    /// Completes when FFmpeg's description of the tracks has been read and requires no other plan.
    pub(super) plan_fits: oneshot::Receiver<()>,
}

impl OutputPipes {
    /// Takes over the pipes of a run with `plan`: stdout has the video, and `outputs` have the audio.
    pub(super) fn new(stdout: ChildStdout, plan: Plan, outputs: Vec<pipe::Receiver>) -> Self {
        // This fails if the pipes of this user already use all the memory that Linux permits for them. A smaller pipe
        // works, too.
        let _ = fcntl(&stdout, FcntlArg::F_SETPIPE_SZ(VIDEO_PIPE));
        let mut outputs = outputs.into_iter().map(|source| NutPipe::new(source, AUDIO_BLOCK));
        let audio = if plan.audio.is_copied() { outputs.next() } else { None };
        let aac = if plan.audio.is_converted() { outputs.next() } else { None };
        Self { video: NutPipe::new(stdout, VIDEO_BLOCK), audio, aac }
    }

    /// Publishes frames until FFmpeg closes the pipe of the video. Fails if the video cannot be used, or if
    /// another plan may work better.
    pub(super) async fn publish(mut self, sink: Sink) -> Result<(), Fault> {
        let Sink { counters, hub, epoch, plan, has_played, seen, plan_fits } = sink;
        let mut plan_fits = Some(plan_fits);
        let is_converted = plan.video == Video::ToH264;
        let mut demuxer =
            Demuxer::new(epoch, is_converted, plan.audio.is_copied(), plan.audio.is_converted());
        let mut clock = ClockCheck::default();
        let mut frames = Vec::new();
        loop {
            let track = tokio::select! {
                read = self.video.read() => {
                    if read.map_err(|error| Fault::Media(error.into()))? == 0 {
                        return self.video.end();
                    }
                    Track::Video
                }
                () = read_audio(&mut self.audio) => Track::Audio,
                () = read_audio(&mut self.aac) => Track::Aac,
            };
            let arrival = Arrival { at: Instant::now(), wall: SystemTime::now() };
            match track {
                Track::Video => self.video.take_video(&mut demuxer, arrival, &mut frames)?,
                Track::Audio => {
                    take_audio(&mut self.audio, track, &mut demuxer, arrival, &mut frames);
                }
                Track::Aac => take_audio(&mut self.aac, track, &mut demuxer, arrival, &mut frames),
            }
            if demuxer.awaits_keyframe() {
                hub.note_leading_frame(epoch);
                seen.video.store(true, Ordering::Relaxed);
            }
            if has_packet(self.audio.as_ref()) || has_packet(self.aac.as_ref()) {
                seen.audio.store(true, Ordering::Relaxed);
            }
            if plan.audio == Audio::Copy && demuxer.needs_aac() {
                return Err(Fault::Lesson(Lesson::AudioNeedsConversion));
            }
            let mut received = 0;
            for frame in frames.iter().filter(|frame: &&Frame| frame.track == Track::Video) {
                received += 1;
                has_played.store(true, Ordering::Relaxed);
                seen.video.store(true, Ordering::Relaxed);
                let is_usable = clock.is_plausible(frame.decode_time, demuxer.clock_jumps());
                if plan.times == Times::Camera && !is_usable {
                    return Err(Fault::Lesson(Lesson::TimesAreWrong));
                }
            }
            counters.received(received);
            demuxer.date(&mut frames, arrival);
            if !frames.is_empty() {
                // Wait until the plan is known to fit. Otherwise, players would get frames of a run that is about to
                // be replaced.
                if let Some(fits) = plan_fits.take() {
                    let _ = timeout(DESCRIBED_WITHIN, fits).await;
                }
                hub.publish(frames.drain(..));
            }
        }
    }
}

/// Reads once from a pipe of audio. Never returns if there is no pipe, or if the pipe is closed.
async fn read_audio(pipe: &mut Option<NutPipe<pipe::Receiver>>) {
    match pipe {
        Some(pipe) if pipe.state != PipeState::Closed => {
            if !matches!(pipe.read().await, Ok(1..)) {
                pipe.state = PipeState::Closed;
            }
        }
        _ => std::future::pending().await,
    }
}

/// Returns whether a packet has arrived on a pipe of audio.
fn has_packet(pipe: Option<&NutPipe<pipe::Receiver>>) -> bool {
    pipe.is_some_and(|pipe| pipe.has_packet)
}

fn take_audio(
    pipe: &mut Option<NutPipe<pipe::Receiver>>,
    track: Track,
    demuxer: &mut Demuxer,
    arrival: Arrival,
    frames: &mut Vec<Frame>,
) {
    let Some(pipe) = pipe else { return };
    if let Err(error) = pipe.take_audio(track, demuxer, arrival, frames) {
        warn!(%error, "the camera's audio cannot be read and is left out");
        pipe.state = PipeState::Dropped;
        demuxer.without(track);
    }
    if pipe.state == PipeState::Dropped {
        pipe.reader.buffer().clear();
    }
}

impl<R: AsyncRead + Unpin> NutPipe<R> {
    /// Creates the reader of a pipe, which reads into blocks of this size in bytes.
    pub(crate) fn new(source: R, block_size: usize) -> Self {
        let reader = NutReader::new();
        Self { source, reader, block_size, state: PipeState::Used, has_packet: false }
    }

    /// Appends the bytes that have arrived to the buffer, and returns their number; 0 at the end of the pipe.
    /// Can be cancelled without losing bytes.
    pub(crate) async fn read(&mut self) -> std::io::Result<usize> {
        let buffer = self.reader.buffer();
        if buffer.capacity() - buffer.len() < self.block_size / LEAST_FREE {
            buffer.reserve(self.block_size);
        }
        self.source.read_buf(buffer).await
    }

    /// Returns the next item; `None` if more has to be read first.
    pub(crate) fn next_item(&mut self) -> Result<Option<NutItem>, NutError> {
        self.reader.next_item()
    }

    fn take_video(
        &mut self,
        demuxer: &mut Demuxer,
        arrival: Arrival,
        frames: &mut Vec<Frame>,
    ) -> Result<(), MediaError> {
        while let Some(item) = self.reader.next_item()? {
            frames.extend(demuxer.video(item, arrival)?);
        }
        Ok(())
    }

    fn take_audio(
        &mut self,
        track: Track,
        demuxer: &mut Demuxer,
        arrival: Arrival,
        frames: &mut Vec<Frame>,
    ) -> Result<(), NutError> {
        if self.state != PipeState::Used {
            return Ok(());
        }
        while let Some(item) = self.reader.next_item()? {
            self.has_packet |= matches!(item, NutItem::Packet(_));
            frames.extend(demuxer.audio(track, item, arrival));
        }
        Ok(())
    }

    /// Returns an error if the stream has ended in the middle of a frame or of the headers.
    fn end(&self) -> Result<(), Fault> {
        if self.reader.is_between_items() {
            return Ok(());
        }
        Err(Fault::Media(MediaError::Read(std::io::ErrorKind::UnexpectedEof.into())))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::Stdio;

    use tokio::process::Command;

    use super::*;
    use crate::media::frame_budget::FrameBudget;

    const RECORDING: &str =
        concat!(env!("CARGO_MANIFEST_DIR"), "/src/stream/supervisor/tests/recording.nut");

    #[tokio::test]
    async fn frames_are_published_when_the_plan_is_known_to_fit() {
        let recording = File::open(RECORDING).expect("a recording");
        let mut cat = Command::new("cat");
        let cat = cat.stdin(Stdio::from(recording)).stdout(Stdio::piped()).spawn();
        let mut cat = cat.expect("a child");
        let stdout = cat.stdout.take().expect("a pipe");
        let plan = Plan { audio: Audio::Off, ..Plan::default() };
        let hub = FrameHub::new(&FrameBudget::new(u64::MAX));
        let has_played = Arc::new(AtomicBool::new(false));
        let (fits, plan_fits) = oneshot::channel();
        let counters = Counters::default();
        let sink = Sink {
            counters: counters.clone(),
            hub: hub.clone(),
            epoch: 1,
            plan,
            has_played: Arc::clone(&has_played),
            seen: Arc::default(),
            plan_fits,
        };
        let mut publishing = Box::pin(OutputPipes::new(stdout, plan, Vec::new()).publish(sink));
        while !has_played.load(Ordering::Relaxed) {
            let wait = timeout(Duration::from_millis(1), &mut publishing).await;
            assert!(wait.is_err(), "the frames have ended");
        }
        assert!(hub.last_pictures().is_empty());
        fits.send(()).expect("a receiver");
        publishing.await.expect("a playable recording");
        assert!(!hub.last_pictures().is_empty());
        assert!(counters.text().contains("frames_received_total 40\n"), "{}", counters.text());
        cat.wait().await.expect("a status");
    }
}
