//! Playback sessions over the API, and the one question of every file: may this viewer have it?

use std::time::Duration;

use hyper::header::{HeaderValue, SET_COOKIE};
use hyper::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::ToSchema;

use super::credentials::TOKEN_COOKIE;
use super::reply::{self, Reply};
use super::{Api, cameras};
use crate::access::Caller;
use crate::access::credentials::Credentials;
use crate::access::keys::Role;
use crate::access::permit::Permit;
use crate::base::error::{Error, ErrorKind};
use crate::base::time::rfc3339;
use crate::camera::id::CameraId;
use crate::playback::Session;
use crate::playback::token::MAX_CAMERAS;

/// Of a session, in seconds.
const USUAL_TIME: u64 = 30 * 60;
const LONGEST_TIME: u64 = 24 * 3600;
/// Characters.
const MAX_COOKIE: usize = 3500;

/// Input of a new session.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "user": "anna", "camera": "front-door" }))]
pub struct SessionInput {
    /// Who watches, in the back end's words.
    pub user: String,
    /// The camera.
    #[serde(default)]
    pub camera: Option<String>,
    /// Or several; `["*"]` for all.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub cameras: Vec<String>,
    /// How long, in seconds.
    #[serde(default = "usual_time")]
    #[schema(minimum = 1, maximum = 86_400, default = 1800)]
    pub ttl_seconds: u64,
    /// Whether the answer sets the token as a cookie, for a browser that asks by itself.
    #[serde(default)]
    pub cookie: bool,
}

fn usual_time() -> u64 {
    USUAL_TIME
}

/// Answer to a new session.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewSessionOutput {
    /// What its holder shows to watch.
    token: String,
    /// Path of the playlist of the first camera, with the token in it; null for all cameras.
    hls_url: Option<String>,
    #[serde(flatten)]
    session: SessionOutput,
}

/// A session.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionOutput {
    /// Its id.
    session_id: String,
    /// Who watches, in the back end's words.
    user: String,
    /// The cameras' ids, or `*` for all.
    cameras: Vec<String>,
    /// The API key that asked for it; null when a back end made the token.
    made_by: Option<String>,
    /// RFC 3339.
    #[schema(format = DateTime)]
    created_at: String,
    /// RFC 3339.
    #[schema(format = DateTime)]
    expires_at: String,
    /// When its holder last asked for a file; null when not since the manager's start.
    #[schema(format = DateTime)]
    last_seen: Option<String>,
    /// Whether it counts.
    state: SessionState,
}

/// Whether a session counts.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// Until it expires.
    Active,
    /// It was ended before its time.
    Ended,
}

/// Answer to the list of sessions.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionsOutput {
    /// Those that have not expired.
    sessions: Vec<SessionOutput>,
}

/// Whether the browser's connection is encrypted, as whoever ends that says.
pub fn is_secure(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|value| value == "https")
}

