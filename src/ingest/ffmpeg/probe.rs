//! Takes one picture of a camera and reads the properties of its streams, to test a source before it is
//! stored. This takes one run of FFmpeg, or several if the first one leads to another plan or another address, or if
//! the camera is busy. Nothing is kept.

use std::future::pending;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{Instrument, debug, info};

use crate::base::error::{Error, ErrorKind};
use crate::camera::networks::CameraNetworks;
use crate::camera::options::{StreamOptions, VideoOption};
use crate::camera::plan::{self, Audio, BUSY_RUNS, Lesson, Plan, VideoChoice};
use crate::camera::source::Source;
use crate::child::log::ProcessLog;
use crate::child::pipes::{self, PipeReader};
use crate::child::spawner::{self, Spawner};
use crate::ingest::ffmpeg::args;
use crate::ingest::ffmpeg::check::FfmpegCheck;
use crate::ingest::ffmpeg::login;
use crate::ingest::ffmpeg::redirect;
use crate::ingest::ffmpeg::settings::FfmpegSettings;
use crate::ingest::ffmpeg::stderr::{Finding, MAX_FINDINGS, Tail};
use crate::ingest::ffmpeg::verdict::Verdict;

/// The largest number of pictures that are taken at the same time. Each may use a CPU core for a
/// moment.
const PLACES: usize = 4;
/// The longest time that a caller waits while [`PLACES`] other pictures are being taken.
const PLACE_WITHIN: Duration = Duration::from_secs(5);
/// The largest size of a picture, in bytes. A picture that is 640 pixels wide has about 50,000.
const MAX_PICTURE: u64 = 2 * 1024 * 1024;
/// The largest number of runs for one picture. Runs that are redirected or that find the camera busy do not count.
const MAX_RUNS: u32 = 4;
/// The delay after which a camera that has too many connections is tested again.
const BUSY_DELAY: Duration = Duration::from_secs(2);
/// The time that FFmpeg has to end its session with the camera.
const TEARDOWN_WITHIN: Duration = Duration::from_secs(1);
/// The time after which another video track is tried, if the camera has one and there is no picture yet.
const SILENT_AFTER: Duration = Duration::from_secs(4);
/// The first bytes of every JPEG.
const JPEG: [u8; 2] = [0xff, 0xd8];

/// A picture of a camera, and the properties of the camera's streams.
#[derive(Debug)]
pub(crate) struct Still {
    /// FFmpeg's name of the video codec, such as `h264`.
    pub video_codec: String,
    /// Width of the camera's picture, in pixels.
    pub width: u32,
    /// Height of the camera's picture, in pixels.
    pub height: u32,
    /// Frames per second, which the camera announces or FFmpeg guesses; `None` if both are unknown or
    /// implausible.
    pub frame_rate: Option<f64>,
    /// FFmpeg's name of the audio codec; `None` if there is no audio.
    pub audio_codec: Option<String>,
    /// The picture, at most 640 pixels wide.
    pub jpeg: Vec<u8>,
    /// Time from the beginning of the test until the picture was complete.
    pub took: Duration,
}

/// Takes pictures. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct StillTaker {
    program: PathBuf,
    check: FfmpegCheck,
    nets: CameraNetworks,
    start_timeout: Duration,
    socket_timeout: Duration,
    spawner: Spawner,
    places: Arc<Semaphore>,
}

impl StillTaker {
    /// Creates a taker that runs FFmpeg with these settings.
    pub(crate) fn new(settings: FfmpegSettings, spawner: Spawner) -> Self {
        let FfmpegSettings { program, nets, start_timeout, stale_timeout } = settings;
        let socket_timeout = args::socket_timeout(start_timeout, stale_timeout);
        let places = Arc::new(Semaphore::new(PLACES));
        let check = FfmpegCheck::new(program.clone(), spawner.clone());
        Self { program, check, nets, start_timeout, socket_timeout, spawner, places }
    }

