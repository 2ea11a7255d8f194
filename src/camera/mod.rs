//! Cameras, whether or not their streams run: their ids, sources, options, ingest
//! plans and numbers. Also the rules for the addresses of cameras, and the presets of vendors.
//!
//! | Module | Owns |
//! |---|---|
//! | [`id`] | the ids of cameras and streams |
//! | [`source`] | RTSP URLs, whose credentials are never shown |
//! | `link` | correcting and comparing links as people paste them, and removing credentials from links |
//! | [`source_change`] | changes of single parts of a source |
//! | [`options`] | the options of a camera's streams |
//! | [`onvif_address`] | the addresses of cameras' ONVIF services |
//! | [`numbers`] | the numbers of a stream's segments, epochs and discontinuities |
//! | [`origin`] | which camera of which owner a stream's media came from |
//! | [`identity`] | which camera of which owner has an id |
//! | [`networks`] | the networks in which cameras are permitted |
//! | [`plan`] | how a camera is ingested, and the lessons of failed runs |
//! | [`presets`] | RTSP ports and paths of cameras, by vendor |
//! | [`source_spec`] | the source of a camera as the operator entered it: as links, or as address and paths |
//! | [`motion`] | the options of the detection of motion |
//! | [`record`] | a camera as the camera store keeps it |
//! | [`recording`] | when a camera is recorded |
//! | [`identity_tag`] | the short form of an identity, for names of directories |
//! | [`zone`] | the network interfaces of link-local IPv6 addresses |

use std::sync::{Arc, Mutex};

use crate::base::lock::lock;
use id::StreamId;
use identity::Identity;
use numbers::Numbers;
use onvif_address::OnvifAddress;
use options::{KeepOption, StreamOptions};
use origin::Origin;
use plan::Plan;
use source::Source;

pub(crate) mod id;
pub(crate) mod identity;
pub(crate) mod identity_tag;
pub(crate) mod link;
pub(crate) mod motion;
pub(crate) mod networks;
pub(crate) mod numbers;
pub(crate) mod onvif_address;
pub(crate) mod options;
pub(crate) mod origin;
pub(crate) mod plan;
pub(crate) mod presets;
pub(crate) mod record;
pub(crate) mod recording;
pub(crate) mod source;
pub(crate) mod source_change;
pub(crate) mod source_spec;
pub(crate) mod zone;

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
    /// The next free numbers of the stream's segments, epochs and discontinuities.
    pub numbers: Numbers,
    /// The origin of the stream's media.
    pub origin: Origin,
    /// Which camera of which owner the stream belongs to.
    pub identity: Identity,
    /// The camera's ONVIF service, from which keyframes are requested.
    pub onvif: Option<OnvifAddress>,
}

impl Camera {
    /// Creates a stream that runs on demand, with the first plan for `options` and without an ONVIF service.
    pub fn new(id: StreamId, source: Source, options: StreamOptions) -> Self {
        let learned = Learned::new(Plan::first(options));
        let (keep, numbers) = (KeepOption::default(), Numbers::default());
        let (origin, identity) = (Origin::default(), Identity::default());
        Self { id, source, options, keep, learned, numbers, origin, identity, onvif: None }
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

/// The current plan of a stream: the first plan, as changed by the lessons of failed runs. Clones share
/// the plan.
#[derive(Debug, Clone)]
pub struct Learned(Arc<Mutex<Plans>>);

#[derive(Debug)]
struct Plans {
    current: Plan,
    /// The last plan with which the stream was live, or the first plan.
    proven: Plan,
    /// True if the stream was last live without audio, because the camera was busy in all attempts with audio.
    is_audio_doubtful: bool,
}

impl Learned {
    /// Creates the plan of a stream that has not run.
    fn new(plan: Plan) -> Self {
        Self(Arc::new(Mutex::new(Plans { current: plan, proven: plan, is_audio_doubtful: false })))
    }

    /// Returns the plan for the next run.
    pub fn get(&self) -> Plan {
        lock(&self.0).current
    }

    /// Replaces the plan.
    pub fn set(&self, plan: Plan) {
        lock(&self.0).current = plan;
    }

    /// Records that the stream is live with `plan`. This plan becomes the current plan, and the plan to which
    /// [`Learned::revert`] returns.
    pub(crate) fn prove(&self, plan: Plan) {
        *lock(&self.0) = Plans { current: plan, proven: plan, is_audio_doubtful: false };
    }

    /// Records that the stream is live without audio, because the camera was busy in all attempts with audio. Does
    /// not change the plan, because the camera may have been busy for another reason.
    pub(crate) fn doubt_audio(&self) {
        lock(&self.0).is_audio_doubtful = true;
    }

    /// Returns whether the stream was last live without audio, because the camera was busy in all attempts with
    /// audio.
    pub(crate) fn is_audio_doubtful(&self) -> bool {
        lock(&self.0).is_audio_doubtful
    }

    /// Returns to the last plan with which the stream was live, or to the first plan. Later lessons may be
    /// wrong, because the camera may have refused only temporarily.
    pub(crate) fn revert(&self) {
        let mut plans = lock(&self.0);
        plans.current = plans.proven;
    }
}
