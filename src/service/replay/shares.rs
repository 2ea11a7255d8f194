//! Share links: everyone who has such a link can watch what was recorded of a camera in a limited time.

use std::time::{Duration, SystemTime};

use tracing::info;

use super::RequestedTime;
use crate::access::Caller;
use crate::access::rights::{Right, Rights};
use crate::base::error::{Error, ErrorKind};
use crate::base::time::unix_millis;
use crate::base::time_span::TimeSpan;
use crate::camera::id::CameraId;
use crate::playback::token::{MAX_SHARE_LIFETIME, MAX_USER_LENGTH, is_user};
use crate::playback::{Grant, Session};
use crate::service::core::Core;
use crate::service::permission::ensure_can_see;
use crate::service::sessions::can_access;
use crate::service::streams::unknown_camera;

/// The longest time that a share link can cover, in milliseconds.
const MAX_SHARED_MS: i64 = 24 * 60 * 60 * 1000;

/// A new share link.
#[derive(Debug)]
pub(crate) struct NewShare {
    /// The time whose recordings are shared.
    pub(crate) requested: RequestedTime,
    /// The lifetime of the link in seconds.
    pub(crate) lifetime: u64,
    /// A text for people, such as the purpose of the link.
    pub(crate) label: String,
}

/// Creates a share link. Returns it with its token.
pub(crate) async fn create(
    core: &Core,
    caller: &Caller,
    id: &CameraId,
    new: NewShare,
) -> Result<(Session, String), Error> {
    ensure_can_share(core, caller, id).await?;
    super::recorder(core)?;
    let invalid = |detail: String| Error::new(ErrorKind::InvalidRequest, detail);
    let (Some(from), Some(to)) = (new.requested.from, new.requested.to) else {
        return Err(invalid("from and to are required".to_owned()));
    };
    let is_later = from < to;
    // Tokens have whole seconds. The link covers the whole time that was requested.
    let (from, to) = (from.div_euclid(1000), to.saturating_add(999).div_euclid(1000));
    let span = TimeSpan::new(from.saturating_mul(1000), to.saturating_mul(1000));
    let span = span
        .filter(|_| is_later)
        .ok_or_else(|| invalid("to must be later than from".to_owned()))?;
    if span.duration_ms() > MAX_SHARED_MS + 2000 {
        return Err(invalid("a share link can cover at most 24 hours".to_owned()));
    }
    // Recordings that do not exist yet could be those of another camera with the same id.
    if span.to > unix_millis(SystemTime::now()).saturating_add(1000) {
        return Err(invalid(
            "to is in the future; share recordings after they were made".to_owned(),
        ));
    }
    if !(1..=MAX_SHARE_LIFETIME).contains(&new.lifetime) {
        return Err(invalid(format!("ttl_seconds must be 1 to {MAX_SHARE_LIFETIME}")));
    }
    if !is_user(&new.label) {
        let detail =
            format!("label must be 1 to {MAX_USER_LENGTH} characters without control characters");
        return Err(invalid(detail));
    }
    let grant = Grant {
        user: new.label,
        cameras: vec![id.as_str().to_owned()],
        lifetime: Duration::from_secs(new.lifetime),
        rights: Rights::default().with(Right::Recordings),
        span: Some((from.unsigned_abs(), to.unsigned_abs())),
        is_share: true,
    };
    let (session, token) = core.playback.begin(grant, caller).await?;
    info!(by = caller.name(), share = session.claims.jti, camera = %id, %span, "share link created");
    Ok((session, token))
}

/// Returns the share links of a camera that the caller can see.
pub(crate) async fn list(
    core: &Core,
    caller: &Caller,
    id: &CameraId,
) -> Result<Vec<Session>, Error> {
    ensure_can_share(core, caller, id).await?;
    let is_of_camera = |session: &Session| {
        let claims = &session.claims;
        claims.is_share() && claims.allows(id.as_str()) && can_access(caller, session)
    };
    let shares = core.playback.list().into_iter();
    Ok(shares.filter(|share| is_of_camera(share) && !share.is_ended()).collect())
}

/// Deletes a share link. From now on, requests with its token are refused.
pub(crate) async fn delete(
    core: &Core,
    caller: &Caller,
    id: &CameraId,
    share: &str,
) -> Result<(), Error> {
    let shares = list(core, caller, id).await?;
    if !shares.iter().any(|known| known.claims.jti == share) {
        let detail =
            format!("camera {id} has no share link with this id, or another API key created it");
        return Err(Error::new(ErrorKind::UnknownShare, detail));
    }
    core.playback.end(share).await?;
    info!(by = caller.name(), share, camera = %id, "share link deleted");
    Ok(())
}

async fn ensure_can_share(core: &Core, caller: &Caller, id: &CameraId) -> Result<(), Error> {
    caller.ensure_right(Right::Recordings)?;
    ensure_can_see(core, caller, id).await?;
    core.cameras.get(id).await?.map(drop).ok_or_else(|| unknown_camera(id))
}