    /// Takes a picture of `source` within the time limit of a start.
    ///
    /// Fails with the same errors as a start, and with `Busy` if too many cameras are being tested.
    pub(crate) async fn take(
        &self,
        source: Source,
        options: StreamOptions,
    ) -> Result<Still, Error> {
        let places = Arc::clone(&self.places);
        let Ok(Ok(place)) = timeout(PLACE_WITHIN, places.acquire_owned()).await else {
            let detail = "too many cameras are being tested; try again in a few seconds";
            return Err(Error::new(ErrorKind::Busy, detail).retry_after(PLACE_WITHIN));
        };
        let (send, picture) = oneshot::channel();
        let taker = self.clone();
        // A separate task, so that the child is reaped even if the caller leaves.
        let work = async move {
            let _place = place;
            taker.take_for(source, options, send).await;
        };
        tokio::spawn(work.in_current_span());
        let lost = |_| Err(Error::new(ErrorKind::Internal, "the camera test was interrupted"));
        picture.await.unwrap_or_else(lost)
    }

    /// Takes a picture and sends it, or the error, to the caller.
    async fn take_for(
        &self,
        source: Source,
        options: StreamOptions,
        mut caller: oneshot::Sender<Result<Still, Error>>,
    ) {
        let began = Instant::now();
        let deadline = began + self.start_timeout;
        let taken = self.take_before(deadline, source, options, &mut caller).await;
        // The caller may have left.
        let _ = caller.send(taken.map(|still| Still { took: began.elapsed(), ..still }));
    }

    /// Takes a picture with as many runs as lessons and redirects require.
    async fn take_before(
        &self,
        deadline: Instant,
        mut source: Source,
        options: StreamOptions,
        caller: &mut oneshot::Sender<Result<Still, Error>>,
    ) -> Result<Still, Error> {
        self.check.ensure_ffmpeg(self.start_timeout).await?;
        source.ensure_usable()?;
        let mut address = self.nets.resolve(source.host(), source.port()).await?;
        let (mut plan, mut runs, mut redirects) = (Plan::first(options), 0, 0);
        while runs < MAX_RUNS {
            let run = self.run_when_free(&source, address, plan, deadline, caller).await?;
            if let Some(target) = run.tail.redirect().filter(|_| run.jpeg.is_empty()) {
                redirects += 1;
                if redirects > redirect::MAX_REDIRECTS {
                    return Err(redirect::too_many());
                }
                source = redirect::target(&source, target)?;
                let resolved = self.nets.resolve(source.host(), source.port()).await;
                address = resolved.map_err(redirect::failed)?;
                continue;
            }
            runs += 1;
            let login = run.tail.login().cloned();
            match run.diagnose(self, plan, options) {
                Ok(still) => return Ok(still),
                Err(Failure::Lesson(lesson)) => plan = plan.after(lesson, options)?,
                Err(Failure::Error(error)) => {
                    return Err(login::explained(error, &source, address, login).await);
                }
            }
        }
        Err(plan::exhausted())
    }

    /// Runs FFmpeg, and repeats the run while the camera has too many connections and the deadline permits it. The
    /// camera may still have the session of a stream that has just ended. After [`BUSY_RUNS`] such runs, one run
    /// is without audio, because some cameras refuse only the audio.
    async fn run_when_free(
        &self,
        source: &Source,
        address: SocketAddr,
        plan: Plan,
        deadline: Instant,
        caller: &mut oneshot::Sender<Result<Still, Error>>,
    ) -> Result<ProbeRun, Error> {
        let (mut busy_runs, mut last_busy) = (0, None);
        loop {
            let audio = if busy_runs == BUSY_RUNS { Audio::Off } else { plan.audio };
            let plan = Plan { audio, ..plan };
            let run = self.run(source, address, plan, deadline, caller).await?;
            // If a run ended before the camera could refuse it, the refusal of the previous run explains why there
            // is no picture.
            if run.is_late
                && !run.is_silent
                && let Some(busy) = last_busy
            {
                return Ok(busy);
            }
            let next = Instant::now() + BUSY_DELAY;
            if !run.tail.is_camera_busy() || next > deadline {
                return Ok(run);
            }
            busy_runs += 1;
            tokio::select! {
                () = sleep_until(next) => {}
                () = caller.closed() => return Ok(run),
            }
            last_busy = Some(run);
        }
    }

