//! Use cases of streams: starting, joining, stopping and finding them.

use tracing::{debug, info};

use super::core::Core;
use super::permission::ensure_can_see;
use crate::access::Caller;
use crate::access::role::Role;
use crate::base::error::{Error, ErrorKind};
use crate::camera::Camera;
use crate::camera::id::{CameraId, Profile, StreamId};
use crate::camera::options::OptionChanges;
use crate::camera::plan::Plan;
use crate::camera::record::Record;
use crate::camera::source::Source;
use crate::camera::source_change::SourceParts;
use crate::child::log::Line;
use crate::stream::handle::{Joined, StreamHandle};
use crate::stream::output::WantedOutput;

#[cfg(test)]
mod tests;

/// The parameters of a start.
#[derive(Debug)]
pub(crate) struct StartRequest {
    /// The stream to start.
    pub(crate) id: StreamId,
    /// The new source of the stream; `None` to keep the known one.
    pub(crate) source: Option<Source>,
    /// The options to change.
    pub(crate) changes: OptionChanges,
    /// The output with which the stream is started.
    pub(crate) output: WantedOutput,
    /// If true, the start waits until the stream is playable or its start is delayed.
    pub(crate) wait: bool,
}

/// The state of a stream when its start returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StartOutcome {
    /// The stream was already playable.
    Active,
    /// The stream has become playable.
    Started,
    /// The stream is not playable yet. Contains the reason for the delay; `None` if the caller did not wait.
    Starting(Option<Error>),
}

/// A stream that is running or has failed, or the camera of a stopped stream.
pub(crate) enum StreamOrCamera {
    /// The stream.
    Stream(StreamHandle),
    /// The camera of a stopped stream.
    Camera(Camera),
}

/// Starts a stream, or joins it if it is running. If the request has a source or options, adds or
/// changes the camera first, which requires the role `user`. If the stream is live with another source, the
/// request's source is tried before the camera is changed. If this source does not work, nothing is changed, and
/// the stream continues.
pub(crate) async fn start(
    core: &Core,
    caller: &Caller,
    request: StartRequest,
) -> Result<StartOutcome, Error> {
    let StartRequest { id, source, changes, output, wait } = request;
    if source.is_none() && changes == OptionChanges::default() {
        return start_known(core, caller, &id, output, wait).await;
    }
    ensure_can_see(core, caller, id.camera()).await?;
    caller.ensure_role(Role::User)?;
    let check = |record: &Record| caller.ensure_owns(record.owner.as_deref(), &record.id);
    let plan = match (&source, core.cameras.get(id.camera()).await?) {
        (Some(source), Some(record)) => {
            check(&record)?;
            try_link(core, &id, source, &record, changes).await?
        }
        _ => None,
    };
    let Some(camera) = core.cameras.put(&id, caller.owner(), source, changes, check).await? else {
        return Err(no_stream(core, &id).await);
    };
    if let Some(plan) = plan {
        camera.learned.prove(plan);
    }
    begin(core, caller, camera, output, wait).await
}

/// Tries a new source if the stream is live with another source. Returns the plan that works; `None` if no trial
/// was necessary, or if the camera was too busy for a trial.
async fn try_link(
    core: &Core,
    id: &StreamId,
    source: &Source,
    record: &Record,
    changes: OptionChanges,
) -> Result<Option<Plan>, Error> {
    if record.spec.source(id.profile()) == Some(source) {
        return Ok(None);
    }
    source.ensure_usable()?;
    let camera = Camera::new(id.clone(), source.clone(), record.options.with(changes));
    core.registry.try_source(&camera).await
}

/// Starts the stream of a known camera, or joins it if it is running.
pub(crate) async fn start_known(
    core: &Core,
    caller: &Caller,
    id: &StreamId,
    output: WantedOutput,
    wait: bool,
) -> Result<StartOutcome, Error> {
    ensure_can_see(core, caller, id.camera()).await?;
    let camera = known_camera(core, id).await?;
    begin(core, caller, camera, output, wait).await
}

/// Changes parts of a known camera's source, and starts the stream or joins it. Requires the role `user`.
pub(crate) async fn start_changed(
    core: &Core,
    caller: &Caller,
    id: &StreamId,
    parts: &SourceParts,
    output: WantedOutput,
    wait: bool,
) -> Result<StartOutcome, Error> {
    ensure_can_see(core, caller, id.camera()).await?;
    let source = parts.apply(&known_camera(core, id).await?.source)?;
    let (id, changes) = (id.clone(), OptionChanges::default());
    start(core, caller, StartRequest { id, source: Some(source), changes, output, wait }).await
}

