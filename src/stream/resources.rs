//! What streams are made of, and how many there can be.

use std::sync::Arc;

use super::limits::Limits;
use super::output::Output;
use super::start_queue::StartQueue;
use super::threads::Threads;
use crate::base::counters::Counters;
use crate::events::bus::Bus;
use crate::ingest::Ingest;

/// What all streams share.
pub struct StreamResources {
    /// What serves them.
    pub output: Arc<dyn Output>,
    /// The threads that their tasks run on.
    pub threads: Threads,
    /// The limits that they live by.
    pub limits: Limits,
    /// Streams at the same time.
    pub max_streams: usize,
    /// The order in which they start.
    pub starts: StartQueue,
    /// What brings their video.
    pub ingest: Arc<dyn Ingest>,
    /// Counts their transitions.
    pub counters: Counters,
    /// Where their events are published.
    pub events: Bus,
}
