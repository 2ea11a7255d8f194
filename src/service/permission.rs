//! Permission: which cameras a caller can see, and who can watch them.

use super::context::Core;
use crate::access::Caller;
use crate::access::credentials::Credentials;
use crate::access::permit::Permit;
use crate::base::error::{Error, ErrorKind};
use crate::base::time::unix_now;
use crate::camera::id::CameraId;

/// Refuses callers that cannot see the camera. One that is not known can be seen by all.
pub(crate) async fn ensure_can_see(
    core: &Core,
    caller: &Caller,
    id: &CameraId,
) -> Result<(), Error> {
    if caller.owner().is_none() {
        return Ok(());
    }
    core.cameras
        .get(id)
        .await?
        .map_or(Ok(()), |record| caller.ensure_owns(record.owner.as_deref(), id))
}

/// Returns the permission to watch a camera that these credentials give: a playback token in the
/// path, as bearer or in a cookie, or an API key.
pub(crate) async fn may_watch(
    core: &Core,
    shown: &Credentials<'_>,
    id: &CameraId,
) -> Result<Permit, Error> {
    let permit = permit(core, shown, id)?;
    ensure_covers(core, &permit, id).await?;
    Ok(permit)
}

/// Refuses a permission that has ended since it was given: by time, because its session was ended,
/// or because the camera has another owner now.
pub(crate) async fn ensure_still_valid(
    core: &Core,
    permit: &Permit,
    id: &CameraId,
) -> Result<(), Error> {
    permit.ensure_valid(unix_now())?;
    ensure_covers(core, permit, id).await
}

fn permit(core: &Core, shown: &Credentials<'_>, id: &CameraId) -> Result<Permit, Error> {
    if let Some(token) = shown.path_token {
        return core.playback.admit(token, id);
    }
    // A key is stronger than a cookie that a browser still has from before.
    if let Some(caller) = core.access.known(shown) {
        return Ok(Permit::of_caller(&caller));
    }
    match shown.bearer_token().or(shown.cookie_token) {
        Some(token) => core.playback.admit(token, id),
        None => Ok(Permit::of_caller(&core.access.caller(shown)?)),
    }
}

/// A session that a user made is for that user's cameras, also after the camera's id was given to
/// another owner's camera.
async fn ensure_covers(core: &Core, permit: &Permit, id: &CameraId) -> Result<(), Error> {
    let Some(owner) = permit.owner() else { return Ok(()) };
    match core.cameras.get(id).await? {
        Some(record) if record.owner.as_deref() == Some(owner) => Ok(()),
        None if permit.covers_unknown() => Ok(()),
        _ if permit.covers_unknown() => {
            let detail = format!("camera {id} belongs to another user");
            Err(Error::new(ErrorKind::Forbidden, detail))
        }
        _ => {
            let detail = format!("the user who created this session no longer owns camera {id}");
            Err(Error::new(ErrorKind::Forbidden, detail))
        }
    }
}
