//! Counters of copies in another place.

use std::sync::atomic::AtomicI64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::store::db::offsite_table::Waiting;

/// The counters. Cheap to clone; clones share the values.
#[derive(Debug, Clone, Default)]
pub(crate) struct OffsiteCounters {
    copied: Counter,
    sent: Counter,
    read: Counter,
    failures: Counter,
    deleted: Counter,
    waiting_files: Gauge<i64, AtomicI64>,
    waiting_bytes: Gauge<i64, AtomicI64>,
}

impl OffsiteCounters {
    /// Adds the counters to a registry of metrics.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let offsite = registry.sub_registry_with_prefix("offsite");
        offsite.register("files", "Recorded files that were copied off-site", self.copied.clone());
        offsite.register_with_unit(
            "sent",
            "Bytes that were sent to the off-site storage",
            Unit::Bytes,
            self.sent.clone(),
        );
        offsite.register_with_unit(
            "read",
            "Bytes of copies that were read from the off-site storage",
            Unit::Bytes,
            self.read.clone(),
        );
        offsite.register(
            "failures",
            "Failed attempts to use the off-site storage",
            self.failures.clone(),
        );
        offsite.register(
            "deleted",
            "Copies that were deleted from the off-site storage",
            self.deleted.clone(),
        );
        offsite.register(
            "waiting_files",
            "Recorded files that wait to be copied off-site",
            self.waiting_files.clone(),
        );
        offsite.register_with_unit(
            "waiting",
            "Size of the recorded files that wait to be copied off-site",
            Unit::Bytes,
            self.waiting_bytes.clone(),
        );
    }

    /// Counts a copy.
    pub(super) fn copied(&self) {
        self.copied.inc();
    }

    /// Counts bytes that are sent.
    pub(super) fn sent(&self, bytes: usize) {
        self.sent.inc_by(bytes as u64);
    }

    /// Counts bytes that were read.
    pub(super) fn read(&self, bytes: usize) {
        self.read.inc_by(bytes as u64);
    }

    /// Counts a failed attempt.
    pub(super) fn failed(&self) {
        self.failures.inc();
    }

    /// Counts copies that were deleted.
    pub(super) fn deleted(&self, copies: usize) {
        self.deleted.inc_by(copies as u64);
    }

    /// Notes how much waits.
    pub(super) fn set_waiting(&self, waiting: Waiting) {
        self.waiting_files.set(i64::try_from(waiting.files).unwrap_or(i64::MAX));
        self.waiting_bytes.set(i64::try_from(waiting.bytes).unwrap_or(i64::MAX));
    }
}
