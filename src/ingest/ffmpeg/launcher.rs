//! One run of FFmpeg: from spawning it to its reaping, with its fragments handed to the stream's
//! consumers meanwhile and the cause of its end told afterwards.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, debug, info};

use crate::base::error::{Error, ErrorKind};
use crate::camera::networks::CameraNets;
use crate::camera::options::{StreamOptions, VideoOption};
use crate::camera::plan::{Hevc, Lesson, Plan, Times, Video};
use crate::child::spawner::{self, Process, Spawner};
use crate::config::Config;
use crate::ingest::clock_check::ClockCheck;
use crate::ingest::ffmpeg::args::{self, Shape, Transcode};
use crate::ingest::ffmpeg::stderr::{Tail, Verdict};
use crate::ingest::{Ingest, IngestRequest, RunOutcome, RunningIngest};
use crate::media::fragment::MediaError;
use crate::media::hub::FragmentHub;
use crate::media::reader::FragmentReader;
use crate::onvif::keyframe::Prepared;

/// After FFmpeg's end its pipes close at once, unless something outside of its process group
/// holds them: then what was read so far must do.
pub(super) const PIPES_CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Starts FFmpeg.
#[derive(Debug, Clone)]
pub struct FfmpegIngest {
    program: PathBuf,
    shape: Shape,
    hevc: Hevc,
    nets: CameraNets,
    socket_timeout: Duration,
    spawner: Spawner,
}

impl FfmpegIngest {
    /// A launcher of the FFmpeg that `config` names.
    pub fn new(config: &Config, spawner: Spawner) -> Self {
        Self {
            program: config.ffmpeg_bin.clone(),
            shape: Shape {
                part_time: config.part_time,
                segment_time: config.segment_time,
                transcode: Transcode {
                    preset: config.transcode_preset.clone(),
                    max_height: config.transcode_max_height,
                    max_bit_rate: config.transcode_max_bit_rate,
                },
            },
            hevc: config.hevc,
            nets: config.camera_nets.clone(),
            socket_timeout: args::socket_timeout(config.start_timeout, config.stale_timeout),
            spawner,
        }
    }

    async fn run(self, order: IngestRequest, signals: mpsc::Receiver<Signal>) -> RunOutcome {
        let source = &order.source;
        let address = match self.nets.resolve(source.host(), source.port()).await {
            Ok(address) => address,
            Err(error) => return RunOutcome::Refused(error),
        };
        match self.start(&order, address).await {
            Ok((process, script)) => {
                let watching = order.journal.watch(process.pid());
                let mut run = FfmpegRun::begin(process, script, &order, self.hevc);
                run.keyframe = order.keyframes.as_ref().and_then(|keyframes| {
                    keyframes.prepare(source, address, Arc::clone(&run.has_played))
                });
                let end = tokio::select! {
                    end = run.until_end(signals) => end,
                    never = watching => match never {},
                };
                if let Some(reason) = spawner::not_begun(end.status) {
                    return RunOutcome::Refused(spawner::cannot_run(&self.program, reason));
                }
                end.diagnose(order.plan, order.options, self.hevc, self.socket_timeout)
            }
            Err(error) => RunOutcome::Refused(spawner::cannot_run(&self.program, error)),
        }
    }

    async fn start(
        &self,
        order: &IngestRequest,
        address: SocketAddr,
    ) -> std::io::Result<(Process, String)> {
        let arguments = args::arguments(order.plan, &self.shape);
        let process = self.spawner.spawn(&self.program, arguments).await?;
        info!(pid = process.pid().as_raw(), source = %order.source, "FFmpeg started");
        let script = args::script(&order.source, address, order.plan, self.socket_timeout);
        Ok((process, script))
    }
}

impl Ingest for FfmpegIngest {
    fn launch(&self, order: IngestRequest) -> RunningIngest {
        let (signals, received) = mpsc::channel(4);
        let (end, ended) = oneshot::channel();
        let launcher = self.clone();
        let run = async move {
            // Nobody listens when the stream has gone meanwhile; the child is reaped all the same.
            let _ = end.send(launcher.run(order, received).await);
        };
        tokio::spawn(run.in_current_span());
        RunningIngest { ended, signals }
    }
}

