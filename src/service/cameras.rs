//! Use cases of cameras: listing, adding, changing, deleting, importing and testing them.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use tracing::{Instrument as _, info};

use super::camera_change::CameraChange;
use super::certificate;
use super::core::Core;
use super::keeping;
use super::snapshots;
use super::streams::{apply_change, unknown_camera};
use crate::access::Caller;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::{CameraId, Profile, StreamId};
use crate::camera::options::KeepOption;
use crate::camera::record::Record;
use crate::ingest::ffmpeg::probe::{Still, StillTaker};
use crate::onvif::finder::Finder;
use crate::store::Change;
use crate::store::db::camera_table::Filter;

/// The largest number of cameras in one page of a list.
pub(crate) const MAX_PAGE: u32 = 1000;
/// The length of an id that the manager chooses, in characters.
const RANDOM_ID_LENGTH: usize = 12;

/// Returns a page of the cameras that match the filter and that the caller can see, and the number
/// of cameras on all pages.
pub(crate) async fn list(
    core: &Core,
    caller: &Caller,
    filter: Filter,
) -> Result<(Vec<Record>, i64), Error> {
    if !(1..=MAX_PAGE).contains(&filter.limit) {
        let detail = format!("limit must be 1 to {MAX_PAGE}");
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    let owner = caller.owner().map(str::to_owned).or(filter.owner);
    core.cameras.list(&Filter { owner, ..filter }).await
}

/// Returns the cameras of all owners.
pub(crate) async fn all(core: &Core) -> Result<Vec<Record>, Error> {
    let mut all = Vec::new();
    loop {
        let offset = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let page = Filter { limit: MAX_PAGE, offset, ..Filter::default() };
        let (records, _) = core.cameras.list(&page).await?;
        if records.is_empty() {
            return Ok(all);
        }
        all.extend(records);
    }
}

/// Returns one camera.
pub(crate) async fn get(core: &Core, caller: &Caller, id: &CameraId) -> Result<Arc<Record>, Error> {
    let record = core.cameras.get(id).await?.ok_or_else(|| unknown_camera(id))?;
    caller.ensure_owns(record.owner.as_deref(), id)?;
    Ok(record)
}

/// Adds a camera. If `id` is `None`, chooses a random id. Fails if the certificate of the camera's ONVIF
/// service is not accepted.
pub(crate) async fn create(
    core: &Arc<Core>,
    finder: &Finder,
    caller: &Caller,
    id: Option<CameraId>,
    new: CameraChange,
) -> Result<Record, Error> {
    let new = with_owner(caller, new)?;
    let id = id.map_or_else(random_id, Ok)?;
    if core.cameras.get(&id).await?.is_none() {
        let record = new.clone().apply(&id, None, &core.cameras)?;
        certificate::ensure_accepted(finder, None, &record).await?;
    }
    let (core, caller) = (Arc::clone(core), caller.clone());
    detached(async move {
        let add = |known: Option<_>| match known {
            Some(_) => {
                let detail = format!("camera {id} already exists; change it with PUT");
                Err(Error::new(ErrorKind::CameraExists, detail))
            }
            None => new.apply(&id, None, &core.cameras),
        };
        let (record, change) = core.cameras.change(&id, add).await?;
        info!(by = caller.name(), camera = %id, "camera added");
        follow(&core, &id, record.keep, change).await?;
        Ok(record)
    })
    .await
}

/// Adds a camera, or replaces the known camera. If this changes the camera, its streams follow the change
/// (see [`apply_change`]). If a stream cannot switch, returns an error, but the camera stays stored. Fails if
/// the certificate of a new ONVIF service is not accepted.
pub(crate) async fn put(
    core: &Arc<Core>,
    finder: &Finder,
    caller: &Caller,
    id: &CameraId,
    new: CameraChange,
) -> Result<(Record, Change), Error> {
    let new = with_owner(caller, new)?;
    let known = core.cameras.get(id).await?;
    known.as_ref().map_or(Ok(()), |known| ensure_owns(caller, known))?;
    let record = new.clone().apply(id, known.as_deref(), &core.cameras)?;
    certificate::ensure_accepted(finder, known.as_deref(), &record).await?;
    let (core, caller, id) = (Arc::clone(core), caller.clone(), id.clone());
    detached(async move {
        let apply = |known: Option<Record>| {
            known.as_ref().map_or(Ok(()), |known| ensure_owns(&caller, known))?;
            new.apply(&id, known.as_ref(), &core.cameras)
        };
        let (record, change) = core.cameras.change(&id, apply).await?;
        info!(by = caller.name(), camera = %id, ?change, "camera added or replaced");
        follow(&core, &id, record.keep, change).await?;
        Ok((record, change))
    })
    .await
}

/// Lets the streams of a camera that was added or changed follow the change. A stream of a deleted camera with the
/// same id may still run, so this is also necessary for a new camera.
async fn follow(core: &Core, id: &CameraId, keep: KeepOption, change: Change) -> Result<(), Error> {
    keeping::apply(core, id, keep).await;
    if change == Change::Unchanged { Ok(()) } else { apply_change(core, id).await }
}

/// Completes a change even if the client disconnects, because the streams must follow a change that is stored.
async fn detached<T: Send + 'static>(
    change: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(change.in_current_span()).await.unwrap_or_else(|panic| {
        let detail = "the change was interrupted; check whether it was stored";
        Err(Error::new(ErrorKind::Internal, detail).caused_by(panic))
    })
}

