//! The limit of the bandwidth for uploads.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::base::lock::lock;

/// A limit that all uploads share. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Pace(Option<Arc<Limited>>);

#[derive(Debug)]
struct Limited {
    bytes_per_second: u64,
    /// The time from which on more bytes can be sent.
    free_at: Mutex<Instant>,
}

impl Pace {
    /// Creates a limit; `None` for no limit.
    pub(super) fn new(bytes_per_second: Option<u64>) -> Self {
        let limited = |bytes_per_second| {
            let free_at = Mutex::new(Instant::now());
            Arc::new(Limited { bytes_per_second, free_at })
        };
        Self(bytes_per_second.map(limited))
    }

    /// Waits until this number of bytes can be sent.
    pub(super) async fn take(&self, bytes: usize) {
        let Some(limited) = &self.0 else { return };
        let nanos = (bytes as u64).saturating_mul(1_000_000_000) / limited.bytes_per_second.max(1);
        let time = Duration::from_nanos(nanos);
        let at = {
            let mut free_at = lock(&limited.free_at);
            let at = (*free_at).max(Instant::now());
            *free_at = at + time;
            at
        };
        sleep_until(at).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_uploads_together_keep_the_limit() {
        let (start, pace) = (Instant::now(), Pace::new(Some(1000)));
        let uploads = (0..2).map(|_| {
            let pace = pace.clone();
            async move {
                for _ in 0..10 {
                    pace.take(500).await;
                }
            }
        });
        futures_util::future::join_all(uploads).await;
        // The last 500 bytes begin after the first 9,500.
        assert_eq!(start.elapsed().as_millis(), 9_500);
        let start = Instant::now();
        Pace::new(None).take(usize::MAX).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
