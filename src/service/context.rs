//! The context of use cases.

use crate::access::Access;
use crate::output::hls::output::Hls;
use crate::playback::Playback;
use crate::store::Cameras;
use crate::stream::registry::Registry;

/// The parts of the manager that use cases make work together.
pub(crate) struct Core {
    /// API keys, and what they permit.
    pub(crate) access: Access,
    /// The known cameras.
    pub(crate) cameras: Cameras,
    /// The running streams.
    pub(crate) registry: Registry,
    /// The playlists of the streams.
    pub(crate) hls: Hls,
    /// The playback sessions.
    pub(crate) playback: Playback,
}
