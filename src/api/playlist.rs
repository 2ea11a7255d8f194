//! A playlist that is not on disk: a viewer came to a camera that nobody watches, or came back
//! to one. nginx serves all other playlists itself.

use std::time::Duration;

use hyper::StatusCode;

use super::reply::{self, Reply};
use super::{Api, streams};
use crate::error::{Error, ErrorKind};
use crate::stream::key::CameraId;
use crate::stream::state::State;

/// Players ask every second or so. The camera is not tried again for each of these, but after
/// this time; after a refusal that waiting does not cure, after the longer one, because cameras
/// lock accounts that are tried too often.
const HOLD: Duration = Duration::from_secs(3);
const HOLD_PERMANENT: Duration = Duration::from_secs(30);

/// Starts the camera, waits until it is playable, and answers the playlist.
pub async fn get(api: &Api, id: &str) -> Result<Reply, Error> {
    let id = CameraId::parse(id)?;
    let camera = streams::known_camera(api, &id)?;
    refuse_while_held(api, &id)?;
    api.registry.start(camera).await?;
    let path = api.layout.stream(&id).playlist();
    let text = tokio::fs::read(path).await.map_err(|error| {
        Error::new(ErrorKind::StorageUnavailable, format!("the playlist cannot be read: {error}"))
    })?;
    Ok(reply::with_body(StatusCode::OK, "application/vnd.apple.mpegurl", text))
}

fn refuse_while_held(api: &Api, id: &CameraId) -> Result<(), Error> {
    let Some(handle) = api.registry.get(id) else { return Ok(()) };
    let status = handle.status();
    let Some((error, at)) = status.last_error.filter(|_| status.state == State::Failed) else {
        return Ok(());
    };
    let hold = if error.kind.is_permanent() { HOLD_PERMANENT } else { HOLD };
    match hold.checked_sub(at.elapsed()) {
        Some(rest) if !rest.is_zero() => Err(error.retry_after(rest)),
        _ => Ok(()),
    }
}
