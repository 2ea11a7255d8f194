//! Segments of recordings as H.264, for browsers that cannot play the recorded video. FFmpeg converts a segment when a player
//! requests it; the last segments are kept.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tracing::debug;

use crate::base::error::{Error, ErrorKind};
use crate::base::kept_bytes::KeptBytes;
use crate::base::lock::lock;
use crate::base::storage::{ByStorage, Storage};
use crate::child::pipes::{PipeReader, first_of, read_up_to};
use crate::child::spawner::{self, Spawner};
use crate::ingest::ffmpeg::args::{Shape, conversion_arguments_from};
use crate::media::frame::{Format, Frame};
use crate::media::mp4::recorded_frames::{
    format_of_init, frames_of_fragments, sounds_of_fragments,
};
use crate::media::mp4::replaced_video::{replaced_fragment, replaced_init};
use crate::media::mp4::track::VIDEO_TIMESCALE;
use crate::media::muxer::VideoMuxer;
use crate::media::nut::reader::NutReader;
use crate::media::rendition::RenditionDemuxer;
use crate::output::samples::Samples;

/// The largest number of segments that are converted at the same time; fewer on a machine with fewer processors.
const MAX_CONVERSIONS: usize = 2;
/// The largest number of segments from one kind of storage that are requested at the same time, including those that wait.
const MAX_QUEUED: usize = 16;
/// The longest time in which a segment must be read.
const READ_WITHIN: Duration = Duration::from_secs(20);
/// The longest time that a segment waits for its conversion.
const BEGINS_WITHIN: Duration = Duration::from_secs(15);
/// The longest time that a conversion can take.
const CONVERTED_WITHIN: Duration = Duration::from_secs(30);
/// The time after which a client should repeat a request that was refused.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// The largest total size of all kept segments, in bytes.
const MAX_KEPT: usize = 64 * 1024 * 1024;
/// The largest converted segment, in bytes: 10 s at 25 Mbit/s.
const MAX_CONVERTED: u64 = 32 * 1024 * 1024;
/// The largest number of bytes of FFmpeg's messages that are logged.
const MAX_MESSAGES: u64 = 2048;
/// The distance of keyframes in converted video. It is longer than any segment, so that each segment has one keyframe.
const KEYFRAME_DISTANCE: Duration = Duration::from_hours(24);

/// A segment of a recorded file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SegmentKey {
    /// The id of the recorded stream.
    pub(crate) stream: i64,
    /// The number of the span, and the time at which the file begins.
    pub(crate) file: (i64, i64),
    /// The positions of the first byte and of the end of the segment in the file.
    pub(crate) bytes: (u64, u64),
}

/// The recorded bytes that are needed for a segment.
#[derive(Debug)]
pub(crate) struct RecordedSegment {
    /// The init segment.
    pub(crate) init: Bytes,
    /// The fragments from the last keyframe before the segment up to the segment, which are only decoded; empty if the
    /// segment begins with a keyframe.
    pub(crate) before: Bytes,
    /// The fragments of the segment.
    pub(crate) fragments: Bytes,
}

/// A converted segment.
#[derive(Debug, Clone)]
pub(crate) struct ConvertedSegment {
    /// The init segment. It is the same for all segments with the same recorded init segment.
    pub(crate) init: Bytes,
    /// The fragment.
    pub(crate) fragment: Bytes,
}

/// Converts segments to H.264. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct H264Converter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    program: PathBuf,
    shape: Shape,
    spawner: Spawner,
    conversions: Semaphore,
    queue: ByStorage<Semaphore>,
    kept: Mutex<KeptBytes<(SegmentKey, Part)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Init,
    Fragment,
}

