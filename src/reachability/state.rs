//! Decides when a camera counts as offline, and when it counts as online again. One failed check, or one successful
//! check of an offline camera, does not change the state. So a camera that is reachable only now and then does not
//! cause a flood of events.

use std::time::SystemTime;

use crate::base::error::Error;

/// The number of failed checks in a row after which a camera counts as offline.
pub(crate) const OFFLINE_AFTER: u32 = 3;
/// The number of successful checks in a row after which an offline camera counts as online again. A camera
/// that streams counts as online at once.
pub(crate) const ONLINE_AFTER: u32 = 2;

/// The known facts about the reachability of a camera.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reachability {
    /// True if the camera is reachable; `None` until the first checks have decided this.
    pub(crate) is_reachable: Option<bool>,
    /// The time of the first of the checks that led to this state; `None` without a state.
    pub(crate) since: Option<SystemTime>,
    /// The error of the last failed check, and the time of that check.
    pub(crate) last_error: Option<(Error, SystemTime)>,
}

/// The event that a result causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transition {
    /// The camera has become unreachable.
    Offline,
    /// The camera has become reachable again.
    Online,
}

/// The sequence of the results of one camera.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    known: Reachability,
    is_success: bool,
    /// The number of equal results in a row, which are all successful or all failed.
    count: u32,
    began_at: Option<SystemTime>,
}

impl Tracker {
    /// Returns what is known.
    pub(crate) fn known(&self) -> &Reachability {
        &self.known
    }

    /// Adds the result of a check. Returns the event to report, if any.
    pub(crate) fn add(&mut self, result: Result<(), Error>, at: SystemTime) -> Option<Transition> {
        let is_success = result.is_ok();
        if is_success != self.is_success || self.count == 0 {
            (self.is_success, self.count, self.began_at) = (is_success, 0, Some(at));
        }
        self.count = self.count.saturating_add(1);
        if let Err(error) = result {
            self.known.last_error = Some((error, at));
        }
        let required = match (self.known.is_reachable, is_success) {
            (_, false) => OFFLINE_AFTER,
            (Some(false), true) => ONLINE_AFTER,
            (_, true) => 1,
        };
        if self.count >= required { self.change(is_success) } else { None }
    }

    /// Notes that the camera streams at this time, which shows that the camera is reachable. Returns the
    /// event to report, if any.
    pub(crate) fn add_streaming(&mut self, at: SystemTime) -> Option<Transition> {
        if !self.is_success || self.count == 0 {
            (self.is_success, self.began_at) = (true, Some(at));
        }
        self.count = self.count.max(ONLINE_AFTER);
        self.change(true)
    }

    fn change(&mut self, is_reachable: bool) -> Option<Transition> {
        let before = self.known.is_reachable.replace(is_reachable);
        if before == Some(is_reachable) {
            return None;
        }
        self.known.since = self.began_at;
        match (before, is_reachable) {
            (_, false) => Some(Transition::Offline),
            (Some(_), true) => Some(Transition::Online),
            // A camera that is reachable at its first check causes no event.
            (None, true) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::error::ErrorKind;

    /// Returns the events that a sequence of results causes, with the index of the result. `+` is a
    /// successful check, `-` a failed one, and `s` a check of a camera that streams.
    fn events(results: &str) -> (Tracker, Vec<(usize, Transition)>) {
        let mut tracker = Tracker::default();
        let mut events = Vec::new();
        for (index, result) in results.chars().enumerate() {
            let at = time(index);
            let error = || Error::new(ErrorKind::SourceTimeout, index.to_string());
            let event = match result {
                '+' => tracker.add(Ok(()), at),
                '-' => tracker.add(Err(error()), at),
                _ => tracker.add_streaming(at),
            };
            events.extend(event.map(|event| (index, event)));
        }
        (tracker, events)
    }

    fn time(index: usize) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(index as u64)
    }

    #[test]
    fn a_camera_changes_its_state_after_several_equal_results() {
        use Transition::{Offline, Online};
        let table: [(&str, &[_]); 10] = [
            ("+++", &[]),
            ("s+s", &[]),
            ("--", &[]),
            ("---", &[(2, Offline)]),
            ("+-----", &[(3, Offline)]),
            ("+--+--+--", &[]),
            ("---+", &[(2, Offline)]),
            ("---++", &[(2, Offline), (4, Online)]),
            ("---s", &[(2, Offline), (3, Online)]),
            ("---+-+-+-+-++", &[(2, Offline), (12, Online)]),
        ];
        for (results, expected) in table {
            assert_eq!(events(results).1, expected, "{results}");
        }
    }

    #[test]
    fn a_flapping_camera_causes_at_most_two_events_in_five_checks() {
        for pattern in 0..1_u32 << 15 {
            let is_success = |index: u32| pattern >> index & 1 == 1;
            let results: String = (0..15).map(|i| if is_success(i) { '+' } else { '-' }).collect();
            let (_, events) = events(&results);
            for window in events.windows(3) {
                assert!(window[2].0 - window[0].0 >= 5, "{results}: {events:?}");
            }
        }
    }

    #[test]
    fn the_beginning_of_the_state_and_the_last_error_are_known() {
        let table = [
            ("", None, None, None),
            ("--", None, None, Some(1)),
            ("++", Some(true), Some(0), None),
            ("+---", Some(false), Some(1), Some(3)),
            ("+---+", Some(false), Some(1), Some(3)),
            ("+---++", Some(true), Some(4), Some(3)),
            ("+---s", Some(true), Some(4), Some(3)),
            ("++--", Some(true), Some(0), Some(3)),
        ];
        for (results, is_reachable, since, error) in table {
            let (tracker, _) = events(results);
            let known = tracker.known();
            assert_eq!(known.is_reachable, is_reachable, "{results}");
            assert_eq!(known.since, since.map(time), "{results}");
            let last = known.last_error.as_ref().map(|(_, at)| *at);
            assert_eq!(last, error.map(time), "{results}");
        }
    }
}
