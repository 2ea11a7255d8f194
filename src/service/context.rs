//! The context of use cases.

use crate::access::Access;
use crate::output::hls::output::Hls;
use crate::playback::Playback;
use crate::store::Cameras;
use crate::stream::registry::Registry;

/// The parts of the manager that use cases make work together.
pub struct Core {
    /// API keys, and what they permit.
    pub access: Access,
    /// The known cameras.
    pub cameras: Cameras,
    /// The running streams.
    pub registry: Registry,
    /// The playlists of the streams.
    pub hls: Hls,
    /// The playback sessions.
    pub playback: Playback,
}
