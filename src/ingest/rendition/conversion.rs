//! One FFmpeg that converts frames: writing frames to FFmpeg, publishing the frames that FFmpeg writes, and
//! ending FFmpeg.

use std::io::{self, Cursor};
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf as _;
use nix::unistd::Pid;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

use crate::base::error::{Error, ErrorKind};
use crate::child::log::Writer;
use crate::child::pipes::{PipeReader, write_some};
use crate::child::spawner::{self, Process};
use crate::ingest::ffmpeg::pipes::{NutPipe, VIDEO_BLOCK};
use crate::ingest::ffmpeg::stderr::Tail;
use crate::ingest::ffmpeg::verdict::Verdict;
use crate::ingest::{RunOutcome, StopRequests};
use crate::media::error::MediaError;
use crate::media::frame::{Format, Frame, Track};
use crate::media::hub::{FrameHub, Gap, HubReader};
use crate::media::muxer::VideoMuxer;
use crate::media::rendition::RenditionDemuxer;

/// The longest time from the moment at which FFmpeg gets a frame until FFmpeg writes a frame. For the first
/// frame, this time includes the start of FFmpeg.
const RESPONDS_WITHIN: Duration = Duration::from_secs(10);
/// An FFmpeg that gets no frame for this time is ended, because the camera may be unreachable for hours.
const ENDS_AFTER: Duration = Duration::from_secs(30);
/// The longest time that an FFmpeg whose input has ended may need to write the last frames.
const FINISHES_WITHIN: Duration = Duration::from_secs(1);

/// A running FFmpeg.
pub(super) struct Conversion {
    process: Process,
    /// FFmpeg's input; `None` once it is closed.
    stdin: Option<ChildStdin>,
    output: NutPipe<ChildStdout>,
    stderr: PipeReader<Tail>,
    /// The format of the first frame.
    format: Arc<Format>,
    muxer: VideoMuxer,
    demuxer: RenditionDemuxer,
    /// The bytes that have to be written to FFmpeg.
    pending: Cursor<Vec<u8>>,
    /// The time at which FFmpeg got its first frame after it last wrote a frame; `None` if FFmpeg has got no frame
    /// since then.
    waiting_since: Option<Instant>,
    /// The time at which FFmpeg last got a frame.
    fed_at: Instant,
}

/// How a conversion ended. FFmpeg has been reaped.
pub(super) enum End {
    /// Another FFmpeg is needed, which begins with this keyframe; `None` if it begins with the next keyframe.
    Ended(Option<Arc<Frame>>),
    /// A stop was requested, or the frames have ended.
    Stopped,
    /// FFmpeg has failed.
    Failed(Box<Failure>),
}

/// The evidence about an FFmpeg that has failed.
pub(super) struct Failure {
    status: Option<ExitStatus>,
    tail: Tail,
    /// The reason why FFmpeg was killed; `None` if FFmpeg ended first.
    fault: Option<String>,
}

/// The reason to stop a conversion.
enum Stop {
    /// This frame needs another FFmpeg.
    Changed(Arc<Frame>),
    /// FFmpeg has got no frame for [`ENDS_AFTER`].
    Idle,
    /// A stop was requested, or the frames have ended.
    Requested,
    /// FFmpeg has closed its output.
    Closed,
    /// FFmpeg has to be killed for this reason.
    Fault(String),
}

impl Conversion {
    /// Takes over an FFmpeg that was just started, for frames from `first` on.
    pub(super) fn begin(
        mut process: Process,
        first: &Frame,
        version: u32,
        log: Writer,
    ) -> io::Result<Self> {
        let (stdin, stdout, stderr) = process.take_pipes()?;
        let (findings, _) = mpsc::channel(1);
        let mut headers = Vec::new();
        Ok(Self {
            process,
            stdin: Some(stdin),
            output: NutPipe::new(stdout, VIDEO_BLOCK),
            // FFmpeg does not know the camera's link, so it cannot print secrets.
            stderr: PipeReader::spawn(Tail::collect(stderr, None, log, findings)),
            format: Arc::clone(&first.format),
            muxer: VideoMuxer::begin_on_epoch_clock(first, &mut headers),
            demuxer: RenditionDemuxer::new(&first.format, version),
            pending: Cursor::new(headers),
            waiting_since: None,
            fed_at: Instant::now(),
        })
    }

    /// Returns FFmpeg's process id.
    pub(super) fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// Converts the frame `first` and the frames that follow it in `frames`.
    pub(super) async fn run(
        mut self,
        first: &Frame,
        frames: &mut HubReader,
        hub: &FrameHub,
        stops: &mut StopRequests,
    ) -> End {
        self.take(first);
        match self.convert(frames, hub, stops).await {
            Stop::Changed(frame) => {
                self.finish(hub).await;
                End::Ended(Some(frame).filter(|frame| frame.is_keyframe))
            }
            Stop::Idle => {
                self.finish(hub).await;
                End::Ended(None)
            }
            Stop::Requested => {
                self.process.kill();
                let _ = self.process.wait().await;
                End::Stopped
            }
            Stop::Closed => self.fail(None).await,
            Stop::Fault(fault) => {
                self.process.kill();
                self.fail(Some(fault)).await
            }
        }
    }