    async fn run(
        &self,
        source: &Source,
        address: SocketAddr,
        plan: Plan,
        deadline: Instant,
        caller: &mut oneshot::Sender<Result<Still, Error>>,
    ) -> Result<ProbeRun, Error> {
        let cannot_run = |error: std::io::Error| spawner::cannot_run(&self.program, error);
        let spawned = self.spawner.spawn(&self.program, args::still_arguments(plan), 0).await;
        let mut process = spawned.map_err(cannot_run)?;
        let (stdin, stdout, stderr) = process.take_pipes().map_err(cannot_run)?;
        info!(pid = process.pid().as_raw(), %source, "started FFmpeg to take a picture");
        let began = Instant::now();
        pipes::write_all(stdin, args::script(source, address, plan, self.socket_timeout)).await;
        let picture = PipeReader::spawn(async move {
            let mut jpeg = Vec::new();
            // A read error needs no report, because the bytes show whether there is a picture.
            let _ = stdout.take(MAX_PICTURE).read_to_end(&mut jpeg).await;
            jpeg
        });
        let (findings, found) = mpsc::channel(MAX_FINDINGS);
        // The log of a test is not kept.
        let log = Arc::<ProcessLog>::default().writer(0);
        let tail = PipeReader::spawn(Tail::collect(stderr, Some(source.clone()), log, findings));
        let mut is_silent = false;
        let in_time = tokio::select! {
            status = process.wait() => Some(status),
            () = sleep_until(deadline) => None,
            // The caller has left.
            () = caller.closed() => None,
            silent = until_useless(found, plan) => {
                is_silent = silent;
                None
            }
        };
        let is_late = in_time.is_none();
        let status = if let Some(status) = in_time {
            status
        } else {
            process.terminate();
            process.wait_or_kill(TEARDOWN_WITHIN).await.0
        };
        let jpeg = picture.finish().await.unwrap_or_default();
        let tail = tail.finish().await.unwrap_or_default();
        debug!(?status, is_late, bytes = jpeg.len(), ?tail, "FFmpeg ended");
        Ok(ProbeRun {
            status: status.ok(),
            is_late,
            is_silent,
            jpeg,
            tail,
            ran_for: began.elapsed(),
        })
    }
}

/// Waits for a reason to end a run that has no picture yet. Returns true if the run uses the first of several video
/// tracks, and [`SILENT_AFTER`] has passed since FFmpeg printed the tracks. Returns false if FFmpeg has followed too
/// many redirects. Otherwise never returns.
async fn until_useless(mut found: mpsc::Receiver<Finding>, plan: Plan) -> bool {
    while let Some(finding) = found.recv().await {
        match finding {
            Finding::TooManyRedirects => return false,
            // FFmpeg follows redirects before it prints the tracks.
            Finding::Tracks(tracks)
                if tracks.video.len() > 1 && plan.video_track == VideoChoice::First =>
            {
                sleep(SILENT_AFTER).await;
                return true;
            }
            Finding::Tracks(_) | Finding::UnusableAudio => {}
        }
    }
    pending().await
}

/// The reason why there is no picture.
enum Failure {
    /// Another plan may work better.
    Lesson(Lesson),
    /// A retry would fail in the same way.
    Error(Error),
}

/// A run for a picture that has ended.
struct ProbeRun {
    status: Option<ExitStatus>,
    /// True if the manager ended the run: because of the deadline, because the caller has left, or because the run
    /// could not deliver a picture.
    is_late: bool,
    /// True if the run was ended because the first video track sends nothing, and the camera has another one.
    is_silent: bool,
    jpeg: Vec<u8>,
    tail: Tail,
    ran_for: Duration,
}

impl ProbeRun {
    /// Returns the picture, or the reason why there is none.
    fn diagnose(
        self,
        taker: &StillTaker,
        plan: Plan,
        options: StreamOptions,
    ) -> Result<Still, Failure> {
        let video = self.tail.stream("Video", plan.video_track.index()).map(Facts::read);
        if let Some(Facts { codec, width: Some(width), height: Some(height), frame_rate }) = video
            && self.jpeg.starts_with(&JPEG)
        {
            // A start would fail in the same way.
            if options.video == VideoOption::Copy && !matches!(codec.as_str(), "h264" | "hevc") {
                return Err(Failure::Error(plan::not_playable()));
            }
            let audio = self
                .tail
                .stream("Audio", plan.audio_track.index())
                .map(|line| Facts::read(line).codec);
            return Ok(Still {
                video_codec: codec,
                width,
                height,
                frame_rate,
                audio_codec: audio,
                jpeg: self.jpeg,
                took: Duration::ZERO,
            });
        }
        Err(self.failure(taker, plan))
    }

