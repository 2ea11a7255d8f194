//! Cameras, whether their streams run or not: ids, sources, options, and plans for their ingest.
//!
//! | Module | Owns |
//! |---|---|
//! | [`id`] | the ids of cameras and streams |
//! | [`source`] | RTSP URLs, whose credentials are never shown |
//! | [`options`] | the options of a camera's streams |
//! | [`onvif_address`] | the addresses of cameras' ONVIF services |
//! | [`networks`] | the networks that cameras are allowed to be in |
//! | [`plan`] | how a camera is ingested, and what a failed attempt teaches |
//! | [`presets`] | ports and paths of vendors' cameras |
//! | [`source_spec`] | the source of a camera as it was given: by links, or by address and paths |
//! | [`record`] | a camera as it is stored |

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::base::lock::lock;
use id::StreamId;
use onvif_address::OnvifAddress;
use options::StreamOptions;
use plan::Plan;
use source::Source;

pub(crate) mod id;
pub(crate) mod networks;
pub(crate) mod onvif_address;
pub(crate) mod options;
pub(crate) mod plan;
pub(crate) mod presets;
pub(crate) mod record;
pub(crate) mod source;
pub(crate) mod source_spec;

/// A stream of a known camera, ready to be started. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Camera {
    /// The id of the stream.
    pub id: StreamId,
    /// The source of its video.
    pub source: Source,
    /// The operator's options.
    pub options: StreamOptions,
    /// The plan that worked last.
    pub learned: Learned,
    /// The numbers that were used for it.
    pub numbers: Numbers,
    /// Its ONVIF service, by which keyframes are requested.
    pub onvif: Option<OnvifAddress>,
}

impl Camera {
    /// Creates a stream about which nothing was learned yet.
    pub fn new(id: StreamId, source: Source, options: StreamOptions) -> Self {
        let learned = Learned(Arc::new(Mutex::new(Plan::first(options))));
        Self { id, source, options, learned, numbers: Numbers::default(), onvif: None }
    }

    /// Returns whether the stream of `other` has the same source and options.
    pub fn is_same_stream(&self, other: &Self) -> bool {
        self.is_like(&other.source, other.options)
    }

    /// Returns whether the stream has this source and these options.
    pub fn is_like(&self, source: &Source, options: StreamOptions) -> bool {
        self.source == *source && self.options == options
    }
}

/// The numbers of segments and epochs. No two runs of a stream use the same number, since players
/// and caches identify files by it. Clones share the numbers.
#[derive(Debug, Clone, Default)]
pub struct Numbers(Arc<AtomicU64>);

impl Numbers {
    /// Returns the first number of a new run: `at_least`, or more.
    pub fn first(&self, at_least: u64) -> u64 {
        self.0.load(Ordering::Relaxed).max(at_least)
    }

    /// Notes that a run has ended and used no number from `next` on.
    pub fn used(&self, next: u64) {
        // One more: a playlist can have announced a segment that never came.
        self.0.fetch_max(next + 1, Ordering::Relaxed);
    }
}

/// The plan that worked last for a stream. Clones share it.
#[derive(Debug, Clone)]
pub struct Learned(Arc<Mutex<Plan>>);

impl Learned {
    /// Returns the plan to begin with.
    pub fn get(&self) -> Plan {
        *lock(&self.0)
    }

    /// Replaces the plan.
    pub fn set(&self, plan: Plan) {
        *lock(&self.0) = plan;
    }
}
