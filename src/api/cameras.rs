//! The registry of cameras.

use hyper::header::{HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use tracing::info;

use super::Api;
use super::camera_model::{
    CameraInput, CameraOutput, CamerasOutput, ExportOutput, ImportOutput, ListInput, TestInput,
    TestOutput, VendorsOutput,
};
use super::reply::{self, Reply};
use crate::access::Caller;
use crate::base::error::{Error, ErrorKind};
use crate::camera::Camera;
use crate::camera::id::{CameraId, Profile, StreamId};
use crate::camera::presets;
use crate::camera::record::Record;
use crate::store::Change;
use crate::store::db::Filter;
use crate::stream::handle::Joined;

/// Cameras in one page at most.
const MAX_PAGE: u32 = 1000;
/// Characters of an id that the manager chooses.
const CHOSEN_ID: usize = 12;

/// A page of the cameras.
pub async fn list(api: &Api, caller: &Caller, input: ListInput) -> Result<Reply, Error> {
    let ListInput { limit, offset, search, owner } = input;
    if !(1..=MAX_PAGE).contains(&limit) {
        let detail = format!("limit must be 1 to {MAX_PAGE}");
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    let owner = caller.owner().map(str::to_owned).or(owner);
    let filter = Filter { search, owner, limit, offset };
    let (records, total) = api.cameras.list(&filter).await?;
    Ok(reply::json(&CamerasOutput {
        cameras: records.iter().map(CameraOutput::of).collect(),
        total,
    }))
}

/// One camera.
pub async fn get(api: &Api, caller: &Caller, id: &CameraId) -> Result<Reply, Error> {
    let record = api.cameras.get(id).await?.ok_or_else(|| unknown(id))?;
    caller.ensure_owns(record.owner.as_deref(), id)?;
    Ok(reply::json(&CameraOutput::of(&record)))
}

/// Adds a camera.
pub async fn create(api: &Api, caller: &Caller, mut input: CameraInput) -> Result<Reply, Error> {
    own(caller, &mut input)?;
    let id = match &input.id {
        Some(id) => CameraId::parse(id)?,
        None => CameraId::parse(&chosen_id())?,
    };
    let add = |known: Option<_>| match known {
        Some(_) => {
            let detail = format!("there is a camera {id} already; change it with PUT");
            Err(Error::new(ErrorKind::CameraExists, detail))
        }
        None => input.apply(&id, None, &api.cameras),
    };
    let (record, _) = api.cameras.change(&id, add).await?;
    info!(by = caller.name(), camera = %id, "camera added");
    Ok(created(&id, reply::json(&CameraOutput::of(&record))))
}

/// Takes a picture of a camera that is known or not. Nothing of it is kept.
pub async fn test(api: &Api, caller: &Caller, input: TestInput) -> Result<Reply, Error> {
    let TestInput { mut camera, profile } = input;
    own(caller, &mut camera)?;
    let given = camera.id.as_deref().map(CameraId::parse).transpose()?;
    let known = match &given {
        Some(id) => api.cameras.get(id).await?,
        None => None,
    };
    known.as_ref().map_or(Ok(()), |known| caller.ensure_owns(known.owner.as_deref(), &known.id))?;
    let id = given.map_or_else(|| CameraId::parse(&chosen_id()), Ok)?;
    let record = camera.apply(&id, known.as_ref(), &api.cameras)?;
    let source = record.spec.source(profile).cloned().ok_or_else(|| {
        let detail = "the camera that is to be tested has no such stream";
        Error::new(ErrorKind::InvalidSource, detail)
    })?;
    info!(by = caller.name(), %source, "camera tested");
    let still = api.stills.take(source, record.options).await?;
    Ok(reply::json(&TestOutput::of(still)))
}

/// Adds a camera or replaces it. A stream of it that runs goes over to what is new.
pub async fn put(
    api: &Api,
    caller: &Caller,
    id: &CameraId,
    mut input: CameraInput,
) -> Result<Reply, Error> {
    if input.id.as_ref().is_some_and(|given| given != id.as_str()) {
        let detail = "the id in the body must be the one in the path";
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    own(caller, &mut input)?;
    let apply = |known: Option<Record>| {
        known
            .as_ref()
            .map_or(Ok(()), |known| caller.ensure_owns(known.owner.as_deref(), &known.id))?;
        input.apply(id, known.as_ref(), &api.cameras)
    };
    let (record, change) = api.cameras.change(id, apply).await?;
    info!(by = caller.name(), camera = %id, ?change, "camera put");
    if change == Change::Updated {
        follow(api, id).await?;
    }
    let reply = reply::json(&CameraOutput::of(&record));
    Ok(if change == Change::Created { created(id, reply) } else { reply })
}

/// Takes a camera out and ends its streams.
pub async fn delete(api: &Api, caller: &Caller, id: &CameraId) -> Result<Reply, Error> {
    if !api.cameras.delete(id, |record| caller.ensure_owns(record.owner.as_deref(), id)).await? {
        return Err(unknown(id));
    }
    info!(by = caller.name(), camera = %id, "camera deleted");
    for profile in [Profile::Main, Profile::Sub] {
        api.registry.stop(&StreamId::new(id.clone(), profile)).await;
    }
    Ok(reply::no_content())
}

/// All cameras, as [`import`] takes them.
pub async fn export(api: &Api) -> Result<Reply, Error> {
    let mut all = Vec::new();
    loop {
        let offset = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let page = Filter { limit: MAX_PAGE, offset, ..Filter::default() };
        let (records, _) = api.cameras.list(&page).await?;
        if records.is_empty() {
            return Ok(reply::json(&all));
        }
        for record in &records {
            all.push(ExportOutput::of(record, &api.cameras)?);
        }
    }
}

/// Adds or replaces all of these cameras, or none of them when one of them cannot be taken.
pub async fn import(api: &Api, caller: &Caller, inputs: Vec<CameraInput>) -> Result<Reply, Error> {
    let mut changes = Vec::with_capacity(inputs.len());
    for (index, input) in inputs.into_iter().enumerate() {
        let of_entry = move |error: Error| Error {
            detail: format!("entry {}: {}", index + 1, error.detail),
            ..error
        };
        let id = input.id.clone().ok_or_else(|| {
            of_entry(Error::new(ErrorKind::InvalidId, "the id of the camera is missing"))
        })?;
        let id = CameraId::parse(&id).map_err(of_entry)?;
        let apply = {
            let id = id.clone();
            move |known: Option<Record>| {
                input.apply_import(&id, known.as_ref(), &api.cameras).map_err(of_entry)
            }
        };
        changes.push((id, apply));
    }
    let ids: Vec<_> = changes.iter().map(|(id, _)| id.clone()).collect();
    let done = api.cameras.change_all(changes).await?;
    info!(by = caller.name(), cameras = done.len(), "cameras imported");
    for (id, _) in ids.iter().zip(&done).filter(|(_, change)| **change == Change::Updated) {
        follow(api, id).await?;
    }
    let count = |wanted| done.iter().filter(|change| **change == wanted).count();
    Ok(reply::json(&ImportOutput {
        created: count(Change::Created),
        updated: count(Change::Updated),
        unchanged: count(Change::Unchanged),
    }))
}

/// Where vendors' cameras have their streams.
pub fn vendors() -> Reply {
    reply::json(&VendorsOutput { vendors: presets::all() })
}

/// Refuses cameras that the caller may not see; one that is not known belongs to nobody.
pub async fn may_see(api: &Api, caller: &Caller, id: &CameraId) -> Result<(), Error> {
    if caller.owner().is_none() {
        return Ok(());
    }
    api.cameras
        .get(id)
        .await?
        .map_or(Ok(()), |record| caller.ensure_owns(record.owner.as_deref(), id))
}

/// What a user adds or changes is that user's own.
fn own(caller: &Caller, input: &mut CameraInput) -> Result<(), Error> {
    let Some(owner) = caller.owner() else { return Ok(()) };
    if input.owner.as_deref().is_some_and(|given| given != owner) {
        let detail = "with this API key the owner can only be the key's name";
        return Err(Error::new(ErrorKind::Forbidden, detail));
    }
    input.owner = Some(owner.to_owned());
    Ok(())
}

/// The stream, if its camera is known and has it.
pub async fn stream(api: &Api, id: &StreamId) -> Result<Camera, Error> {
    match api.cameras.stream(id).await? {
        Some(camera) => Ok(camera),
        None => Err(no_stream(api, id).await),
    }
}

/// Starts a camera's stream, or joins it, and makes sure that it is what the registry says: that may
/// have changed while it started.
pub async fn start(api: &Api, camera: Camera) -> Result<Joined, Error> {
    let joined = api.registry.start(camera.clone()).await?;
    match api.cameras.stream(&camera.id).await? {
        Some(now) if now.is_same_stream(&camera) => Ok(joined),
        Some(now) => api.registry.start(now).await,
        None => {
            api.registry.stop(&camera.id).await;
            Err(no_stream(api, &camera.id).await)
        }
    }
}

/// Why there is no such stream.
pub async fn no_stream(api: &Api, id: &StreamId) -> Error {
    match api.cameras.get(id.camera()).await {
        Ok(Some(_)) => {
            let (camera, profile) = (id.camera(), id.profile().as_str());
            let detail = format!("camera {camera} has no {profile} stream");
            Error::new(ErrorKind::UnknownCamera, detail)
        }
        Ok(None) => unknown(id.camera()),
        Err(error) => error,
    }
}

/// The camera is not known.
pub fn unknown(id: &CameraId) -> Error {
    let detail = format!(
        "camera {id} is not known; add it with PUT /api/cameras/{id}, or start it once with its \
         rtsp_link"
    );
    Error::new(ErrorKind::UnknownCamera, detail)
}

/// Streams of a changed camera that run go over to what is new, or end with what is gone.
async fn follow(api: &Api, id: &CameraId) -> Result<(), Error> {
    for profile in [Profile::Main, Profile::Sub] {
        let id = StreamId::new(id.clone(), profile);
        if api.registry.get(&id).is_none() {
            continue;
        }
        match api.cameras.stream(&id).await? {
            Some(camera) => drop(api.registry.start_soon(camera)?),
            None => drop(api.registry.stop(&id).await),
        }
    }
    Ok(())
}

fn created(id: &CameraId, reply: Reply) -> Reply {
    let (mut parts, body) = reply.into_parts();
    parts.status = StatusCode::CREATED;
    if let Ok(location) = HeaderValue::from_str(&format!("/api/cameras/{id}")) {
        parts.headers.insert(LOCATION, location);
    }
    Response::from_parts(parts, body)
}

fn chosen_id() -> String {
    (0..CHOSEN_ID).map(|_| fastrand::lowercase()).collect()
}
