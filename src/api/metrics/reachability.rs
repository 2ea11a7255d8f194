//! Metrics of the regular checks that find out whether cameras can be reached. The metrics exist only if
//! `CHECK_INTERVAL_SECONDS` is set.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::encode::{counter, gauge};
use crate::reachability::monitor::ReachabilityMonitor;

/// Collects the numbers of a monitor.
#[derive(Debug)]
pub(super) struct ReachabilityCollector(pub(super) Arc<ReachabilityMonitor>);

impl Collector for ReachabilityCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let totals = self.0.totals();
        let cameras = [("yes", totals.reachable), ("no", totals.unreachable)];
        let cameras = cameras.map(|(reachable, count)| ([("reachable", reachable)], count));
        let help = "Known cameras that have been checked, by whether they are reachable.";
        gauge(&mut encoder, "cameras", help, cameras)?;
        let checks = [("success", totals.succeeded), ("failure", totals.failed)];
        let checks = checks.map(|(result, count)| ([("result", result)], count));
        let help = "Number of attempts to reach a camera for a regular check, by result.";
        counter(&mut encoder, "camera_checks", help, checks)
    }
}
