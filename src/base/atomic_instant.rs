//! A moment that many tasks may set and read without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The last time that something happened, to the millisecond.
#[derive(Debug)]
pub struct AtomicInstant {
    base: Instant,
    millis: AtomicU64,
}

impl AtomicInstant {
    /// A stamp that says "now".
    pub fn now() -> Self {
        Self { base: Instant::now(), millis: AtomicU64::new(0) }
    }

    /// Sets the stamp to now. Never sets it back.
    pub fn touch(&self) {
        let millis = u64::try_from(self.base.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.millis.fetch_max(millis, Ordering::Relaxed);
    }

    /// The moment.
    pub fn get(&self) -> Instant {
        self.base + Duration::from_millis(self.millis.load(Ordering::Relaxed))
    }

    /// Time since the moment.
    pub fn age(&self) -> Duration {
        self.get().elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_touch_makes_it_young_again() {
        let stamp = AtomicInstant::now();
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert_eq!(stamp.age(), Duration::from_millis(1500));
        stamp.touch();
        assert_eq!(stamp.age(), Duration::ZERO);
    }
}
