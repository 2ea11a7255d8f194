//! The results of running a session.

use crate::base::error::Error;

/// The reason for which video with B-frames is refused.
pub(crate) const B_FRAMES: &str = "the video has B-frames, which players do not show over WebRTC";

/// The reason for which H.265 with several parameter sets of a kind is refused.
pub(crate) const SEVERAL_SETS: &str =
    "the video has several parameter sets of the same kind, which cannot be sent over WebRTC";

/// The reason for which video ends a session that is neither playable nor converted.
pub(crate) const NOT_CONVERTED: &str =
    "players cannot play the video, and the option `video` does not permit its conversion";

/// The reason why a session ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SessionEnd {
    /// The viewer has ended the session.
    Left,
    /// The viewer did not connect in time.
    NeverConnected,
    /// Nothing has arrived from the viewer for some time.
    Vanished,
    /// The viewer's address has changed.
    Moved,
    /// The frames cannot be sent to this viewer.
    Unsupported(&'static str),
    /// The video of this epoch has B-frames.
    Reordered(u64),
    /// The stream has ended.
    StreamEnded,
    /// The view has ended, for example because the permission has.
    View(Error),
    /// The protocol was violated.
    Failed(String),
}

impl SessionEnd {
    /// All labels.
    pub(super) const LABELS: [&str; 7] =
        ["left", "never_connected", "vanished", "moved", "unsupported", "ended", "failed"];

    /// Returns a label for metrics and logs.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::NeverConnected => "never_connected",
            Self::Vanished => "vanished",
            Self::Moved => "moved",
            Self::Unsupported(_) | Self::Reordered(_) => "unsupported",
            Self::StreamEnded | Self::View(_) => "ended",
            Self::Failed(_) => "failed",
        }
    }
}

/// The result of running a session.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The session ends for this reason.
    End(SessionEnd),
    /// The session continues, but the network is too slow for the video.
    TooSlow,
}
