//! Whether a client is too slow: the time that its messages wait, and the acknowledgements that show what it has shown.
//! Pure.
//!
//! The age of the next message is not enough. The buffers of the kernel and of proxies take several seconds of video
//! from a client whose line is slow, or who does not read. So a client can acknowledge what it has shown.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The greatest age of a frame that waits to be sent. If a frame is older, the client skips to the next keyframe.
pub(super) const MAX_AGE: Duration = Duration::from_secs(1);
/// The longest time for which a picture can be without acknowledgement, if the client acknowledges at all. Clients
/// should acknowledge every 250 ms. So a client can be behind by more than a second.
const MAX_UNACKNOWLEDGED: Duration = Duration::from_millis(1500);
/// The longest time for which a skipping client waits for an acknowledgement. At the first keyframe after this time,
/// the client gets frames again. Its acknowledgement may never come, because a decoder can fail to show a picture.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(3);
/// The shortest time between two messages whose times are noted.
const NOTE_INTERVAL: Duration = Duration::from_millis(100);
/// The largest number of times that are noted. If a client acknowledges nothing for longer, it is too slow anyway.
const MAX_NOTES: usize = 32;

/// The number of the last message that a client has acknowledged. Cheap to clone; clones share the number.
#[derive(Debug, Clone, Default)]
pub(crate) struct Acknowledged(Arc<AtomicU64>);

/// The pictures that a client has not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    acknowledged: Acknowledged,
    /// Numbers of messages with pictures, and when they were sent, from the oldest to the newest.
    notes: VecDeque<(u32, Instant)>,
}

impl Acknowledged {
    /// Notes that the client has acknowledged this message and all before it.
    pub(crate) fn set(&self, number: u64) {
        // A number of 0 means that the client has not acknowledged anything.
        self.0.fetch_max(number.max(1), Ordering::Relaxed);
    }

    fn get(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|number| *number > 0)
    }
}

impl Backlog {
    /// Creates the backlog of a client that acknowledges messages through `acknowledged`.
    pub(super) fn new(acknowledged: Acknowledged) -> Self {
        Self { acknowledged, notes: VecDeque::new() }
    }

    /// Notes that a message with a picture is sent at `now`.
    pub(super) fn sent(&mut self, number: u32, now: Instant) {
        if self.notes.back().is_some_and(|(_, at)| now.duration_since(*at) < NOTE_INTERVAL) {
            return;
        }
        if self.notes.len() == MAX_NOTES {
            self.notes.pop_front();
        }
        self.notes.push_back((number, now));
    }

    /// Waits for none of the acknowledgements that are missing now.
    pub(super) fn forget(&mut self) {
        self.notes.clear();
    }

    /// Returns whether the client acknowledges messages, and has not acknowledged one that was sent too long ago.
    pub(super) fn is_too_long(&mut self, now: Instant) -> bool {
        let Some(acknowledged) = self.acknowledged.get() else { return false };
        while self.notes.front().is_some_and(|(number, _)| u64::from(*number) <= acknowledged) {
            self.notes.pop_front();
        }
        let oldest = self.notes.front();
        oldest.is_some_and(|(_, at)| now.duration_since(*at) > MAX_UNACKNOWLEDGED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_acknowledges_late_is_too_slow_until_it_has_caught_up() {
        let acknowledged = Acknowledged::default();
        let mut backlog = Backlog::new(acknowledged.clone());
        let mut number = 0;
        let mut send_for = async |backlog: &mut Backlog, frames: u32| {
            for _ in 0..frames {
                number += 1;
                backlog.sent(number, Instant::now());
                tokio::time::advance(Duration::from_millis(40)).await;
            }
            number
        };
        let last = send_for(&mut backlog, 250).await;
        assert!(!backlog.is_too_long(Instant::now()), "the client never acknowledges");
        assert!(backlog.notes.len() <= MAX_NOTES);
        acknowledged.set(u64::from(last));
        assert!(!backlog.is_too_long(Instant::now()));
        let last = send_for(&mut backlog, 38).await;
        assert!(backlog.is_too_long(Instant::now()), "1.52 s without acknowledgement");
        acknowledged.set(u64::from(last - 25));
        assert!(!backlog.is_too_long(Instant::now()));
        acknowledged.set(0);
        assert!(!backlog.is_too_long(Instant::now()), "a number cannot be taken back");
        acknowledged.set(u64::MAX);
        assert!(!backlog.is_too_long(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn acknowledgements_that_never_come_are_forgotten() {
        let acknowledged = Acknowledged::default();
        let mut backlog = Backlog::new(acknowledged.clone());
        backlog.sent(1, Instant::now());
        backlog.sent(2, Instant::now() + NOTE_INTERVAL);
        acknowledged.set(1);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(backlog.is_too_long(Instant::now()));
        backlog.forget();
        assert!(!backlog.is_too_long(Instant::now()));
    }
}
