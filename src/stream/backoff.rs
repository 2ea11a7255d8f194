//! The delays before a stream starts its ingest, or the transcoder of its rendition, again.

use std::time::Duration;

use tokio::time::Instant;

use crate::base::backoff::{Exponential, jittered};
use crate::base::error::ErrorKind;

/// The delays in all cases that the constants below do not cover.
const DELAYS: Exponential =
    Exponential { first: Duration::from_secs(1), ceiling: Duration::from_secs(15) };
/// The longest delay after a permanent error, which does not resolve without a change. A rejected login always gets
/// this delay, because cameras lock accounts after too many failed logins. Other permanent errors get [`RESTORE`]
/// instead while a stream is being restored (see [`RESTORE_FOR`]): all of them if the stream was live for at least
/// [`STABLE_AFTER`], otherwise only `SourceNotFound`.
const PERMANENT: Duration = Duration::from_mins(1);
/// The longest delay after the camera has refused a further connection. When a connection has ended, many cameras
/// need a few seconds to free its session.
const BUSY: Duration = Duration::from_secs(4);
/// The longest delay while a stream that was live a moment ago is restored.
const RESTORE: Duration = Duration::from_secs(2);
/// The time for which a stream that was live is restored with delays of at most [`RESTORE`].
const RESTORE_FOR: Duration = Duration::from_mins(1);
/// After a run in which the stream was live for at least this long, or in which the transcoder ran for at least this
/// long, the delays start from the first one again, and the stream is restored.
pub(super) const STABLE_AFTER: Duration = Duration::from_secs(5);
/// A stream that was live for less than [`STABLE_AFTER`] gets the short delays of [`RESTORE`] again only after this
/// time. Without this limit, a camera that always ends the stream at once would be contacted every 2 s
/// for ever.
const RESTORE_AGAIN_AFTER: Duration = Duration::from_mins(2);

/// Computes the delays of one stream, or of its rendition.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    /// The end of the run after which the stream was last restored.
    lost_at: Option<Instant>,
    /// True if that run was stable.
    was_stable: bool,
}

impl Backoff {
    /// Returns the next delay. For a stream, `was_live_for` is the time for which the stream was live in the
    /// previous run of the ingest; `None` if it was not live in that run. For a rendition, `was_live_for` is the
    /// time for which the previous transcoder ran; `None` if that was less than [`STABLE_AFTER`]. `error` is the
    /// reason why the run ended.
    pub(super) fn next(
        &mut self,
        was_live_for: Option<Duration>,
        error: Option<ErrorKind>,
    ) -> Duration {
        let is_restore_due = self.lost_at.is_none_or(|at| at.elapsed() >= RESTORE_AGAIN_AFTER);
        let is_stable = was_live_for.is_some_and(|live| live >= STABLE_AFTER);
        if is_stable || was_live_for.is_some() && is_restore_due {
            self.failures = 0;
            self.lost_at = Some(Instant::now());
            self.was_stable = is_stable;
        }
        let is_restored = self.lost_at.is_some_and(|lost_at| lost_at.elapsed() < RESTORE_FOR);
        match error {
            // Further attempts could lock the account.
            Some(ErrorKind::SourceUnauthorized) => jittered(PERMANENT),
            Some(ErrorKind::SourceBusy) => jittered(BUSY),
            Some(kind)
                if kind.is_permanent()
                    && !(is_restored && (self.was_stable || kind == ErrorKind::SourceNotFound)) =>
            {
                jittered(PERMANENT)
            }
            // Even a permanent error may pass soon. In particular, a relay that restarts does not know its paths
            // at first.
            _ if is_restored => jittered(RESTORE),
            _ => {
                let delay = DELAYS.delay(self.failures);
                self.failures = self.failures.saturating_add(1);
                delay
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts that a delay is between half of `nominal` and `nominal`.
    #[track_caller]
    fn assert_about(delay: Duration, nominal: Duration) {
        assert!(delay >= nominal / 2 && delay <= nominal, "{delay:?} of {nominal:?}");
    }

    #[test]
    fn delays_grow_to_the_ceiling() {
        let mut backoff = Backoff::default();
        for nominal in [1, 2, 4, 8, 15, 15] {
            assert_about(backoff.next(None, None), Duration::from_secs(nominal));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_was_live_for_a_moment_is_restored_quickly_only_every_two_minutes() {
        let mut backoff = Backoff { failures: 9, ..Backoff::default() };
        let unstable = Some(Duration::from_secs(1));
        assert_about(backoff.next(unstable, None), RESTORE);
        assert_about(backoff.next(None, Some(ErrorKind::SourceUnsupported)), PERMANENT);
        assert_about(backoff.next(None, Some(ErrorKind::SourceNotFound)), RESTORE);
        assert_about(backoff.next(None, None), RESTORE);
        tokio::time::advance(RESTORE_FOR).await;
        for nominal in [1, 2, 4, 8, 15] {
            assert_about(backoff.next(unstable, None), Duration::from_secs(nominal));
        }
        assert_about(backoff.next(unstable, Some(ErrorKind::SourceNotFound)), PERMANENT);
        tokio::time::advance(RESTORE_FOR).await;
        assert_about(backoff.next(unstable, None), RESTORE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_was_live_is_restored_quickly_for_a_minute() {
        let mut backoff = Backoff { failures: 9, ..Backoff::default() };
        let stable = Some(Duration::from_secs(5));
        for error in [None, Some(ErrorKind::SourceNotFound), Some(ErrorKind::SourceUnreachable)] {
            assert_about(backoff.next(stable, error), RESTORE);
            assert_about(backoff.next(None, error), RESTORE);
        }
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_about(backoff.next(None, None), RESTORE);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_about(backoff.next(None, None), DELAYS.first);
        assert_about(backoff.next(None, Some(ErrorKind::SourceNotFound)), PERMANENT);
    }

    #[test]
    fn a_permanent_refusal_is_retried_rarely_and_a_busy_camera_within_seconds() {
        assert_about(Backoff::default().next(None, Some(ErrorKind::SourceUnsupported)), PERMANENT);
        let mut backoff = Backoff::default();
        let stable = Some(Duration::from_mins(1));
        assert_about(backoff.next(stable, Some(ErrorKind::SourceUnauthorized)), PERMANENT);
        for _ in 0..9 {
            assert_about(backoff.next(stable, Some(ErrorKind::SourceBusy)), BUSY);
        }
    }

    #[test]
    fn many_failures_cause_no_overflow() {
        let mut backoff = Backoff { failures: u32::MAX, ..Backoff::default() };
        assert!(backoff.next(None, None) <= DELAYS.ceiling);
    }
}
