//! Use case of a viewer whose connection stays open, such as a WebSocket: the permission to watch, the running stream,
//! and the end of the view.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::core::Core;
use super::live_places::LivePlace;
use super::watching::{self, Visitor};
use super::{permission, streams};
use crate::access::permit::Permit;
use crate::base::error::Error;
use crate::camera::id::{CameraId, Profile, StreamId};
use crate::stream::handle::StreamHandle;
use crate::stream::interest::{Interest, Purpose};
use crate::stream::output::WantedOutput;
use crate::stream::state::{After, State};
use crate::stream::status::Status;
use crate::stream::viewers::Viewer;

/// The time between two checks of a viewer's permission. Each check also notes that the viewer is present.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// A viewer's view of one stream. While it exists, the stream keeps running.
#[derive(Debug)]
pub(crate) struct LiveView {
    stream: StreamHandle,
    _interest: Interest,
    _place: Arc<LivePlace>,
    permit: Permit,
    address: String,
    player: String,
}

/// A request for a view that is permitted.
#[derive(Debug, Clone)]
pub(crate) struct ViewRequest {
    id: StreamId,
    /// Shared by all views that this request opens.
    place: Arc<LivePlace>,
    permit: Permit,
    address: String,
    player: String,
}

/// The state of a stream, as a viewer notices it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// The viewer gets frames.
    Live,
    /// The viewer gets no frames for this reason: the camera is away, or the conversion of its video has failed. The
    /// manager tries again.
    Reconnecting(String),
}

/// The changes of a stream's state.
#[derive(Debug, Clone)]
pub(crate) struct LivenessChanges {
    status: watch::Receiver<Status>,
    /// The last error of the conversion; `None` if it has worked since, or does not run.
    conversion: watch::Receiver<Option<Error>>,
    /// When the stream became live last; `None` if it has not been live yet.
    live_since: Option<Instant>,
    last: Liveness,
}

/// Returns a request for a view. Fails if the visitor is not permitted to watch or has too many views, or if the camera is
/// unknown.
pub(crate) async fn request(
    core: &Core,
    id: &StreamId,
    visitor: Visitor<'_>,
) -> Result<ViewRequest, Error> {
    let permit = permission::permit_to_watch(core, &visitor.shown, id.camera()).await?;
    streams::known_camera(core, id).await?;
    let address = visitor.shown.address.unwrap_or_default();
    Ok(ViewRequest {
        id: id.clone(),
        place: Arc::new(core.live_places.take(permit.user(), address)?),
        permit,
        address: address.to_owned(),
        player: visitor.player.to_owned(),
    })
}

impl ViewRequest {
    /// Returns the id of the stream.
    pub(crate) fn id(&self) -> &StreamId {
        &self.id
    }

    /// Returns the user of the viewer.
    pub(super) fn user(&self) -> &str {
        self.permit.user()
    }

    /// Returns the address of the viewer; empty if it is not known.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Returns the same request for another stream of the camera.
    pub(super) fn of_profile(&self, profile: Profile) -> Self {
        Self { id: StreamId::new(self.id.camera().clone(), profile), ..self.clone() }
    }

    /// Waits until the viewer may not watch the camera any more, and returns the reason. A viewer without a view needs
    /// this.
    pub(crate) async fn refusal(&self, core: &Core) -> Error {
        refusal(core, &self.permit, self.id.camera(), || Ok(())).await
    }

    /// Returns a view of the stream. Starts the stream if it is not running, and waits for its first keyframe. Fails
    /// if the stream cannot start, if it has reached its viewer limit, or if the permission has ended.
    pub(crate) async fn open(self, core: &Core) -> Result<LiveView, Error> {
        let Self { id, place, permit, address, player } = self;
        let running = core.registry.get(&id).filter(|stream| stream.is_live(WantedOutput::None));
        let stream = match running {
            Some(stream) => stream,
            None => watching::start(core, &id, WantedOutput::None).await?,
        };
        let interest = stream.interest(Purpose::View);
        let view = LiveView { stream, _interest: interest, _place: place, permit, address, player };
        view.note_presence()?;
        permission::ensure_still_valid(core, &view.permit, id.camera()).await?;
        Ok(view)
    }
}

impl LivenessChanges {
    /// Returns the changes for a viewer who changes over from the stream of `before`: a state that differs from the last one
    /// of that stream is the first change.
    pub(crate) fn continuing(self, before: &Self) -> Self {
        Self { last: before.last.clone(), ..self }
    }

    /// Waits until the state has changed, and returns it. Never returns when the stream has ended. Can be cancelled and
    /// called again without losing a change.
    pub(crate) async fn next(&mut self) -> Liveness {
        loop {
            let now = self.now().filter(|now| *now != self.last);
            if let Some(now) = now {
                self.last = now.clone();
                return now;
            }
            let changed = tokio::select! {
                changed = self.status.changed() => changed,
                changed = self.conversion.changed() => changed,
            };
            if changed.is_err() {
                return std::future::pending().await;
            }
        }
    }

    fn now(&mut self) -> Option<Liveness> {
        let conversion = self.conversion.borrow_and_update();
        let status = self.status.borrow_and_update();
        self.live_since = status.live_since.or(self.live_since);
        // An error from before the stream was live is not the reason why it is not live now.
        let is_new = |at: Instant| self.live_since.is_none_or(|since| at >= since);
        let error = status.last_error.as_ref().filter(|(_, at)| is_new(*at));
        Liveness::of(status.state, error.map(|(error, _)| error), conversion.as_ref())
    }
}

