//! Second copies of packets, for viewers behind a network that loses some.
//!
//! The copies are sent byte for byte, so the player's protection against replayed packets drops those of which the first
//! copy has arrived.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::routes::Pair;

/// The time between the two copies. Networks often lose several packets that follow each other closely.
const DELAY: Duration = Duration::from_millis(10);
/// The largest number of batches that wait. Further ones are sent only once.
const MAX_WAITING: usize = 64;

/// Packets that were sent together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) destination: Pair,
    pub(super) bytes: Vec<u8>,
    /// The size of all packets, except for the last one, which may be smaller.
    pub(super) segment: usize,
}

/// The batches that wait for being sent again.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    pub(super) is_on: bool,
    waiting: VecDeque<(Instant, Batch)>,
}

impl Repeats {
    /// Notes a batch that was sent.
    pub(super) fn note(&mut self, now: Instant, batch: impl FnOnce() -> Batch) {
        if self.is_on && self.waiting.len() < MAX_WAITING {
            self.waiting.push_back((now + DELAY, batch()));
        }
    }

    /// Returns the time at which the next batch is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.front().map(|(at, _)| *at)
    }

    /// Takes a batch that is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Batch> {
        self.waiting.pop_front_if(|(at, _)| *at <= now).map(|(_, batch)| batch)
    }
}

#[cfg(test)]
mod tests {
    use str0m::net::Protocol;

    use super::*;

    fn batch(byte: u8) -> Batch {
        let address = "192.0.2.1:1".parse().expect("an address");
        let destination = Pair { protocol: Protocol::Udp, remote: address, local: address };
        Batch { destination, bytes: vec![byte], segment: 1 }
    }

    #[test]
    fn batches_are_repeated_once_in_their_order_after_a_delay() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        repeats.note(start, || batch(0));
        assert_eq!(repeats.deadline(), None, "off");
        repeats.is_on = true;
        repeats.note(start, || batch(1));
        repeats.note(start + DELAY / 2, || batch(2));
        assert_eq!(repeats.deadline(), Some(start + DELAY));
        assert_eq!(repeats.take_due(start + DELAY / 2), None);
        assert_eq!(repeats.take_due(start + DELAY), Some(batch(1)));
        assert_eq!(repeats.take_due(start + DELAY), None);
        assert_eq!(repeats.take_due(start + DELAY * 2), Some(batch(2)));
        for _ in 0..MAX_WAITING * 2 {
            repeats.note(start, || batch(3));
        }
        assert_eq!(repeats.waiting.len(), MAX_WAITING);
    }
}
