//! Recorded files for tests. They contain no media.

use super::footage::RecordedFootage;
use crate::store::db::fragment_list::RecordedFragment;
use crate::store::db::recording_table::{Offsite, RecordedFile};

/// Bytes of the init segment of each file.
pub(crate) const INIT: u64 = 900;

/// Returns consecutive fragments with these sizes, durations in milliseconds, and keyframe flags.
pub(crate) fn fragments(list: impl IntoIterator<Item = (u32, u32, bool)>) -> Vec<RecordedFragment> {
    let (mut offset, mut begin_ms) = (INIT, 0);
    let place = |(size, duration_ms, is_keyframe)| {
        let fragment = RecordedFragment { offset, size, begin_ms, duration_ms, is_keyframe };
        offset += u64::from(size);
        begin_ms += duration_ms;
        fragment
    };
    list.into_iter().map(place).collect()
}

/// Returns a closed file that begins at `start_at` and has `groups` groups of pictures of two seconds.
pub(crate) fn file(id: i64, span: i64, start_at: i64, groups: u32) -> RecordedFootage {
    let group = |_| [(100, 40, true), (200, 1000, false), (150, 960, false)];
    let fragments = fragments((0..groups).flat_map(group));
    let bytes = fragments.last().map_or(INIT, RecordedFragment::end);
    let file = RecordedFile {
        id,
        stream: 1,
        dir: 1,
        format: 1,
        span,
        start_at,
        end_at: start_at + i64::from(groups) * 2000,
        decode_time: 0,
        bytes,
        init_bytes: INIT,
        frames: groups * 50,
        is_open: false,
        is_locked: false,
        has_event: false,
        is_local: true,
        offsite: Offsite::None,
        offsite_place: None,
    };
    RecordedFootage { file, fragments }
}
