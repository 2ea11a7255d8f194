//! The pauses that separate events. A camera in front of which something moves again and again gets longer ones, so that its
//! events do not hide those of other cameras. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The time without motion after which an event usually ends. An event for each car of a busy street would hide all other
/// events.
pub(crate) const PAUSE: Duration = Duration::from_secs(10);
/// The longest time without motion after which an event ends.
const LONGEST_PAUSE: Duration = Duration::from_mins(2);
/// The number of events within [`WINDOW`] that end after the usual pause. With each further event, the pause doubles.
const MANY: usize = 60;
/// The time over which the events are counted.
const WINDOW: Duration = Duration::from_hours(1);
/// The number of events that are remembered. It is large enough for the longest pause.
const REMEMBERED: usize = MANY + 8;

/// The last events of one camera.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    begins: VecDeque<Instant>,
}

impl Pauses {
    /// Notes that an event begins. Returns the time without motion after which it ends.
    pub(super) fn begin(&mut self, now: Instant) -> Duration {
        self.begins.retain(|begin| now.saturating_duration_since(*begin) < WINDOW);
        self.begins.push_back(now);
        if self.begins.len() > REMEMBERED {
            self.begins.pop_front();
        }
        let further = u32::try_from(self.begins.len().saturating_sub(MANY)).unwrap_or(u32::MAX);
        PAUSE.saturating_mul(2_u32.saturating_pow(further)).min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_events_are_separated_by_longer_pauses() {
        let (mut pauses, began_at) = (Pauses::default(), Instant::now());
        let (mut now, mut begins) = (began_at, Vec::new());
        // Something moves for a moment, as soon as the last event has ended.
        while now < began_at + WINDOW * 6 {
            begins.push(now);
            now += pauses.begin(now) + Duration::from_millis(200);
        }
        assert!(begins[59] < began_at + Duration::from_mins(11), "60 events have usual pauses");
        for begin in &begins {
            let within = begins.iter().filter(|it| **it >= *begin && **it < *begin + WINDOW);
            let count = within.count();
            assert!(count <= 90, "{count} events within an hour");
        }
        assert_eq!(pauses.begin(now + WINDOW), PAUSE, "after a quiet hour");
    }

    #[test]
    fn an_event_every_minute_has_usual_pauses() {
        let (mut pauses, now) = (Pauses::default(), Instant::now());
        for minute in 0..600 {
            assert_eq!(pauses.begin(now + Duration::from_mins(minute)), PAUSE, "{minute}");
        }
    }
}
