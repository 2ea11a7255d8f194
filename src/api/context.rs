//! The context of handlers.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::metrics::exporter::Exporter;
use crate::ingest::ffmpeg::probe::StillTaker;
use crate::onvif::finder::Finder;
use crate::service::context::Core;
use crate::service::readiness::Readiness;

/// The longest time that a request takes besides a start.
const BESIDES_A_START: Duration = Duration::from_secs(13);

/// The context of handlers.
pub(crate) struct Api {
    /// The context of use cases.
    pub(crate) core: Core,
    /// Looks for cameras on the network.
    pub(crate) finder: Finder,
    /// Takes pictures of cameras that are tested.
    pub(crate) stills: StillTaker,
    /// Checks whether the service can do its work.
    pub(crate) readiness: Arc<Readiness>,
    /// All metrics.
    pub(crate) metrics: Arc<Exporter>,
    /// When the manager started.
    pub(crate) started_at: Instant,
    /// The OpenAPI document, after the first request for it.
    pub(crate) document: OnceLock<Bytes>,
}

impl Api {
    /// The API of a manager that has just started.
    pub(crate) fn new(
        core: Core,
        finder: Finder,
        stills: StillTaker,
        readiness: Arc<Readiness>,
        metrics: Exporter,
    ) -> Self {
        let (started_at, document) = (Instant::now(), OnceLock::new());
        Self { core, finder, stills, readiness, metrics: Arc::new(metrics), started_at, document }
    }

    /// The time limit of every request. A start that waits for another stream's end takes longest.
    pub(crate) fn request_timeout(&self) -> Duration {
        self.core.registry.patience() + BESIDES_A_START
    }
}