/// Begins a session; `is_secure` when its cookie must not travel unencrypted.
pub async fn begin(
    api: &Api,
    caller: &Caller,
    input: SessionInput,
    is_secure: bool,
) -> Result<Reply, Error> {
    let names = input.cameras.into_iter().chain(input.camera).collect::<Vec<_>>();
    let ids = checked_cameras(api, caller, &names).await?;
    if !(1..=LONGEST_TIME).contains(&input.ttl_seconds) {
        let detail = format!("ttl_seconds must be 1 to {LONGEST_TIME}");
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    let time = Duration::from_secs(input.ttl_seconds);
    let (session, token) = api.playback.begin(input.user, names, time, caller).await?;
    info!(by = caller.name(), session = session.claims.jti, user = session.claims.sub, cameras = ?session.claims.cameras, "playback session begun");
    let hls_url = ids.first().map(|id| format!("/play/{token}/{id}/stream.m3u8"));
    let cookie = input.cookie.then(|| cookie(&token, time, is_secure)).transpose()?;
    let output = NewSessionOutput { token, hls_url, session: output(&session) };
    let mut reply = reply::json(&output);
    *reply.status_mut() = StatusCode::CREATED;
    if let Some(cookie) = cookie {
        reply.headers_mut().insert(SET_COOKIE, cookie);
    }
    Ok(reply)
}

/// The sessions that the caller may see.
pub fn list(api: &Api, caller: &Caller) -> Reply {
    let sessions = api.playback.list().into_iter();
    let sessions = sessions.filter(|one| is_of(caller, one)).map(|one| output(&one)).collect();
    reply::json(&SessionsOutput { sessions })
}

/// Ends a session before its time.
pub async fn end(api: &Api, caller: &Caller, id: &str) -> Result<Reply, Error> {
    let unknown = || Error::new(ErrorKind::UnknownSession, "there is no such playback session");
    match api.playback.get(id) {
        Some(session) if !is_of(caller, &session) => {
            let detail = "the playback session was made with another API key";
            return Err(Error::new(ErrorKind::Forbidden, detail));
        }
        Some(_) => {}
        // A token of a back end that was not shown yet can be ended too.
        None if caller.at_least(Role::Admin).is_ok() && CameraId::parse(id).is_ok() => {}
        None => return Err(unknown()),
    }
    api.playback.end(id).await?;
    info!(by = caller.name(), session = id, "playback session ended");
    Ok(reply::no_content())
}

/// Returns the permission to watch a camera that these credentials give: a playback token in the
/// path, as bearer or in a cookie, or an API key.
pub async fn may_watch(
    api: &Api,
    shown: &Credentials<'_>,
    camera: &CameraId,
) -> Result<Permit, Error> {
    if let Some(token) = shown.path_token {
        return admit(api, token, camera).await;
    }
    // A key is stronger than a cookie that a browser still has from before.
    if let Some(caller) = api.access.known(shown) {
        return admit_caller(api, &caller, camera).await;
    }
    match shown.bearer_token().or(shown.cookie_token) {
        Some(token) => admit(api, token, camera).await,
        None => admit_caller(api, &api.access.caller(shown)?, camera).await,
    }
}

async fn admit_caller(api: &Api, caller: &Caller, camera: &CameraId) -> Result<Permit, Error> {
    cameras::may_see(api, caller, camera).await?;
    Ok(Permit::of_caller(caller))
}

/// A session that a user made is for that user's cameras, whoever has a camera of that id later.
async fn admit(api: &Api, token: &str, camera: &CameraId) -> Result<Permit, Error> {
    let permit = api.playback.admit(token, camera)?;
    let Some(owner) = permit.owner() else { return Ok(permit) };
    match api.cameras.get(camera).await? {
        Some(record) if record.owner.as_deref() == Some(owner) => Ok(permit),
        _ => {
            let detail =
                format!("the user who created this session no longer owns camera {camera}");
            Err(Error::new(ErrorKind::Forbidden, detail))
        }
    }
}

async fn checked_cameras(
    api: &Api,
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
        let detail = "camera, or cameras, must say what may be watched";
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    let mut ids = Vec::with_capacity(names.len());
    for name in names {
        let id = CameraId::parse(name)?;
        let record = api.cameras.get(&id).await?.ok_or_else(|| cameras::unknown(&id))?;
        caller.ensure_owns(record.owner.as_deref(), &id)?;
        ids.push(id);
    }
    Ok(ids)
}

/// Whether the caller may see and end the session: admins all, others those of their own key.
fn is_of(caller: &Caller, session: &Session) -> bool {
    caller.at_least(Role::Admin).is_ok() || session.made_by.as_deref() == Some(caller.name())
}

fn output(session: &Session) -> SessionOutput {
    let Session { claims, made_by, last_seen, .. } = session;
    SessionOutput {
        session_id: claims.jti.clone(),
        user: claims.sub.clone(),
        cameras: claims.cameras.clone(),
        made_by: made_by.clone(),
        created_at: rfc3339(claims.iat),
        expires_at: rfc3339(claims.exp),
        last_seen: last_seen.map(rfc3339),
        state: if session.is_ended() { SessionState::Ended } else { SessionState::Active },
    }
}

/// For media alone, and out of reach of the page's scripts. The token itself names its cameras.
fn cookie(token: &str, time: Duration, is_secure: bool) -> Result<HeaderValue, Error> {
    let secure = if is_secure { "; Secure" } else { "" };
    let text = format!(
        "{TOKEN_COOKIE}={token}; Path=/streams; Max-Age={}; HttpOnly; SameSite=Lax{secure}",
        time.as_secs()
    );
    let too_long = || {
        let detail = "the token is too long for a cookie; name fewer cameras";
        Error::new(ErrorKind::InvalidRequest, detail)
    };
    // What browsers and nginx's header buffers take.
    if text.len() > MAX_COOKIE {
        return Err(too_long());
    }
    HeaderValue::try_from(text).map_err(|_| too_long())
}
