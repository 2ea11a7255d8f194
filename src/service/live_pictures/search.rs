//! The search for pictures of a camera's sub stream, which cost less than those of the main stream.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{Instrument as _, debug, warn};

use super::source::{FIRST_WITHIN, Found, first_picture, too_late};
use crate::base::backoff::Exponential;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::{Profile, StreamId};
use crate::pictures::live::{FAILED_FOR, PictureSpec, SubStream};
use crate::service::core::Core;
use crate::service::live::ViewRequest;
use crate::stream::handle::StreamHandle;
use crate::stream::state::{After, State};

/// The shortest pause before another attempt to get pictures of a sub stream that needs more time.
const SUB_AGAIN: Duration = Duration::from_secs(1);

/// The pauses after attempts at which the sub stream has failed. A camera that permits only one connection refuses each
/// attempt.
const AFTER_FAILURES: Exponential =
    Exponential { first: Duration::from_mins(6), ceiling: Duration::from_hours(1) };

/// The search for pictures of the sub stream, which replace the ones of the main stream as soon as there is one. By default,
/// there is no search.
#[derive(Default)]
pub(super) struct Search {
    /// The request for the sub stream, and the wanted pictures; `None` without a search.
    looks_for: Option<(Arc<Core>, ViewRequest, PictureSpec)>,
    /// The running attempt; empty between two attempts.
    pub(super) attempt: JoinSet<Attempt>,
    /// The time of the next attempt; `None` while one is running, and if there are no further attempts.
    pub(super) next_at: Option<Instant>,
    /// The number of attempts at which the sub stream has failed.
    failures: u32,
}

/// The result of an attempt to get pictures of the sub stream.
pub(super) enum Attempt {
    /// There is a picture.
    Found(Found),
    /// The sub stream needs more time. There may be pictures after this pause.
    Later(Duration),
    /// The sub stream has failed.
    Failed,
    /// There will be no pictures.
    Useless,
}

impl Search {
    /// Begins the search for a request for pictures of `main`. Does not search if there is no sub stream that can have the
    /// pictures.
    pub(super) async fn of(
        core: &Arc<Core>,
        main: &ViewRequest,
        spec: PictureSpec,
    ) -> Result<Self, Error> {
        let is_main = main.id().profile() == Profile::Main;
        let Some(width) = spec.form.needed_width().filter(|_| is_main) else {
            return Ok(Self::default());
        };
        let sub = main.of_profile(Profile::Sub);
        let known = core.pictures.known(sub.id());
        let is_too_small = matches!(known, Some(SubStream::Width(known)) if known < width);
        if is_too_small || core.cameras.camera_of(sub.id()).await?.is_none() {
            return Ok(Self::default());
        }
        let looks_for = Some((Arc::clone(core), sub, spec));
        let mut search = Self { looks_for, ..Self::default() };
        if known == Some(SubStream::Failed) {
            search.pause(FAILED_FOR);
        } else {
            search.begin();
        }
        Ok(search)
    }

    /// Returns the id of the sub stream; `None` without a search.
    pub(super) fn sub(&self) -> Option<&StreamId> {
        self.looks_for.as_ref().map(|(_, sub, _)| sub.id())
    }

    fn begin(&mut self) {
        self.next_at = None;
        let known =
            self.looks_for.as_ref().and_then(|(core, sub, _)| core.pictures.known(sub.id()));
        if known == Some(SubStream::Failed) {
            // Another viewer has just tried it.
            self.pause(AFTER_FAILURES.delay(self.failures));
            return;
        }
        if let Some((core, sub, spec)) = &self.looks_for {
            let look = look_for_better(Arc::clone(core), sub.clone(), *spec);
            self.attempt.spawn(look.in_current_span());
        }
    }

    /// Returns whether an attempt is running.
    pub(super) fn is_running(&self) -> bool {
        !self.attempt.is_empty()
    }

    /// Waits for the end of an attempt, and returns the source that was found; `None` if nothing was found. Never returns if
    /// there are no further attempts. Can be cancelled and called again.
    pub(super) async fn next(&mut self) -> Option<Found> {
        if !self.is_running() {
            match self.next_at {
                Some(next_at) => sleep_until(next_at).await,
                None => std::future::pending().await,
            }
            self.begin();
        }
        let attempt = self.attempt.join_next().await?.unwrap_or_else(|error| {
            warn!(%error, "the search for pictures of a sub stream failed unexpectedly");
            Attempt::Useless
        });
        match attempt {
            Attempt::Found(found) => return Some(found),
            Attempt::Later(pause) => self.pause(pause),
            Attempt::Failed => {
                self.pause(AFTER_FAILURES.delay(self.failures));
                self.failures += 1;
            }
            Attempt::Useless => {}
        }
        None
    }

    fn pause(&mut self, pause: Duration) {
        self.next_at = Some(Instant::now() + pause);
    }
}

