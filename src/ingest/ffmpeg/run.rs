//! One run of FFmpeg: reads FFmpeg's pipes, publishes the frames, and ends FFmpeg when the run is no longer wanted
//! or cannot succeed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tracing::{Instrument, debug};

use crate::camera::plan::{Audio, Lesson, Plan, Video};
use crate::child::pipes::{self, PipeReader};
use crate::child::spawner::Process;
use crate::ingest::ffmpeg::exit::{Fault, FfmpegExit};
use crate::ingest::ffmpeg::pipes::{OutputPipes, Sink};
use crate::ingest::ffmpeg::silence::SilenceCheck;
use crate::ingest::ffmpeg::stderr::{Finding, MAX_FINDINGS, Tail};
use crate::ingest::ffmpeg::tracks::Tracks;
use crate::ingest::{IngestRequest, Stop, StopRequests};
use crate::onvif::keyframe::PreparedRequest;

/// The time within which FFmpeg usually exits after its pipes were closed. FFmpeg must not get a signal earlier,
/// because a signal that arrives while FFmpeg opens its outputs makes FFmpeg exit without ending its session with the
/// camera.
const EXIT_WITHIN: Duration = Duration::from_millis(200);

/// The time that FFmpeg has to end its session with the camera after a signal. It usually takes 0.1 s.
const TEARDOWN_WITHIN: Duration = Duration::from_secs(1);

/// FFmpeg's names of the codecs that can be copied.
const COPYABLE: [&str; 3] = ["h264", "hevc", "mjpeg"];

/// A child and the tasks that read its pipes.
pub(super) struct FfmpegRun {
    process: Process,
    plan: Plan,
    began: Instant,
    findings: mpsc::Receiver<Finding>,
    /// The request for a keyframe. It is sent when FFmpeg prints the camera's tracks, because FFmpeg then receives
    /// video. A keyframe that comes earlier would be lost.
    pub(super) keyframe: Option<PreparedRequest>,
    /// True once a keyframe has arrived, with which decoding can begin.
    pub(super) has_played: Arc<AtomicBool>,
    silence: SilenceCheck,
    /// The sender that permits frames to be published; `None` once it has been used.
    plan_fits: Option<oneshot::Sender<()>>,
    frames: PipeReader<Result<(), Fault>>,
    stderr: PipeReader<Tail>,
}

