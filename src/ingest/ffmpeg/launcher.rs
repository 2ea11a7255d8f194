//! Starts FFmpeg for a stream, and reports how each run ended.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::time::sleep;
use tracing::info;

use crate::base::error::{Error, ErrorKind};
use crate::camera::networks::CameraNetworks;
use crate::child::log::Work;
use crate::child::spawner::{self, Process, Spawner};
use crate::ingest::ffmpeg::args::{self, Shape};
use crate::ingest::ffmpeg::check::FfmpegCheck;
use crate::ingest::ffmpeg::exit::FfmpegExit;
use crate::ingest::ffmpeg::login;
use crate::ingest::ffmpeg::redirect;
use crate::ingest::ffmpeg::run::FfmpegRun;
use crate::ingest::ffmpeg::settings::FfmpegSettings;
use crate::ingest::{Ingest, IngestRequest, RunOutcome, RunningIngest, StopRequests};
use crate::onvif::keyframe::KeyframeRequester;

/// The shortest time between two requests for keyframes while a stream runs. Keyframes are large, so many of them would
/// make a bad network worse.
const KEYFRAME_INTERVAL: Duration = Duration::from_secs(2);

/// FFmpeg as an ingest. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct FfmpegIngest {
    program: PathBuf,
    check: FfmpegCheck,
    shape: Shape,
    nets: CameraNetworks,
    start_timeout: Duration,
    socket_timeout: Duration,
    spawner: Spawner,
    keyframes: KeyframeRequester,
}

impl FfmpegIngest {
    /// Creates an ingest that starts FFmpeg with `spawner` and transcodes video according to `shape`.
    pub(crate) fn new(settings: FfmpegSettings, shape: Shape, spawner: Spawner) -> Self {
        let FfmpegSettings { program, nets, start_timeout, stale_timeout } = settings;
        let socket_timeout = args::socket_timeout(start_timeout, stale_timeout);
        let keyframes = KeyframeRequester::default();
        let check = FfmpegCheck::new(program.clone(), spawner.clone());
        Self { program, check, shape, nets, start_timeout, socket_timeout, spawner, keyframes }
    }

    /// Runs FFmpeg until it ends, and returns the outcome. If the camera redirects, runs FFmpeg again at the
    /// target.
    async fn run(self, mut request: IngestRequest, mut stops: StopRequests) -> RunOutcome {
        let checked = tokio::select! {
            checked = self.check.ensure_ffmpeg(self.start_timeout) => checked,
            _ = stops.next() => Err(Error::new(ErrorKind::Stopped, "the stream was stopped")),
        };
        if let Err(error) = checked {
            return RunOutcome::Refused(error);
        }
        for redirects in 0..=redirect::MAX_REDIRECTS {
            let (exit, address) = match self.run_once(&request, &mut stops).await {
                Ok(ended) => ended,
                Err(error) if redirects == 0 => return RunOutcome::Refused(error),
                Err(error) => return RunOutcome::Refused(redirect::failed(error)),
            };
            let Some(target) = exit.redirect() else {
                let login = exit.tail.login().cloned();
                let outcome = exit.diagnose(request.plan, request.options, self.socket_timeout);
                let RunOutcome::Refused(error) = outcome else { return outcome };
                let explained = login::explained(error.clone(), &request.source, address, login);
                return RunOutcome::Refused(tokio::select! {
                    error = explained => error,
                    _ = stops.next() => error,
                });
            };
            match redirect::target(&request.source, target) {
                Ok(source) => request.source = source,
                Err(error) => return RunOutcome::Refused(error),
            }
        }
        RunOutcome::Refused(redirect::too_many())
    }

    /// Runs FFmpeg until it ends. Returns the evidence and the camera's address. Fails if FFmpeg does not support
    /// the URL, if the host cannot be resolved or is not permitted, or if FFmpeg cannot be run.
    async fn run_once(
        &self,
        request: &IngestRequest,
        stops: &mut StopRequests,
    ) -> Result<(FfmpegExit, SocketAddr), Error> {
        let source = &request.source;
        source.ensure_usable()?;
        let address = self.nets.resolve(source.host(), source.port()).await?;
        let started = self.start(request, address).await;
        let (process, script) =
            started.map_err(|error| spawner::cannot_run(&self.program, error))?;
        let watching = request.process_log.watch(process.pid(), Work::Stream);
        let mut run = FfmpegRun::begin(process, script, request);
        run.keyframe = request.onvif.as_ref().and_then(|onvif| {
            self.keyframes.prepare(onvif, source, address, Arc::clone(&run.has_played))
        });
        let exit = tokio::select! {
            exit = run.until_exit(stops) => exit,
            never = watching => match never {},
            never = self.request_keyframes(request, address) => match never {},
        };
        match spawner::exec_failure(exit.status) {
            Some(reason) => Err(spawner::cannot_run(&self.program, reason)),
            None => Ok((exit, address)),
        }
    }

    /// Requests a keyframe from the camera by ONVIF whenever a reader of the stream needs one.
    async fn request_keyframes(&self, request: &IngestRequest, address: SocketAddr) -> Infallible {
        loop {
            request.hub.keyframe_needed().await;
            if let Some(onvif) = &request.onvif {
                let has_played = Arc::new(AtomicBool::new(false));
                let prepared = self.keyframes.prepare(onvif, &request.source, address, has_played);
                if let Some(keyframe) = prepared {
                    keyframe.send();
                }
            }
            sleep(KEYFRAME_INTERVAL).await;
        }
    }

    /// Starts FFmpeg, and returns the process and the script for its stdin.
    async fn start(
        &self,
        request: &IngestRequest,
        address: SocketAddr,
    ) -> std::io::Result<(Process, String)> {
        let arguments = args::arguments(request.plan, &self.shape);
        let outputs = args::audio_outputs(request.plan);
        let process = self.spawner.spawn(&self.program, arguments, outputs).await?;
        info!(pid = process.pid().as_raw(), source = %request.source, "FFmpeg started");
        let script = args::script(&request.source, address, request.plan, self.socket_timeout);
        Ok((process, script))
    }
}

impl Ingest for FfmpegIngest {
    fn start(&self, request: IngestRequest) -> RunningIngest {
        RunningIngest::spawn(|stops| self.clone().run(request, stops))
    }
}
