//! Ingests, which bring a stream's media from its camera to the hub.
//!
//! | Module | Owns |
//! |---|---|
//! | [`ffmpeg`] | FFmpeg as an ingest |
//! | [`rendition`] | H.264 that is made of a stream's frames |
//! | [`clock_check`] | detects a camera whose clock cannot be used |
//!
//! This module starts single runs. The stream (`crate::stream`) decides when to start another run.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use tracing::Instrument as _;

use crate::base::counters::Counters;
use crate::base::error::{Error, ErrorKind};
use crate::camera::onvif_address::OnvifAddress;
use crate::camera::options::StreamOptions;
use crate::camera::plan::Plan;
use crate::camera::source::Source;
use crate::child::log::ProcessLog;
use crate::media::hub::FrameHub;

pub(crate) mod clock_check;
pub(crate) mod ffmpeg;
pub(crate) mod rendition;

/// The parameters of one run of an ingest.
#[derive(Debug, Clone)]
pub struct IngestRequest {
    /// The camera's RTSP URL.
    pub source: Source,
    /// The plan with which the camera is ingested.
    pub plan: Plan,
    /// The operator's options, which limit the plans for further runs.
    pub options: StreamOptions,
    /// The camera's ONVIF service, with which a keyframe can be requested.
    pub onvif: Option<OnvifAddress>,
    /// The number of the run's epoch.
    pub epoch: u64,
    /// The hub in which the run publishes frames.
    pub hub: FrameHub,
    /// The log that keeps FFmpeg's messages and resource usage.
    pub process_log: Arc<ProcessLog>,
    /// The counters of all streams.
    pub counters: Counters,
}

/// The outcome of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunOutcome {
    /// A run with this other plan may work better, and should start at once.
    Replan(Plan),
    /// The camera or the machine refused the run. An immediate retry would fail in the same way.
    Refused(Error),
    /// The run was interrupted, or the cause of its end is unknown.
    Dropped(Error),
}

/// A run in progress. Dropping this ends the run at once.
#[derive(Debug)]
pub struct RunningIngest {
    outcome: oneshot::Receiver<RunOutcome>,
    stop: watch::Sender<Option<Stop>>,
}

/// A way to end a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The run first ends its session with the camera, which can take long if the camera does not
    /// respond.
    Gently,
    /// The run ends at once, without notice to the camera.
    Now,
}

/// The receiver of the requests to stop a run.
#[derive(Debug)]
pub struct StopRequests(watch::Receiver<Option<Stop>>);

/// Starts runs. The tests of the supervisor use other implementations.
pub trait Ingest: Send + Sync + 'static {
    /// Starts a run. Every failure, even a failure to start FFmpeg, is reported as the run's
    /// outcome.
    fn start(&self, request: IngestRequest) -> RunningIngest;
}

impl RunningIngest {
    /// Starts a task for the future that `run` returns. The future must resolve soon after a request
    /// to stop, and only when everything that the run has started has ended.
    pub fn spawn<Run>(run: impl FnOnce(StopRequests) -> Run) -> Self
    where
        Run: Future<Output = RunOutcome> + Send + 'static,
    {
        let (stop, requests) = watch::channel(None);
        let (send, outcome) = oneshot::channel();
        let run = run(StopRequests(requests));
        let task = async move {
            // Sending fails if the stream has ended and needs no outcome.
            let _ = send.send(run.await);
        };
        tokio::spawn(task.in_current_span());
        Self { outcome, stop }
    }

    /// Waits until the run has ended, and returns its outcome. Can be cancelled and called again until
    /// it has returned.
    pub(crate) async fn outcome(&mut self) -> RunOutcome {
        let outcome = (&mut self.outcome).await;
        outcome.unwrap_or_else(|_| {
            let detail = "the run of FFmpeg failed because of an error in the manager";
            RunOutcome::Dropped(Error::new(ErrorKind::Internal, detail))
        })
    }

    /// Requests that the run ends its session with the camera, and then ends.
    pub(crate) fn stop_gently(&self) {
        self.stop.send_replace(Some(Stop::Gently));
    }

    /// Requests that the run ends at once.
    pub(crate) fn stop_now(&self) {
        self.stop.send_replace(Some(Stop::Now));
    }
}

impl StopRequests {
    /// Waits for the next request, and returns the last one if there were several. Returns
    /// [`Stop::Now`] once the [`RunningIngest`] is dropped. Can be cancelled without losing a request.
    pub async fn next(&mut self) -> Stop {
        match self.0.changed().await {
            Ok(()) => self.0.borrow_and_update().unwrap_or(Stop::Now),
            Err(_) => Stop::Now,
        }
    }
}