impl H264Converter {
    /// Creates a converter that runs `program`, and encodes as `shape` specifies.
    pub(crate) fn new(program: PathBuf, shape: Shape, spawner: Spawner) -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Inner {
            program,
            shape: Shape { segment_time: KEYFRAME_DISTANCE, ..shape },
            spawner,
            conversions: Semaphore::new((processors / 2).clamp(1, MAX_CONVERSIONS)),
            queue: ByStorage::new(Semaphore::new(MAX_QUEUED), Semaphore::new(MAX_QUEUED)),
            kept: Mutex::new(KeptBytes::new(MAX_KEPT)),
        }))
    }

    /// Returns a segment: a kept one, or one that is converted from the bytes that `read` returns, which
    /// reads them from `storage`.
    ///
    /// If the future is dropped, the conversion ends.
    pub(crate) async fn convert(
        &self,
        key: SegmentKey,
        storage: Storage,
        read: impl Future<Output = Result<RecordedSegment, Error>>,
    ) -> Result<ConvertedSegment, Error> {
        if let Some(kept) = self.kept(&key) {
            return Ok(kept);
        }
        let _queued = self.0.queue.of(storage).try_acquire().map_err(|_| busy())?;
        // A slow server with copies must not keep others from being converted.
        let recorded = timeout(READ_WITHIN, read).await.map_err(|_| busy())??;
        let Ok(Ok(_conversion)) = timeout(BEGINS_WITHIN, self.0.conversions.acquire()).await else {
            return Err(busy());
        };
        // Another request may have needed the same segment in the meantime.
        if let Some(kept) = self.kept(&key) {
            return Ok(kept);
        }
        let converted = self.run(recorded).await?;
        let mut kept = lock(&self.0.kept);
        kept.put((key.clone(), Part::Init), converted.init.clone());
        kept.put((key, Part::Fragment), converted.fragment.clone());
        Ok(converted)
    }

    fn kept(&self, key: &SegmentKey) -> Option<ConvertedSegment> {
        let mut kept = lock(&self.0.kept);
        let init = kept.get(&(key.clone(), Part::Init))?;
        Some(ConvertedSegment { init, fragment: kept.get(&(key.clone(), Part::Fragment))? })
    }

    async fn run(&self, recorded: RecordedSegment) -> Result<ConvertedSegment, Error> {
        let input = Input::new(&recorded).ok_or_else(damaged)?;
        let sounds = sounds_of_fragments(recorded.fragments).ok_or_else(damaged)?;
        let (format, end) = (Arc::clone(&input.format), input.end);
        let nut = self.run_ffmpeg(input).await?;
        let frames = frames_of_nut(&nut, &format)?;
        let Some(first) = frames.first().filter(|first| first.is_keyframe) else {
            return Err(damaged());
        };
        let written =
            replaced_init(&recorded.init, &first.format.parameter_sets).and_then(|init| {
                let video = Samples::new(&frames, end, VIDEO_TIMESCALE);
                let fragment = replaced_fragment(video.run(), &sounds)?;
                Ok(ConvertedSegment { init, fragment })
            });
        written.map_err(|error| damaged().caused_by(error))
    }

    /// Returns the NUT stream that FFmpeg writes.
    async fn run_ffmpeg(&self, input: Input) -> Result<Vec<u8>, Error> {
        let Inner { program, shape, spawner, .. } = &*self.0;
        let arguments = conversion_arguments_from(&input.format.picture, shape, input.from);
        let cannot_run = |error| spawner::cannot_run(program, error);
        let mut process = spawner.spawn(program, arguments, 0).await.map_err(cannot_run)?;
        let (stdin, stdout, stderr) = process.take_pipes().map_err(cannot_run)?;
        let writer = PipeReader::spawn(input.write(stdin));
        let output = PipeReader::spawn(read_up_to(stdout, MAX_CONVERTED));
        let messages = PipeReader::spawn(first_of(stderr, MAX_MESSAGES));
        let (status, is_late) = process.wait_or_kill(CONVERTED_WITHIN).await;
        drop(writer);
        let output = output.finish().await.unwrap_or_default();
        let messages = messages.finish().await.unwrap_or_default();
        let messages = String::from_utf8_lossy(&messages);
        debug!(?status, is_late, bytes = output.len(), %messages, "a recorded segment was converted");
        if is_late {
            let seconds = CONVERTED_WITHIN.as_secs();
            let detail = format!("the conversion to H.264 took longer than {seconds} s");
            return Err(Error::new(ErrorKind::RequestTimeout, detail));
        }
        let status = status.ok();
        if let Some(reason) = spawner::exec_failure(status) {
            return Err(spawner::cannot_run(program, reason));
        }
        if !status.is_some_and(|status| status.success()) {
            let detail = "FFmpeg failed while it converted recorded video to H.264";
            return Err(Error::new(ErrorKind::FfmpegUnavailable, detail));
        }
        Ok(output)
    }
}

/// Returns the frames in a NUT stream. `source` is the format of the recorded video.
fn frames_of_nut(nut: &[u8], source: &Arc<Format>) -> Result<Vec<Arc<Frame>>, Error> {
    let mut reader = NutReader::new();
    reader.buffer().extend_from_slice(nut);
    let (mut demuxer, mut frames) = (RenditionDemuxer::new(source, 0), Vec::new());
    while let Some(item) = reader.next_item().map_err(|error| damaged().caused_by(error))? {
        let taken = demuxer.take_video(item, Instant::now(), &mut frames);
        taken.map_err(|error| damaged().caused_by(error))?;
    }
    Ok(frames.into_iter().map(Arc::new).collect())
}

/// The input of a conversion.
struct Input {
    format: Arc<Format>,
    frames: Vec<Arc<Frame>>,
    muxer: VideoMuxer,
    headers: Vec<u8>,
    /// The time at which the segment begins, in ticks of the input.
    from: u64,
    /// The time at which the segment ends.
    end: Duration,
}

impl Input {
    /// Returns the input for a segment; `None` if the recording is damaged.
    fn new(recorded: &RecordedSegment) -> Option<Self> {
        let format = format_of_init(&recorded.init)?;
        let mut frames = frames_of_fragments(recorded.before.clone(), &format)?;
        let segment = frames_of_fragments(recorded.fragments.clone(), &format)?;
        let keyframe = frames.first().or(segment.first()).filter(|it| it.is_keyframe)?;
        // Frames are shown some time after they are decoded if frames are not in the order of presentation. So the whole
        // segment is shown later by this time.
        let delay = keyframe.presentation_time.saturating_sub(keyframe.decode_time);
        let last = segment.last()?;
        let end = last.decode_time + last.duration + delay;
        let mut headers = Vec::new();
        let muxer = VideoMuxer::begin_on_epoch_clock(keyframe, &mut headers);
        let begin = segment.first()?.decode_time + delay;
        let from = begin.saturating_sub(Duration::from_millis(1)).as_micros();
        let from = u64::try_from(from).ok()?;
        frames.extend(segment);
        Some(Self { format, frames, muxer, headers, from, end })
    }

    /// Writes all frames to FFmpeg's standard input, and then closes the input.
    async fn write(mut self, mut stdin: ChildStdin) {
        let mut bytes = std::mem::take(&mut self.headers);
        for frame in std::mem::take(&mut self.frames) {
            self.muxer.write(&frame, &mut bytes);
            if stdin.write_all(&bytes).await.is_err() {
                return;
            }
            bytes.clear();
        }
    }
}

fn damaged() -> Error {
    let detail = "the recorded video cannot be converted to H.264, because it is damaged";
    Error::new(ErrorKind::SourceUnsupported, detail)
}

fn busy() -> Error {
    let detail = "too many recordings are being converted to H.264; try again in a few seconds";
    Error::new(ErrorKind::Busy, detail).retry_after(RETRY_AFTER)
}
