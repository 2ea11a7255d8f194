//! For tests: a packager whose fragments contain no media.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Packager;
use crate::camera::id::StreamId;
use crate::camera::numbers::NumberSet;
use crate::camera::origin::{CurrentOrigin, Origin};
use crate::output::disk_budget::DiskBudget;
use crate::output::hls::cutter::SegmentPolicy;
use crate::output::hls::fragment::testing;
use crate::output::hls::layout::Layout;
use crate::output::hls::published::Published;
use crate::output::hls::segment::Segment;

/// The number of the first segment.
pub(super) const FIRST: u64 = 1_763_690_000;

/// A packager that writes to a directory of its own.
pub(super) struct Setup {
    pub(super) root: tempfile::TempDir,
    pub(super) packager: Packager,
}

/// Creates a packager with parts of 200 ms. `segment_time` is in seconds.
pub(super) fn setup(segment_time: f64, list_size: usize) -> Setup {
    let root = tempfile::tempdir().expect("a directory");
    let id = StreamId::parse("cam").expect("an id");
    let dir = Layout::new(root.path().to_owned()).stream_dir(&id);
    let segment_time = Duration::from_secs_f64(segment_time);
    Setup {
        packager: Packager::new(
            dir,
            DiskBudget::new(root.path().to_owned(), None).share(),
            SegmentPolicy { segment_time, list_size, part_time: Duration::from_millis(200) },
            NumberSet { sequence: FIRST, epoch: 0, discontinuity: 40 },
            CurrentOrigin::new(Origin::default()),
        ),
        root,
    }
}

impl Setup {
    /// Pushes `seconds` of fragments of 200 ms with a keyframe every `gop_ms`, from the
    /// epoch's time `from_ms` on. No error may be reported.
    pub(super) fn feed(&mut self, epoch: u64, from_ms: u64, seconds: u64, gop_ms: u64) {
        self.feed_after_error(epoch, from_ms, seconds, gop_ms);
        assert_eq!(self.packager.progress().failures, 0);
    }

    /// Does the same as `feed` after an error, which must not be reported any more at the end.
    pub(super) fn feed_after_error(&mut self, epoch: u64, from_ms: u64, seconds: u64, gop_ms: u64) {
        let init = testing::init(epoch);
        for time in (from_ms..from_ms + seconds * 1000).step_by(200) {
            self.packager.push(&testing::fragment(&init, time % gop_ms == 0, time, 200));
        }
        assert_eq!(self.packager.progress().error, None);
    }

    /// Returns the newest playlists.
    pub(super) fn published(&self) -> Arc<Published> {
        self.packager.newest().borrow().clone().expect("a playlist")
    }

    /// Returns the newest media playlist.
    pub(super) fn playlist(&self) -> m3u8_rs::MediaPlaylist {
        let text = self.published().whole();
        m3u8_rs::parse_media_playlist_res(&text).expect("a playlist that others can read")
    }

    /// Returns the durations of the segments in the playlist, in milliseconds.
    pub(super) fn durations(&self) -> Vec<u32> {
        let playlist = self.playlist();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds")]
        playlist.segments.iter().map(|s| (s.duration * 1000.0).round() as u32).collect()
    }

    /// Returns whether the stream has a file of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.root.path().join("cam").join(name).exists()
    }

    /// Returns the dates of the finished segments, in milliseconds. The playlist lists only some of them.
    pub(super) fn dates(&self) -> Vec<u128> {
        let since_1970 = |segment: &Segment| {
            segment.begins_at.duration_since(SystemTime::UNIX_EPOCH).expect("a date").as_millis()
        };
        self.packager.playlist.segments().map(since_1970).collect()
    }
}
