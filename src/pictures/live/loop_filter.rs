//! The decision whether FFmpeg leaves out the loop filter. Pure.
//!
//! The loop filter takes a third of the time, but without it, small errors add up from frame to frame until the next
//! keyframe. The detection of motion sees these errors. A changed decision needs another FFmpeg, so it must not change often.

use std::time::Duration;

use tokio::time::Instant;

/// The longest group of pictures whose errors are invisible, in frames.
const SHORT_GOP: f64 = 64.0;
/// If the loop filter is left out already, a group of pictures can have this number of frames, so that the decision does
/// not change with each group.
const STILL_SHORT_GOP: f64 = 80.0;
/// The decision changes when the distance of keyframes was different for this time. The time doubles with each change.
const CHANGES_AFTER: Duration = Duration::from_secs(10);
/// The longest time after which the decision changes.
const CHANGES_AFTER_AT_MOST: Duration = Duration::from_mins(30);

/// Decides whether FFmpeg leaves out the loop filter.
#[derive(Debug)]
pub(super) struct LoopFilter {
    is_skipped: bool,
    /// The time since which the opposite would be right; `None` if the decision is right.
    wrong_since: Option<Instant>,
    changes_after: Duration,
}

impl Default for LoopFilter {
    fn default() -> Self {
        Self { is_skipped: false, wrong_since: None, changes_after: CHANGES_AFTER }
    }
}

impl LoopFilter {
    /// Returns whether the loop filter is left out. `gop` is the number of frames from one keyframe to the next; `None` if
    /// it is not known. `is_new` is true if an FFmpeg has to be started anyway. If the loop filter `is_needed`, the decision
    /// changes at once.
    pub(super) fn is_skipped(
        &mut self,
        gop: Option<f64>,
        is_needed: bool,
        is_new: bool,
        now: Instant,
    ) -> bool {
        if is_needed {
            (self.is_skipped, self.wrong_since) = (false, None);
            return false;
        }
        let limit = if self.is_skipped { STILL_SHORT_GOP } else { SHORT_GOP };
        let is_wrong = gop.is_some_and(|frames| (frames <= limit) != self.is_skipped);
        if !is_wrong {
            self.wrong_since = None;
            return self.is_skipped;
        }
        let since = *self.wrong_since.get_or_insert(now);
        if is_new || now.saturating_duration_since(since) >= self.changes_after {
            (self.is_skipped, self.wrong_since) = (!self.is_skipped, None);
            if !is_new {
                self.changes_after = (self.changes_after * 2).min(CHANGES_AFTER_AT_MOST);
            }
        }
        self.is_skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how often the decision changes in `minutes`, with the groups of pictures that `gop` has at each second.
    fn changes(minutes: u64, gop: impl Fn(u64) -> Option<f64>) -> (u32, bool) {
        let (mut filter, began_at) = (LoopFilter::default(), Instant::now());
        let (mut count, mut last) = (0, false);
        for second in 0..minutes * 60 {
            let now = began_at + Duration::from_secs(second);
            let is_skipped = filter.is_skipped(gop(second), false, false, now);
            count += u32::from(std::mem::replace(&mut last, is_skipped) != is_skipped);
        }
        (count, last)
    }

    #[test]
    fn the_decision_follows_the_distance_of_keyframes() {
        assert_eq!(changes(1, |_| Some(50.0)), (1, true));
        assert_eq!(changes(1, |_| Some(250.0)), (0, false));
        assert_eq!(changes(1, |_| None), (0, false));
        assert_eq!(changes(2, |second| Some(if second < 60 { 50.0 } else { 250.0 })), (2, false));
        let mut filter = LoopFilter::default();
        assert!(
            filter.is_skipped(Some(50.0), false, true, Instant::now()),
            "an FFmpeg starts anyway"
        );
    }

    #[test]
    fn the_loop_filter_is_used_as_soon_as_it_is_needed_and_some_time_longer() {
        let (mut filter, now) = (LoopFilter::default(), Instant::now());
        assert!(filter.is_skipped(Some(50.0), false, true, now));
        let mut changes = Vec::new();
        let mut last = true;
        for second in 0..600 {
            // Every minute for half a minute.
            let is_needed = second % 60 < 30;
            let time = now + Duration::from_secs(second);
            let is_skipped = filter.is_skipped(Some(50.0), is_needed, false, time);
            if is_skipped != last {
                changes.push(second);
            }
            last = is_skipped;
        }
        assert_eq!(changes, [0, 40, 60, 110, 120]);
    }

    #[test]
    fn the_decision_does_not_change_often() {
        let near = |second: u64| Some(if second.is_multiple_of(2) { 63.9 } else { 64.2 });
        assert!(changes(60, near).0 <= 1);
        let alternating =
            |second: u64| Some(if (second / 30).is_multiple_of(2) { 50.0 } else { 250.0 });
        assert!(changes(60, alternating).0 <= 3, "{:?}", changes(60, alternating));
    }
}