/// Deletes a camera, stops its streams, and deletes its recordings unless `keeps_recordings` is true.
pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    id: &CameraId,
    keeps_recordings: bool,
) -> Result<(), Error> {
    let (core, caller, id) = (Arc::clone(core), caller.clone(), id.clone());
    detached(async move {
        let check = |record: &Record| ensure_owns(&caller, record);
        if !core.cameras.delete_with(&id, keeps_recordings, check).await? {
            return Err(unknown_camera(&id));
        }
        info!(by = caller.name(), camera = %id, "camera deleted");
        keeping::apply(&core, &id, KeepOption::OnDemand).await;
        for profile in [Profile::Main, Profile::Sub] {
            let stream = StreamId::new(id.clone(), profile);
            core.registry.stop(&stream).await;
            core.hls.forget(&stream).await;
        }
        core.snapshots.forget(&id);
        core.pictures.forget(&id);
        if let Some(monitor) = &core.reachability {
            monitor.forget(&id);
        }
        Ok(())
    })
    .await
}

/// Adds or replaces all of these cameras, or none of them if one is refused. Returns for each
/// camera whether it was created, updated or unchanged. If streams cannot switch to the new sources of their
/// cameras, returns the first error, with the number of the camera's entry. Even then, all cameras stay stored,
/// and all other streams switch.
pub(crate) async fn import(
    core: &Arc<Core>,
    caller: &Caller,
    cameras: Vec<(CameraId, CameraChange)>,
) -> Result<Vec<Change>, Error> {
    let (core, caller) = (Arc::clone(core), caller.clone());
    detached(async move {
        let ids: Vec<_> = cameras.iter().map(|(id, new)| (id.clone(), new.keep)).collect();
        let done = core.cameras.change_all(changes(&core, cameras)?).await?;
        info!(by = caller.name(), cameras = done.len(), "cameras imported");
        let mut failed = None;
        for (index, ((id, keep), change)) in ids.iter().zip(&done).enumerate() {
            if let Err(error) = follow(&core, id, *keep, *change).await {
                failed.get_or_insert(in_entry(index, Some(id), error));
            }
        }
        failed.map_or(Ok(done), Err)
    })
    .await
}

/// Returns the cameras that [`import`] would store, and whether each would be created, updated or unchanged.
/// Changes nothing. Fails if the import would be refused.
pub(crate) async fn preview_import(
    core: &Core,
    cameras: Vec<(CameraId, CameraChange)>,
) -> Result<Vec<(Record, Change)>, Error> {
    core.cameras.preview_all(changes(core, cameras)?).await
}

