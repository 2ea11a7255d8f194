//! The reference page of metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::Pid;
use tokio::time::timeout;

use super::{GENERATED, code_list, head, row};
use crate::analysis::counters::AnalysisCounters;
use crate::api::metrics::exporter::Exporter;
use crate::api::metrics::text::plain;
use crate::api::route::Table;
use crate::api::routes;
use crate::base::counters::Counters;
use crate::camera::Camera;
use crate::camera::id::StreamId;
use crate::camera::options::StreamOptions;
use crate::camera::plan::Hevc;
use crate::camera::source::Source;
use crate::child::log::Work;
use crate::events::bus::Bus;
use crate::events::counters::EventCounters;
use crate::ingest::rendition::testing::NoTranscoder;
use crate::ingest::{Ingest, IngestRequest, RunningIngest};
use crate::media::frame_budget::FrameBudget;
use crate::offsite::counters::OffsiteCounters;
use crate::output::disk_budget::DiskBudget;
use crate::output::hls::cutter::SegmentPolicy;
use crate::output::hls::layout::Layout;
use crate::output::hls::output::Hls;
use crate::output::recorder::counters::RecordingCounters;
use crate::output::webrtc::server::WebRtc;
use crate::reachability::monitor::ReachabilityMonitor;
use crate::stream::limits::Limits;
use crate::stream::output::WantedOutput;
use crate::stream::registry::Registry;
use crate::stream::resources::StreamResources;
use crate::stream::start_queue::{Priority, StartQueue};
use crate::stream::threads::Threads;

const ABOUT: &str = "
# Metrics

`GET /metrics` on the manager's port returns these metrics in the text format of Prometheus, or as
OpenMetrics to clients that accept that format. [Monitoring](../guide/monitoring.md#collect-metrics)
describes which clients can read the metrics.

Metrics with the label `camera` belong to one stream and disappear when the stream ends. Metrics whose
names begin with `process_` describe the manager's own process.

";

/// The description of a metric.
#[derive(Default)]
struct Metric {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

/// Renders the page.
pub(super) fn page() -> String {
    let mut page =
        GENERATED.to_owned() + ABOUT + &head(["Metric", "Type", "Labels", "Description"]);
    let metrics = metrics(&scrape());
    let (process, own): (Vec<_>, Vec<_>) =
        metrics.iter().partition(|(name, _)| name.starts_with("process_"));
    for (name, Metric { kind, help, labels }) in own.into_iter().chain(process) {
        let help = format!("{}.", help.trim_end_matches('.'));
        let labels = code_list(labels.iter().map(String::as_str));
        page += &row([&format!("`{name}`"), kind, &labels, &help]);
    }
    page
}

/// Parses the text format of Prometheus.
fn metrics(text: &str) -> BTreeMap<String, Metric> {
    let mut metrics = BTreeMap::<String, Metric>::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|it| it.split_once(' ')) {
            help.clone_into(&mut metrics.entry(name.to_owned()).or_default().help);
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|it| it.split_once(' '))
        {
            kind.clone_into(&mut metrics.entry(name.to_owned()).or_default().kind);
        } else if let Some((name, labels)) = line.split_once('{') {
            // The names of the samples of a histogram have additional endings.
            let is_sample = |known: &str| {
                name.strip_prefix(known)
                    .is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest))
            };
            let metric = metrics.iter_mut().find(|(known, _)| is_sample(known));
            let (_, metric) = metric.expect("a metric that was described before");
            let names = labels.split('"').step_by(2).filter_map(|it| it.strip_suffix('='));
            let names = names.map(|name| name.trim_start_matches(','));
            metric.labels.extend(names.filter(|name| *name != "le").map(str::to_owned));
        }
    }
    metrics
}

/// Returns the metrics of a manager with one stream, so that each metric has samples.
fn scrape() -> String {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().expect("a runtime");
    let text = runtime.block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let budget = DiskBudget::new(dir.path().to_owned(), None);
        let starts = StartQueue::new(1);
        // The stream waits for a slot, so no FFmpeg is started.
        let _slot = starts.try_slot(Priority::Requested).expect("the only slot");
        let registry = registry(Layout::new(dir.path().to_owned()), budget.clone(), starts);
        let source = Source::parse("rtsp://192.0.2.1/").expect("a link");
        let id = StreamId::parse("camera").expect("an id");
        let camera = Camera::new(id, source, StreamOptions::default());
        let stream = registry.start_soon(camera, WantedOutput::Hls);
        let stream = stream.expect("a stream");
        let monitor = Arc::new(ReachabilityMonitor::new(Bus::default()));
        let exporter = Exporter::new(
            registry,
            budget,
            Some(monitor),
            &WebRtc::off(),
            &EventCounters::default(),
            Some(&RecordingCounters::default()),
            Table::new(routes::all()).labels(),
        )
        .with_offsite(Some(&OffsiteCounters::default()))
        .with_analysis(&AnalysisCounters::default());
        exporter.set_ready("ffmpeg", true);
        let log = &stream.shared().process_log;
        let used = async {
            while log.usage().is_none() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            exporter.open_metrics()
        };
        tokio::select! {
            text = timeout(Duration::from_mins(1), used) => text.expect("a measurement"),
            never = log.watch(Pid::this(), Work::Stream) => match never {},
        }
    });
    plain(&text.expect("the metrics")).expect("the text format of Prometheus")
}

fn registry(layout: Layout, budget: DiskBudget, starts: StartQueue) -> Registry {
    let seconds = Duration::from_secs(10);
    let policy = SegmentPolicy { segment_time: seconds, part_time: seconds, list_size: 5 };
    let counters = Counters::default();
    Registry::new(StreamResources {
        output: Arc::new(Hls::new(layout, budget, policy, counters.clone())),
        threads: Threads::here(),
        limits: Limits {
            start_timeout: seconds,
            stale_timeout: seconds,
            stalled_after: seconds,
            idle_timeout: seconds,
            stop_grace: seconds,
            max_viewers: None,
        },
        max_streams: 1,
        starts,
        ingest: Arc::new(NoIngest),
        transcoder: Arc::new(NoTranscoder),
        hevc: Hevc::Copy,
        counters,
        frames: FrameBudget::new(u64::MAX),
        events: Bus::default(),
    })
}

struct NoIngest;

impl Ingest for NoIngest {
    fn start(&self, _: IngestRequest) -> RunningIngest {
        unreachable!("the only start slot is taken")
    }
}
