//! The limit of notifications of a subscription for each camera and minute, and other limits for each minute.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

use super::subscription::{MAX_PER_MINUTE, Subscription};
use crate::camera::id::CameraId;

/// The time over which notifications are counted.
const WINDOW: Duration = Duration::from_mins(1);

/// The times of what happened within the last minute, by key.
#[derive(Debug)]
pub(super) struct LastMinute<K>(HashMap<K, VecDeque<Instant>>);

impl<K> Default for LastMinute<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> LastMinute<K> {
    /// Returns whether fewer than `limit` of these things have happened within the last minute. If so, counts another one.
    pub(super) fn admit(&mut self, key: K, limit: u32) -> bool {
        let times = self.0.entry(key).or_default();
        while times.front().is_some_and(is_old) {
            times.pop_front();
        }
        let is_admitted = times.len() < limit as usize;
        if is_admitted {
            times.push_back(Instant::now());
        }
        is_admitted
    }

    /// Forgets what no longer counts, so that the memory stays limited.
    pub(super) fn forget_old(&mut self) {
        self.0.retain(|_, times| times.back().is_some_and(|last| !is_old(last)));
    }
}

/// The limit of notifications of a subscription for each camera.
#[derive(Debug, Default)]
pub(super) struct Limiter(LastMinute<(String, Option<CameraId>)>);

impl Limiter {
    /// Returns whether a subscription can get another notification about a camera or, without a camera, about the service. If
    /// so, counts the notification.
    pub(super) fn admit(&mut self, to: &Subscription, camera: Option<&CameraId>) -> bool {
        let limit = to.choice.preferences().per_minute.min(MAX_PER_MINUTE);
        self.0.admit((to.id.clone(), camera.cloned()), limit)
    }

    /// Forgets notifications that no longer count. To be called every minute.
    pub(super) fn forget_old(&mut self) {
        self.0.forget_old();
    }
}

fn is_old(time: &Instant) -> bool {
    time.elapsed() >= WINDOW
}

#[cfg(test)]
mod tests {
    use super::super::subscription::Preferences;
    use super::super::subscription::testing::{preferences, subscription};
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn notifications_are_limited_for_each_subscription_camera_and_minute() {
        let mut limiter = Limiter::default();
        let url = "https://push.example.com/1";
        let one = subscription("one", url, preferences(&["camera"]));
        let two =
            subscription("two", url, Preferences { per_minute: 2, ..preferences(&["camera"]) });
        let (front, back) = (CameraId::parse("front").ok(), CameraId::parse("back").ok());
        let admit = |limiter: &mut Limiter, to: &Subscription, camera: &Option<CameraId>| {
            limiter.admit(to, camera.as_ref())
        };
        assert!(admit(&mut limiter, &one, &front) && !admit(&mut limiter, &one, &front));
        assert!(admit(&mut limiter, &one, &back), "another camera");
        assert!(admit(&mut limiter, &one, &None) && !admit(&mut limiter, &one, &None));
        assert!(admit(&mut limiter, &two, &front) && admit(&mut limiter, &two, &front));
        assert!(!admit(&mut limiter, &two, &front));
        tokio::time::advance(Duration::from_secs(59)).await;
        limiter.forget_old();
        assert!(!admit(&mut limiter, &one, &front));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(admit(&mut limiter, &one, &front));
        limiter.forget_old();
        assert_eq!(limiter.0.0.len(), 1, "old entries take memory");
    }
}