async fn begin(
    core: &Core,
    caller: &Caller,
    camera: Camera,
    output: WantedOutput,
    wait: bool,
) -> Result<StartOutcome, Error> {
    // Back ends send a start with every view of a page, even if the stream is live. So this case must be cheap, and is
    // logged only at the level `debug`.
    if core.registry.join_live(&camera, output) {
        debug!(by = caller.name(), stream = %camera.id, "joined a live stream");
        return Ok(StartOutcome::Active);
    }
    info!(by = caller.name(), stream = %camera.id, ?output, "start requested");
    if wait {
        return Ok(match join(core, camera, output).await? {
            Joined::Active => StartOutcome::Active,
            Joined::Started => StartOutcome::Started,
            Joined::Delayed(reason) => StartOutcome::Starting(Some(reason)),
        });
    }
    let id = camera.id.clone();
    let handle = core.registry.start_soon(camera, output)?;
    // The camera may have been deleted while the stream was being started.
    if core.cameras.camera_of(&id).await?.is_none() {
        core.registry.stop(&id).await;
        core.hls.forget(&id).await;
        return Err(no_stream(core, &id).await);
    }
    let is_live = handle.is_live(output);
    Ok(if is_live { StartOutcome::Active } else { StartOutcome::Starting(None) })
}

/// Starts a camera's stream with this output, or joins it, and waits until it is playable or its start is
/// delayed. If the camera was changed in the meantime, starts the stream again with the new source and
/// options. If the camera was deleted, stops the stream and returns an error.
pub(super) async fn join(
    core: &Core,
    camera: Camera,
    output: WantedOutput,
) -> Result<Joined, Error> {
    let joined = core.registry.start(camera.clone(), output).await?;
    match core.cameras.camera_of(&camera.id).await? {
        Some(now) if now.is_same_stream(&camera) => Ok(joined),
        Some(now) => core.registry.start(now, output).await,
        None => {
            core.registry.stop(&camera.id).await;
            core.hls.forget(&camera.id).await;
            Err(no_stream(core, &camera.id).await)
        }
    }
}

/// Stops a stream, and waits until it has ended or takes too long to end. Succeeds even if there is no
/// stream.
pub(crate) async fn stop(core: &Core, caller: &Caller, id: &StreamId) -> Result<(), Error> {
    ensure_can_see(core, caller, id.camera()).await?;
    info!(by = caller.name(), stream = %id, "stop requested");
    core.registry.stop(id).await;
    Ok(())
}

/// Returns a stream that is running or has failed, or its camera if there is no stream.
pub(crate) async fn find(
    core: &Core,
    caller: &Caller,
    id: &StreamId,
) -> Result<StreamOrCamera, Error> {
    ensure_can_see(core, caller, id.camera()).await?;
    match core.registry.get(id) {
        Some(handle) => Ok(StreamOrCamera::Stream(handle)),
        None => Ok(StreamOrCamera::Camera(known_camera(core, id).await?)),
    }
}

/// Returns all running or failed streams that the caller can see.
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

/// Returns the last lines that a stream's FFmpegs wrote; no lines if there is no stream.
/// Error: the camera is unknown, or has no such stream.
pub(crate) async fn log(core: &Core, caller: &Caller, id: &StreamId) -> Result<Vec<Line>, Error> {
    ensure_can_see(core, caller, id.camera()).await?;
    known_camera(core, id).await?;
    let lines = core.registry.get(id).map(|handle| handle.shared().process_log.lines());
    Ok(lines.unwrap_or_default())
}

/// Applies the change of a camera to its running or failed streams. In the background, a running stream
/// switches to the new source and options, and a failed stream starts with the new source and options. Stops
/// a stream that the camera no longer has. If one stream cannot switch, the other stream still switches, and
/// the error is returned.
pub(super) async fn apply_change(core: &Core, id: &CameraId) -> Result<(), Error> {
    core.pictures.forget(id);
    let main = apply_to_stream(core, StreamId::new(id.clone(), Profile::Main)).await;
    let sub = apply_to_stream(core, StreamId::new(id.clone(), Profile::Sub)).await;
    main.and(sub)
}

async fn apply_to_stream(core: &Core, id: StreamId) -> Result<(), Error> {
    // The files that are left after the end of HLS show the camera as it was before the change.
    core.hls.forget(&id).await;
    if core.registry.get(&id).is_none() {
        return Ok(());
    }
    if let Some(camera) = core.cameras.camera_of(&id).await? {
        // Requests no output, so that no output is started. An output that is running switches to the new
        // source.
        drop(core.registry.start_soon(camera, WantedOutput::None)?);
    } else {
        core.registry.stop(&id).await;
        core.hls.forget(&id).await;
    }
    Ok(())
}

/// Returns the known camera of a stream, with the source and options that the stream needs to
/// start. Error: the camera is unknown, or has no such stream.
pub(super) async fn known_camera(core: &Core, id: &StreamId) -> Result<Camera, Error> {
    match core.cameras.camera_of(id).await? {
        Some(camera) => Ok(camera),
        None => Err(no_stream(core, id).await),
    }
}

/// Returns the error for a stream that does not exist: its camera is unknown, or has no such
/// stream. If the camera store cannot be read, returns the error of the camera store.
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

/// Returns the error for an unknown camera.
pub(super) fn unknown_camera(id: &CameraId) -> Error {
    let detail = format!(
        "there is no camera {id}; add it with PUT /api/cameras/{id}, or start it once with its \
         rtsp_link"
    );
    Error::new(ErrorKind::UnknownCamera, detail)
}
