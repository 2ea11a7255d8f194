//! All metrics together, and the text that Prometheus reads.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry;

use crate::api::metrics::requests::{Requests, RouteLabels};
use crate::api::metrics::streams::{Process, Streams};
use crate::output::disk_budget::DiskBudget;
use crate::stream::registry::Registry;

/// What all names begin with.
const PREFIX: &str = "stream_manager";

/// All metrics.
#[derive(Debug)]
pub struct Exporter {
    registry: registry::Registry,
    /// The requests that were answered.
    pub requests: Requests,
    ready: Family<Check, Gauge>,
}

/// Something that readiness depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Check {
    check: &'static str,
}

impl Exporter {
    /// The metrics of a manager with these `streams`, which write within `budget`, and these routes.
    pub fn new(
        streams: Registry,
        budget: DiskBudget,
        routes: impl IntoIterator<Item = RouteLabels>,
    ) -> Self {
        let mut registry = registry::Registry::default();
        let own = registry.sub_registry_with_prefix(PREFIX);
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        own.register("build", "The program's version", version);
        let ready = Family::<Check, Gauge>::default();
        let help = "Whether the service can do its work, by what that depends on; see /readyz";
        own.register("ready", help, ready.clone());
        streams.resources().counters.register(own);
        let requests = Requests::register(own, routes);
        own.register_collector(Box::new(Streams::new(streams, budget)));
        registry.register_collector(Box::new(Process::begun()));
        Self { registry, requests, ready }
    }

    /// Notes whether what `check` looks at is as it should be.
    pub fn set_ready(&self, check: &'static str, is_ready: bool) {
        self.ready.get_or_create(&Check { check }).set(is_ready.into());
    }

    /// The text for Prometheus, as OpenMetrics. Asks the kernel and the disk, so it has to be
    /// called where waiting harms nobody.
    pub fn open_metrics(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
