//! Watching: a viewer's requests start the stream, keep it running, and get its playlists.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::context::Core;
use super::{permission, streams};
use crate::access::credentials::Credentials;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::StreamId;
use crate::output::hls::published::Published;
use crate::stream::handle::StreamHandle;
use crate::stream::state::{After, State};
use crate::stream::viewers::Viewer;

/// Players ask every second or so. A camera that failed is tried again after this time, not for each
/// of these requests.
const HOLD: Duration = Duration::from_secs(3);
/// The same after a refusal that waiting does not cure: cameras lock accounts that are tried too
/// often.
const HOLD_PERMANENT: Duration = Duration::from_secs(30);
/// The delay after which a player asks again for a stream that has just ended.
const RETRY_WHEN_ENDED: Duration = Duration::from_secs(1);

/// The sender of a viewer's request.
#[derive(Clone, Copy)]
pub(crate) struct Visitor<'a> {
    /// The credentials of the request.
    pub(crate) shown: Credentials<'a>,
    /// The player's `User-Agent`; can be empty.
    pub(crate) player: &'a str,
}

/// The contents for which a low-latency player waits (RFC 8216bis, 6.2.5.2); by default it does not
/// wait.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reload {
    /// This segment, or the part of it below.
    pub(crate) sequence: Option<u64>,
    /// The part of the segment.
    pub(crate) part: Option<usize>,
}

impl Reload {
    fn is_in(self, published: &Published) -> bool {
        self.sequence.is_none_or(|sequence| published.has(sequence, self.part))
    }
}

/// Returns a stream's playlists as soon as they have what `reload` wants. Starts the stream of a
/// known camera, and notes that its viewer is still there.
pub(crate) async fn playlists(
    core: &Core,
    id: &StreamId,
    visitor: Visitor<'_>,
    reload: Reload,
) -> Result<Arc<Published>, Error> {
    let permit = permission::may_watch(core, &visitor.shown, id.camera()).await?;
    let now = core.hls.newest(id);
    let is_playable = |handle: &StreamHandle| now.is_some() && handle.state() != State::Failed;
    let running = core.registry.get(id).filter(is_playable);
    let is_at_once = running.is_some() && now.is_some_and(|now| reload.is_in(&now));
    let handle = match running {
        Some(handle) => handle,
        None => start(core, id).await?,
    };
    touch(&handle, permit.user(), visitor)?;
    let published = newest(core, &handle, reload).await?;
    if !is_at_once {
        permission::ensure_still_valid(core, &permit, id.camera()).await?;
    }
    Ok(published)
}

/// Checks that a viewer is permitted to have a file of a stream, and notes that the viewer is still
/// there.
pub(crate) async fn allow_file(
    core: &Core,
    id: &StreamId,
    visitor: Visitor<'_>,
) -> Result<(), Error> {
    let permit = permission::may_watch(core, &visitor.shown, id.camera()).await?;
    match core.registry.get(id) {
        Some(handle) => touch(&handle, permit.user(), visitor),
        None => Ok(()),
    }
}

/// Notes the viewer. Refuses one too many.
fn touch(handle: &StreamHandle, user: &str, visitor: Visitor<'_>) -> Result<(), Error> {
    let address = visitor.shown.address.unwrap_or_default();
    handle.touch_as_viewer(&Viewer { user, address, player: visitor.player })
}

async fn start(core: &Core, id: &StreamId) -> Result<StreamHandle, Error> {
    let camera = streams::stream(core, id).await?;
    refuse_while_held(core, id)?;
    streams::join(core, camera).await.map_err(|error| match error.kind {
        // A player would give up, because of a stop that another client asked for.
        ErrorKind::Stopped => ended(id),
        _ => error,
    })?;
    core.registry.get(id).ok_or_else(|| ended(id))
}

/// Answers for a camera that has just failed, without trying it again.
fn refuse_while_held(core: &Core, id: &StreamId) -> Result<(), Error> {
    let Some(handle) = core.registry.get(id) else { return Ok(()) };
    let status = handle.status();
    let has_failed = matches!(status.state, State::Failed | State::Stopping(After::Fail));
    let Some((error, at)) = status.last_error.filter(|_| has_failed) else {
        return Ok(());
    };
    let hold = if error.kind.is_permanent() { HOLD_PERMANENT } else { HOLD };
    match hold.checked_sub(at.elapsed()) {
        Some(left) if !left.is_zero() => {
            // The failure must be known for as long as the camera is held.
            handle.touch();
            Err(error.retry_after(left))
        }
        _ => Ok(()),
    }
}

/// Waits for playlists that have what `reload` wants. The packager wakes every waiting player, once
/// a part. When the stream is away for too long, the player gets the playlists as they are: it would
/// give up at an error.
async fn newest(
    core: &Core,
    handle: &StreamHandle,
    reload: Reload,
) -> Result<Arc<Published>, Error> {
    let id = handle.id();
    let mut newest = core.hls.playlist(id).ok_or_else(|| ended(id))?;
    if let (Some(sequence), Some(now)) = (reload.sequence, newest.borrow().as_ref()) {
        now.ensure_near(sequence)?;
    }
    let has_wanted = |published: &Option<Arc<Published>>| {
        published.as_ref().is_some_and(|now| reload.is_in(now))
    };
    let patience = core.hls.reload_timeout();
    let found = match timeout(patience, newest.wait_for(has_wanted)).await {
        Ok(Ok(published)) => published.clone(),
        Ok(Err(_)) => return Err(ended(id)),
        Err(_) => core.hls.newest(id),
    };
    found.ok_or_else(|| ended(id))
}

/// The error of a stream that ended under its viewer. Players try again after it.
fn ended(id: &StreamId) -> Error {
    let detail = format!("the stream of camera {id} has just ended; try again in a second");
    Error::new(ErrorKind::StreamEnded, detail).retry_after(RETRY_WHEN_ENDED)
}
