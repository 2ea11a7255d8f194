//! Permission: which cameras a caller can see or watch, and which events.

use std::time::{Duration, SystemTime};

use super::core::Core;
use crate::access::Caller;
use crate::access::credentials::Credentials;
use crate::access::permit::Permit;
use crate::access::rights::Right;
use crate::base::error::{Error, ErrorKind};
use crate::base::time::{unix_millis, unix_now};
use crate::camera::id::CameraId;

/// The age of the oldest events that a playback session covers.
const SESSION_EVENTS: Duration = Duration::from_mins(5);

/// Returns an error if the caller cannot see the camera. An unknown camera is visible to
/// all callers.
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

/// Returns the permission that these credentials give to watch a camera live. Uses the first of these credentials
/// that the request has: a playback token in the path, an API key, and a playback token as a bearer token or
/// in a cookie. If the manager has no keys, requests from this machine need no credentials.
pub(crate) async fn permit_to_watch(
    core: &Core,
    credentials: &Credentials<'_>,
    id: &CameraId,
) -> Result<Permit, Error> {
    permit_with(core, credentials, id, Right::Live).await
}

/// Returns the permission that these credentials give to watch what was recorded of a camera. The permission can be
/// limited to a time. Uses the same credentials as [`permit_to_watch`].
pub(crate) async fn permit_to_replay(
    core: &Core,
    credentials: &Credentials<'_>,
    id: &CameraId,
) -> Result<Permit, Error> {
    permit_with(core, credentials, id, Right::Recordings).await
}

async fn permit_with(
    core: &Core,
    credentials: &Credentials<'_>,
    id: &CameraId,
    right: Right,
) -> Result<Permit, Error> {
    let permit = permit_of(core, credentials, id)?;
    permit.ensure_right(right)?;
    ensure_covers(core, &permit, id).await?;
    Ok(permit)
}

/// Returns an error if a permission has ended since it was given. This is the case if the permission has
/// expired, if its session was ended, or if it is limited to one owner's cameras and no longer covers the
/// camera (see [`ensure_covers`]).
pub(crate) async fn ensure_still_valid(
    core: &Core,
    permit: &Permit,
    id: &CameraId,
) -> Result<(), Error> {
    permit.ensure_valid(unix_now())?;
    ensure_covers(core, permit, id).await
}

/// The events that a permission covers, among the events of the cameras that it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CoveredEvents {
    /// The owner of the cameras, both now and at the time of the event. `None` for all events, including those about the
    /// service.
    pub(crate) owner: Option<String>,
    /// The earliest time, in Unix milliseconds; `None` for all times.
    pub(crate) from: Option<i64>,
    /// The time, in Unix milliseconds, before which the events happened; `None` for all times.
    pub(crate) to: Option<i64>,
}

/// Returns the events that a permission covers. All requests for events use this function, except those for timelines, which
/// are limited to the time of the permission as well.
pub(crate) fn events_of(permit: &Permit, now: SystemTime) -> CoveredEvents {
    let owner = permit.owner().map(str::to_owned);
    let (from, to) = match permit.span() {
        Some(limit) => (Some(limit.from), Some(limit.to)),
        None if !permit.is_of_session() || permit.covers_all_recordings() => (None, None),
        // A playback session without the right `recordings` permits watching live. So it covers recent events only, with
        // which a client continues after an interruption of its connection.
        None => (now.checked_sub(SESSION_EVENTS).map(unix_millis), None),
    };
    CoveredEvents { owner, from, to }
}

fn permit_of(core: &Core, credentials: &Credentials<'_>, id: &CameraId) -> Result<Permit, Error> {
    if let Some(token) = credentials.path_token {
        return core.playback.admit(token, id);
    }
    // An API key takes precedence over a cookie left from an earlier session.
    if let Some(caller) = core.access.known(credentials) {
        return Ok(Permit::of_caller(&caller));
    }
    // A wrong API key counts as a failed attempt even if the request also has a token. Otherwise, a client could
    // guess keys without limit.
    if credentials.api_key.is_some() {
        return Ok(Permit::of_caller(&core.access.caller(credentials)?));
    }
    match credentials.bearer_token().or(credentials.cookie_token) {
        Some(token) => core.playback.admit(token, id),
        None => Ok(Permit::of_caller(&core.access.caller(credentials)?)),
    }
}

/// Returns an error if the permit is limited to an owner who does not own the camera. A session
/// stays limited to its creator's cameras, even if an id is later reused for another owner's
/// camera. An unknown camera is an error for a session, but not for an API key.
async fn ensure_covers(core: &Core, permit: &Permit, id: &CameraId) -> Result<(), Error> {
    let Some(owner) = permit.owner() else { return Ok(()) };
    match core.cameras.get(id).await? {
        Some(record) if record.owner.as_deref() == Some(owner) => Ok(()),
        None if permit.covers_unknown() => Ok(()),
        _ if permit.covers_unknown() => {
            let detail = format!("camera {id} does not belong to the user of this API key");
            Err(Error::new(ErrorKind::Forbidden, detail))
        }
        _ => {
            let detail = format!("the user who created this session no longer owns camera {id}");
            Err(Error::new(ErrorKind::Forbidden, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::rights::Rights;
    use crate::base::time_span::TimeSpan;

    #[test]
    fn sessions_cover_recent_events_or_those_of_their_recordings() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(1);
        let live = Rights::default().with(Right::Live);
        let session = |rights, span| {
            Permit::of_session("anna".into(), Some("42".into()), rights, 9).limited_to(span)
        };
        let times = |permit: &Permit| {
            let covered = events_of(permit, now);
            assert_eq!(covered.owner.as_deref(), permit.owner());
            (covered.from, covered.to)
        };
        let span = Some(TimeSpan { from: 10, to: 20 });
        let all = live.with(Right::Recordings);
        assert_eq!(times(&session(live, None)), (Some(55 * 60_000), None));
        assert_eq!(times(&session(all, None)), (None, None));
        assert_eq!(times(&session(all, span)), (Some(10), Some(20)));
        assert_eq!(times(&session(live, span)), (Some(10), Some(20)));
        assert_eq!(times(&Permit::of_caller(&Caller::anonymous())), (None, None));
    }
}
