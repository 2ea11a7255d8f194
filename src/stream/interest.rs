//! What keeps a stream running.
//!
//! An interest is held, by those who can say when they leave, or noted, by those who cannot: an HLS
//! player only stops asking, so that its interest expires some time after its last access. The same
//! time passes after the last held interest has been dropped. Then the [`reaper`](super::reaper)
//! proposes the stream's end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::base::atomic_instant::AtomicInstant;

/// What an interest is held for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// A caller waits until the stream is playable.
    Start,
}

/// All interest in one stream.
#[derive(Debug)]
pub(super) struct Interests {
    held: AtomicUsize,
    last_access: AtomicInstant,
}

/// An interest that is held. Keeps the stream running until it is dropped.
#[derive(Debug)]
pub(crate) struct Interest(Arc<Interests>);

impl Interests {
    /// The interest in a stream that was asked for just now.
    pub(super) fn new() -> Self {
        Self { held: AtomicUsize::new(0), last_access: AtomicInstant::now() }
    }

    /// Notes an access.
    pub(super) fn touch(&self) {
        self.last_access.touch();
    }

    /// Returns an interest that is held from now on.
    pub(super) fn hold(self: &Arc<Self>) -> Interest {
        self.held.fetch_add(1, Ordering::SeqCst);
        Interest(Arc::clone(self))
    }

    /// Returns the time since the last access, or since the last held interest was dropped; zero
    /// while one is held.
    pub(super) fn idle_for(&self) -> Duration {
        if self.held.load(Ordering::SeqCst) > 0 {
            return Duration::ZERO;
        }
        self.last_access.age()
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        // In this order, so that the stream is never seen without either.
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
