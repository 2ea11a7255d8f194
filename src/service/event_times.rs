//! The times for which cameras are recorded because of events.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use crate::camera::id::CameraId;

/// The shortest time for which a camera is recorded because of an event, so that the frames before the report are stored.
const SHORTEST: Duration = Duration::from_secs(2);

/// The largest number of events of a camera that are tracked separately. If there are more at the same time, the oldest ones
/// count as one.
const MAX_EVENTS: usize = 100;

/// The events of cameras that are not over.
#[derive(Debug, Default)]
pub(super) struct EventTimes(HashMap<CameraId, Vec<EventTime>>);

/// The time for which a camera is recorded because of an event.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventTime {
    /// The number of the event in the store, if its end can change.
    pub(super) number: Option<i64>,
    /// The beginning.
    pub(super) begin: SystemTime,
    /// The end.
    pub(super) end: SystemTime,
}

impl EventTimes {
    /// Adds an event, or changes the end of a known one. If its time is over, but frames of it are still in memory, which has
    /// those of the last time `kept`, the camera is recorded for a short time, so that these frames are stored.
    pub(super) fn add(
        &mut self,
        camera: &CameraId,
        event: EventTime,
        now: SystemTime,
        kept: Duration,
    ) {
        let is_kept = now.checked_sub(kept).is_some_and(|since| event.end > since);
        let end = if is_kept { event.end.max(now + SHORTEST) } else { event.end };
        let events = self.0.entry(camera.clone()).or_default();
        events.retain(|known| {
            known.end > now && (known.number.is_none() || known.number != event.number)
        });
        events.push(EventTime { end, ..event });
        if events.len() > MAX_EVENTS {
            let oldest = events.remove(0);
            if let Some(next) = events.first_mut() {
                let (begin, end) = (next.begin.min(oldest.begin), next.end.max(oldest.end));
                *next = EventTime { number: None, begin, end };
            }
        }
    }

    /// Forgets the events that are over.
    pub(super) fn forget_ended(&mut self, now: SystemTime) {
        self.0.retain(|_, events| {
            events.retain(|event| event.end > now);
            !events.is_empty()
        });
    }

    /// Returns the beginning and the end of the recording because of a camera's events; `None` if there are none now.
    pub(super) fn of(&self, camera: &CameraId) -> Option<(SystemTime, SystemTime)> {
        let events = self.0.get(camera)?;
        let begin = events.iter().map(|event| event.begin).min()?;
        Some((begin, events.iter().map(|event| event.end).max()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of an event; and the times of its report, of its beginning and of its end.
    type Numbered = (Option<i64>, (u64, u64, u64));

    fn time_after(events: &[(u64, u64, u64)]) -> Option<(u64, u64)> {
        let numbered = (1..).zip(events).map(|(number, event)| (Some(number), *event));
        time_after_numbered(&numbered.collect::<Vec<_>>())
    }

    /// Returns the time for which a camera is recorded after events with these numbers were reported: at the first time, for
    /// the two others, all in seconds. Frames are kept for seven seconds.
    fn time_after_numbered(events: &[Numbered]) -> Option<(u64, u64)> {
        let at = |seconds: &u64| SystemTime::UNIX_EPOCH + Duration::from_secs(*seconds);
        let (mut times, camera) = (EventTimes::default(), CameraId::parse("cam").expect("an id"));
        for (number, (now, begin, end)) in events {
            let event = EventTime { number: *number, begin: at(begin), end: at(end) };
            times.add(&camera, event, at(now), Duration::from_secs(7));
        }
        let seconds = |time: SystemTime| {
            time.duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_secs()
        };
        times.forget_ended(at(&events.last().expect("an event").1.0));
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
    fn the_end_of_an_event_can_change() {
        let (door, other) = (Some(7), Some(8));
        let began = (door, (100, 95, 700));
        assert_eq!(time_after_numbered(&[began, (door, (105, 95, 800))]), Some((95, 800)));
        assert_eq!(time_after_numbered(&[began, (door, (105, 95, 110))]), Some((95, 110)));
        let others = [began, (other, (105, 100, 120)), (door, (110, 95, 115))];
        assert_eq!(time_after_numbered(&others), Some((95, 120)));
        let without_number = [(None, (100, 95, 130)), (None, (105, 100, 120))];
        assert_eq!(time_after_numbered(&without_number), Some((95, 130)));
    }

    #[test]
    fn many_events_at_the_same_time_are_joined() {
        let events: Vec<_> =
            (0..250_i64).map(|n| (Some(n), (100, 90, 400 - n.unsigned_abs()))).collect();
        assert_eq!(time_after_numbered(&events), Some((90, 400)));
    }

    #[test]
    fn what_is_kept_of_an_event_that_is_over_is_recorded() {
        assert_eq!(time_after(&[(100, 92, 96)]), Some((92, 102)));
        assert_eq!(time_after(&[(100, 85, 93)]), None);
    }
}
