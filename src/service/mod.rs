//! Use cases that every edge shares: each checks the permission of its caller and makes the parts
//! below work together. Nothing here knows HTTP.
//!
//! | Module | Owns |
//! |---|---|
//! | [`context`] | the context of use cases: the parts that they make work together |
//! | [`permission`] | which cameras a caller can see, and the permission to watch |
//! | [`streams`] | starting, joining and stopping streams |
//! | [`watching`] | playlists, and the sign that a viewer is still there |
//! | [`cameras`] | adding, changing, deleting and testing cameras |
//! | [`camera_change`] | how a request changes a camera |
//! | [`discovery`] | cameras on the network |
//! | [`sessions`] | playback sessions |
//! | [`readiness`] | whether the service can do its work |

pub(crate) mod camera_change;
pub(crate) mod cameras;
pub(crate) mod context;
pub(crate) mod discovery;
pub(crate) mod permission;
pub(crate) mod readiness;
pub(crate) mod sessions;
pub(crate) mod streams;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod watching;
