//! What is known about a camera, whether its streams run or not: its id, its source, the options
//! that an operator chose, and how its video is best taken.
//!
//! | Module | Owns |
//! |---|---|
//! | [`id`] | the ids of cameras and streams, and which texts are valid ids |
//! | [`source`] | RTSP URLs, whose credentials never appear in text |
//! | [`options`] | the options of a camera's streams |
//! | [`onvif_address`] | the addresses of cameras' ONVIF services |
//! | [`networks`] | the networks that cameras are allowed to be in |
//! | [`plan`] | how a source is taken, and what a failed attempt teaches |
//! | [`presets`] | where vendors' cameras have their streams |
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

pub mod id;
pub mod networks;
pub mod onvif_address;
pub mod options;
pub mod plan;
pub mod presets;
pub mod record;
pub mod source;
pub mod source_spec;

/// One stream of a known camera. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Camera {
    /// Its name.
    pub id: StreamId,
    /// Where its video comes from.
    pub source: Source,
    /// What the operator chose for it.
    pub options: StreamOptions,
    /// How it is best ingested.
    pub learned: Learned,
    /// Which numbers its streams may use.
    pub numbers: Numbers,
    /// Its ONVIF service, by which keyframes are requested.
    pub onvif: Option<OnvifAddress>,
}

impl Camera {
    /// A camera about which nothing is learned yet.
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

/// Numbers of segments and generations, which no two streams of a camera may share: players and
/// caches know files by them. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Numbers(Arc<AtomicU64>);

impl Numbers {
    /// The first number of a new stream: `at_least`, or more.
    pub fn first(&self, at_least: u64) -> u64 {
        self.0.load(Ordering::Relaxed).max(at_least)
    }

    /// A stream that has ended used no number from `next` on.
    pub fn used(&self, next: u64) {
        // One more: a player may have been told of the segment that never came.
        self.0.fetch_max(next + 1, Ordering::Relaxed);
    }
}

/// The plan that worked last for a source. Clones share it.
#[derive(Debug, Clone)]
pub struct Learned(Arc<Mutex<Plan>>);

impl Learned {
    /// The plan to begin with.
    pub fn get(&self) -> Plan {
        *lock(&self.0)
    }

    /// Keeps a plan that is better.
    pub fn set(&self, plan: Plan) {
        *lock(&self.0) = plan;
    }
}
