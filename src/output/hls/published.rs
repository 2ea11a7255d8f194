//! A stream's playlists as players get them.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::sync::watch;

use crate::base::error::{Error, ErrorKind};
use crate::output::hls::playlist::{Playlist, Position};

/// A stream's playlists at one moment. They are rendered on the first request: a new one is published
/// ten times a second, and most are never requested.
#[derive(Debug)]
pub(crate) struct Published {
    playlist: Playlist,
    index: Bytes,
    whole: OnceLock<Bytes>,
    delta: OnceLock<Bytes>,
}

impl Published {
    /// Publishes `playlist`, with the multivariant one beside it.
    pub(crate) fn new(playlist: Playlist, index: Bytes) -> Self {
        Self { playlist, index, whole: OnceLock::new(), delta: OnceLock::new() }
    }

    /// The multivariant playlist.
    pub(crate) fn index(&self) -> Bytes {
        self.index.clone()
    }

    /// The whole playlist.
    pub(crate) fn whole(&self) -> Bytes {
        self.whole.get_or_init(|| self.playlist.render().into()).clone()
    }

    /// The delta update for players that know the older segments; the whole playlist while it is
    /// short.
    pub(crate) fn delta(&self) -> Bytes {
        let render = || self.playlist.render_delta().map_or_else(|| self.whole(), Bytes::from);
        self.delta.get_or_init(render).clone()
    }

    /// The end of the playlist.
    pub(crate) fn position(&self) -> Position {
        self.playlist.position()
    }

    /// Whether the playlist has this segment, or this part of it.
    pub(crate) fn has(&self, sequence: u64, part: Option<usize>) -> bool {
        self.playlist.position().has(sequence, part)
    }

    /// Refuses to wait for a segment that is so far ahead that it is a mistake (RFC 8216bis,
    /// 6.2.5.2).
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

/// Receives a stream's newest playlists: `None` before the first ones; closed when the stream has
/// gone.
pub(crate) type PlaylistReceiver = watch::Receiver<Option<Arc<Published>>>;
