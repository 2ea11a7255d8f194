//! One run of FFmpeg: from spawning it to its reaping, with its fragments handed to the stream's
//! consumers meanwhile and the cause of its end told afterwards.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStdin, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, debug, info};

use super::args::{self, Audio, Plan, Probe, Shape, Video};
use super::process::{Process, Spawner};
use super::stderr::{self, Tail, Verdict};
use crate::config::Config;
use crate::error::{Error, ErrorKind};
use crate::hls::fragment::MediaError;
use crate::hls::reader::FragmentReader;
use crate::stream::fragments::FragmentHub;
use crate::stream::source::Source;

/// After FFmpeg's end its pipes close at once, unless something outside of its process group
/// holds them: then what was read so far must do.
const PIPES_CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// What a stream wants of an ingest.
#[derive(Debug, Clone)]
pub struct Order {
    /// Where the video comes from.
    pub source: Source,
    /// How to take it.
    pub plan: Plan,
    /// The generation that this run is.
    pub generation: u64,
    /// Where the fragments go.
    pub hub: FragmentHub,
}

/// How an ingest ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Another run with this plan may do better, at once.
    Replan(Plan),
    /// The camera, or the machine, said no. Trying again at once would change nothing.
    Refused(Error),
    /// It broke off, or nobody knows why it ended.
    Dropped(Error),
}

/// A run, as the supervisor holds it. Dropping it ends the run.
#[derive(Debug)]
pub struct Ingest {
    /// Resolves when the child is reaped and its pipes are read to the end.
    pub ended: oneshot::Receiver<Ending>,
    /// Signals for the child.
    pub signals: mpsc::Sender<Signal>,
}

/// Starts ingests. The one thing of a supervisor that its tests replace.
pub trait Launcher: Send + Sync + 'static {
    /// Starts a run. Whatever goes wrong shows as its ending.
    fn launch(&self, order: Order) -> Ingest;
}

/// Starts FFmpeg.
#[derive(Debug, Clone)]
pub struct FfmpegLauncher {
    program: PathBuf,
    shape: Shape,
    socket_timeout: Duration,
    spawner: Spawner,
}

impl FfmpegLauncher {
    /// A launcher of the FFmpeg that `config` names.
    pub fn new(config: &Config, spawner: Spawner) -> Self {
        Self {
            program: config.ffmpeg_bin.clone(),
            shape: Shape {
                part_time: config.part_time,
                segment_time: config.segment_time,
                transcode_preset: config.transcode_preset.clone(),
            },
            socket_timeout: args::socket_timeout(config.start_timeout, config.stale_timeout),
            spawner,
        }
    }

    async fn run(self, order: Order, signals: mpsc::Receiver<Signal>) -> Ending {
        match self.start(&order).await {
            Ok((process, script)) => {
                let run = Run::begin(process, script, &order, self.socket_timeout);
                run.until_end(signals).await
            }
            Err(error) => Ending::Refused(Error::new(
                ErrorKind::FfmpegUnavailable,
                format!("FFmpeg ({}) cannot be run: {error}", self.program.display()),
            )),
        }
    }

    async fn start(&self, order: &Order) -> std::io::Result<(Process, String)> {
        let mut command = Command::new(&self.program);
        command.args(args::arguments(order.plan, &self.shape));
        let process = self.spawner.spawn(command).await?;
        info!(pid = process.id(), source = %order.source, "FFmpeg started");
        Ok((process, args::script(&order.source, order.plan, self.socket_timeout)))
    }
}

impl Launcher for FfmpegLauncher {
    fn launch(&self, order: Order) -> Ingest {
        let (signals, received) = mpsc::channel(4);
        let (end, ended) = oneshot::channel();
        let launcher = self.clone();
        let run = async move {
            // Nobody listens when the stream has gone meanwhile; the child is reaped all the same.
            let _ = end.send(launcher.run(order, received).await);
        };
        tokio::spawn(run.in_current_span());
        Ingest { ended, signals }
    }
}

