//! Counts who watches a stream. Players have no session of their own here: a viewer is told by
//! address and player, and counts until it has not asked for anything for a while.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A player asks at least once a segment; this is longer than the longest segment.
const PRESENT_FOR: Duration = Duration::from_secs(12);
/// Viewers counted at most. More still watch; the number shown stays at this.
const MAX_COUNTED: usize = 10_000;

/// The viewers of one stream.
#[derive(Debug, Default)]
pub struct Viewers {
    last_seen: Mutex<HashMap<u64, Instant>>,
}

impl Viewers {
    /// Notes that the viewer at `address` with the given player (its `User-Agent`) is there.
    pub fn saw(&self, address: &str, player: &str) {
        let mut hasher = DefaultHasher::new();
        (address, player).hash(&mut hasher);
        let now = Instant::now();
        let mut last_seen = self.last_seen.lock().unwrap_or_else(PoisonError::into_inner);
        if last_seen.len() >= MAX_COUNTED {
            last_seen.retain(|_, seen| now - *seen < PRESENT_FOR);
        }
        if last_seen.len() < MAX_COUNTED {
            last_seen.insert(hasher.finish(), now);
        }
    }

    /// How many are there now. Forgets those who left.
    pub fn count(&self) -> usize {
        let now = Instant::now();
        let mut last_seen = self.last_seen.lock().unwrap_or_else(PoisonError::into_inner);
        last_seen.retain(|_, seen| now - *seen < PRESENT_FOR);
        last_seen.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn viewers_come_and_go() {
        let viewers = Viewers::default();
        viewers.saw("10.0.0.1", "hls.js");
        viewers.saw("10.0.0.1", "hls.js");
        viewers.saw("10.0.0.1", "VLC");
        assert_eq!(viewers.count(), 2);
        tokio::time::advance(PRESENT_FOR / 2).await;
        viewers.saw("10.0.0.1", "VLC");
        tokio::time::advance(PRESENT_FOR / 2).await;
        assert_eq!(viewers.count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_is_bounded() {
        let viewers = Viewers::default();
        for number in 0..MAX_COUNTED + 100 {
            viewers.saw(&number.to_string(), "");
        }
        assert_eq!(viewers.count(), MAX_COUNTED);
    }
}