/// The change of one camera of an import, for the camera store.
type ImportChange<'a> = Box<dyn FnOnce(Option<Record>) -> Result<Record, Error> + Send + 'a>;

/// Returns the changes of an import for the camera store. Fails if two entries have the same id.
fn changes(
    core: &Core,
    cameras: Vec<(CameraId, CameraChange)>,
) -> Result<Vec<(CameraId, ImportChange<'_>)>, Error> {
    let mut numbers = HashMap::new();
    let changes = cameras.into_iter().enumerate().map(|(index, (id, new))| {
        if let Some(first) = numbers.insert(id.clone(), index + 1) {
            let detail = format!("entry {first} has the same id");
            return Err(in_entry(index, Some(&id), Error::new(ErrorKind::InvalidId, detail)));
        }
        let known_id = id.clone();
        let apply = move |known: Option<Record>| {
            let applied = new.apply_import(&known_id, known.as_ref(), &core.cameras);
            applied.map_err(|error| in_entry(index, Some(&known_id), error))
        };
        Ok((id, Box::new(apply) as ImportChange<'_>))
    });
    changes.collect()
}

/// Adds the number of an import's entry to the detail of the error and, if it is known, the id of the entry's
/// camera. `index` is counted from 0, and the number from 1.
pub(crate) fn in_entry(index: usize, id: Option<&CameraId>, error: Error) -> Error {
    let id = id.map(|id| format!(" ({id})")).unwrap_or_default();
    Error { detail: format!("entry {}{id}: {}", index + 1, error.detail), ..error }
}

/// Takes a picture of a camera, which need not be known. Takes the picture from the camera's stream if the
/// stream is live with the same source and options, and if its media is not converted. Otherwise, opens
/// another connection. Stores nothing.
pub(crate) async fn test(
    core: &Core,
    stills: &StillTaker,
    caller: &Caller,
    id: Option<CameraId>,
    camera: CameraChange,
    profile: Profile,
) -> Result<Still, Error> {
    let camera = with_owner(caller, camera)?;
    let known = match &id {
        Some(id) => core.cameras.get(id).await?,
        None => None,
    };
    known.as_ref().map_or(Ok(()), |known| ensure_owns(caller, known))?;
    let id = id.map_or_else(random_id, Ok)?;
    let record = camera.apply(&id, known.as_deref(), &core.cameras)?;
    let source = record.spec.source(profile).cloned().ok_or_else(|| {
        let detail = format!("the camera to test has no {} stream", profile.as_str());
        Error::new(ErrorKind::InvalidSource, detail)
    })?;
    info!(by = caller.name(), %source, "testing a camera");
    let stream = StreamId::new(id, profile);
    if let Some(still) = snapshots::of_running(core, stream, &source, record.options).await {
        return Ok(still);
    }
    stills.take(source, record.options).await
}

/// Returns the change with the caller as the camera's owner, if the caller is limited to its own
/// cameras. Refuses another owner.
fn with_owner(caller: &Caller, camera: CameraChange) -> Result<CameraChange, Error> {
    let Some(owner) = caller.owner() else { return Ok(camera) };
    if camera.owner.as_deref().is_some_and(|given| given != owner) {
        let detail =
            "this API key can only manage its own cameras; omit owner, or set it to the key's name";
        return Err(Error::new(ErrorKind::Forbidden, detail));
    }
    Ok(CameraChange { owner: Some(owner.to_owned()), ..camera })
}

fn ensure_owns(caller: &Caller, record: &Record) -> Result<(), Error> {
    caller.ensure_owns(record.owner.as_deref(), &record.id)
}

fn random_id() -> Result<CameraId, Error> {
    let text: String = (0..RANDOM_ID_LENGTH).map(|_| fastrand::lowercase()).collect();
    CameraId::parse(&text)
}