/// A child and the tasks that drain its pipes.
struct Run {
    process: Process,
    plan: Plan,
    began: Instant,
    socket_timeout: Duration,
    reading: JoinHandle<Result<(), MediaError>>,
    telling: JoinHandle<Tail>,
}

impl Run {
    fn begin(
        mut process: Process,
        script: String,
        order: &Order,
        socket_timeout: Duration,
    ) -> Self {
        let (plan, generation, hub) = (order.plan, order.generation, order.hub.clone());
        let (reading, telling) = match process.take_pipes() {
            Ok((stdin, stdout, stderr)) => {
                tokio::spawn(write_script(stdin, script).in_current_span());
                let reader = FragmentReader::new(stdout, generation);
                let tail = Tail::collect(stderr, order.source.clone());
                (
                    tokio::spawn(read_fragments(reader, hub).in_current_span()),
                    tokio::spawn(tail.in_current_span()),
                )
            }
            Err(error) => {
                (tokio::spawn(async { Err(error.into()) }), tokio::spawn(async { Tail::default() }))
            }
        };
        Self { process, plan, began: Instant::now(), socket_timeout, reading, telling }
    }

    async fn until_end(mut self, mut signals: mpsc::Receiver<Signal>) -> Ending {
        let mut read = None;
        let mut is_wanted = true;
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
        let media_error = read.and_then(Result::ok).and_then(Result::err);
        debug!(?status, ?media_error, ?tail, "FFmpeg ended");
        let was_patient = self.began.elapsed() >= self.socket_timeout;
        ending(self.plan, status.ok(), media_error, &tail, was_patient)
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
) -> Result<(), MediaError> {
    while let Some(fragment) = reader.next().await? {
        hub.publish(fragment);
    }
    Ok(())
}

/// Tells why an ingest ended, most telling evidence first. `was_patient` when it ran for as long
/// as FFmpeg waits for a silent socket.
fn ending(
    plan: Plan,
    status: Option<ExitStatus>,
    media_error: Option<MediaError>,
    tail: &Tail,
    was_patient: bool,
) -> Ending {
    let refused = |kind, detail: &str| Ending::Refused(Error::new(kind, detail));
    match tail.verdict() {
        Some(Verdict::VideoCannotBeCopied) if plan.video == Video::Copy => {
            return Ending::Replan(Plan { video: Video::ToH264, ..plan });
        }
        Some(Verdict::AudioCannotBeCopied) if plan.audio == Audio::Copy => {
            return Ending::Replan(Plan { audio: Audio::ToAac, ..plan });
        }
        Some(Verdict::ProbedTooLittle) if plan.probe == Probe::Small => {
            return Ending::Replan(Plan { probe: Probe::Large, ..plan });
        }
        Some(Verdict::Camera(kind, detail)) => return refused(kind, detail),
        Some(Verdict::NothingUnderstood) if was_patient => {
            return refused(ErrorKind::SourceTimeout, stderr::NO_ANSWER);
        }
        Some(Verdict::NothingUnderstood) => {
            let detail = "what answers at this address is no RTSP camera; check the port";
            return refused(ErrorKind::SourceUnsupported, detail);
        }
        _ => {}
    }
    if matches!(media_error, Some(MediaError::NotH264)) && plan.video == Video::Copy {
        return Ending::Replan(Plan { video: Video::ToH264, ..plan });
    }
    // A read error is FFmpeg's end seen from the pipe, and no cause of its own.
    if let Some(error) = media_error.filter(|error| !matches!(error, MediaError::Read(_))) {
        let detail = format!("the camera's video cannot be used: {error}");
        return refused(ErrorKind::SourceUnsupported, &detail);
    }
    let detail = match status {
        Some(status) if status.success() => "the camera ended the stream".to_owned(),
        status => {
            let status = status.map_or("no exit status".into(), |status| status.to_string());
            let said = tail.last_line().unwrap_or("nothing on stderr");
            format!("FFmpeg ended ({status}): {said}")
        }
    };
    Ending::Dropped(Error::new(ErrorKind::SourceUnreachable, detail))
}