    /// Writes frames to FFmpeg and publishes the frames that FFmpeg writes, until there is a reason to stop.
    /// Returns the reason.
    async fn convert(
        &mut self,
        frames: &mut HubReader,
        hub: &FrameHub,
        stops: &mut StopRequests,
    ) -> Stop {
        loop {
            let is_written = !self.pending.has_remaining();
            let idle_at = self.fed_at + ENDS_AFTER;
            let deadline = self.waiting_since.map_or(idle_at, |since| since + RESPONDS_WITHIN);
            tokio::select! {
                _ = stops.next() => return Stop::Requested,
                read = self.output.read() => match read {
                    Ok(0) => return Stop::Closed,
                    Ok(_) => {
                        if let Err(error) = self.publish(hub) {
                            return Stop::Fault(error.to_string());
                        }
                    }
                    Err(error) => return Stop::Fault(error.to_string()),
                },
                () = write_some(&mut self.stdin, &mut self.pending), if !is_written => {}
                next = frames.next(), if is_written => match next {
                    Ok(Some(frame)) if !is_same_stream(&self.format, &frame) => {
                        return Stop::Changed(frame);
                    }
                    Ok(Some(frame)) if frame.track == Track::Video => self.take(&frame),
                    Ok(Some(frame)) => self.take_audio(frame),
                    Ok(None) => return Stop::Requested,
                    Err(Gap(missed)) => {
                        warn!(missed, "the conversion to H.264 is too slow, so frames were skipped");
                    }
                },
                () = sleep_until(deadline) => {
                    if self.waiting_since.is_none() {
                        return Stop::Idle;
                    }
                    let seconds = RESPONDS_WITHIN.as_secs();
                    return Stop::Fault(format!("FFmpeg wrote no frame within {seconds} s"));
                }
            }
        }
    }

    /// Prepares a frame of video for writing.
    fn take(&mut self, frame: &Frame) {
        if !self.pending.has_remaining() {
            self.pending.get_mut().clear();
            self.pending.set_position(0);
        }
        self.demuxer.note_video(frame);
        self.muxer.write(frame, self.pending.get_mut());
        self.fed_at = Instant::now();
        self.waiting_since.get_or_insert(self.fed_at);
    }

    fn take_audio(&mut self, frame: Arc<Frame>) {
        if frame.format.epoch == self.format.epoch {
            self.demuxer.take_audio(frame);
        }
    }

    /// Publishes the frames that are complete.
    fn publish(&mut self, hub: &FrameHub) -> Result<(), MediaError> {
        let (now, mut frames) = (Instant::now(), Vec::new());
        while let Some(item) = self.output.next_item()? {
            self.demuxer.take_video(item, now, &mut frames)?;
        }
        if !frames.is_empty() {
            self.waiting_since = None;
            hub.publish(frames);
        }
        Ok(())
    }

    /// Ends FFmpeg's input, publishes the frames that FFmpeg still writes within [`FINISHES_WITHIN`], and kills
    /// FFmpeg.
    async fn finish(mut self, hub: &FrameHub) {
        self.stdin = None;
        let rest = async {
            while matches!(self.output.read().await, Ok(1..)) {
                if self.publish(hub).is_err() {
                    break;
                }
            }
        };
        let _ = timeout(FINISHES_WITHIN, rest).await;
        self.process.kill();
        let _ = self.process.wait().await;
    }

    /// Waits at most [`FINISHES_WITHIN`] for FFmpeg's end, then kills FFmpeg. Returns the evidence.
    async fn fail(mut self, fault: Option<String>) -> End {
        let (status, _) = self.process.wait_or_kill(FINISHES_WITHIN).await;
        let tail = self.stderr.finish().await.unwrap_or_default();
        debug!(?status, ?fault, ?tail, "FFmpeg ended");
        End::Failed(Box::new(Failure { status: status.ok(), tail, fault }))
    }
}

/// Returns whether an FFmpeg that has begun with frames of the format `before` can convert `frame`. FFmpeg
/// adapts to other parameter sets, and scales pictures of another size to the size of the first picture, so
/// that players continue without a new init segment.
fn is_same_stream(before: &Format, frame: &Frame) -> bool {
    let facts = |format: &Format| (format.epoch, format.codec());
    frame.track != Track::Video || facts(before) == facts(&frame.format)
}

impl Failure {
    /// Returns the outcome of a run of `program` that failed in this way.
    pub(super) fn outcome(self, program: &Path) -> RunOutcome {
        if let Some(reason) = spawner::exec_failure(self.status) {
            return RunOutcome::Refused(spawner::cannot_run(program, reason));
        }
        if let Some(Verdict::Camera(ErrorKind::FfmpegUnavailable, detail)) = self.tail.verdict() {
            return RunOutcome::Refused(Error::new(ErrorKind::FfmpegUnavailable, detail));
        }
        let cause = self.fault.unwrap_or_else(|| self.tail.end(self.status));
        let detail = format!("the video cannot be converted to H.264: {cause}");
        RunOutcome::Dropped(Error::new(ErrorKind::FfmpegUnavailable, detail))
    }
}
