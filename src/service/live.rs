//! Use case of a viewer whose connection stays open, such as a WebSocket: the permission to watch, the running stream,
//! and the end of the view.

use std::sync::Arc;
use std::time::Duration;

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

/// Returns a view of a stream. Starts the stream if it is not running, and waits for its first keyframe. Fails if the
/// visitor is not permitted to watch, if the stream cannot start, or if it has reached its viewer limit.
pub(crate) async fn watch(
    core: &Core,
    id: &StreamId,
    visitor: Visitor<'_>,
) -> Result<LiveView, Error> {
    let permit = permission::permit_to_watch(core, &visitor.shown, id.camera()).await?;
    let address = visitor.shown.address.unwrap_or_default().to_owned();
    LiveView::begin(core, id, permit, address, visitor.player.to_owned()).await
}

impl LiveView {
    /// Returns a view of another stream of the same camera, for the same viewer. Fails as [`watch`] does.
    pub(crate) fn also_watch(
        &self,
        core: Arc<Core>,
        id: StreamId,
    ) -> impl Future<Output = Result<Self, Error>> + Send + use<> {
        let Self { permit, address, player, .. } = self;
        let (permit, address, player) = (permit.clone(), address.clone(), player.clone());
        async move { Self::begin(&core, &id, permit, address, player).await }
    }

    /// Begins a view with a permission that was checked.
    async fn begin(
        core: &Core,
        id: &StreamId,
        permit: Permit,
        address: String,
        player: String,
    ) -> Result<Self, Error> {
        streams::known_camera(core, id).await?;
        let running = core.registry.get(id).filter(|stream| stream.is_live(WantedOutput::None));
        let stream = match running {
            Some(stream) => stream,
            None => watching::start(core, id, WantedOutput::None).await?,
        };
        let interest = stream.interest(Purpose::View);
        let view = Self { _interest: interest, stream, permit, address, player };
        view.note_presence()?;
        permission::ensure_still_valid(core, &view.permit, id.camera()).await?;
        Ok(view)
    }

    /// Returns the stream.
    pub(crate) fn stream(&self) -> &StreamHandle {
        &self.stream
    }

    /// Waits until the view must end, and returns the reason: the permission has ended, or the stream has ended or does
    /// not continue.
    pub(crate) async fn end(&self, core: &Arc<Core>) -> Error {
        let id = self.stream.id();
        tokio::select! {
            () = self.stream.gone() => watching::ended(id),
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
