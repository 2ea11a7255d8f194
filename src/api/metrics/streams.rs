//! Metrics of the running or failed streams and of the disk that they write to, which are read during
//! a scrape.
//!
//! Each stream measures the usage of its FFmpeg processes every few seconds (`crate::child::log`). A
//! scrape only copies the last results, and reads no files.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::gauge::ConstGauge;

use super::encode::{counter, gauge, single};
use crate::child::log::Usage;
use crate::output::disk_budget::DiskBudget;
use crate::stream::handle::StreamHandle;
use crate::stream::registry::Registry;
use crate::stream::state::State;

/// The names that the API uses for the states.
const STATES: [&str; 5] = ["starting", "live", "backoff", "stopping", "failed"];

/// Collects the metrics of the running or failed streams, and of the disk that they write to.
pub(super) struct StreamsCollector {
    registry: Registry,
    budget: DiskBudget,
}

/// The values of one stream.
struct StreamSample {
    labels: StreamLabels,
    state: State,
    viewers: u64,
    restarts: u64,
    usage: Option<Usage>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StreamLabels {
    camera: String,
    profile: &'static str,
}

impl StreamsCollector {
    /// Collects the streams of `registry`, which write within `budget`.
    pub(super) fn new(registry: Registry, budget: DiskBudget) -> Self {
        Self { registry, budget }
    }

    fn sums(&self, streams: &[StreamSample], encoder: &mut DescriptorEncoder) -> fmt::Result {
        let mut by_state = [0_u64; STATES.len()];
        for index in streams.iter().filter_map(|stream| state_index(stream.state)) {
            by_state[index] += 1;
        }
        let states = STATES.iter().zip(by_state).map(|(state, count)| ([("state", *state)], count));
        gauge(encoder, "streams", "Streams by state.", states)?;
        let resources = self.registry.resources();
        let waiting = ConstGauge::new(resources.starts.waiting() as u64);
        single(
            encoder,
            "starts_waiting",
            "Starts and reconnections that wait for a start slot.",
            Some(waiting),
        )?;
        let max = ConstGauge::new(resources.max_streams as u64);
        single(
            encoder,
            "max_streams",
            "Limit on the number of streams at the same time (`MAX_STREAMS`).",
            Some(max),
        )?;
        let viewers = ConstGauge::new(streams.iter().map(|stream| stream.viewers).sum::<u64>());
        single(encoder, "viewers", "Viewers of all streams.", Some(viewers))
    }

    fn kept_frames(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let help = "Size of the frames that all streams keep in memory, in bytes. A keyframe does not count if \
             the frames after it are not kept.";
        let used = ConstGauge::new(self.registry.resources().frames.used());
        single(encoder, "kept_frames_bytes", help, Some(used))
    }

    fn disk(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let used = ConstGauge::new(self.budget.used());
        single(
            encoder,
            "segments_bytes",
            "Size of the segments of all streams, in bytes.",
            Some(used),
        )?;
        // If the size of the disk is unknown, the metrics of the disk are left out.
        let Some(disk) = self.budget.disk() else { return Ok(()) };
        let help = "Size of the file system that STREAM_DIR is on.";
        single(encoder, "stream_dir_size_bytes", help, Some(ConstGauge::new(disk.size)))?;
        let help = "Free space on the file system that STREAM_DIR is on.";
        let available = ConstGauge::new(disk.available);
        single(encoder, "stream_dir_available_bytes", help, Some(available))
    }
}

impl fmt::Debug for StreamsCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamsCollector")
    }
}

impl StreamSample {
    fn of(handle: &StreamHandle) -> Self {
        let id = handle.id();
        let (state, restarts) = handle.state_and_restarts();
        let (camera, profile) = (id.camera().to_string(), id.profile().as_str());
        Self {
            labels: StreamLabels { camera, profile },
            state,
            viewers: handle.shared().viewers.count() as u64,
            restarts,
            usage: handle.shared().process_log.usage(),
        }
    }
}

/// Returns the index of a state in [`STATES`]; `None` for a stream that is gone.
fn state_index(state: State) -> Option<usize> {
    match state {
        State::Starting => Some(0),
        State::Live => Some(1),
        State::Backoff => Some(2),
        State::Stopping(_) => Some(3),
        State::Failed => Some(4),
        State::Gone => None,
    }
}

impl Collector for StreamsCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let streams: Vec<_> = self.registry.all().iter().map(StreamSample::of).collect();
        self.sums(&streams, &mut encoder)?;
        each(&streams, &mut encoder)?;
        usage_of_each(&streams, &mut encoder)?;
        self.kept_frames(&mut encoder)?;
        self.disk(&mut encoder)
    }
}

fn each(streams: &[StreamSample], encoder: &mut DescriptorEncoder) -> fmt::Result {
    let values = |value: fn(&StreamSample) -> u64| {
        streams.iter().map(move |stream| (stream.labels.clone(), value(stream)))
    };
    let is_live = values(|stream| (stream.state == State::Live).into());
    gauge(encoder, "stream_live", "1 if the stream is live, otherwise 0.", is_live)?;
    let viewers = values(|stream| stream.viewers);
    gauge(encoder, "stream_viewers", "Viewers of the stream.", viewers)?;
    let help = "Restarts of FFmpeg after interruptions and failed attempts, since the stream was \
                started.";
    counter(encoder, "stream_restarts", help, values(|stream| stream.restarts))
}

fn usage_of_each(streams: &[StreamSample], encoder: &mut DescriptorEncoder) -> fmt::Result {
    let running = || streams.iter().filter_map(|stream| Some((&stream.labels, stream.usage?)));
    let cpu = running().map(|(labels, usage)| (labels.clone(), usage.cpu_time.as_secs_f64()));
    let help =
        "Processor time in seconds of the stream's running FFmpegs, since they were started.";
    counter(encoder, "stream_ffmpeg_cpu_seconds", help, cpu)?;
    let memory = running().map(|(labels, usage)| (labels.clone(), usage.memory));
    let help = "Resident anonymous memory of the stream's running FFmpegs, in bytes.";
    gauge(encoder, "stream_ffmpeg_memory_bytes", help, memory)
}
