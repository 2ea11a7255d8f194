//! Publishes a stream's playlists.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use crate::camera::numbers::{NumberSet, Numbers};
use crate::output::hls::fragment::{Fragment, InitSegment};
use crate::output::hls::multivariant::Variant;
use crate::output::hls::playlist::Playlist;
use crate::output::hls::published::{PlaylistReceiver, Published};
use crate::output::hls::segment::Segment;

/// Publishes media playlists, each with the multivariant playlist of the moment.
#[derive(Debug)]
pub(super) struct PlaylistPublisher {
    newest: watch::Sender<Option<Arc<Published>>>,
    /// The description of the media after the last init segment; `None` before the first one.
    variant: Option<Variant>,
    /// The multivariant playlist after the last finished segment.
    multivariant: Bytes,
}

impl PlaylistPublisher {
    /// Creates a publisher that has published nothing.
    pub(super) fn new() -> Self {
        Self { newest: watch::Sender::new(None), variant: None, multivariant: Bytes::new() }
    }

    /// Returns a receiver of the newest playlists.
    pub(super) fn newest(&self) -> PlaylistReceiver {
        self.newest.subscribe()
    }

    /// Returns whether a playlist is published. Until then, players know no segment.
    pub(super) fn has_published(&self) -> bool {
        self.newest.borrow().is_some()
    }

    /// Records that the media after this init segment follows.
    pub(super) fn begin(&mut self, init: &InitSegment) {
        self.variant = Some(Variant::new(init));
    }

    /// Records that a fragment was written.
    pub(super) fn written(&mut self, fragment: &Fragment) {
        if let Some(variant) = &mut self.variant {
            variant.add(fragment);
        }
    }

    /// Records that a segment is finished.
    pub(super) fn finished(&mut self, segment: &Segment) {
        if let Some(variant) = &mut self.variant {
            variant.finish(segment);
            self.multivariant = variant.render().into();
        }
    }

    /// Publishes this media playlist.
    pub(super) fn publish(&self, playlist: Playlist) {
        let published = Published::new(playlist, self.multivariant.clone());
        self.newest.send_replace(Some(Arc::new(published)));
    }

    /// Marks the numbers that players may know as used. Before the first playlist is published, players know none.
    pub(super) fn record_numbers(&self, numbers: &Numbers) {
        if let Some(newest) = &*self.newest.borrow() {
            numbers.use_below(NumberSet {
                sequence: newest.position().first_unknown(),
                discontinuity: newest.last_discontinuity() + 1,
                epoch: 0,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::output::hls::fragment::testing;
    use crate::output::hls::packager::testing::{Setup, setup};

    #[test]
    fn the_multivariant_playlist_describes_whole_segments() {
        let mut setup = setup(2.0, 10);
        let variant = |setup: &Setup| {
            let text = setup.published().multivariant();
            m3u8_rs::parse_master_playlist_res(&text).expect("a playlist").variants.remove(0)
        };
        let init = testing::init(7);
        for time in (0..7000).step_by(200) {
            let mut fragment = testing::fragment(&init, time % 2000 == 0, time, 200);
            // The first keyframe alone is as large as one second of the later video.
            let size = if time == 0 { 125_000 } else { 25_000 };
            fragment.slices = vec![vec![0; size].into()];
            setup.packager.push(&fragment);
            if time == 400 {
                assert_eq!(variant(&setup).bandwidth, 3_000_000);
            }
        }
        assert_eq!(variant(&setup).bandwidth, 1_000_000);
        assert_eq!(variant(&setup).frame_rate, Some(25.0));
    }
}
