//! Streams for callers: starting, joining, stopping and finding them.

use tracing::{debug, info};

use super::context::Core;
use super::permission::ensure_can_see;
use crate::access::Caller;
use crate::access::keys::Role;
use crate::base::error::{Error, ErrorKind};
use crate::camera::Camera;
use crate::camera::id::{CameraId, Profile, StreamId};
use crate::camera::options::OptionChanges;
use crate::camera::record::Record;
use crate::camera::source::Source;
use crate::child::log::Line;
use crate::stream::handle::{Joined, StreamHandle};
use crate::stream::state::State;

#[cfg(test)]
mod tests;

/// The parameters of a start.
#[derive(Debug)]
pub(crate) struct StartRequest {
    /// The stream to start.
    pub(crate) id: StreamId,
    /// The new source of the stream; `None` for the known one.
    pub(crate) source: Option<Source>,
    /// The options that change.
    pub(crate) changes: OptionChanges,
    /// If true, the start waits until the stream is playable.
    pub(crate) wait: bool,
}

/// The state of a stream when its start returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartOutcome {
    /// It was playable before.
    Active,
    /// It became playable.
    Started,
    /// It is not playable yet, and the caller did not want to wait.
    Starting,
}

/// A stream, or its camera while there is no stream.
pub(crate) enum StreamOrCamera {
    /// The stream.
    Stream(StreamHandle),
    /// The camera.
    Camera(Camera),
}

/// Starts a stream or joins it. A caller that changes the camera needs the role `user`.
pub(crate) async fn start(
    core: &Core,
    caller: &Caller,
    request: StartRequest,
) -> Result<StartOutcome, Error> {
    let StartRequest { id, source, changes, wait } = request;
    if source.is_none() && changes == OptionChanges::default() {
        return start_known(core, caller, &id, wait).await;
    }
    ensure_can_see(core, caller, id.camera()).await?;
    caller.at_least(Role::User)?;
    let check = |record: &Record| caller.ensure_owns(record.owner.as_deref(), &record.id);
    match core.cameras.put(&id, caller.owner(), source, changes, check).await? {
        Some(camera) => begin(core, caller, camera, wait).await,
        None => Err(no_stream(core, &id).await),
    }
}

/// Starts or joins the stream of a camera that is known.
pub(crate) async fn start_known(
    core: &Core,
    caller: &Caller,
    id: &StreamId,
    wait: bool,
) -> Result<StartOutcome, Error> {
    ensure_can_see(core, caller, id.camera()).await?;
    let camera = stream(core, id).await?;
    begin(core, caller, camera, wait).await
}

async fn begin(
    core: &Core,
    caller: &Caller,
    camera: Camera,
    wait: bool,
) -> Result<StartOutcome, Error> {
    // Back ends start the stream again with every view of a page.
    if core.registry.join_live(&camera) {
        debug!(by = caller.name(), stream = %camera.id, "joined");
        return Ok(StartOutcome::Active);
    }
    info!(by = caller.name(), stream = %camera.id, "start");
    if wait {
        return Ok(match join(core, camera).await? {
            Joined::Active => StartOutcome::Active,
            Joined::Started => StartOutcome::Started,
        });
    }
    let handle = core.registry.start_soon(camera)?;
    let is_live = handle.state() == State::Live;
    Ok(if is_live { StartOutcome::Active } else { StartOutcome::Starting })
}

/// Starts a camera's stream, or joins it. Makes sure that the stream has the source and options that
/// the camera has when it becomes playable: they can have changed during the start.
pub(super) async fn join(core: &Core, camera: Camera) -> Result<Joined, Error> {
    let joined = core.registry.start(camera.clone()).await?;
    match core.cameras.camera_of(&camera.id).await? {
        Some(now) if now.is_same_stream(&camera) => Ok(joined),
        Some(now) => core.registry.start(now).await,
        None => {
            core.registry.stop(&camera.id).await;
            Err(no_stream(core, &camera.id).await)
        }
    }
}

/// Stops a stream. Also succeeds if there is none.
pub(crate) async fn stop(core: &Core, caller: &Caller, id: &StreamId) -> Result<(), Error> {
    ensure_can_see(core, caller, id.camera()).await?;
    info!(by = caller.name(), stream = %id, "stop");
    core.registry.stop(id).await;
    Ok(())
}

/// Returns a stream, or its camera while there is none.
pub(crate) async fn find(
    core: &Core,
    caller: &Caller,
    id: &StreamId,
) -> Result<StreamOrCamera, Error> {
    ensure_can_see(core, caller, id.camera()).await?;
    match core.registry.get(id) {
        Some(handle) => Ok(StreamOrCamera::Stream(handle)),
        None => Ok(StreamOrCamera::Camera(stream(core, id).await?)),
    }
}

/// Returns all streams that the caller can see.
pub(crate) async fn list(core: &Core, caller: &Caller) -> Result<Vec<StreamHandle>, Error> {
    let mut streams = Vec::new();
    for handle in core.registry.all() {
        match ensure_can_see(core, caller, handle.id().camera()).await {
            Ok(()) => streams.push(handle),
            Err(error) if error.kind == ErrorKind::Forbidden => {}
            Err(error) => return Err(error),
        }
    }
    Ok(streams)
}

/// Returns the last lines that a stream's processes wrote. Error: the camera is not known.
pub(crate) async fn log(core: &Core, caller: &Caller, id: &StreamId) -> Result<Vec<Line>, Error> {
    ensure_can_see(core, caller, id.camera()).await?;
    stream(core, id).await?;
    let lines = core.registry.get(id).map(|handle| handle.shared().process_log.lines());
    Ok(lines.unwrap_or_default())
}

/// Makes the running streams of a camera that has changed show its new source, or ends those that
/// it no longer has.
pub(super) async fn follow(core: &Core, id: &CameraId) -> Result<(), Error> {
    for profile in [Profile::Main, Profile::Sub] {
        let id = StreamId::new(id.clone(), profile);
        if core.registry.get(&id).is_none() {
            continue;
        }
        match core.cameras.camera_of(&id).await? {
            Some(camera) => drop(core.registry.start_soon(camera)?),
            None => drop(core.registry.stop(&id).await),
        }
    }
    Ok(())
}

/// Returns a stream of a known camera, ready to be started.
pub(super) async fn stream(core: &Core, id: &StreamId) -> Result<Camera, Error> {
    match core.cameras.camera_of(id).await? {
        Some(camera) => Ok(camera),
        None => Err(no_stream(core, id).await),
    }
}

/// The error for a stream that does not exist: its camera is not known, or has no such stream.
async fn no_stream(core: &Core, id: &StreamId) -> Error {
    match core.cameras.get(id.camera()).await {
        Ok(Some(_)) => {
            let (camera, profile) = (id.camera(), id.profile().as_str());
            let detail = format!("camera {camera} has no {profile} stream");
            Error::new(ErrorKind::UnknownCamera, detail)
        }
        Ok(None) => unknown_camera(id.camera()),
        Err(error) => error,
    }
}

/// The error for a camera that is not known.
pub(super) fn unknown_camera(id: &CameraId) -> Error {
    let detail = format!(
        "there is no camera {id}; add it with PUT /api/cameras/{id}, or start it once with its \
         rtsp_link"
    );
    Error::new(ErrorKind::UnknownCamera, detail)
}
