//! One run of FFmpeg: reads its pipes, publishes its frames, and kills the child when the run is no longer
//! wanted or cannot succeed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{Instrument, debug};

use crate::camera::plan::{Lesson, Video};
use crate::child::pipes::{self, PipeReader};
use crate::child::spawner::Process;
use crate::ingest::ffmpeg::exit::{Fault, FfmpegExit};
use crate::ingest::ffmpeg::pipes::{OutputPipes, Sink};
use crate::ingest::ffmpeg::stderr::Tail;
use crate::ingest::{IngestRequest, Stop, StopRequests};
use crate::onvif::keyframe::PreparedRequest;

/// FFmpeg's names of the codecs that can be copied.
const COPYABLE: [&str; 3] = ["h264", "hevc", "mjpeg"];

/// A child and the tasks that read its pipes.
pub(super) struct FfmpegRun {
    process: Process,
    /// True if the plan converts the video.
    converts_video: bool,
    began: Instant,
    video_codec: oneshot::Receiver<String>,
    /// The request for a keyframe, which is sent once FFmpeg receives video. A keyframe that comes
    /// earlier would be lost.
    pub(super) keyframe: Option<PreparedRequest>,
    /// True once a frame of video has arrived.
    pub(super) has_played: Arc<AtomicBool>,
    frames: PipeReader<Result<(), Fault>>,
    stderr: PipeReader<Tail>,
}

impl FfmpegRun {
    /// Takes over a child that was just started: begins to read its pipes, and writes `script` to its
    /// stdin.
    pub(super) fn begin(mut process: Process, script: String, request: &IngestRequest) -> Self {
        let (report_codec, video_codec) = oneshot::channel();
        let has_played = Arc::new(AtomicBool::new(false));
        let (frames, stderr) = match process.take_pipes() {
            Ok((stdin, stdout, stderr)) => {
                tokio::spawn(pipes::write_all(stdin, script).in_current_span());
                let pipes = OutputPipes::new(stdout, request.plan, process.take_outputs());
                let reading = pipes.publish(Sink {
                    hub: request.hub.clone(),
                    epoch: request.epoch,
                    plan: request.plan,
                    has_played: Arc::clone(&has_played),
                });
                let log = request.process_log.writer(request.epoch);
                let tail = Tail::collect(stderr, Some(request.source.clone()), log, report_codec);
                (PipeReader::spawn(reading), PipeReader::spawn(tail))
            }
            Err(error) => (
                PipeReader::spawn(async { Err(Fault::Media(error.into())) }),
                PipeReader::spawn(async { Tail::default() }),
            ),
        };
        Self {
            process,
            converts_video: request.plan.video == Video::ToH264,
            began: Instant::now(),
            video_codec,
            keyframe: None,
            has_played,
            frames,
            stderr,
        }
    }

    /// Waits until the child has ended and is reaped, and passes requests to stop on to it. Returns the
    /// evidence about the run.
    pub(super) async fn until_exit(mut self, mut stops: StopRequests) -> FfmpegExit {
        let mut is_killed = false;
        let mut lesson = None;
        let status = loop {
            tokio::select! {
                status = self.process.wait() => break status,
                read = self.frames.wait(), if !self.frames.has_ended() => {
                    // The pipe is no longer read, so FFmpeg would hang as soon as the pipe is full.
                    if matches!(read, Some(Err(_))) {
                        self.process.kill();
                    }
                }
                // FFmpeg prints the codec as soon as it knows the camera's streams.
                codec = &mut self.video_codec, if self.waits_for_codec() => {
                    lesson = self.take_codec(codec.ok());
                }
                stop = stops.next(), if !is_killed => match stop {
                    Stop::Gently => self.process.terminate(),
                    Stop::Now => {
                        is_killed = true;
                        self.process.kill();
                    }
                },
            }
        };
        let read = self.frames.finish().await;
        let tail = self.stderr.finish().await.unwrap_or_default();
        let fault = lesson.map(Fault::Lesson).or_else(|| read.and_then(Result::err));
        debug!(?status, ?fault, ?tail, "FFmpeg ended");
        FfmpegExit {
            status: status.ok(),
            fault,
            tail,
            has_played: self.has_played.load(Ordering::Relaxed),
            ran_for: self.began.elapsed(),
        }
    }

    fn waits_for_codec(&self) -> bool {
        self.converts_video || self.keyframe.is_some()
    }

    /// Acts on the video codec that FFmpeg has printed; `None` if FFmpeg ended without printing one.
    /// With a codec, sends the request for a keyframe. If the run converts a codec that can be
    /// copied, kills the child and returns the lesson.
    fn take_codec(&mut self, codec: Option<String>) -> Option<Lesson> {
        if let (Some(keyframe), Some(_)) = (self.keyframe.take(), &codec) {
            keyframe.send();
        }
        let can_be_copied = codec.is_some_and(|codec| COPYABLE.contains(&codec.as_str()));
        if !(std::mem::take(&mut self.converts_video) && can_be_copied) {
            return None;
        }
        self.process.kill();
        Some(Lesson::VideoCanBeCopied)
    }
}