impl Liveness {
    /// Returns the liveness of a stream in this state; `None` if the stream ends, so that the viewer gets the reason of
    /// the end instead. `error` is the error of the interruption, and `conversion` the error of the conversion.
    fn of(state: State, error: Option<&Error>, conversion: Option<&Error>) -> Option<Self> {
        match state {
            State::Live => Some(conversion.map_or(Self::Live, Self::reconnecting)),
            State::Starting | State::Backoff | State::Stopping(After::Retry | After::Replace) => {
                let starting = || Self::Reconnecting("the stream is starting again".to_owned());
                Some(error.map_or_else(starting, Self::reconnecting))
            }
            State::Stopping(After::End | After::Fail) | State::Failed | State::Gone => None,
        }
    }

    fn reconnecting(error: &Error) -> Self {
        Self::Reconnecting(error.detail.clone())
    }
}

impl LiveView {
    /// Returns the stream.
    pub(crate) fn stream(&self) -> &StreamHandle {
        &self.stream
    }

    /// Returns the changes of the stream's state. The viewer counts as a viewer of a live stream at first, so that
    /// another state now is the first change.
    pub(crate) fn liveness(&self) -> LivenessChanges {
        LivenessChanges {
            status: self.stream.status_changes(),
            conversion: self.stream.shared().media.conversion_error(),
            live_since: None,
            last: Liveness::Live,
        }
    }

    /// Waits until the view must end, and returns the reason: the permission has ended, or the stream is ending. The view
    /// and all readers of the stream must then be dropped.
    pub(crate) async fn end(&self, core: &Arc<Core>) -> Error {
        let id = self.stream.id();
        tokio::select! {
            () = self.stream.ending() => {
                if core.registry.is_closing() { Error::shutting_down() } else { watching::ended(id) }
            }
            error = self.refusal(core) => error,
        }
    }

    /// Waits until the viewer may not watch any more, and returns the reason.
    async fn refusal(&self, core: &Core) -> Error {
        let note_presence = || self.note_presence();
        refusal(core, &self.permit, self.stream.id().camera(), note_presence).await
    }

    fn note_presence(&self) -> Result<(), Error> {
        let Self { permit, address, player, .. } = self;
        self.stream.note_viewer(&Viewer { user: permit.user(), address, player })
    }
}

/// Checks a permission until it has ended, and returns the reason. After each check, calls `note`, whose error ends the
/// permission, too.
pub(super) async fn refusal(
    core: &Core,
    permit: &Permit,
    camera: &CameraId,
    note: impl Fn() -> Result<(), Error>,
) -> Error {
    let mut checks = interval(CHECK_INTERVAL);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = checks.tick() => {}
            () = permit.ended() => {}
        }
        let checked = permission::ensure_still_valid(core, permit, camera).await;
        if let Err(error) = checked.and_then(|()| note()) {
            return error;
        }
    }
}

#[cfg(test)]
pub(super) mod testing {
    use std::time::SystemTime;

    use super::*;
    use crate::base::error::ErrorKind;
    use crate::camera::Camera;
    use crate::camera::options::StreamOptions;
    use crate::camera::source::Source;
    use crate::stream::output::{OutputState, OutputStatus};

    /// Returns the changes of a stream that is always live.
    pub(crate) fn always_live() -> LivenessChanges {
        stream().1
    }

    /// A stream that is live unless the conversion of its video has an error.
    pub(crate) struct TestStream {
        conversion: watch::Sender<Option<Error>>,
        _status: watch::Sender<Status>,
    }

    impl TestStream {
        /// Sets the state: `None` for live, or the error of the conversion.
        pub(crate) fn set(&self, error: Option<&str>) {
            let error = error.map(|detail| Error::new(ErrorKind::Internal, detail));
            self.conversion.send_replace(error);
        }
    }

    /// Returns a stream that is live, and the changes of its state.
    pub(crate) fn stream() -> (TestStream, LivenessChanges) {
        let source = Source::parse("rtsp://cam/").expect("a link");
        let id = StreamId::parse("cam").expect("an id");
        let status = Status {
            state: State::Live,
            epoch: 1,
            restarts: 0,
            started_at: SystemTime::now(),
            live_since: Some(Instant::now()),
            start_took: None,
            last_error: None,
            was_live: true,
            output: OutputStatus { state: OutputState::Off, error: None },
            camera: Camera::new(id, source, StreamOptions::default()),
        };
        let (send_status, status) = watch::channel(status);
        let (send_conversion, conversion) = watch::channel(None);
        let stream = TestStream { conversion: send_conversion, _status: send_status };
        (stream, LivenessChanges { status, conversion, live_since: None, last: Liveness::Live })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::ErrorKind;

    #[test]
    fn only_a_stream_that_continues_is_reconnecting() {
        let away = Error::new(ErrorKind::SourceUnreachable, "the camera is away");
        let failed = Error::new(ErrorKind::Internal, "the conversion failed");
        let reconnecting = |detail: &str| Some(Liveness::Reconnecting(detail.to_owned()));
        let of = |state, conversion| Liveness::of(state, Some(&away), conversion);
        assert_eq!(of(State::Live, None), Some(Liveness::Live));
        assert_eq!(of(State::Live, Some(&failed)), reconnecting("the conversion failed"));
        for after in [After::Retry, After::Replace] {
            assert_eq!(of(State::Stopping(after), None), reconnecting("the camera is away"));
        }
        assert_eq!(of(State::Backoff, Some(&failed)), reconnecting("the camera is away"));
        let starting = Liveness::of(State::Starting, None, None);
        assert_eq!(starting, reconnecting("the stream is starting again"));
        for state in [State::Stopping(After::End), State::Failed, State::Gone] {
            assert_eq!(of(state, None), None, "{state:?}");
        }
    }
}