/// A child and the tasks that drain its pipes.
struct FfmpegRun {
    process: Process,
    /// Codecs that need not become H.264, and what it teaches to hear of one.
    copyable: Vec<(&'static str, Lesson)>,
    began: Instant,
    video_codec: oneshot::Receiver<String>,
    /// A keyframe that is asked for when FFmpeg plays: one that comes before is lost.
    keyframe: Option<Prepared>,
    /// A fragment came.
    has_played: Arc<AtomicBool>,
    reading: JoinHandle<Result<(), Fault>>,
    telling: JoinHandle<Tail>,
}

/// Why fragments are no longer taken.
#[derive(Debug)]
enum Fault {
    /// They are not what can be played.
    Media(MediaError),
    /// Another plan may do better.
    Lesson(Lesson),
}

impl FfmpegRun {
    fn begin(mut process: Process, script: String, order: &IngestRequest, hevc: Hevc) -> Self {
        let (plan, generation, hub) = (order.plan, order.generation, order.hub.clone());
        let (tell_codec, video_codec) = oneshot::channel();
        let has_played = Arc::new(AtomicBool::new(false));
        let (reading, telling) = match process.take_pipes() {
            Ok((stdin, stdout, stderr)) => {
                tokio::spawn(write_script(stdin, script).in_current_span());
                let reader = FragmentReader::new(stdout, generation);
                let reading = read_fragments(reader, hub, plan.times, Arc::clone(&has_played));
                let journal = order.journal.writer(generation);
                let tail = Tail::collect(stderr, order.source.clone(), journal, tell_codec);
                (tokio::spawn(reading.in_current_span()), tokio::spawn(tail.in_current_span()))
            }
            Err(error) => (
                tokio::spawn(async { Err(Fault::Media(error.into())) }),
                tokio::spawn(async { Tail::default() }),
            ),
        };
        let mut copyable = Vec::new();
        if plan.video == Video::ToH264 && order.options.video == VideoOption::Auto {
            copyable.push(("h264", Lesson::VideoIsH264));
            if hevc == Hevc::Copy {
                copyable.push(("hevc", Lesson::VideoIsHevc));
            }
        }
        let began = Instant::now();
        let keyframe = None;
        Self { process, copyable, began, video_codec, keyframe, has_played, reading, telling }
    }

