//! The numbers of a stream's segments, epochs and discontinuities.
//!
//! Players and caches identify files by the numbers of segments and epochs, and players identify time
//! lines by the numbers of discontinuities. So no number is used twice, not even after a restart of the
//! manager. The camera store records the numbers. It reserves them in blocks, so that it need not write
//! a row for each segment. After a crash, a stream skips at most the rest of a block of each kind.

use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::base::lock::lock;

/// The sizes of the blocks. They are small, so that a crash skips few numbers. hls.js estimates from the
/// segment numbers how much time it has missed, and skipped numbers make this estimate wrong. The block of
/// discontinuity numbers is even smaller, because at every reload of the playlist, hls.js goes through an
/// array whose length is the discontinuity number.
const BLOCK: NumberSet = NumberSet { sequence: 16, epoch: 16, discontinuity: 4 };

/// One number of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NumberSet {
    /// A media sequence number, which is the number of a segment.
    pub sequence: u64,
    /// The number of an epoch.
    pub epoch: u64,
    /// A discontinuity sequence number.
    pub discontinuity: u64,
}

impl NumberSet {
    /// Combines each number of this set with the number of the same kind in `other`.
    fn zip(self, other: Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            sequence: combine(self.sequence, other.sequence),
            epoch: combine(self.epoch, other.epoch),
            discontinuity: combine(self.discontinuity, other.discontinuity),
        }
    }

    /// Returns the higher number of each kind.
    pub(crate) fn max(self, other: Self) -> Self {
        self.zip(other, u64::max)
    }

    /// Returns the numbers that are one block higher.
    pub(crate) fn after_block(self) -> Self {
        self.zip(BLOCK, u64::saturating_add)
    }

    fn has_any(self, other: Self, test: impl Fn(u64, u64) -> bool) -> bool {
        test(self.sequence, other.sequence)
            || test(self.epoch, other.epoch)
            || test(self.discontinuity, other.discontinuity)
    }
}

/// The next free numbers of a stream. Clones share the numbers.
#[derive(Debug, Clone, Default)]
pub struct Numbers(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified when numbers should be reserved.
    low: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    /// The lowest number of each kind that has not been used.
    next: NumberSet,
    /// The lowest number of each kind that is not reserved.
    reserved: NumberSet,
}

impl State {
    /// Returns whether, for at least one kind, at most half a block of reserved numbers is left.
    fn is_low(&self) -> bool {
        let left = self.reserved.zip(self.next, u64::saturating_sub);
        left.has_any(BLOCK, |left, block| left <= block / 2)
    }
}

impl Numbers {
    /// Creates the numbers of a stream that has used and reserved all numbers below `next`. Notifies
    /// `low` when numbers should be reserved.
    pub(crate) fn new(next: NumberSet, low: Arc<Notify>) -> Self {
        let state = Mutex::new(State { next, reserved: next });
        Self(Arc::new(Shared { state, low }))
    }

    /// Returns the next free number of each kind.
    pub fn next(&self) -> NumberSet {
        lock(&self.0.state).next
    }

    /// Records that all numbers below `next` have been used, or that players may know them.
    pub(crate) fn use_below(&self, next: NumberSet) {
        let mut state = lock(&self.0.state);
        let before = state.next;
        state.next = before.max(next);
        let is_low = state.next != before && state.is_low();
        drop(state);
        if is_low {
            self.0.low.notify_one();
        }
    }

    /// Takes the next number of an epoch.
    pub(crate) fn take_epoch(&self) -> u64 {
        let epoch = self.next().epoch;
        self.use_below(NumberSet { epoch: epoch + 1, ..NumberSet::default() });
        epoch
    }

    /// Corrects the segment and epoch numbers after a crash: the stream continues with the numbers in `next`,
    /// which follow the last numbers that were used. Ignores a number before the last reserved block, which comes
    /// from the files of an earlier stream. Also ignores 0, which means that the number is unknown.
    pub(crate) fn correct(&self, next: NumberSet) {
        let mut state = lock(&self.0.state);
        let begin = state.reserved.zip(BLOCK, u64::saturating_sub);
        let choose = |known, found: u64, begin: u64| {
            if found >= begin.max(1) { found } else { known }
        };
        state.next = NumberSet {
            sequence: choose(state.next.sequence, next.sequence, begin.sequence),
            epoch: choose(state.next.epoch, next.epoch, begin.epoch),
            discontinuity: state.next.discontinuity,
        };
    }

