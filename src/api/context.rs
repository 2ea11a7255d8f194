//! The parts of the manager that handlers use.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::metrics::exporter::Exporter;
use crate::base::public_url::PublicUrl;
use crate::config::CookieAttributes;
use crate::ingest::ffmpeg::probe::StillTaker;
use crate::onvif::finder::Finder;
use crate::service::core::Core;
use crate::service::readiness::Readiness;

/// The time that a request can take in addition to the longest start, for example for trying a changed link before the
/// stream switches to it.
const IN_ADDITION_TO_A_START: Duration = Duration::from_secs(30);

/// The parts of the manager that handlers use.
pub(crate) struct Api {
    /// The parts that all use cases share.
    pub(crate) core: Arc<Core>,
    /// Searches for cameras on the network.
    pub(crate) finder: Finder,
    /// Takes pictures of cameras that are tested.
    pub(crate) stills: StillTaker,
    /// Checks whether the service is ready.
    pub(crate) readiness: Arc<Readiness>,
    /// The attributes of cookies with playback tokens.
    pub(crate) cookie_attributes: CookieAttributes,
    /// All metrics.
    pub(crate) metrics: Arc<Exporter>,
    /// The address at which browsers reach the service.
    pub(crate) public_url: PublicUrl,
    /// The ICE servers that WebRTC players can use, as values of the header `Link`.
    pub(crate) ice_servers: Vec<String>,
    /// When the manager started.
    pub(crate) started_at: Instant,
    /// The OpenAPI document; empty until the first request for it.
    pub(crate) document: OnceLock<Bytes>,
}

impl Api {
    /// Creates the API of a manager that has just started.
    pub(crate) fn new(
        core: Arc<Core>,
        finder: Finder,
        stills: StillTaker,
        readiness: Arc<Readiness>,
        cookie_attributes: CookieAttributes,
        metrics: Exporter,
        public_url: PublicUrl,
    ) -> Self {
        Self {
            core,
            finder,
            stills,
            readiness,
            cookie_attributes,
            metrics: Arc::new(metrics),
            public_url,
            ice_servers: Vec::new(),
            started_at: Instant::now(),
            document: OnceLock::new(),
        }
    }

    /// Adds the ICE servers that WebRTC players can use, as values of the header `Link`.
    pub(crate) fn with_ice_servers(self, ice_servers: Vec<String>) -> Self {
        Self { ice_servers, ..self }
    }

    /// Returns the time limit of every request. It is long enough for a start that first waits for
    /// the camera's previous stream to end.
    pub(crate) fn request_timeout(&self) -> Duration {
        self.core.registry.patience() + IN_ADDITION_TO_A_START
    }
}
