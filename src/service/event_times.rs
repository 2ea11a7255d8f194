//! The times for which cameras are recorded because of events.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use crate::camera::id::CameraId;

/// The shortest time for which a camera is recorded because of an event, so that the frames before the report are stored.
const SHORTEST: Duration = Duration::from_secs(2);

/// The beginning and the end of the recording because of events, by camera.
#[derive(Debug, Default)]
pub(super) struct EventTimes(HashMap<CameraId, (SystemTime, SystemTime)>);

impl EventTimes {
    /// Adds the time of an event. If this time is over, but frames of it are still kept in memory, which has those of the
    /// last time `kept`, the camera is recorded for a short time, so that these frames are stored.
    pub(super) fn add(
        &mut self,
        camera: &CameraId,
        (begin, end): (SystemTime, SystemTime),
        now: SystemTime,
        kept: Duration,
    ) {
        let is_kept = now.checked_sub(kept).is_some_and(|since| end > since);
        let end = if is_kept { end.max(now + SHORTEST) } else { end };
        self.forget_ended(now);
        let known = self.0.entry(camera.clone()).or_insert((begin, end));
        *known = (known.0.min(begin), known.1.max(end));
    }

    /// Forgets the times that are over.
    pub(super) fn forget_ended(&mut self, now: SystemTime) {
        self.0.retain(|_, (_, end)| *end > now);
    }

    /// Returns the time of a camera's events; `None` if there are none now.
    pub(super) fn of(&self, camera: &CameraId) -> Option<(SystemTime, SystemTime)> {
        self.0.get(camera).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the time for which a camera is recorded after events with these times were reported, all in seconds. Frames
    /// are kept for seven seconds.
    fn time_after(events: &[(u64, u64, u64)]) -> Option<(u64, u64)> {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let (mut times, camera) = (EventTimes::default(), CameraId::parse("cam").expect("an id"));
        for (now, begin, end) in events {
            let kept = Duration::from_secs(7);
            times.add(&camera, (at(*begin), at(*end)), at(*now), kept);
        }
        let seconds = |time: SystemTime| {
            time.duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_secs()
        };
        times.forget_ended(at(events.last().expect("an event").0));
        times.of(&camera).map(|(begin, end)| (seconds(begin), seconds(end)))
    }

    #[test]
    fn events_at_the_same_time_are_one_recording() {
        assert_eq!(time_after(&[(100, 95, 110)]), Some((95, 110)));
        assert_eq!(time_after(&[(100, 95, 110), (105, 100, 115)]), Some((95, 115)));
        assert_eq!(time_after(&[(100, 95, 110), (105, 90, 107)]), Some((90, 110)));
        assert_eq!(time_after(&[(100, 95, 110), (111, 106, 121)]), Some((106, 121)));
    }

    #[test]
    fn what_is_kept_of_an_event_that_is_over_is_recorded() {
        assert_eq!(time_after(&[(100, 92, 96)]), Some((92, 102)));
        assert_eq!(time_after(&[(100, 85, 93)]), None);
    }
}
