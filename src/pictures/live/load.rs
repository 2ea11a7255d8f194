//! The reduction of the number of pictures while the machine is too busy. Pure.
//!
//! With B-frames, FFmpeg needs later frames before it can write a picture. The time until they arrive does not show how
//! busy the machine is.

use std::time::Duration;

use tokio::time::Instant;

/// A picture that takes longer than this shows that FFmpeg is too slow. Usually, FFmpeg takes 10 to 50 ms.
const TOO_OLD: Duration = Duration::from_millis(300);
/// The number of pictures is reduced when all pictures have been too old for this time.
const REDUCE_AFTER: Duration = Duration::from_millis(1500);
/// The number of pictures is raised when no picture has been too old for this time.
const RAISE_AFTER: Duration = Duration::from_secs(15);
/// A reduction within this time after a raise shows that the raise was too much. The next raise then takes twice as
/// long.
const PROVEN_AFTER: Duration = Duration::from_secs(30);
/// The longest time after which the number of pictures is raised.
const RAISE_AFTER_AT_MOST: Duration = Duration::from_mins(4);
/// The level at which FFmpeg gets only keyframes.
const KEYFRAMES_ONLY: u32 = 4;

/// By how much the number of pictures is reduced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reduction(u32);

impl Reduction {
    /// Returns the number by which rates are divided: 1 if there is no reduction.
    pub(super) fn divisor(self) -> u32 {
        1 << self.0.min(KEYFRAMES_ONLY - 1)
    }

    /// Returns true if only keyframes are decoded, because even fewer pictures would not help: decoding takes most of
    /// the time.
    pub(super) fn is_keyframes_only(self) -> bool {
        self.0 >= KEYFRAMES_ONLY
    }
}

/// Observes the delays of pictures, and decides on the reduction.
#[derive(Debug)]
pub(super) struct Load {
    reduction: Reduction,
    /// The time since which all pictures are too old, or since which none is.
    since: Option<Instant>,
    is_too_old: bool,
    raise_after: Duration,
    raised_at: Option<Instant>,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            reduction: Reduction::default(),
            since: None,
            is_too_old: false,
            raise_after: RAISE_AFTER,
            raised_at: None,
        }
    }
}

impl Load {
    /// Returns the reduction.
    pub(super) fn reduction(&self) -> Reduction {
        self.reduction
    }

    /// Returns true if only keyframes are decoded.
    pub(super) fn is_keyframes_only(&self) -> bool {
        self.reduction.is_keyframes_only()
    }

    /// Notes how long FFmpeg took to write a picture, since the arrival of the last frame that it needed for the picture.
    pub(super) fn note(&mut self, delay: Duration, now: Instant) {
        let is_too_old = delay > TOO_OLD;
        if is_too_old != self.is_too_old || self.since.is_none() {
            (self.is_too_old, self.since) = (is_too_old, Some(now));
            return;
        }
        let lasts = self.since.map(|since| now.saturating_duration_since(since));
        if is_too_old && lasts >= Some(REDUCE_AFTER) {
            self.reduce(now);
        } else if !is_too_old && self.reduction.0 > 0 && lasts >= Some(self.raise_after) {
            self.reduction.0 -= 1;
            (self.since, self.raised_at) = (Some(now), Some(now));
        }
    }

    /// Notes that frames were lost, because FFmpeg was too slow to take them.
    pub(super) fn note_loss(&mut self, now: Instant) {
        self.reduce(now);
    }

    fn reduce(&mut self, now: Instant) {
        self.reduction.0 = (self.reduction.0 + 1).min(KEYFRAMES_ONLY);
        self.since = Some(now);
        let raised_at = self.raised_at.take();
        if raised_at.is_some_and(|at| now.saturating_duration_since(at) < PROVEN_AFTER) {
            self.raise_after = (self.raise_after * 2).min(RAISE_AFTER_AT_MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes a picture of this age every 100 ms, for `seconds`.
    fn note(load: &mut Load, now: &mut Instant, age: u64, seconds: u64) {
        for _ in 0..seconds * 10 {
            *now += Duration::from_millis(100);
            load.note(Duration::from_millis(age), *now);
        }
    }

    #[test]
    fn pictures_become_fewer_while_they_are_too_old_and_more_afterwards() {
        let (mut load, mut now) = (Load::default(), Instant::now());
        note(&mut load, &mut now, 40, 60);
        assert_eq!(load.reduction().divisor(), 1);
        note(&mut load, &mut now, 400, 2);
        assert_eq!(load.reduction().divisor(), 2);
        note(&mut load, &mut now, 400, 20);
        assert!(load.reduction().is_keyframes_only());
        assert_eq!(load.reduction().divisor(), 8);
        note(&mut load, &mut now, 40, 17);
        assert!(!load.reduction().is_keyframes_only());
        note(&mut load, &mut now, 400, 2);
        assert!(load.reduction().is_keyframes_only());
        note(&mut load, &mut now, 40, 28);
        assert!(load.reduction().is_keyframes_only(), "the last raise was too much");
        note(&mut load, &mut now, 40, 200);
        assert_eq!(load.reduction(), Reduction::default());
    }

    #[test]
    fn single_pictures_that_are_too_old_change_nothing() {
        let (mut load, mut now) = (Load::default(), Instant::now());
        for _ in 0..20 {
            note(&mut load, &mut now, 2000, 1);
            note(&mut load, &mut now, 40, 1);
        }
        assert_eq!(load.reduction().divisor(), 1);
        load.note_loss(now);
        assert_eq!(load.reduction().divisor(), 2);
    }
}
