//! Playback sessions for callers: begin, list and end them.

use std::time::Duration;

use tracing::info;

use super::context::Core;
use super::streams::unknown_camera;
use crate::access::Caller;
use crate::access::keys::Role;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::{CameraId, is_id};
use crate::playback::Session;
use crate::playback::token::MAX_CAMERAS;

/// The longest lifetime of a session, in seconds.
pub(crate) const LONGEST_LIFETIME: u64 = 24 * 3600;

/// A session that is about to begin.
#[derive(Debug)]
pub(crate) struct NewSession {
    /// The user who watches, in the back end's words.
    pub(crate) user: String,
    /// The ids of the cameras, or `*` alone for all.
    pub(crate) cameras: Vec<String>,
    /// The lifetime in seconds.
    pub(crate) lifetime: u64,
}

/// A session that has begun. Its token is secret, so it has no `Debug`.
pub(crate) struct Begun {
    /// The session.
    pub(crate) session: Session,
    /// The token that its holder shows to watch.
    pub(crate) token: String,
    /// The first of its cameras; `None` if it is for all.
    pub(crate) camera: Option<CameraId>,
}

/// Begins a playback session.
pub(crate) async fn begin(core: &Core, caller: &Caller, new: NewSession) -> Result<Begun, Error> {
    let ids = checked_cameras(core, caller, &new.cameras).await?;
    if !(1..=LONGEST_LIFETIME).contains(&new.lifetime) {
        let detail = format!("ttl_seconds must be 1 to {LONGEST_LIFETIME}");
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    let lifetime = Duration::from_secs(new.lifetime);
    let (session, token) = core.playback.begin(new.user, new.cameras, lifetime, caller).await?;
    info!(
        by = caller.name(),
        session = session.claims.jti,
        user = session.claims.sub,
        cameras = ?session.claims.cameras,
        "playback session begun"
    );
    Ok(Begun { session, token, camera: ids.into_iter().next() })
}

/// Returns the sessions that the caller can see.
pub(crate) fn list(core: &Core, caller: &Caller) -> Vec<Session> {
    let sessions = core.playback.list().into_iter();
    sessions.filter(|session| is_of(caller, session)).collect()
}

/// Ends a session before its time.
pub(crate) async fn end(core: &Core, caller: &Caller, id: &str) -> Result<(), Error> {
    match core.playback.get(id) {
        Some(session) if !is_of(caller, &session) => {
            let detail = "the playback session was made with another API key";
            return Err(Error::new(ErrorKind::Forbidden, detail));
        }
        Some(_) => {}
        // A back end's token that was not shown yet can be ended too.
        None if caller.at_least(Role::Admin).is_ok() && is_id(id) => {}
        None => {
            let detail = "there is no such playback session";
            return Err(Error::new(ErrorKind::UnknownSession, detail));
        }
    }
    core.playback.end(id).await?;
    info!(by = caller.name(), session = id, "playback session ended");
    Ok(())
}

async fn checked_cameras(
    core: &Core,
    caller: &Caller,
    names: &[String],
) -> Result<Vec<CameraId>, Error> {
    if names.len() > MAX_CAMERAS {
        let detail = format!("at most {MAX_CAMERAS} cameras fit into one session");
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    if names == ["*"] {
        if caller.owner().is_some() {
            let detail = "an API key of role user has sessions for its own cameras only; name them";
            return Err(Error::new(ErrorKind::Forbidden, detail));
        }
        return Ok(Vec::new());
    }
    if names.is_empty() {
        let detail = "camera or cameras must name at least one camera";
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    let mut ids = Vec::with_capacity(names.len());
    for name in names {
        let id = CameraId::parse(name)?;
        let record = core.cameras.get(&id).await?.ok_or_else(|| unknown_camera(&id))?;
        caller.ensure_owns(record.owner.as_deref(), &id)?;
        ids.push(id);
    }
    Ok(ids)
}

/// Returns whether the caller can see and end the session: admins can for all, others for those of
/// their own key.
fn is_of(caller: &Caller, session: &Session) -> bool {
    caller.at_least(Role::Admin).is_ok() || session.made_by.as_deref() == Some(caller.name())
}