    /// Returns the reason why there is no picture.
    fn failure(&self, taker: &StillTaker, plan: Plan) -> Failure {
        if let Some(reason) = spawner::exec_failure(self.status) {
            return Failure::Error(spawner::cannot_run(&taker.program, reason));
        }
        if self.tail.has_too_many_redirects() {
            return Failure::Error(redirect::too_many());
        }
        if let Some(lesson) = self.tail.track_lesson(plan) {
            return Failure::Lesson(lesson);
        }
        if self.is_silent {
            return Failure::Lesson(Lesson::VideoIsSilent);
        }
        let verdict = self.tail.verdict();
        let error = verdict.and_then(|found| found.error(self.ran_for, taker.socket_timeout));
        match (error, verdict) {
            (Some(error), _) => Failure::Error(error),
            (None, _) if self.is_late => {
                let seconds = taker.start_timeout.as_secs_f64();
                let detail = format!("the camera sent no picture within {seconds} s");
                Failure::Error(Error::new(ErrorKind::SourceTimeout, detail))
            }
            (None, Some(Verdict::Lesson(lesson))) => {
                Failure::Lesson(self.tail.explain(lesson, plan))
            }
            (None, _) => {
                let detail = format!("the camera sent no picture: {}", self.tail.end(self.status));
                Failure::Error(Error::new(ErrorKind::SourceUnreachable, detail))
            }
        }
    }
}

/// The properties of a stream, as FFmpeg's description of the stream names them.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Facts {
    codec: String,
    width: Option<u32>,
    height: Option<u32>,
    frame_rate: Option<f64>,
}

impl Facts {
    /// Parses a description such as
    /// `h264 (Main), yuv420p(progressive), 640x360 [SAR 1:1], 25 fps, 90k tbn`.
    pub(crate) fn read(line: &str) -> Self {
        let codec = line.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let mut facts = Self { codec, ..Self::default() };
        for part in line.split(", ").skip(1) {
            let (first, rest) = part.split_once(' ').unwrap_or((part, ""));
            if let Some((width, height)) = first.split_once('x')
                && let (Ok(width), Ok(height)) = (width.parse(), height.parse())
            {
                (facts.width, facts.height) = (Some(width), Some(height));
            }
            // `tbr` is FFmpeg's guess. After a short probe, the guess may be the rate of the stream's clock.
            let is_rate = rest == "fps" || (rest == "tbr" && facts.frame_rate.is_none());
            if let (true, Ok(rate)) = (is_rate, first.parse::<f64>()) {
                facts.frame_rate = Some(rate).filter(|rate| (0.1..=120.0).contains(rate));
            }
        }
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_of_streams_are_parsed() {
        let table = [
            (
                "h264 (Constrained Baseline), yuv420p(tv, bt709, progressive), 640x360 \
                 [SAR 1:1 DAR 16:9], 25 fps, 25 tbr, 90k tbn",
                ("h264", Some(640), Some(360), Some(25.0)),
            ),
            (
                "hevc (Main), yuv420p(tv), 3840x2160, 29.97 fps, 90k tbr, 90k tbn",
                ("hevc", Some(3840), Some(2160), Some(29.97)),
            ),
            (
                "mjpeg (Baseline), yuvj420p(pc), 640x360, 20 tbr, 90k tbn",
                ("mjpeg", Some(640), Some(360), Some(20.0)),
            ),
            ("h264, none, 90k tbr, 90k tbn", ("h264", None, None, None)),
            ("pcm_alaw, 8000 Hz, mono, s16, 64 kb/s", ("pcm_alaw", None, None, None)),
            ("", ("", None, None, None)),
        ];
        for (line, (codec, width, height, frame_rate)) in table {
            let expected = Facts { codec: codec.into(), width, height, frame_rate };
            assert_eq!(Facts::read(line), expected, "{line}");
        }
    }
}
