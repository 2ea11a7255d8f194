//! The metrics of one stream: decides which counters a transition changes.

use std::time::Duration;

use tokio::time::Instant;

use super::limits::Limits;
use super::state::{Action, After, Event, State};
use crate::base::counters::Counters;
use crate::base::error::ErrorKind;

/// Counts the transitions of one stream.
#[derive(Debug)]
pub(crate) struct TransitionMetrics {
    counters: Counters,
    /// See [`Limits::stalled_after`].
    stalled_after: Duration,
    /// The time at which the pending start began; `None` once the start has succeeded or failed.
    began: Option<Instant>,
}

/// The facts that decide, together with the transition, how the transition is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence {
    /// The time since the picture last advanced.
    pub(crate) frozen_for: Duration,
    /// The last error.
    pub(crate) last_error: Option<ErrorKind>,
}

impl TransitionMetrics {
    /// Creates the metrics of a new stream, and counts its start.
    pub(crate) fn new(counters: Counters, limits: &Limits) -> Self {
        let mut metrics = Self { counters, stalled_after: limits.stalled_after, began: None };
        metrics.start();
        metrics
    }

    /// Returns the counters of all streams.
    pub(crate) fn counters(&self) -> Counters {
        self.counters.clone()
    }

    fn start(&mut self) {
        self.counters.started();
        self.began = Some(Instant::now());
    }

    /// Counts the transition from the state `from`, caused by `event`, with `action`.
    pub(crate) fn transition(
        &mut self,
        from: State,
        event: Event,
        action: Action,
        evidence: Evidence,
    ) {
        let cause = evidence.last_error.unwrap_or(ErrorKind::Internal);
        match action {
            Action::Spawn => match from {
                State::Failed | State::Stopping(After::Replace) => self.start(),
                State::Backoff if event == Event::Replace => self.start(),
                State::Backoff => self.counters.restarted(cause),
                // Another attempt of the same start.
                _ => {}
            },
            Action::Announce if from == State::Starting => {
                if let Some(began) = self.began.take() {
                    self.counters.playable_after(began.elapsed());
                }
            }
            Action::Refuse | Action::TerminateAndRefuse => self.fail(cause),
            Action::Delay if matches!(event, Event::EndedRefused | Event::Exhausted) => {
                self.fail(cause);
            }
            _ => {}
        }
        let has_ended = matches!(event, Event::Ended | Event::EndedRefused | Event::Exhausted);
        let ended_frozen = has_ended && evidence.frozen_for >= self.stalled_after;
        if from == State::Live && (event == Event::Stalled || ended_frozen) {
            self.counters.stalled();
        }
    }

    /// Counts a failed start if a start is pending. A failed restart after an interruption is not counted, because
    /// it is retried.
    fn fail(&mut self, cause: ErrorKind) {
        if self.began.take().is_some() {
            self.counters.failed(cause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::state::{self, Context};

    fn metrics(counters: &Counters) -> TransitionMetrics {
        let seconds = Duration::from_secs;
        let limits = Limits {
            start_timeout: seconds(15),
            stale_timeout: seconds(4),
            stalled_after: seconds(2),
            idle_timeout: seconds(30),
            stop_grace: seconds(5),
            max_viewers: None,
        };
        TransitionMetrics::new(counters.clone(), &limits)
    }

    /// Sends events through the state table, and returns the counters.
    fn after(events: &[Event]) -> String {
        let counters = Counters::default();
        let mut metrics = metrics(&counters);
        let (mut state, mut was_live, mut last_error) = (State::Starting, false, None);
        for event in events {
            let context = Context { is_retried: was_live, is_wanted: true };
            let (next, action) = state::next(state, *event, context);
            last_error = match event {
                Event::EndedRefused => Some(ErrorKind::SourceUnauthorized),
                Event::StartTimedOut => Some(ErrorKind::SourceTimeout),
                Event::Ended => Some(ErrorKind::SourceUnreachable),
                _ => last_error,
            };
            let frozen_for = Duration::from_millis(200);
            metrics.transition(state, *event, action, Evidence { frozen_for, last_error });
            was_live |= next == State::Live;
            state = next;
        }
        counters.text()
    }

    fn assert_counts(events: &[Event], expected: &[&str]) {
        let text = after(events);
        for line in expected {
            assert!(text.lines().any(|found| found == *line), "{events:?}: {line} in\n{text}");
        }
        // Everything else is zero.
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.contains("_seconds"))
        {
            assert!(line.ends_with(" 0") || expected.contains(&line), "{events:?}: {line}");
        }
    }

    const START: &str = "starts_total 1";
    const PLAYABLE: &str = "start_duration_seconds_count 1";
    const NONE_PLAYABLE: &str = "start_duration_seconds_count 0";
    const REFUSED: &str = r#"start_failures_total{code="source_unauthorized"} 1"#;
    const TOO_LATE: &str = r#"start_failures_total{code="source_timeout"} 1"#;
    const RESTART: &str = r#"restarts_total{code="source_unreachable"} 1"#;

    #[test]
    fn starts_and_failed_starts_are_counted() {
        use Event::{Ended, EndedRefused, EndedReplan, Playable, Start, StartTimedOut};
        assert_counts(&[], &[START, NONE_PLAYABLE]);
        assert_counts(&[EndedReplan, Playable, Start], &[START, PLAYABLE]);
        assert_counts(&[EndedRefused], &[START, REFUSED, NONE_PLAYABLE]);
        assert_counts(&[StartTimedOut, Ended], &[START, TOO_LATE, NONE_PLAYABLE]);
        let again = [EndedRefused, Start, Playable];
        assert_counts(&again, &["starts_total 2", REFUSED, PLAYABLE]);
        let other_source = [Playable, Event::Replace, Ended, Playable];
        assert_counts(&other_source, &["starts_total 2", "start_duration_seconds_count 2"]);
        let wrong_source = [Playable, Event::Replace, Ended, EndedRefused];
        assert_counts(&wrong_source, &["starts_total 2", REFUSED, PLAYABLE]);
    }

    #[test]
    fn interruptions_are_not_counted_as_failed_starts() {
        use Event::{Ended, EndedRefused, Playable, StartTimedOut, TimedOut};
        assert_counts(&[Playable, Ended, TimedOut, Playable], &[START, PLAYABLE, RESTART]);
        let unreachable = [Playable, Ended, TimedOut, EndedRefused, TimedOut, StartTimedOut];
        let refused = r#"restarts_total{code="source_unauthorized"} 1"#;
        assert_counts(&unreachable, &[START, PLAYABLE, RESTART, refused]);
    }

    #[test]
    fn stalls_of_live_streams_are_counted() {
        use Event::{Ended, Playable, Stalled};
        assert_counts(&[Playable, Stalled], &[START, PLAYABLE, "stalls_total 1"]);
        assert_counts(&[Playable, Ended], &[START, PLAYABLE]);
        let counters = Counters::default();
        let mut metrics = metrics(&counters);
        let frozen_for = Duration::from_secs(2);
        let evidence = Evidence { frozen_for, last_error: None };
        // FFmpeg ends before the manager's own timeout.
        metrics.transition(State::Live, Ended, Action::Delay, evidence);
        assert!(counters.text().contains("stalls_total 1"));
        metrics.transition(State::Starting, Ended, Action::Delay, evidence);
        assert!(
            counters.text().contains("stalls_total 1"),
            "a stall of a stream that was not live was counted"
        );
    }
}