/// Opens the sub stream, and waits for its first picture, both for a limited time. Remembers a sub stream that cannot be
/// used.
async fn look_for_better(core: Arc<Core>, sub: ViewRequest, spec: PictureSpec) -> Attempt {
    let id = sub.id().clone();
    let opened = timeout(FIRST_WITHIN, sub.open(&core)).await.unwrap_or_else(|_| Err(too_late()));
    let (error, has_failed) = match opened {
        Ok(view) if !has_width(&core, view.stream(), spec) => {
            debug!(camera = %id, "the sub stream is too small for the pictures");
            return Attempt::Useless;
        }
        Ok(view) => match first_picture(&core, view, spec).await {
            Ok(found) => return Attempt::Found(found),
            Err(error) => (error, true),
        },
        Err(error) => {
            let stream = core.registry.get(&id);
            (error, stream.is_some_and(|stream| has_failed_to_start(stream.state())))
        }
    };
    debug!(camera = %id, %error, has_failed, "the sub stream cannot be used for pictures");
    let has_failed = has_failed && is_failure_of_stream(error.kind);
    if has_failed {
        core.pictures.learn(&id, SubStream::Failed);
    }
    after(&error, has_failed)
}

/// Returns what follows after an attempt that ended with `error`. `has_failed` is true if the sub stream has failed, and
/// does not only need more time, such as until its first keyframe.
fn after(error: &Error, has_failed: bool) -> Attempt {
    match error.kind {
        ErrorKind::Unauthorized
        | ErrorKind::Forbidden
        | ErrorKind::UnknownCamera
        | ErrorKind::ShuttingDown => Attempt::Useless,
        _ if has_failed => Attempt::Failed,
        _ => Attempt::Later(error.retry_after.unwrap_or_default().max(SUB_AGAIN)),
    }
}

/// Returns whether a stream in this state that could not be opened has failed. Otherwise, the stream may only need more
/// time: after a restart of the manager, for example, many streams wait to start.
pub(crate) fn has_failed_to_start(state: State) -> bool {
    matches!(state, State::Failed | State::Backoff | State::Stopping(After::Fail | After::Retry))
}

/// Returns whether an error is a failure of the stream, so that other viewers would get it as well.
pub(crate) fn is_failure_of_stream(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::Unauthorized
            | ErrorKind::Forbidden
            | ErrorKind::TooManyViewers
            | ErrorKind::TooManyStreams
            | ErrorKind::TooManyStarts
            | ErrorKind::UnknownCamera
            | ErrorKind::ShuttingDown
            | ErrorKind::Stopped
            | ErrorKind::StreamEnded
            | ErrorKind::StorageUnavailable
            | ErrorKind::Busy
    )
}

/// Returns whether the stream's pictures are as wide as the pictures that the viewer wants. Remembers the width.
fn has_width(core: &Core, stream: &StreamHandle, spec: PictureSpec) -> bool {
    let flow = stream.shared().hub.flow();
    let Some(width) = flow.map(|flow| u32::from(flow.format.picture.width)) else { return false };
    core.pictures.learn(stream.id(), SubStream::Width(width));
    spec.form.needed_width().is_some_and(|needed| needed <= width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_that_all_viewers_would_get_are_remembered() {
        assert!(is_failure_of_stream(ErrorKind::SourceUnreachable));
        assert!(is_failure_of_stream(ErrorKind::Internal));
        assert!(!is_failure_of_stream(ErrorKind::Forbidden));
        assert!(!is_failure_of_stream(ErrorKind::TooManyViewers));
        assert!(!is_failure_of_stream(ErrorKind::Stopped));
        assert!(!is_failure_of_stream(ErrorKind::StorageUnavailable));
    }

    #[test]
    fn the_search_continues_unless_the_sub_stream_cannot_be_watched() {
        let after = |kind, has_failed| after(&Error::new(kind, "no picture"), has_failed);
        for kind in [ErrorKind::AwaitingKeyframe, ErrorKind::TooManyStarts] {
            assert!(matches!(after(kind, false), Attempt::Later(SUB_AGAIN)), "{kind:?}");
        }
        assert!(matches!(after(ErrorKind::SourceUnreachable, true), Attempt::Failed));
        for kind in [ErrorKind::UnknownCamera, ErrorKind::Forbidden] {
            assert!(matches!(after(kind, false), Attempt::Useless), "{kind:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sub_stream_that_fails_again_and_again_is_tried_ever_more_rarely() {
        let mut search = Search::default();
        let mut pauses = Vec::new();
        for _ in 0..7 {
            search.attempt.spawn(async { Attempt::Failed });
            assert!(search.next().await.is_none());
            let next_at = search.next_at.take().expect("another attempt");
            pauses.push((next_at - Instant::now()).as_secs() / 60);
        }
        // A random part of up to a half is left out.
        for (pause, longest) in pauses.iter().zip([6, 12, 24, 48, 60, 60, 60]) {
            assert!((longest / 2..=longest).contains(pause), "{pauses:?}");
        }
    }

    #[test]
    fn a_stream_that_only_starts_slowly_is_not_remembered_as_failed() {
        for state in [State::Failed, State::Backoff, State::Stopping(After::Fail)] {
            assert!(has_failed_to_start(state), "{state:?}");
        }
        for state in [State::Starting, State::Live, State::Stopping(After::Replace)] {
            assert!(!has_failed_to_start(state), "{state:?}");
        }
    }
}
