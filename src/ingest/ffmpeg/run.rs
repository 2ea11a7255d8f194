//! One run of FFmpeg: its pipes are read, its fragments are published, and it is ended when it is no
//! longer wanted or of no use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;
use tokio::process::ChildStdout;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::{Instrument, debug};

use crate::camera::options::VideoOption;
use crate::camera::plan::{Hevc, Lesson, Times, Video};
use crate::child::pipes::{self, PipeReader};
use crate::child::spawner::Process;
use crate::ingest::IngestRequest;
use crate::ingest::clock_check::ClockCheck;
use crate::ingest::ffmpeg::exit::{Fault, FfmpegExit};
use crate::ingest::ffmpeg::stderr::Tail;
use crate::media::hub::FragmentHub;
use crate::media::reader::FragmentReader;
use crate::onvif::keyframe::PreparedRequest;

/// A child and the tasks that read its pipes.
pub(super) struct FfmpegRun {
    process: Process,
    /// Codecs that need no transcoding, each with what the camera's use of it teaches.
    copyable: Vec<(&'static str, Lesson)>,
    began: Instant,
    video_codec: oneshot::Receiver<String>,
    /// A keyframe that is requested once FFmpeg plays: an earlier one would be lost.
    pub(super) keyframe: Option<PreparedRequest>,
    /// Whether a fragment has come.
    pub(super) has_played: Arc<AtomicBool>,
    fragments: PipeReader<Result<(), Fault>>,
    stderr: PipeReader<Tail>,
}

impl FfmpegRun {
    /// Takes over a child that was just started, and writes it `script`.
    pub(super) fn begin(
        mut process: Process,
        script: String,
        request: &IngestRequest,
        hevc: Hevc,
    ) -> Self {
        let (report_codec, video_codec) = oneshot::channel();
        let has_played = Arc::new(AtomicBool::new(false));
        let (fragments, stderr) = match process.take_pipes() {
            Ok((stdin, stdout, stderr)) => {
                tokio::spawn(pipes::write_all(stdin, script).in_current_span());
                let (hub, times) = (request.hub.clone(), request.plan.times);
                let reader = FragmentReader::new(stdout, request.epoch);
                let reading = read_fragments(reader, hub, times, Arc::clone(&has_played));
                let log = request.process_log.writer(request.epoch);
                let tail = Tail::collect(stderr, request.source.clone(), log, report_codec);
                (PipeReader::spawn(reading), PipeReader::spawn(tail))
            }
            Err(error) => (
                PipeReader::spawn(async { Err(Fault::Media(error.into())) }),
                PipeReader::spawn(async { Tail::default() }),
            ),
        };
        Self {
            process,
            copyable: copyable(request, hevc),
            began: Instant::now(),
            video_codec,
            keyframe: None,
            has_played,
            fragments,
            stderr,
        }
    }

    /// Passes signals on to the child until it has ended and is reaped.
    pub(super) async fn until_exit(mut self, mut signals: mpsc::Receiver<Signal>) -> FfmpegExit {
        let mut is_wanted = true;
        let mut lesson = None;
        let status = loop {
            tokio::select! {
                status = self.process.wait() => break status,
                read = self.fragments.ended(), if !self.fragments.has_ended() => {
                    // FFmpeg would hang once the pipe is full, so it has to go.
                    if matches!(read, Some(Err(_))) {
                        self.process.signal(Signal::SIGKILL);
                    }
                }
                // FFmpeg names the codec as soon as the camera sends.
                codec = &mut self.video_codec, if self.waits_for_codec() => {
                    lesson = self.take_codec(codec.ok());
                }
                signal = signals.recv(), if is_wanted => {
                    // A closed channel means that the stream has gone without a signal.
                    is_wanted = signal.is_some();
                    self.process.signal(signal.unwrap_or(Signal::SIGKILL));
                }
            }
        };
        let read = self.fragments.finish().await;
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
        !self.copyable.is_empty() || self.keyframe.is_some()
    }

    /// Requests the keyframe that waits for FFmpeg to play. Ends a run that transcodes what can be
    /// copied, and returns what that teaches.
    fn take_codec(&mut self, codec: Option<String>) -> Option<Lesson> {
        if let (Some(keyframe), Some(_)) = (self.keyframe.take(), &codec) {
            keyframe.send();
        }
        let codec = codec.unwrap_or_default();
        let (_, lesson) = self.copyable.drain(..).find(|(name, _)| *name == codec)?;
        self.process.signal(Signal::SIGKILL);
        Some(lesson)
    }
}

fn copyable(request: &IngestRequest, hevc: Hevc) -> Vec<(&'static str, Lesson)> {
    if request.plan.video != Video::ToH264 || request.options.video != VideoOption::Auto {
        return Vec::new();
    }
    let h264 = ("h264", Lesson::VideoIsH264);
    match hevc {
        Hevc::Copy => vec![h264, ("hevc", Lesson::VideoIsHevc)],
        Hevc::ToH264 => vec![h264],
    }
}

async fn read_fragments(
    mut reader: FragmentReader<ChildStdout>,
    hub: FragmentHub,
    times: Times,
    has_played: Arc<AtomicBool>,
) -> Result<(), Fault> {
    let mut clock = ClockCheck::default();
    while let Some(fragment) = reader.next().await.map_err(Fault::Media)? {
        let is_picture = fragment.frames > 0;
        if is_picture && times == Times::Camera && !clock.is_plausible(fragment.decode_time) {
            return Err(Fault::Lesson(Lesson::TimesAreWrong));
        }
        has_played.store(true, Ordering::Relaxed);
        hub.publish(fragment);
        // One read can bring many small fragments, and the reader in step shares the thread.
        if hub.is_turn_due() {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}
