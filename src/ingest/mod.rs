//! Ingests, which bring a stream's media from its camera to the hub.
//!
//! | Module | Owns |
//! |---|---|
//! | [`ffmpeg`] | FFmpeg as an ingest |
//! | [`clock_check`] | detects a camera whose clock cannot be used |
//!
//! This module starts single runs. The supervisor (`crate::stream`) decides when to start another.

use std::sync::Arc;

use nix::sys::signal::Signal;
use tokio::sync::{mpsc, oneshot};

use crate::base::error::Error;
use crate::camera::onvif_address::OnvifAddress;
use crate::camera::options::StreamOptions;
use crate::camera::plan::Plan;
use crate::camera::source::Source;
use crate::child::log::ProcessLog;
use crate::media::hub::FrameHub;

pub(crate) mod clock_check;
pub(crate) mod ffmpeg;

/// The parameters of one run of an ingest.
#[derive(Debug, Clone)]
pub struct IngestRequest {
    /// The camera's RTSP URL.
    pub source: Source,
    /// How the camera is ingested.
    pub plan: Plan,
    /// The operator's options, which limit the plans for further runs.
    pub options: StreamOptions,
    /// The camera's ONVIF service, with which a keyframe can be requested.
    pub onvif: Option<OnvifAddress>,
    /// The number of the run's epoch.
    pub epoch: u64,
    /// Where frames are published.
    pub hub: FrameHub,
    /// Where FFmpeg's messages and usage are kept.
    pub process_log: Arc<ProcessLog>,
}

/// The outcome of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunOutcome {
    /// A run with this other plan may work better, and should start at once.
    Replan(Plan),
    /// The camera or the machine refused. An immediate retry would fail in the same way.
    Refused(Error),
    /// The run was interrupted, or the cause of its end is unknown.
    Dropped(Error),
}

/// A run in progress. Dropping this ends the run.
#[derive(Debug)]
pub struct RunningIngest {
    /// Resolves to the outcome once the child is reaped and its pipes are read to their end.
    pub ended: oneshot::Receiver<RunOutcome>,
    /// Sends signals to the child.
    pub signals: mpsc::Sender<Signal>,
}

/// Starts runs. The tests of the supervisor use another implementation.
pub trait Ingest: Send + Sync + 'static {
    /// Starts a run. Every failure, even a failure to start FFmpeg, is reported as the run's
    /// outcome.
    fn start(&self, request: IngestRequest) -> RunningIngest;
}
