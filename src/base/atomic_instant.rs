//! A moment that many tasks can set and read without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// A point in time with millisecond resolution, such as the time of the last request.
///
/// Any task can move the instant forward; no task can move it back:
///
/// ```
/// use std::time::Duration;
/// use stream_manager::parts::AtomicInstant;
///
/// let last_request = AtomicInstant::now();
/// last_request.touch();
/// assert!(last_request.age() < Duration::from_secs(60));
/// ```
#[derive(Debug)]
pub struct AtomicInstant {
    base: Instant,
    millis: AtomicU64,
}

impl AtomicInstant {
    /// Creates an instant at the current time.
    pub fn now() -> Self {
        Self { base: Instant::now(), millis: AtomicU64::new(0) }
    }

    /// Moves the instant to the current time, unless another task has already set a later time.
    pub fn touch(&self) {
        let millis = u64::try_from(self.base.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.millis.fetch_max(millis, Ordering::Relaxed);
    }

    /// Returns the instant.
    pub fn get(&self) -> Instant {
        self.base + Duration::from_millis(self.millis.load(Ordering::Relaxed))
    }

    /// Returns the time that has passed since the instant.
    pub fn age(&self) -> Duration {
        self.get().elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_touch_resets_the_age() {
        let instant = AtomicInstant::now();
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert_eq!(instant.age(), Duration::from_millis(1500));
        instant.touch();
        assert_eq!(instant.age(), Duration::ZERO);
    }
}
