//! What the packager shows to players: a stream's playlists.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::sync::watch;

use crate::output::hls::playlist::{Playlist, Position};

/// A stream's playlists at one moment. They are made of it when somebody asks: ten times a second it
/// is another one, and often nobody does.
#[derive(Debug)]
pub struct Published {
    playlist: Playlist,
    index: Bytes,
    whole: OnceLock<Bytes>,
    delta: OnceLock<Bytes>,
}

impl Published {
    /// The playlists of `playlist`, and the multivariant one beside it.
    pub fn new(playlist: Playlist, index: Bytes) -> Self {
        Self { playlist, index, whole: OnceLock::new(), delta: OnceLock::new() }
    }

    /// The multivariant playlist.
    pub fn index(&self) -> Bytes {
        self.index.clone()
    }

    /// The whole playlist.
    pub fn whole(&self) -> Bytes {
        self.whole.get_or_init(|| self.playlist.render().into()).clone()
    }

    /// The playlist for players that know the older segments; the whole one when it is short.
    pub fn delta(&self) -> Bytes {
        let render = || self.playlist.render_delta().map_or_else(|| self.whole(), Bytes::from);
        self.delta.get_or_init(render).clone()
    }

    /// Where it ends.
    pub fn position(&self) -> Position {
        self.playlist.position()
    }
}

/// The newest playlists; `None` before the first ones. Closed when the stream has gone.
pub type PlaylistReceiver = watch::Receiver<Option<Arc<Published>>>;
