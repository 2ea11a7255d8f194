//! Use cases of playback sessions: creating, listing and ending them.

use std::time::Duration;

use tracing::info;

use super::core::Core;
use super::streams::unknown_camera;
use crate::access::Caller;
use crate::access::rights::{Right, Rights};
use crate::access::role::Role;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::{CameraId, is_id};
use crate::playback::token::{MAX_CAMERAS, MAX_USER_LENGTH, is_user};
use crate::playback::{Grant, Session};

/// The longest lifetime of a session, in seconds.
pub(crate) const LONGEST_LIFETIME: u64 = 24 * 3600;

/// The parameters of a new session.
#[derive(Debug)]
pub(crate) struct NewSession {
    /// The user who watches. The back end chooses the name.
    pub(crate) user: String,
    /// The ids of the cameras, or `*` alone for all.
    pub(crate) cameras: Vec<String>,
    /// The lifetime in seconds.
    pub(crate) lifetime: u64,
    /// The rights in addition to `live`.
    pub(crate) rights: Vec<String>,
    /// The time to which the right `recordings` is limited, in Unix seconds; `None` for all times.
    pub(crate) span: Option<(u64, u64)>,
}

/// A new session and its token. The token is secret, so the type has no `Debug`.
pub(crate) struct CreatedSession {
    /// The session.
    pub(crate) session: Session,
    /// The token, which the session's holder sends with every request for media.
    pub(crate) token: String,
    /// The first of the cameras; `None` if the session is for all cameras.
    pub(crate) camera: Option<CameraId>,
}

/// Creates a playback session. Fails, for example, if a camera is unknown or the caller cannot see it.
pub(crate) async fn begin(
    core: &Core,
    caller: &Caller,
    new: NewSession,
) -> Result<CreatedSession, Error> {
    let ids = checked_cameras(core, caller, &new.cameras).await?;
    if !(1..=LONGEST_LIFETIME).contains(&new.lifetime) {
        let detail = format!("ttl_seconds must be 1 to {LONGEST_LIFETIME}");
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    if !is_user(&new.user) {
        let detail =
            format!("user must be 1 to {MAX_USER_LENGTH} characters without control characters");
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    let rights = checked_rights(caller, &new.rights)?;
    if new.span.is_some() && !rights.has(Right::Recordings) {
        let detail =
            "from and to need the right recordings; add it to rights, or leave out from and to";
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    let grant = Grant {
        user: new.user,
        cameras: new.cameras,
        lifetime: Duration::from_secs(new.lifetime),
        rights,
        span: new.span,
        is_share: false,
    };
    let (session, token) = core.playback.begin(grant, caller).await?;
    info!(
        by = caller.name(),
        session = session.claims.jti,
        user = session.claims.sub,
        cameras = ?session.claims.cameras,
        "playback session created"
    );
    Ok(CreatedSession { session, token, camera: ids.into_iter().next() })
}

/// Returns the sessions that the caller can see.
pub(crate) fn list(core: &Core, caller: &Caller) -> Vec<Session> {
    let sessions = core.playback.list().into_iter().filter(|session| !session.claims.is_share());
    sessions.filter(|session| can_access(caller, session)).collect()
}

/// Returns a session that has not expired and that the caller can see.
pub(crate) fn find(core: &Core, caller: &Caller, id: &str) -> Result<Session, Error> {
    let session = core.playback.get(id);
    let session = session.filter(|session| !session.has_expired() && can_access(caller, session));
    session.ok_or_else(|| {
        let detail = "no playback session with this id exists, or another API key created it";
        Error::new(ErrorKind::UnknownSession, detail)
    })
}

/// Ends a session early. An admin can also end a session that the manager does not know yet, because a
/// back end issued the token.
pub(crate) async fn end(core: &Core, caller: &Caller, id: &str) -> Result<(), Error> {
    match core.playback.get(id) {
        Some(session) if !can_access(caller, &session) => {
            let detail = "this API key did not create the playback session; only the key that created \
                          the session, or an admin's key, can end it";
            return Err(Error::new(ErrorKind::Forbidden, detail));
        }
        Some(_) => {}
        // A back end may have issued a token with this id that has not been used yet.
        None if caller.ensure_role(Role::Admin).is_ok() && is_id(id) => {}
        None => {
            let detail = "there is no playback session with this id";
            return Err(Error::new(ErrorKind::UnknownSession, detail));
        }
    }
    core.playback.end(id).await?;
    info!(by = caller.name(), session = id, "playback session ended");
    Ok(())
}

/// Returns the rights with these names, which the caller must have.
fn checked_rights(caller: &Caller, names: &[String]) -> Result<Rights, Error> {
    let mut rights = Rights::default();
    for name in names {
        let right = Right::parse(name).ok_or_else(|| {
            let detail = "rights can contain recordings; live is always included";
            Error::new(ErrorKind::InvalidRequest, detail)
        })?;
        caller.ensure_right(right)?;
        if right != Right::Live {
            rights = rights.with(right);
        }
    }
    Ok(rights)
}

async fn checked_cameras(
    core: &Core,
    caller: &Caller,
    names: &[String],
) -> Result<Vec<CameraId>, Error> {
    if names.len() > MAX_CAMERAS {
        let detail = format!("a session can have at most {MAX_CAMERAS} cameras");
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    if names == ["*"] {
        if caller.owner().is_some() {
            let detail =
                "an API key of role user cannot create a session for all cameras; name the cameras";
            return Err(Error::new(ErrorKind::Forbidden, detail));
        }
        return Ok(Vec::new());
    }
    if names.is_empty() {
        let detail = "name at least one camera in the field camera or in the field cameras";
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

/// Returns whether the caller can see and end the session. Admins can access all sessions; other
/// callers can access the sessions that their API key created.
pub(super) fn can_access(caller: &Caller, session: &Session) -> bool {
    caller.ensure_role(Role::Admin).is_ok() || session.made_by.as_deref() == Some(caller.name())
}
