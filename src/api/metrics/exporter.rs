//! The collection of all metrics, encoded for Prometheus.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry;

use super::process::ProcessCollector;
use super::reachability::ReachabilityCollector;
use super::requests::{RequestMetrics, RouteLabels};
use super::streams::StreamsCollector;
use crate::analysis::counters::AnalysisCounters;
use crate::base::log_writer;
use crate::events::counters::EventCounters;
use crate::offsite::counters::OffsiteCounters;
use crate::output::disk_budget::DiskBudget;
use crate::output::recorder::counters::RecordingCounters;
use crate::output::webrtc::server::WebRtc;
use crate::push::counters::PushCounters;
use crate::reachability::monitor::ReachabilityMonitor;
use crate::stream::registry::Registry;

/// The prefix of the names of all metrics except the metrics of the process.
const PREFIX: &str = "stream_manager";

/// All metrics.
#[derive(Debug)]
pub(crate) struct Exporter {
    registry: registry::Registry,
    /// The metrics of requests.
    pub(crate) requests: RequestMetrics,
    /// The results of the readiness checks.
    ready: Family<CheckLabels, Gauge>,
}

/// The label of a readiness check.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    check: &'static str,
}

impl Exporter {
    /// Creates the metrics of a manager with these `streams`, which write to disk within `budget`,
    /// and these `routes`. Without a `monitor`, there are no metrics of reachability, and without
    /// `recordings`, there are no metrics of recordings.
    pub(crate) fn new(
        streams: Registry,
        budget: DiskBudget,
        monitor: Option<Arc<ReachabilityMonitor>>,
        webrtc: &WebRtc,
        events: &EventCounters,
        recordings: Option<&RecordingCounters>,
        routes: impl IntoIterator<Item = RouteLabels>,
    ) -> Self {
        let mut registry = registry::Registry::default();
        let own = registry.sub_registry_with_prefix(PREFIX);
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        own.register("build", "The program's version", version);
        let ready = Family::<CheckLabels, Gauge>::default();
        let help = "1 if the readiness check succeeded, otherwise 0; see /readyz";
        own.register("ready", help, ready.clone());
        let help = "Log lines that were lost because stderr was not read, or because writing to stderr failed";
        own.register("log_lines_lost", help, log_writer::lost_lines());
        streams.resources().counters.register(own);
        webrtc.register(own);
        events.register(own);
        if let Some(recordings) = recordings {
            recordings.register(own);
        }
        let requests = RequestMetrics::register(own, routes);
        own.register_collector(Box::new(StreamsCollector::new(streams, budget)));
        if let Some(monitor) = monitor {
            own.register_collector(Box::new(ReachabilityCollector(monitor)));
        }
        registry.register_collector(Box::new(ProcessCollector::started()));
        Self { registry, requests, ready }
    }

    /// Adds the metrics of copies of recordings.
    pub(crate) fn with_offsite(mut self, offsite: Option<&OffsiteCounters>) -> Self {
        if let Some(offsite) = offsite {
            offsite.register(self.registry.sub_registry_with_prefix(PREFIX));
        }
        self
    }

    /// Adds the metrics of push notifications.
    pub(crate) fn with_push(mut self, push: &PushCounters) -> Self {
        push.register(self.registry.sub_registry_with_prefix(PREFIX));
        self
    }

    /// Adds the metrics of the analysis of pictures.
    pub(crate) fn with_analysis(mut self, analysis: &AnalysisCounters) -> Self {
        analysis.register(self.registry.sub_registry_with_prefix(PREFIX));
        self
    }

    /// Records whether a readiness check succeeded.
    pub(crate) fn set_ready(&self, check: &'static str, is_ready: bool) {
        self.ready.get_or_create(&CheckLabels { check }).set(is_ready.into());
    }

    /// Returns all metrics as OpenMetrics. Blocks the thread while it reads values of the process
    /// from the kernel.
    pub(crate) fn open_metrics(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