impl FfmpegRun {
    /// Takes over a child that was just started: begins to read its pipes, and writes `script` to its
    /// stdin.
    pub(super) fn begin(mut process: Process, script: String, request: &IngestRequest) -> Self {
        let (send, findings) = mpsc::channel(MAX_FINDINGS);
        let has_played = Arc::new(AtomicBool::new(false));
        let silence = SilenceCheck::default();
        let (plan_fits, permitted) = oneshot::channel();
        let (frames, stderr) = match process.take_pipes() {
            Ok((stdin, stdout, stderr)) => {
                tokio::spawn(pipes::write_all(stdin, script).in_current_span());
                let pipes = OutputPipes::new(stdout, request.plan, process.take_outputs());
                let reading = pipes.publish(Sink {
                    counters: request.counters.clone(),
                    hub: request.hub.clone(),
                    epoch: request.epoch,
                    plan: request.plan,
                    has_played: Arc::clone(&has_played),
                    seen: Arc::clone(&silence.seen),
                    plan_fits: permitted,
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
            plan: request.plan,
            began: Instant::now(),
            findings,
            keyframe: None,
            has_played,
            silence,
            plan_fits: Some(plan_fits),
            frames,
            stderr,
        }
    }

    /// Waits until the child has ended, and reaps it. In the meantime, ends the child on a request to stop, or if
    /// the run cannot succeed. Returns the evidence about the run.
    pub(super) async fn until_exit(mut self, stops: &mut StopRequests) -> FfmpegExit {
        let (mut is_stopped, mut is_killed) = (false, false);
        let mut lesson = None;
        // The next step to end a run that cannot succeed.
        let mut end = None;
        let status = loop {
            tokio::select! {
                status = self.process.wait() => break status,
                read = self.frames.wait(), if !self.frames.has_ended() => {
                    // The pipe is closed now, so FFmpeg cannot continue.
                    if matches!(read, Some(Err(_))) {
                        end = end.or_else(|| Some(self.end()));
                    }
                }
                Some(finding) = self.findings.recv(), if lesson.is_none() => {
                    lesson = self.act_on(finding);
                    end = end.or_else(|| lesson.map(|_| self.end()));
                }
                silent = self.silence.lesson(), if lesson.is_none() => {
                    lesson = Some(silent);
                    end = end.or_else(|| Some(self.end()));
                }
                Some(stop) = next_step(end), if end.is_some() => end = self.continue_to_end(stop),
                stop = stops.next(), if !is_killed => {
                    is_stopped = true;
                    match stop {
                        Stop::Gently => self.process.terminate(),
                        Stop::Now => {
                            is_killed = true;
                            self.process.kill();
                        }
                    }
                }
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
            is_stopped,
            has_played: self.has_played.load(Ordering::Relaxed),
            ran_for: self.began.elapsed(),
        }
    }

    /// Acts on a fact about the camera. Returns a lesson if another plan may work better.
    fn act_on(&mut self, finding: Finding) -> Option<Lesson> {
        match finding {
            Finding::Tracks(tracks) => {
                if let Some(keyframe) = self.keyframe.take() {
                    keyframe.send();
                }
                self.silence.begin(self.plan, &tracks);
                let lesson = self.learn_codecs(&tracks);
                if let Some(fits) = self.plan_fits.take_if(|_| lesson.is_none()) {
                    // The frames may have ended.
                    let _ = fits.send(());
                }
                lesson
            }
            Finding::TooManyRedirects => {
                self.process.kill();
                None
            }
            Finding::UnusableAudio => {
                (self.plan.audio != Audio::Off).then_some(Lesson::AudioCannotBeUsed)
            }
        }
    }

    /// Returns the lesson that the codecs of the chosen tracks show; `None` if the plan suits them.
    fn learn_codecs(&self, tracks: &Tracks) -> Option<Lesson> {
        let Plan { video, video_track, audio, audio_track, .. } = self.plan;
        let video_codec = tracks.video.get(video_track.index()).map(String::as_str);
        let audio_codec = tracks.audio.get(audio_track.index());
        if video == Video::ToH264 && video_codec.is_some_and(|codec| COPYABLE.contains(&codec)) {
            return Some(Lesson::VideoCanBeCopied);
        }
        if audio != Audio::Off && audio_codec.is_none() && tracks.has_unknown_audio {
            return Some(Lesson::AudioCannotBeUsed);
        }
        // The codec of the track is enough for this lesson. If the manager waited for the first packet of audio,
        // frames without audio would be published before this packet.
        let is_wrong = audio == Audio::Copy && audio_codec.is_some_and(|codec| codec != "aac");
        is_wrong.then_some(Lesson::AudioNeedsConversion)
    }

    /// Closes the output pipes. When FFmpeg then writes the next packet, it ends its session with the camera and
    /// exits. If the session did not end, a camera that allows only one session could refuse the next one for a
    /// while. Returns the next step for the case that FFmpeg does not exit.
    fn end(&self) -> (Instant, Stop) {
        self.frames.close();
        (Instant::now() + EXIT_WITHIN, Stop::Gently)
    }

    /// Carries out a step to end FFmpeg, and returns the next one.
    fn continue_to_end(&self, step: Stop) -> Option<(Instant, Stop)> {
        match step {
            Stop::Gently => {
                self.process.terminate();
                Some((Instant::now() + TEARDOWN_WITHIN, Stop::Now))
            }
            Stop::Now => {
                self.process.kill();
                None
            }
        }
    }
}

/// Waits until the next step to end FFmpeg is due, and returns it.
async fn next_step(end: Option<(Instant, Stop)>) -> Option<Stop> {
    let (at, step) = end?;
    sleep_until(at).await;
    Some(step)
}
