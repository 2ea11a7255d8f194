//! Ingests: what brings a stream's video from its camera to the hub.
//!
//! | Module | Owns |
//! |---|---|
//! | [`ffmpeg`] | FFmpeg as an ingest |
//! | [`clock_check`] | notices a camera whose clock cannot be used |
//!
//! An ingest is one run. When to start another is decided by the supervisor (`crate::stream`).

use std::sync::Arc;

use nix::sys::signal::Signal;
use tokio::sync::{mpsc, oneshot};

use crate::base::error::Error;
use crate::camera::onvif_address::OnvifAddress;
use crate::camera::options::StreamOptions;
use crate::camera::plan::Plan;
use crate::camera::source::Source;
use crate::child::log::ProcessLog;
use crate::media::hub::FragmentHub;

pub(crate) mod clock_check;
pub(crate) mod ffmpeg;

/// What an ingest is started with.
#[derive(Debug, Clone)]
pub struct IngestRequest {
    /// Where the video comes from.
    pub source: Source,
    /// How to take the video.
    pub plan: Plan,
    /// The operator's options, which limit the plans that can follow.
    pub options: StreamOptions,
    /// The camera's ONVIF service, by which a keyframe can be requested.
    pub onvif: Option<OnvifAddress>,
    /// Number of the epoch that this run is.
    pub epoch: u64,
    /// Where fragments are published.
    pub hub: FragmentHub,
    /// Where FFmpeg's messages and usage are kept.
    pub process_log: Arc<ProcessLog>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunOutcome {
    /// Another run with this plan can do better, and starts at once.
    Replan(Plan),
    /// The camera or the machine refused. Trying again at once would change nothing.
    Refused(Error),
    /// It was interrupted, or the cause of its end is unknown.
    Dropped(Error),
}

/// A run, as the supervisor holds it. Dropping it ends the run.
#[derive(Debug)]
pub struct RunningIngest {
    /// Resolves when the child is reaped and its pipes are read to their end.
    pub ended: oneshot::Receiver<RunOutcome>,
    /// Signals for the child.
    pub signals: mpsc::Sender<Signal>,
}

/// Starts runs. The supervisor's tests replace it.
pub trait Ingest: Send + Sync + 'static {
    /// Starts a run. Every failure is reported as its outcome.
    fn start(&self, request: IngestRequest) -> RunningIngest;
}
