//! When a session asks the camera for a keyframe.

use std::time::{Duration, Instant};

/// The shortest time between two requests of a session. A keyframe is sent to all viewers of the camera, and is large, so
/// one viewer with a bad network must not cause many.
const INTERVAL: Duration = Duration::from_secs(5);
/// A request is left out if the next keyframe is expected within this time.
const SOON: Duration = Duration::from_secs(1);
/// The age of a keyframe from which on other pictures must have followed it.
const FRESH: Duration = Duration::from_millis(500);
/// The time within which the pictures after a keyframe that is not fresh are available, unless the hub has dropped them.
const PATIENCE: Duration = Duration::from_millis(300);

/// What a session knows about keyframes.
#[derive(Debug, Default)]
pub(super) struct KeyframeRequests {
    is_needed: bool,
    requested_at: Option<Instant>,
    /// The arrival of the last keyframe, and the time since the one before.
    last: Option<(Instant, Option<Duration>)>,
    /// The time until which pictures must follow the keyframe with which the session began.
    others_until: Option<Instant>,
}

impl KeyframeRequests {
    /// Notes that the viewer cannot show pictures before the next keyframe.
    pub(super) fn need(&mut self) {
        self.is_needed = true;
    }

    /// Notes a keyframe by its arrival.
    pub(super) fn note_keyframe(&mut self, received_at: Instant) {
        let distance = self.last.map(|(last, _)| received_at.saturating_duration_since(last));
        self.last = Some((received_at, distance));
    }

    /// Notes that the viewer gets the keyframe that arrived at this time, and that the pictures after it should follow.
    pub(super) fn begin(&mut self, received_at: Instant, now: Instant) {
        let is_fresh = now.saturating_duration_since(received_at) < FRESH;
        self.others_until = (!is_fresh).then(|| now + PATIENCE);
    }

    /// Notes that a picture has followed.
    pub(super) fn note_other(&mut self) {
        self.others_until = None;
    }

    /// Notes that the next picture has to wait, because the viewer's connection is slow.
    pub(super) fn postpone(&mut self, now: Instant) {
        if let Some(until) = &mut self.others_until {
            *until = now + PATIENCE;
        }
    }

    /// Returns the time at which [`take_due`](Self::take_due) has to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.others_until
    }

    /// Returns whether a keyframe must be requested now.
    pub(super) fn take_due(&mut self, now: Instant) -> bool {
        // The hub has kept only the keyframe of a long group, so the picture would stay as it is.
        if self.others_until.is_some_and(|until| until <= now) {
            (self.is_needed, self.others_until) = (true, None);
        }
        if !std::mem::take(&mut self.is_needed) {
            return false;
        }
        let is_recent = |at| now.saturating_duration_since(at) < INTERVAL;
        let is_soon = |(last, distance): (Instant, Option<Duration>)| {
            distance.is_some_and(|distance| {
                last + distance < now + SOON && now < last + distance + SOON
            })
        };
        if self.requested_at.is_some_and(is_recent) || self.last.is_some_and(is_soon) {
            return false;
        }
        self.requested_at = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn a_viewer_cannot_cause_many_keyframes() {
        let mut requests = KeyframeRequests::default();
        let start = Instant::now();
        assert!(!requests.take_due(start), "not needed");
        let due = (0..100).filter(|n| {
            requests.need();
            requests.take_due(start + S * *n / 10)
        });
        assert_eq!(due.collect::<Vec<_>>(), [0, 50]);
    }

    #[test]
    fn a_keyframe_that_comes_soon_is_not_requested() {
        let mut requests = KeyframeRequests::default();
        let start = Instant::now();
        requests.note_keyframe(start);
        requests.note_keyframe(start + S * 10);
        let mut is_due = |at| {
            requests.need();
            requests.take_due(at)
        };
        assert!(!is_due(start + S * 39 / 2), "due in half a second");
        assert!(is_due(start + S * 22), "overdue");
    }

    #[test]
    fn a_lone_keyframe_is_followed_by_a_request() {
        let start = Instant::now();
        let mut requests = KeyframeRequests::default();
        requests.begin(start, start + S * 20);
        assert!(!requests.take_due(start + S * 20));
        assert!(requests.take_due(requests.deadline().expect("a deadline")));
        assert!(!requests.take_due(start + S * 30), "once");
        let mut followed = KeyframeRequests::default();
        followed.begin(start, start + S * 20);
        followed.note_other();
        assert!(!followed.take_due(start + S * 30));
        followed.begin(start, start);
        assert_eq!(followed.deadline(), None, "the keyframe is fresh");
    }
}
