//! Use cases, independent of HTTP. A use case checks the permission of the caller, and combines
//! functions of the layers below.
//!
//! | Module | Owns |
//! |---|---|
//! | [`core`] | the parts of the manager that all use cases share |
//! | [`permission`] | checking which cameras a caller can see or watch |
//! | [`streams`] | starting, joining, stopping and finding streams |
//! | [`snapshots`] | requests of viewers for pictures, and pictures of running streams for camera tests |
//! | [`live`] | viewers whose connection stays open |
//! | [`live_places`] | the limit of such connections |
//! | [`export_places`] | the limit of exports at the same time |
//! | [`viewer_places`] | the limit for each viewer, which both of them share |
//! | [`live_pictures`] | such viewers who get continuous pictures, from the stream that costs least |
//! | [`watching`] | requests of viewers for playlists and files |
//! | [`webrtc`] | viewers who watch over WebRTC |
//! | [`cameras`] | listing, adding, changing, deleting, importing and testing cameras |
//! | [`camera_change`] | turning a request into the record of a camera |
//! | [`certificate`] | the check of the certificate of a camera's ONVIF service |
//! | [`keeping`] | ensuring that the main streams of cameras with `keep: always` are running |
//! | [`recording`] | which streams are recorded, and the deletion of old recordings |
//! | [`analysing`] | which streams are analysed for motion |
//! | [`recorded`] | the space of recordings, protecting and deleting them, and recording a camera now |
//! | [`event_times`] | the times for which cameras are recorded because of events |
//! | [`replay`] | requests of viewers for what was recorded |
//! | [`checking`] | regular checks of whether cameras can be reached |
//! | [`discovery`] | finding cameras on the network |
//! | [`events`] | finding, following and reporting events |
//! | [`sessions`] | playback sessions |
//! | [`readiness`] | whether the service can do its work |

pub(crate) mod analysing;
pub(crate) mod camera_change;
pub(crate) mod cameras;
mod certificate;
pub(crate) mod checking;
pub(crate) mod core;
pub(crate) mod discovery;
mod event_times;
pub(crate) mod events;
pub(crate) mod export_places;
pub(crate) mod keeping;
pub(crate) mod live;
pub(crate) mod live_pictures;
pub(crate) mod live_places;
pub(crate) mod permission;
pub(crate) mod readiness;
pub(crate) mod recorded;
pub(crate) mod recording;
pub(crate) mod replay;
pub(crate) mod sessions;
pub(crate) mod snapshots;
pub(crate) mod streams;
#[cfg(test)]
pub(crate) mod testing;
mod viewer_places;
pub(crate) mod watching;
pub(crate) mod webrtc;
