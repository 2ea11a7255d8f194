//! Metrics of the manager's own process, which are read during a scrape.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::unistd::Pid;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::encode::single;
use crate::base::proc;

/// Collects the metrics of the manager's own process.
#[derive(Debug)]
pub(super) struct ProcessCollector {
    started_at: Duration,
}

impl ProcessCollector {
    /// Creates the collector in a process that has just started.
    pub(super) fn started() -> Self {
        Self { started_at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() }
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let encoder = &mut encoder;
        let own = Pid::this();
        let help = "Processor time of the manager in seconds, without FFmpeg.";
        let cpu = proc::cpu_time(own).map(|time| ConstCounter::new(time.as_secs_f64()));
        single(encoder, "process_cpu_seconds", help, cpu)?;
        let help = "Memory of the manager, without FFmpeg and the streams' files.";
        let memory = proc::memory(own).map(|memory| ConstGauge::new(memory.resident));
        single(encoder, "process_resident_memory_bytes", help, memory)?;
        let help = "Number of open file descriptors.";
        single(encoder, "process_open_fds", help, proc::open_files().map(ConstGauge::new))?;
        let help = "Limit on the number of open file descriptors.";
        single(encoder, "process_max_fds", help, proc::max_open_files().map(ConstGauge::new))?;
        let help = "Start of the manager, in Unix seconds.";
        let started_at = ConstGauge::new(self.started_at.as_secs_f64());
        single(encoder, "process_start_time_seconds", help, Some(started_at))
    }
}
