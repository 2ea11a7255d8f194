//! The resources, settings and limits that all streams share.

use std::sync::Arc;

use super::limits::Limits;
use super::output::Output;
use super::start_queue::StartQueue;
use super::threads::Threads;
use crate::base::counters::Counters;
use crate::camera::plan::Hevc;
use crate::events::bus::Bus;
use crate::ingest::Ingest;
use crate::ingest::rendition::Transcoder;
use crate::media::frame_budget::FrameBudget;

/// The resources, settings and limits that all streams share.
pub struct StreamResources {
    /// The output that serves the streams.
    pub output: Arc<dyn Output>,
    /// The threads that the streams' tasks run on.
    pub threads: Threads,
    /// The limits that apply to every stream.
    pub limits: Limits,
    /// The largest number of streams at the same time.
    pub max_streams: usize,
    /// The queue that determines the order of starts.
    pub starts: StartQueue,
    /// Starts the ingests that deliver the streams' media.
    pub ingest: Arc<dyn Ingest>,
    /// Starts the transcoders that convert video that players cannot play.
    pub transcoder: Arc<dyn Transcoder>,
    /// The treatment of H.265 from cameras whose option `video` is `auto`.
    pub hevc: Hevc,
    /// The limit for the memory of the frames that all streams keep.
    pub frames: FrameBudget,
    /// The counters of the starts, interruptions, output and snapshots of all streams.
    pub counters: Counters,
    /// The bus on which the streams' events are published.
    pub events: Bus,
}