    async fn until_end(mut self, mut signals: mpsc::Receiver<Signal>) -> FfmpegExit {
        let mut read = None;
        let mut is_wanted = true;
        let mut needless = None;
        let status = loop {
            tokio::select! {
                status = self.process.wait() => break status,
                result = &mut self.reading, if read.is_none() => {
                    // Nobody drains the pipe any more, so FFmpeg would hang: it has to go.
                    if matches!(result, Ok(Err(_))) {
                        self.process.signal(Signal::SIGKILL);
                    }
                    read = Some(result);
                }
                // It says the codec as soon as the camera sends.
                codec = &mut self.video_codec,
                    if !self.copyable.is_empty() || self.keyframe.is_some() =>
                {
                    if let (Some(keyframe), Ok(_)) = (self.keyframe.take(), &codec) {
                        keyframe.ask();
                    }
                    let codec = codec.unwrap_or_default();
                    needless = self.copyable.drain(..).find(|(name, _)| *name == codec);
                    if needless.is_some() {
                        self.process.signal(Signal::SIGKILL);
                    }
                }
                signal = signals.recv(), if is_wanted => {
                    // The stream has gone without a word when the channel is closed.
                    is_wanted = signal.is_some();
                    self.process.signal(signal.unwrap_or(Signal::SIGKILL));
                }
            }
        };
        let read = match read {
            Some(result) => Some(result),
            None => timeout(PIPES_CLOSE_WITHIN, &mut self.reading).await.ok(),
        };
        let tail = timeout(PIPES_CLOSE_WITHIN, &mut self.telling).await;
        self.reading.abort();
        self.telling.abort();
        let tail = tail.ok().and_then(Result::ok).unwrap_or_default();
        let mut fault = read.and_then(Result::ok).and_then(Result::err);
        if let Some((_, lesson)) = needless {
            fault = Some(Fault::Lesson(lesson));
        }
        debug!(?status, ?fault, ?tail, "FFmpeg ended");
        let has_played = self.has_played.load(Ordering::Relaxed);
        FfmpegExit { status: status.ok(), fault, tail, has_played, ran_for: self.began.elapsed() }
    }
}

async fn write_script(mut stdin: ChildStdin, script: String) {
    // Far less than a pipe holds, so this does not wait. A child that has gone already says why
    // on stderr.
    let _ = stdin.write_all(script.as_bytes()).await;
}

async fn read_fragments(
    mut reader: FragmentReader<tokio::process::ChildStdout>,
    hub: FragmentHub,
    times: Times,
    has_played: Arc<AtomicBool>,
) -> Result<(), Fault> {
    let mut pace = ClockCheck::default();
    while let Some(fragment) = reader.next().await.map_err(Fault::Media)? {
        let is_picture = fragment.frames > 0;
        if is_picture && times == Times::Camera && !pace.makes_sense(fragment.decode_time) {
            return Err(Fault::Lesson(Lesson::TimesAreWrong));
        }
        has_played.store(true, Ordering::Relaxed);
        hub.publish(fragment);
        // One read can bring many small ones, and consumers share the thread.
        if hub.is_crowded() {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// What is known of a run that has ended.
struct FfmpegExit {
    status: Option<ExitStatus>,
    fault: Option<Fault>,
    tail: Tail,
    has_played: bool,
    ran_for: Duration,
}

impl FfmpegExit {
    /// Tells why it ended, most telling evidence first, and what to do about it.
    fn diagnose(
        self,
        plan: Plan,
        options: StreamOptions,
        hevc: Hevc,
        socket_timeout: Duration,
    ) -> RunOutcome {
        if let Some(lesson) = self.lesson() {
            return match plan.after(lesson, options, hevc) {
                Ok(next) => RunOutcome::Replan(next),
                Err(error) => RunOutcome::Refused(error),
            };
        }
        let tells = |verdict: &Verdict| *verdict != Verdict::NothingUnderstood || !self.has_played;
        let verdict = self.tail.verdict().filter(tells);
        if let Some(error) = verdict.and_then(|told| told.error(self.ran_for, socket_timeout)) {
            return RunOutcome::Refused(error);
        }
        match self.fault {
            Some(Fault::Media(error @ MediaError::PictureChanged)) => {
                RunOutcome::Dropped(Error::new(ErrorKind::SourceChanged, error.to_string()))
            }
            // A read error is FFmpeg's end seen from the pipe, and no cause of its own.
            Some(Fault::Media(MediaError::Read(_)) | Fault::Lesson(_)) | None => {
                RunOutcome::Dropped(self.dropped())
            }
            Some(Fault::Media(error)) => {
                let detail = format!("the camera's video cannot be used: {error}");
                RunOutcome::Refused(Error::new(ErrorKind::SourceUnsupported, detail))
            }
        }
    }

    fn lesson(&self) -> Option<Lesson> {
        match (&self.fault, self.tail.verdict()) {
            (Some(Fault::Lesson(lesson)), _) => Some(*lesson),
            (Some(Fault::Media(MediaError::Hevc)), _) => Some(Lesson::VideoIsHevc),
            (Some(Fault::Media(MediaError::NotPlayable)), _) => Some(Lesson::VideoCannotBeCopied),
            // What FFmpeg said at its start tells nothing of the end of a run that played.
            (_, Some(Verdict::Lesson(lesson))) if !self.has_played => Some(lesson),
            _ => None,
        }
    }

    fn dropped(&self) -> Error {
        let detail = match self.status {
            Some(status) if status.success() => "the camera ended the stream".to_owned(),
            status => self.tail.end(status),
        };
        Error::new(ErrorKind::SourceUnreachable, detail)
    }
}