    /// Returns the limits below which all numbers should be reserved now; `None` while enough numbers are reserved.
    pub(crate) fn to_reserve(&self) -> Option<NumberSet> {
        let state = lock(&self.0.state);
        state.is_low().then(|| state.next.after_block())
    }

    /// Returns the numbers to record when the manager ends, so that the stream later continues without
    /// skipping a number; `None` if they are already recorded.
    pub(crate) fn to_release(&self) -> Option<NumberSet> {
        let state = lock(&self.0.state);
        (state.reserved != state.next).then_some(state.next)
    }

    /// Records that all numbers below `reserved` are reserved.
    pub(crate) fn set_reserved(&self, reserved: NumberSet) {
        lock(&self.0.state).reserved = reserved;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(number: u64) -> NumberSet {
        NumberSet { sequence: number, epoch: number, discontinuity: number }
    }

    #[test]
    fn numbers_are_reserved_ahead_in_blocks() {
        let numbers = Numbers::new(set(100), Arc::default());
        let mut writes = 0;
        for sequence in 101..=1000 {
            numbers.use_below(NumberSet { sequence, ..NumberSet::default() });
            if let Some(reserved) = numbers.to_reserve() {
                numbers.set_reserved(reserved);
                writes += 1;
            }
            let skipped = lock(&numbers.0.state).reserved.sequence - sequence;
            assert!((8..=16).contains(&skipped), "a crash skips {skipped} numbers");
        }
        assert_eq!(numbers.next(), NumberSet { sequence: 1000, ..set(100) });
        assert!(writes <= 900 / 8 + 1, "{writes} writes");
    }

    #[test]
    fn a_block_is_requested_before_the_last_one_is_used_up() {
        let low = Arc::<Notify>::default();
        let numbers = Numbers::new(set(0), Arc::clone(&low));
        numbers.set_reserved(set(0).after_block());
        let is_notified = || {
            let mut notified = std::pin::pin!(low.notified());
            notified.as_mut().enable()
        };
        numbers.use_below(NumberSet { sequence: 7, ..set(0) });
        assert!(!is_notified() && numbers.to_reserve().is_none());
        numbers.use_below(NumberSet { sequence: 8, ..set(0) });
        assert!(is_notified() && numbers.to_reserve().is_some());
        numbers.use_below(NumberSet { sequence: 8, ..set(0) });
        assert!(!is_notified(), "numbers that were already used do not need another block");
    }

    #[test]
    fn no_number_goes_back() {
        let numbers = Numbers::new(set(100), Arc::default());
        numbers.use_below(set(50));
        assert_eq!(numbers.next(), set(100));
        assert_eq!((numbers.take_epoch(), numbers.take_epoch()), (100, 101));
    }

    #[test]
    fn a_crash_skips_nothing_if_the_last_numbers_are_known() {
        // The store has reserved the numbers below 100.
        let numbers = Numbers::new(set(100), Arc::default());
        numbers.correct(NumberSet { sequence: 90, epoch: 200, discontinuity: 0 });
        assert_eq!(numbers.next(), NumberSet { sequence: 90, epoch: 200, discontinuity: 100 });
        // A number before the last reserved block comes from the files of an earlier stream.
        let numbers = Numbers::new(set(100), Arc::default());
        numbers.correct(set(83));
        assert_eq!(numbers.next(), set(100));
        let numbers = Numbers::new(set(3), Arc::default());
        numbers.correct(set(0));
        assert_eq!(numbers.next(), set(3));
    }

    #[test]
    fn an_orderly_end_skips_nothing() {
        let numbers = Numbers::new(set(100), Arc::default());
        assert_eq!(numbers.to_release(), None);
        numbers.set_reserved(set(110));
        numbers.use_below(set(105));
        assert_eq!(numbers.to_release(), Some(set(105)));
    }
}
