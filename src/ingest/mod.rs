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
use crate::camera::options::StreamOptions;
use crate::camera::plan::Plan;
use crate::camera::source::Source;
use crate::child::log::ProcessLog;
use crate::media::hub::FragmentHub;
use crate::onvif::keyframe::Keyframes;

pub mod clock_check;
pub mod ffmpeg;

/// What a stream wants of an ingest.
#[derive(Debug, Clone)]
pub struct IngestRequest {
    /// Where the video comes from.
    pub source: Source,
    /// How to take it.
    pub plan: Plan,
    /// What other plans there may be.
    pub options: StreamOptions,
    /// How to ask the camera for a keyframe, if it can be asked.
    pub keyframes: Option<Keyframes>,
    /// The generation that this run is.
    pub generation: u64,
    /// Where the fragments go.
    pub hub: FragmentHub,
    /// Where it is written down what FFmpeg says and uses.
    pub journal: Arc<ProcessLog>,
}

/// How an ingest ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunOutcome {
    /// Another run with this plan may do better, at once.
    Replan(Plan),
    /// The camera, or the machine, said no. Trying again at once would change nothing.
    Refused(Error),
    /// It broke off, or nobody knows why it ended.
    Dropped(Error),
}

/// A run, as the supervisor holds it. Dropping it ends the run.
#[derive(Debug)]
pub struct RunningIngest {
    /// Resolves when the child is reaped and its pipes are read to the end.
    pub ended: oneshot::Receiver<RunOutcome>,
    /// Signals for the child.
    pub signals: mpsc::Sender<Signal>,
}

/// Starts ingests. The one thing of a supervisor that its tests replace.
pub trait Ingest: Send + Sync + 'static {
    /// Starts a run. Whatever goes wrong shows as its ending.
    fn launch(&self, order: IngestRequest) -> RunningIngest;
}
