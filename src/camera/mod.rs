//! Descriptions of cameras: ids, sources, options and ingest plans. They do not depend on whether a
//! stream runs.
//!
//! | Module | Owns |
//! |---|---|
//! | [`id`] | the ids of cameras and streams |
//! | [`source`] | RTSP URLs, whose credentials are never shown |
//! | [`options`] | the options of a camera's streams |
//! | [`onvif_address`] | the addresses of cameras' ONVIF services |
//! | [`networks`] | the networks in which cameras are permitted |
//! | [`plan`] | how a camera is ingested, and the lessons of failed runs |
//! | [`presets`] | RTSP ports and paths of cameras, by vendor |
//! | [`source_spec`] | the source of a camera as the operator entered it: as links, or as address and paths |
//! | [`record`] | a camera as the camera store keeps it |

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::base::lock::lock;
use id::StreamId;
use onvif_address::OnvifAddress;
use options::{KeepOption, StreamOptions};
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

/// Everything that is needed to start one stream of a camera. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Camera {
    /// The id of the stream.
    pub id: StreamId,
    /// The source of the stream's media.
    pub source: Source,
    /// The operator's options.
    pub options: StreamOptions,
    /// When the stream runs. Always [`KeepOption::OnDemand`] for a sub stream.
    pub keep: KeepOption,
    /// The plan for the next run.
    pub learned: Learned,
    /// The numbers that are free for segments and epochs of the stream.
    pub numbers: Numbers,
    /// The camera's ONVIF service, from which keyframes are requested.
    pub onvif: Option<OnvifAddress>,
}

impl Camera {
    /// Creates a stream that runs on demand, with the first plan for `options` and without an ONVIF service.
    pub fn new(id: StreamId, source: Source, options: StreamOptions) -> Self {
        let learned = Learned(Arc::new(Mutex::new(Plan::first(options))));
        let (keep, numbers) = (KeepOption::default(), Numbers::default());
        Self { id, source, options, keep, learned, numbers, onvif: None }
    }

    /// Returns whether `other` has the same source and options.
    pub fn is_same_stream(&self, other: &Self) -> bool {
        self.is_like(&other.source, other.options)
    }

    /// Returns whether this stream has the given source and options.
    pub fn is_like(&self, source: &Source, options: StreamOptions) -> bool {
        self.source == *source && self.options == options
    }
}

/// The next free numbers of a stream: one for segments and epochs, and one for discontinuities. Players and
/// caches identify files by the numbers of segments and epochs, and players identify time lines by the
/// numbers of discontinuities. So no number is used twice. Clones share the numbers.
#[derive(Debug, Clone, Default)]
pub struct Numbers(Arc<FreeNumbers>);

#[derive(Debug, Default)]
struct FreeNumbers {
    next: AtomicU64,
    /// Zero until a number has been used.
    next_discontinuity: AtomicU64,
}

impl Numbers {
    /// Returns the first number for a stream that starts: the next free number, or `at_least` if that is
    /// higher.
    pub fn first(&self, at_least: u64) -> u64 {
        self.0.next.load(Ordering::Relaxed).max(at_least)
    }

    /// Records that the numbers up to `number` have been used or announced.
    pub fn used(&self, number: u64) {
        self.0.next.fetch_max(number + 1, Ordering::Relaxed);
    }

    /// Returns the next free discontinuity number; `None` if no number has been used.
    pub fn next_discontinuity(&self) -> Option<u64> {
        Some(self.0.next_discontinuity.load(Ordering::Relaxed)).filter(|next| *next > 0)
    }

    /// Records that the discontinuity numbers up to `number` have been announced.
    pub fn used_discontinuity(&self, number: u64) {
        self.0.next_discontinuity.fetch_max(number + 1, Ordering::Relaxed);
    }
}

/// The current plan of a stream: the first plan, as changed by the lessons of failed runs. Clones share
/// the plan.
#[derive(Debug, Clone)]
pub struct Learned(Arc<Mutex<Plan>>);

impl Learned {
    /// Returns the plan for the next run.
    pub fn get(&self) -> Plan {
        *lock(&self.0)
    }

    /// Replaces the plan.
    pub fn set(&self, plan: Plan) {
        *lock(&self.0) = plan;
    }
}
