//! One run of FFmpeg: reads its pipes, publishes its frames, and kills the child when the run is no longer
//! wanted or cannot succeed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{Instrument, debug};

use crate::camera::plan::{Audio, Lesson, Video};
use crate::child::pipes::{self, PipeReader};
use crate::child::spawner::Process;
use crate::ingest::ffmpeg::exit::{Fault, FfmpegExit};
use crate::ingest::ffmpeg::pipes::{OutputPipes, Sink};
use crate::ingest::ffmpeg::stderr::{Finding, Tail};
use crate::ingest::{IngestRequest, Stop, StopRequests};
use crate::onvif::keyframe::PreparedRequest;

/// The largest number of findings that have not been read. A run has at most one of each kind.
const MAX_FINDINGS: usize = 3;

/// FFmpeg's names of the codecs that can be copied.
const COPYABLE: [&str; 3] = ["h264", "hevc", "mjpeg"];

/// A child and the tasks that read its pipes.
pub(super) struct FfmpegRun {
    process: Process,
    /// True if the plan converts the video.
    converts_video: bool,
    /// How the plan treats the camera's audio.
    audio: Audio,
    began: Instant,
    findings: mpsc::Receiver<Finding>,
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
        let (send, findings) = mpsc::channel(MAX_FINDINGS);
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
                let tail = Tail::collect(stderr, Some(request.source.clone()), log, send);
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
            audio: request.plan.audio,
            began: Instant::now(),
            findings,
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
                Some(finding) = self.findings.recv() => lesson = lesson.or(self.act_on(finding)),
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

    /// Acts on a fact about the camera. If another plan may work better, kills the child and returns the lesson.
    fn act_on(&mut self, finding: Finding) -> Option<Lesson> {
        let lesson = match finding {
            // FFmpeg prints the codec as soon as it knows the camera's streams.
            Finding::VideoCodec(codec) => {
                if let Some(keyframe) = self.keyframe.take() {
                    keyframe.send();
                }
                let can_be_copied = COPYABLE.contains(&codec.as_str());
                (self.converts_video && can_be_copied).then_some(Lesson::VideoCanBeCopied)
            }
            // The first frames would be published without audio if the manager waited for a packet of audio.
            Finding::AudioCodec(codec) => {
                let is_wrong = self.audio == Audio::Copy && codec != "aac";
                is_wrong.then_some(Lesson::AudioIsNotAac)
            }
            Finding::UnusableAudio => {
                (self.audio != Audio::Off).then_some(Lesson::AudioCannotBeUsed)
            }
        };
        if lesson.is_some() {
            self.process.kill();
        }
        lesson
    }
}
