//! The frames of the last seconds, for recordings that begin before an event.
//!
//! The frames share their memory with the stream's hub and its other readers. All streams together keep a limited number
//! of bytes. If there are more, the stream that gets a frame drops its oldest group of pictures.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::media::frame::Frame;

/// The limit for the frames of all streams. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct PreRollBudget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: u64,
    used: AtomicU64,
}

impl PreRollBudget {
    /// Creates a limit in bytes.
    pub(crate) fn new(limit: u64) -> Self {
        Self(Arc::new(Shared { limit, used: AtomicU64::new(0) }))
    }

    /// Returns the bytes that all streams keep.
    pub(crate) fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    fn is_exceeded(&self) -> bool {
        self.used() > self.0.limit
    }
}

/// The last frames of one stream.
#[derive(Debug)]
pub(crate) struct PreRoll {
    frames: VecDeque<Arc<Frame>>,
    bytes: u64,
    budget: PreRollBudget,
    /// The time for which frames are kept. The first frame is a keyframe, so the time can be longer by one group of
    /// pictures.
    keep: Duration,
}

impl PreRoll {
    /// Creates an empty list.
    pub(crate) fn new(budget: &PreRollBudget, keep: Duration) -> Self {
        Self { frames: VecDeque::new(), bytes: 0, budget: budget.clone(), keep }
    }

    /// Changes the time for which frames are kept.
    pub(crate) fn set_keep(&mut self, keep: Duration) {
        self.keep = keep;
    }

    /// Adds a frame. Returns the number of frames of video that were dropped because of the limit.
    pub(crate) fn push(&mut self, frame: Arc<Frame>) -> u64 {
        if self.frames.is_empty() && !frame.is_entry_point() {
            return 0;
        }
        let newest = frame.received_at;
        self.add(frame.data.len() as u64);
        self.frames.push_back(frame);
        while let Some(second) = self.second_keyframe()
            && newest.saturating_duration_since(second.received_at) >= self.keep
        {
            self.drop_group();
        }
        let mut dropped = 0;
        while self.budget.is_exceeded() && !self.frames.is_empty() {
            dropped += self.drop_group();
        }
        dropped
    }

    /// Removes all frames, and returns those from the last keyframe on that had arrived at `from`. Without such a keyframe,
    /// or without a time, returns all frames. The first one is a keyframe.
    pub(crate) fn take(&mut self, from: Option<Instant>) -> VecDeque<Arc<Frame>> {
        while let (Some(from), Some(second)) = (from, self.second_keyframe())
            && second.received_at <= from
        {
            self.drop_group();
        }
        self.remove(self.bytes);
        std::mem::take(&mut self.frames)
    }

    /// Drops all frames.
    pub(crate) fn clear(&mut self) {
        drop(self.take(None));
    }

    fn second_keyframe(&self) -> Option<&Arc<Frame>> {
        self.frames.iter().skip(1).find(|frame| frame.is_entry_point())
    }

    /// Drops the frames before the second keyframe. Returns the number of frames of video.
    fn drop_group(&mut self) -> u64 {
        let mut dropped = 0;
        while let Some(oldest) = self.frames.pop_front() {
            self.remove(oldest.data.len() as u64);
            dropped += u64::from(oldest.track == crate::media::frame::Track::Video);
            if self.frames.front().is_some_and(|next| next.is_entry_point()) {
                break;
            }
        }
        dropped
    }

    fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.budget.0.used.fetch_add(bytes, Ordering::Relaxed);
    }

    fn remove(&mut self, bytes: u64) {
        self.bytes -= bytes;
        self.budget.0.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for PreRoll {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::testing;

    /// Adds a frame of 1000 bytes for each of these numbers, 25 per second, with a keyframe every second. Returns the
    /// number of dropped frames.
    fn push(list: &mut PreRoll, numbers: std::ops::Range<u64>) -> u64 {
        let format = testing::format(7);
        let frame = |n| Arc::new(testing::video(&format, n % 25 == 0, n * 40, 40));
        numbers.map(|n| list.push(frame(n))).sum()
    }

    fn numbers(list: &PreRoll) -> (u128, usize) {
        let first = list.frames.front().map_or(0, |frame| frame.decode_time.as_millis() / 40);
        (first, list.frames.len())
    }

    #[test]
    fn the_last_seconds_are_kept_from_a_keyframe_on() {
        let budget = PreRollBudget::new(u64::MAX);
        let mut list = PreRoll::new(&budget, Duration::from_secs(5));
        assert_eq!(push(&mut list, 5..1000), 0);
        // The newest frame has number 999. Five seconds before are 125 frames.
        assert_eq!(numbers(&list), (850, 150));
        assert_eq!(budget.used(), 150_000);
        let frames = list.take(None);
        assert!(frames[0].is_keyframe && frames.len() == 150);
        assert_eq!((budget.used(), numbers(&list)), (0, (0, 0)));
    }

    #[test]
    fn a_recording_begins_with_the_last_keyframe_before_its_time() {
        let budget = PreRollBudget::new(u64::MAX);
        // The list begins with number 850, and the keyframes are 25 apart.
        for (from, expected) in [(0, 850), (874, 850), (875, 875), (880, 875), (2000, 975)] {
            let mut list = PreRoll::new(&budget, Duration::from_secs(5));
            push(&mut list, 0..1000);
            let first = Arc::clone(&list.frames[0]);
            let began = first.received_at - first.decode_time;
            let frames = list.take(Some(began + Duration::from_millis(40) * from));
            let number = frames[0].decode_time.as_millis() / 40;
            assert_eq!((number, frames.len() as u128), (expected, 1000 - expected), "from {from}");
            assert_eq!(budget.used(), 0);
        }
    }

    #[test]
    fn above_the_limit_the_oldest_groups_are_dropped() {
        let budget = PreRollBudget::new(60_000);
        let mut list = PreRoll::new(&budget, Duration::from_mins(1));
        let mut other = PreRoll::new(&budget, Duration::from_mins(1));
        push(&mut list, 0..40);
        assert_eq!(push(&mut other, 0..50), 21 + 21);
        assert!(budget.used() <= 60_000);
        assert_eq!(numbers(&list), (0, 40), "only the stream that gets frames drops some");
        drop((list, other));
        assert_eq!(budget.used(), 0);
    }
}
