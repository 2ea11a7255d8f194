//! What is so at the moment of asking: the streams that run, the manager's process, the disk.
//!
//! What a stream's FFmpeg uses was looked at by the stream itself a few seconds ago at most
//! (`crate::child::log`), so that asking costs no more files with a thousand streams.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::unistd::Pid;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, EncodeMetric,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::base::proc;
use crate::child::log::Usage;
use crate::output::disk_budget::DiskBudget;
use crate::stream::handle::StreamHandle;
use crate::stream::registry::Registry;
use crate::stream::state::State;

/// States as the API names them.
const STATES: [&str; 5] = ["starting", "live", "backoff", "stopping", "failed"];

/// The streams that run, and the disk that they write to.
pub struct Streams {
    registry: Registry,
    budget: DiskBudget,
}

/// One stream.
struct Stream {
    labels: Camera,
    state: State,
    viewers: u64,
    restarts: u64,
    usage: Option<Usage>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Camera {
    camera: String,
    profile: &'static str,
}

impl Streams {
    /// The streams of `registry`, which write within `budget`.
    pub fn new(registry: Registry, budget: DiskBudget) -> Self {
        Self { registry, budget }
    }

    fn disk(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let used = ConstGauge::new(self.budget.used());
        single(encoder, "segments_bytes", "What the segments of all streams take.", Some(used))?;
        // A disk that cannot be asked is named by readiness.
        let Some(disk) = self.budget.disk() else { return Ok(()) };
        let help = "Size of the file system that STREAM_DIR is on.";
        single(encoder, "stream_dir_size_bytes", help, Some(ConstGauge::new(disk.size)))?;
        let help = "What of it can still be written to.";
        let available = ConstGauge::new(disk.available);
        single(encoder, "stream_dir_available_bytes", help, Some(available))
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Streams")
    }
}

impl Stream {
    fn of(handle: &StreamHandle) -> Self {
        let id = handle.id();
        let (state, restarts) = handle.state_and_restarts();
        let labels = Camera { camera: id.camera().to_string(), profile: id.profile().as_str() };
        Self {
            labels,
            state,
            viewers: handle.shared().viewers.count() as u64,
            restarts,
            usage: handle.shared().process_log.usage(),
        }
    }
}

/// Place in [`STATES`].
fn place(state: State) -> Option<usize> {
    match state {
        State::Starting => Some(0),
        State::Live => Some(1),
        State::Backoff => Some(2),
        State::Stopping(_) => Some(3),
        State::Failed => Some(4),
        State::Gone => None,
    }
}

impl Collector for Streams {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let encoder = &mut encoder;
        let all: Vec<_> = self.registry.all().iter().map(Stream::of).collect();
        let mut by_state = [0_u64; STATES.len()];
        for place in all.iter().filter_map(|stream| place(stream.state)) {
            by_state[place] += 1;
        }
        let states = STATES.iter().zip(by_state).map(|(state, count)| ([("state", *state)], count));
        gauge(encoder, "streams", "Streams by state.", states)?;
        let resources = self.registry.resources();
        let waiting = ConstGauge::new(resources.starts.waiting() as u64);
        single(encoder, "starts_waiting", "Starts that wait for their turn.", Some(waiting))?;
        let most = ConstGauge::new(resources.max_streams as u64);
        single(encoder, "max_streams", "Streams that may run at once.", Some(most))?;
        let viewers = ConstGauge::new(all.iter().map(|stream| stream.viewers).sum::<u64>());
        single(encoder, "viewers", "Viewers of all streams.", Some(viewers))?;

        let of_each = |value: fn(&Stream) -> u64| {
            all.iter().map(move |stream| (stream.labels.clone(), value(stream)))
        };
        let is_live = of_each(|stream| (stream.state == State::Live).into());
        gauge(encoder, "stream_live", "Whether the stream is live.", is_live)?;
        let viewers = of_each(|stream| stream.viewers);
        gauge(encoder, "stream_viewers", "Viewers of the stream.", viewers)?;
        let restarts = of_each(|stream| stream.restarts);
        let help = "FFmpeg started again after an interruption, in this stream's life.";
        counter(encoder, "stream_restarts", help, restarts)?;

        let running = || all.iter().filter_map(|stream| Some((&stream.labels, stream.usage?)));
        let cpu = running().map(|(labels, usage)| (labels.clone(), usage.cpu_time.as_secs_f64()));
        let help = "Processor time of the stream's FFmpeg, since it was started.";
        counter(encoder, "stream_ffmpeg_cpu_seconds", help, cpu)?;
        let memory = running().map(|(labels, usage)| (labels.clone(), usage.memory));
        let help = "Memory that is the own of the stream's FFmpeg: anonymous, in memory.";
        gauge(encoder, "stream_ffmpeg_memory_bytes", help, memory)?;
        self.disk(encoder)
    }
}

/// The manager's own process.
#[derive(Debug)]
pub struct Process {
    started_at: Duration,
}

impl Process {
    /// This process, which has just begun.
    pub fn begun() -> Self {
        Self { started_at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let encoder = &mut encoder;
        let own = Pid::this();
        let help = "Processor time of the manager, without FFmpeg.";
        let cpu = proc::cpu_time(own).map(|time| ConstCounter::new(time.as_secs_f64()));
        single(encoder, "process_cpu_seconds", help, cpu)?;
        let help = "Memory of the manager, without FFmpeg and the streams' files.";
        let memory = proc::memory(own).map(|memory| ConstGauge::new(memory.resident));
        single(encoder, "process_resident_memory_bytes", help, memory)?;
        let help = "File descriptors that are open.";
        single(encoder, "process_open_fds", help, proc::open_files().map(ConstGauge::new))?;
        let help = "File descriptors that may be open.";
        single(encoder, "process_max_fds", help, proc::max_open_files().map(ConstGauge::new))?;
        let help = "When the manager was started, in Unix time.";
        let started_at = ConstGauge::new(self.started_at.as_secs_f64());
        single(encoder, "process_start_time_seconds", help, Some(started_at))
    }
}

/// A metric without labels, if there is a value.
fn single(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    metric: Option<impl EncodeMetric>,
) -> fmt::Result {
    let Some(metric) = metric else { return Ok(()) };
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

fn gauge<L: EncodeLabelSet, V: EncodeGaugeValue + Clone>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (L, V)>,
) -> fmt::Result {
    let metrics = values.into_iter().map(|(labels, value)| (labels, ConstGauge::new(value)));
    family(encoder, name, help, MetricType::Gauge, metrics)
}

fn counter<L: EncodeLabelSet, V: EncodeCounterValue + Clone>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (L, V)>,
) -> fmt::Result {
    let metrics = values.into_iter().map(|(labels, value)| (labels, ConstCounter::new(value)));
    family(encoder, name, help, MetricType::Counter, metrics)
}

fn family<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    kind: MetricType,
    metrics: impl Iterator<Item = (L, impl EncodeMetric)>,
) -> fmt::Result {
    let mut encoder = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, metric) in metrics {
        metric.encode(encoder.encode_family(&labels)?)?;
    }
    Ok(())
}
