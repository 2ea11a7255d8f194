//! The rate of one WebSocket: at most two pictures that the client has not acknowledged, and fewer pictures per second if
//! the client cannot take more. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// The largest number of pictures that are sent but not acknowledged. With two, the next picture is on its way while the
/// client shows the last one.
const MAX_UNACKNOWLEDGED: u32 = 2;
/// The number of pictures after which the rate is changed.
const OBSERVED: u32 = 10;
/// The rate is raised after this time in which the client has taken all pictures. The time doubles whenever the client
/// could not take more after all.
const RAISE_AFTER: Duration = Duration::from_secs(5);
/// The longest time after which the rate is raised.
const RAISE_AFTER_AT_MOST: Duration = Duration::from_secs(80);
/// The factor by which the rate is raised.
const RAISE: f64 = 1.5;
/// The lowest rate, in pictures per second.
const LEAST_RATE: f64 = 1.0;

/// The rate of one WebSocket.
#[derive(Debug)]
pub(super) struct Pace {
    wanted: f64,
    rate: f64,
    /// The number of the last picture that was sent; 0 before the first picture.
    sent: u32,
    /// The number of the last picture that the client has acknowledged; `None` for a client that acknowledges none.
    acknowledged: Option<u32>,
    /// The number of pictures in the present observation, and of those that came late because the client was slow.
    observed: u32,
    late: u32,
    observed_since: Instant,
    /// The time since which the client takes all pictures.
    good_since: Instant,
    raise_after: Duration,
}

impl Pace {
    /// Creates the pace of a client that wants this number of pictures per second.
    pub(super) fn new(wanted: f64, now: Instant) -> Self {
        Self {
            wanted,
            rate: wanted,
            sent: 0,
            acknowledged: None,
            observed: 0,
            late: 0,
            observed_since: now,
            good_since: now,
            raise_after: RAISE_AFTER,
        }
    }

    /// Returns the rate that the client can take, in pictures per second.
    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// Returns whether the next picture can be sent now.
    pub(super) fn can_send(&self) -> bool {
        let unacknowledged = self.acknowledged.map(|last| self.sent.wrapping_sub(last));
        unacknowledged.is_none_or(|count| count < MAX_UNACKNOWLEDGED)
    }

    /// Notes that the client has acknowledged a picture and all earlier ones. Ignores numbers of pictures that were not
    /// sent.
    pub(super) fn acknowledge(&mut self, number: u32) {
        let is_new = |last: u32| number.wrapping_sub(last) <= self.sent.wrapping_sub(last);
        if is_new(self.acknowledged.unwrap_or(0)) {
            self.acknowledged = Some(number);
        }
    }

    /// Returns the number of the next picture.
    pub(super) fn next_number(&mut self) -> u32 {
        self.sent = self.sent.wrapping_add(1);
        self.sent
    }

    /// Notes that a picture was sent. It `is_late` if the client was still busy with earlier ones when the picture was
    /// due, so that it replaces other pictures that were not sent.
    pub(super) fn note_sent(&mut self, is_late: bool, now: Instant) {
        self.observed += 1;
        self.late += u32::from(is_late);
        if is_late {
            self.good_since = now;
        }
        if self.observed == OBSERVED {
            self.adapt(now);
        }
    }

    fn adapt(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.observed_since).as_secs_f64();
        let taken = f64::from(self.observed) / seconds.max(0.001);
        if self.late * 2 > self.observed {
            if self.rate < self.wanted {
                self.raise_after = (self.raise_after * 2).min(RAISE_AFTER_AT_MOST);
            }
            self.rate = taken.clamp(LEAST_RATE.min(self.wanted), self.rate);
        } else if self.rate < self.wanted
            && now.saturating_duration_since(self.good_since) >= self.raise_after
        {
            self.rate = (self.rate * RAISE).min(self.wanted);
            self.good_since = now;
        }
        (self.observed, self.late, self.observed_since) = (0, 0, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_two_pictures_are_not_acknowledged() {
        let mut pace = Pace::new(10.0, Instant::now());
        for number in 1..=5 {
            assert!(pace.can_send(), "the client has acknowledged nothing so far");
            assert_eq!(pace.next_number(), number);
        }
        pace.acknowledge(6);
        assert!(pace.can_send(), "picture 6 was not sent");
        pace.acknowledge(3);
        assert!(!pace.can_send());
        pace.acknowledge(2);
        assert!(!pace.can_send(), "an old number changes nothing");
        pace.acknowledge(4);
        assert!(pace.can_send());
        pace.next_number();
        assert!(!pace.can_send());
        pace.acknowledge(6);
        assert!(pace.can_send());
    }

    #[test]
    fn the_rate_follows_what_the_client_can_take() {
        let mut now = Instant::now();
        let mut pace = Pace::new(10.0, now);
        let mut send = |pace: &mut Pace, count: u32, millis, is_late| {
            for _ in 0..count {
                now += Duration::from_millis(millis);
                pace.note_sent(is_late, now);
            }
        };
        send(&mut pace, 50, 100, false);
        assert!((pace.rate() - 10.0).abs() < 0.01);
        send(&mut pace, 10, 250, true);
        assert!((pace.rate() - 4.0).abs() < 0.01, "{pace:?}");
        send(&mut pace, 20, 250, false);
        assert!((pace.rate() - 6.0).abs() < 0.01, "{pace:?}");
        send(&mut pace, 10, 250, true);
        send(&mut pace, 30, 250, false);
        assert!((pace.rate() - 4.0).abs() < 0.01, "the next raise takes longer");
        send(&mut pace, 1000, 100, false);
        assert!((pace.rate() - 10.0).abs() < 0.01, "{pace:?}");
        send(&mut pace, 10, 5000, true);
        assert!((pace.rate() - 1.0).abs() < 0.01, "{pace:?}");
    }
}
