//! Use case of a viewer whose connection stays open, such as a WebSocket: the permission to watch, the running stream,
//! and the end of the view.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::core::Core;
use super::watching::{self, Visitor};
use super::{permission, streams};
use crate::access::permit::Permit;
use crate::base::error::Error;
use crate::camera::id::StreamId;
use crate::stream::handle::StreamHandle;
use crate::stream::interest::{Interest, Purpose};
use crate::stream::output::WantedOutput;
use crate::stream::state::State;
use crate::stream::status::Status;
use crate::stream::viewers::Viewer;

/// The time between two checks of a viewer's permission. Each check also notes that the viewer is present.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// A viewer's view of one stream. While it exists, the stream keeps running.
#[derive(Debug)]
pub(crate) struct LiveView {
    stream: StreamHandle,
    _interest: Interest,
    permit: Permit,
    address: String,
    player: String,
}

/// A request for a view that is permitted.
#[derive(Debug)]
pub(crate) struct ViewRequest {
    id: StreamId,
    permit: Permit,
    address: String,
    player: String,
}

/// The state of a stream, as a viewer notices it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// The camera sends frames.
    Live,
    /// The camera is away for this reason, and the manager reconnects to it.
    Reconnecting(String),
}

/// The changes of a stream's state.
#[derive(Debug)]
pub(crate) struct LivenessChanges {
    status: watch::Receiver<Status>,
    last: Liveness,
}

/// Returns a request for a view. Fails if the visitor is not permitted to watch, or if the camera is unknown.
pub(crate) async fn request(
    core: &Core,
    id: &StreamId,
    visitor: Visitor<'_>,
) -> Result<ViewRequest, Error> {
    let permit = permission::permit_to_watch(core, &visitor.shown, id.camera()).await?;
    streams::known_camera(core, id).await?;
    Ok(ViewRequest {
        id: id.clone(),
        permit,
        address: visitor.shown.address.unwrap_or_default().to_owned(),
        player: visitor.player.to_owned(),
    })
}

impl ViewRequest {
    /// Returns a view of the stream. Starts the stream if it is not running, and waits for its first keyframe. Fails
    /// if the stream cannot start, if it has reached its viewer limit, or if the permission has ended.
    pub(crate) async fn open(self, core: &Core) -> Result<LiveView, Error> {
        let Self { id, permit, address, player } = self;
        let running = core.registry.get(&id).filter(|stream| stream.is_live(WantedOutput::None));
        let stream = match running {
            Some(stream) => stream,
            None => watching::start(core, &id, WantedOutput::None).await?,
        };
        let interest = stream.interest(Purpose::View);
        let view = LiveView { stream, _interest: interest, permit, address, player };
        view.note_presence()?;
        permission::ensure_still_valid(core, &view.permit, id.camera()).await?;
        Ok(view)
    }
}

impl LivenessChanges {
    /// Waits until the state has changed, and returns it. Never returns when the stream has ended. Can be cancelled and
    /// called again without losing a change.
    pub(crate) async fn next(&mut self) -> Liveness {
        loop {
            let now = Liveness::of(&self.status.borrow_and_update());
            if now != self.last {
                self.last = now.clone();
                return now;
            }
            if self.status.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

impl Liveness {
    fn of(status: &Status) -> Self {
        if status.state == State::Live {
            return Self::Live;
        }
        let error = status.last_error.as_ref().map(|(error, _)| error.detail.clone());
        let detail = error.unwrap_or_else(|| "the camera's stream is starting again".to_owned());
        Self::Reconnecting(detail)
    }
}

impl LiveView {
    /// Returns the stream.
    pub(crate) fn stream(&self) -> &StreamHandle {
        &self.stream
    }

    /// Returns the changes of the stream's state from now on. The stream counts as live now.
    pub(crate) fn liveness(&self) -> LivenessChanges {
        LivenessChanges { status: self.stream.status_changes(), last: Liveness::Live }
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
    async fn refusal(&self, core: &Arc<Core>) -> Error {
        let mut checks = interval(CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = checks.tick() => {}
                () = self.permit.ended() => {}
            }
            let camera = self.stream.id().camera();
            if let Err(error) = permission::ensure_still_valid(core, &self.permit, camera).await {
                return error;
            }
            if let Err(error) = self.note_presence() {
                return error;
            }
        }
    }

    fn note_presence(&self) -> Result<(), Error> {
        let Self { permit, address, player, .. } = self;
        self.stream.note_viewer(&Viewer { user: permit.user(), address, player })
    }
}
