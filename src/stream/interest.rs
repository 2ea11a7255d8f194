//! Interest in a stream, which keeps the stream running.
//!
//! A caller that can report when it leaves holds an [`Interest`]. An HLS player cannot: it simply sends
//! no more requests. So its accesses are noted. A stream without a held interest is idle from its last
//! access, or from the end of the last held interest, whichever is later. After the idle timeout, the
//! [`reaper`](super::reaper) proposes that the stream ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::base::atomic_instant::AtomicInstant;

/// The purpose of a held interest.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// A caller waits until the stream is playable.
    Start,
    /// A picture is taken.
    Snapshot,
}

/// All interest in one stream: the number of held interests, and the last access.
#[derive(Debug)]
pub(super) struct Interests {
    held: AtomicUsize,
    last_access: AtomicInstant,
}

/// A held interest. Keeps the stream running until it is dropped.
#[derive(Debug)]
pub(crate) struct Interest(Arc<Interests>);

impl Interests {
    /// Creates the interest in a stream that was requested just now.
    pub(super) fn new() -> Self {
        Self { held: AtomicUsize::new(0), last_access: AtomicInstant::now() }
    }

    /// Notes an access.
    pub(super) fn touch(&self) {
        self.last_access.touch();
    }

    /// Returns a held interest.
    pub(super) fn hold(self: &Arc<Self>) -> Interest {
        self.held.fetch_add(1, Ordering::SeqCst);
        Interest(Arc::clone(self))
    }

    /// Returns how long the stream has been idle: the time since the last access, or since the last
    /// held interest was dropped. Returns zero while an interest is held.
    pub(super) fn idle_for(&self) -> Duration {
        if self.held.load(Ordering::SeqCst) > 0 {
            return Duration::ZERO;
        }
        self.last_access.age()
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        // The access is noted first, so that the stream does not appear idle in between.
        self.0.touch();
        self.0.held.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_held_interest_counts_until_it_is_dropped() {
        let (minute, interests) = (Duration::from_mins(1), Arc::new(Interests::new()));
        tokio::time::advance(minute).await;
        assert_eq!(interests.idle_for(), minute);
        let (one, other) = (interests.hold(), interests.hold());
        tokio::time::advance(minute).await;
        drop(one);
        tokio::time::advance(minute).await;
        assert_eq!(interests.idle_for(), Duration::ZERO);
        drop(other);
        tokio::time::advance(minute).await;
        assert_eq!(interests.idle_for(), minute);
        interests.touch();
        assert_eq!(interests.idle_for(), Duration::ZERO);
    }
}
