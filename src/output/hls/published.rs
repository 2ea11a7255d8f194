//! A stream's playlists, as players get them.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::base::error::{Error, ErrorKind};
use crate::output::hls::playlist::{Playlist, Position};

/// A stream's playlists at one moment. The media playlist is rendered on its first request: a new version
/// is published for each fragment, and most versions are never requested.
#[derive(Debug)]
pub(crate) struct Published {
    playlist: Playlist,
    multivariant: Bytes,
    whole: OnceLock<Bytes>,
    delta: OnceLock<Bytes>,
}

impl Published {
    /// Wraps a media playlist and its multivariant playlist for publication.
    pub(crate) fn new(playlist: Playlist, multivariant: Bytes) -> Self {
        Self { playlist, multivariant, whole: OnceLock::new(), delta: OnceLock::new() }
    }

    /// Returns the multivariant playlist.
    pub(crate) fn multivariant(&self) -> Bytes {
        self.multivariant.clone()
    }

    /// Returns the whole media playlist.
    pub(crate) fn whole(&self) -> Bytes {
        self.whole.get_or_init(|| self.playlist.render().into()).clone()
    }

    /// Returns the delta update of the media playlist, for players that know the older segments.
    /// Returns the whole media playlist while it is too short for a delta update.
    pub(crate) fn delta(&self) -> Bytes {
        let render = || self.playlist.render_delta().map_or_else(|| self.whole(), Bytes::from);
        self.delta.get_or_init(render).clone()
    }

    /// Returns the position at which the media playlist ends.
    pub(crate) fn position(&self) -> Position {
        self.playlist.position()
    }

    /// Returns the target duration of the media playlist.
    pub(crate) fn target_duration(&self) -> Duration {
        self.playlist.target_duration()
    }

    /// Returns the number of the media playlist's last discontinuity.
    pub(crate) fn last_discontinuity(&self) -> u64 {
        self.playlist.last_discontinuity()
    }

    /// Returns whether the media playlist has reached the end of the segment `sequence` or, if `part` is given, the
    /// end of this part.
    pub(crate) fn has(&self, sequence: u64, part: Option<usize>) -> bool {
        self.playlist.position().has(sequence, part)
    }

    /// Fails if a requested segment is further ahead than a player can expect (RFC 8216bis, 6.2.5.2).
    pub(crate) fn ensure_near(&self, sequence: u64) -> Result<(), Error> {
        let end = self.playlist.position();
        if !end.is_too_far(sequence) {
            return Ok(());
        }
        let last = end.sequence;
        let detail = format!("_HLS_msn={sequence} is too far ahead; the stream is at {last}");
        Err(Error::new(ErrorKind::InvalidRequest, detail))
    }
}

/// The receiver of a stream's newest playlists: `None` before the first ones. Closed when the output
/// has ended.
pub(crate) type PlaylistReceiver = watch::Receiver<Option<Arc<Published>>>;
