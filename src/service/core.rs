//! The parts of the manager that all use cases share.

use std::sync::Arc;

use super::export_places::ExportPlaces;
use super::live_places::LivePlaces;
use crate::access::Access;
use crate::analysis::shared::Analyses;
use crate::offsite::shared::Offsite;
use crate::output::hls::output::Hls;
use crate::output::recorder::shared::Recorder;
use crate::output::webrtc::opus::OpusEncoders;
use crate::output::webrtc::server::WebRtc;
use crate::pictures::live::Pictures;
use crate::pictures::recorded::RecordedPictures;
use crate::pictures::snapshots::Snapshots;
use crate::playback::Playback;
use crate::push::Push;
use crate::reachability::monitor::ReachabilityMonitor;
use crate::recordings::h264::H264Converter;
use crate::store::{Cameras, EventLog};
use crate::stream::registry::Registry;

/// The parts of the manager that all use cases share.
pub(crate) struct Core {
    /// The API keys and their permissions.
    pub(crate) access: Access,
    /// The known cameras.
    pub(crate) cameras: Cameras,
    /// The streams that are running or have failed.
    pub(crate) registry: Registry,
    /// The playlists of the streams.
    pub(crate) hls: Hls,
    /// The WebRTC sessions of the streams.
    pub(crate) webrtc: WebRtc,
    /// The sound of the streams as Opus, for WebRTC sessions.
    pub(crate) opus: OpusEncoders,
    /// The single pictures of the streams.
    pub(crate) snapshots: Snapshots,
    /// The continuous pictures of the streams.
    pub(crate) pictures: Pictures,
    /// The cameras whose pictures are analysed.
    pub(crate) analyses: Analyses,
    /// The stored events.
    pub(crate) events: EventLog,
    /// The pictures of recordings.
    pub(crate) recorded_pictures: RecordedPictures,
    /// The conversion of recordings to H.264.
    pub(crate) h264_converter: H264Converter,
    /// The recorder; `None` if `RECORDINGS_DIRS` is not set.
    pub(crate) recorder: Option<Recorder>,
    /// The copies of recordings in another place; `None` if `OFFSITE_URL` is not set.
    pub(crate) offsite: Option<Offsite>,
    /// The playback sessions.
    pub(crate) playback: Playback,
    /// The push notifications.
    pub(crate) push: Push,
    /// The connections that viewers keep open.
    pub(crate) live_places: LivePlaces,
    /// The exports that are prepared or sent.
    pub(crate) export_places: ExportPlaces,
    /// The reachability of the cameras; `None` if `CHECK_INTERVAL_SECONDS` is not set.
    pub(crate) reachability: Option<Arc<ReachabilityMonitor>>,
}
