//! Playback sessions over the API, and the one question of every file: may this viewer have it?

use std::time::{Duration, UNIX_EPOCH};

use hyper::header::{AUTHORIZATION, COOKIE, HeaderValue, SET_COOKIE};
use hyper::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::ToSchema;

use super::reply::{self, Reply};
use super::{Api, cameras, streams};
use crate::access::Caller;
use crate::access::keys::Role;
use crate::error::{Error, ErrorKind};
use crate::playback::Session;
use crate::stream::key::{CameraId, Profile, StreamId};

/// The header in which nginx hands over the token of a path.
const TOKEN: &str = "x-playback-token";
/// The cookie that may hold a token instead.
const TOKEN_COOKIE: &str = "playback";
/// Of a session, in seconds.
const USUAL_TIME: u64 = 30 * 60;
const LONGEST_TIME: u64 = 24 * 3600;

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

/// Begins a session.
pub async fn begin(api: &Api, caller: &Caller, input: SessionInput) -> Result<Reply, Error> {
    let names = input.cameras.into_iter().chain(input.camera).collect::<Vec<_>>();
    let ids = checked_cameras(api, caller, &names).await?;
    if !(1..=LONGEST_TIME).contains(&input.ttl_seconds) {
        let detail = format!("ttl_seconds must be 1 to {LONGEST_TIME}");
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    let time = Duration::from_secs(input.ttl_seconds);
    let begun = api.playback.begin(input.user, names, time, caller.name()).await;
    let (session, token) = begun?;
    info!(by = caller.name(), session = session.claims.jti, user = session.claims.sub, cameras = ?session.claims.cameras, "playback session begun");
    let hls_url = ids.first().map(|id| format!("/play/{token}/{id}/stream.m3u8"));
    let cookies = ids.iter().filter(|_| input.cookie).map(|id| cookie(&token, id, time));
    let cookies: Vec<_> = cookies.collect();
    let output = NewSessionOutput { token, hls_url, session: output(&session) };
    let mut reply = reply::json(&output);
    *reply.status_mut() = StatusCode::CREATED;
    for cookie in cookies {
        reply.headers_mut().append(SET_COOKIE, cookie);
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
    let session = api.playback.get(id).ok_or_else(unknown)?;
    if !is_of(caller, &session) {
        let detail = "the playback session was made with another API key";
        return Err(Error::new(ErrorKind::Forbidden, detail));
    }
    api.playback.end(id).await?;
    info!(by = caller.name(), session = session.claims.jti, "playback session ended");
    Ok(reply::no_content())
}

/// Whether whoever asks with these headers may watch the camera: by a token, in the path, as bearer
/// or in a cookie; or by an API key.
pub async fn may_watch(api: &Api, headers: &HeaderMap, camera: &CameraId) -> Result<(), Error> {
    if let Some(token) = token(headers) {
        return api.playback.admit(token, camera).map(drop);
    }
    match api.access.caller(headers) {
        Ok(caller) => cameras::may_see(api, &caller, camera).await,
        // A key is stronger than a cookie that a browser still has from before.
        Err(refused) => match cookie_token(headers) {
            Some(token) => api.playback.admit(token, camera).map(drop),
            None => Err(refused),
        },
    }
}

async fn checked_cameras(
    api: &Api,
    caller: &Caller,
    names: &[String],
) -> Result<Vec<CameraId>, Error> {
    if names == ["*"] {
        caller.at_least(Role::Admin)?;
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
        caller.sees(&record)?;
        ids.push(id);
    }
    Ok(ids)
}

fn is_of(caller: &Caller, session: &Session) -> bool {
    caller.owner().is_none_or(|owner| session.made_by.as_deref() == Some(owner))
}

fn output(session: &Session) -> SessionOutput {
    let Session { claims, made_by, last_seen, is_ended } = session;
    SessionOutput {
        session_id: claims.jti.clone(),
        user: claims.sub.clone(),
        cameras: claims.cameras.clone(),
        made_by: made_by.clone(),
        created_at: rfc3339(claims.iat),
        expires_at: rfc3339(claims.exp),
        last_seen: last_seen.map(rfc3339),
        state: if *is_ended { SessionState::Ended } else { SessionState::Active },
    }
}

fn rfc3339(seconds: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

/// For the camera's media alone, and out of reach of the page's scripts.
fn cookie(token: &str, id: &CameraId, time: Duration) -> HeaderValue {
    let path = streams::stream_path(&StreamId::new(id.clone(), Profile::Main));
    let directory = path.rsplit_once('/').map_or(path.as_str(), |(directory, _)| directory);
    let text = format!(
        "{TOKEN_COOKIE}={token}; Path={directory}; Max-Age={}; HttpOnly; SameSite=Lax",
        time.as_secs()
    );
    // Tokens and ids have no character that a header may not have.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn token(headers: &HeaderMap) -> Option<&str> {
    let in_path = headers.get(TOKEN).and_then(|value| value.to_str().ok());
    let bearer = || {
        let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        // API keys have no dots between three parts.
        let is_token = scheme.eq_ignore_ascii_case("bearer") && token.matches('.').count() == 2;
        is_token.then_some(token)
    };
    in_path.filter(|token| !token.is_empty()).or_else(bearer)
}

fn cookie_token(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|line| line.split(';')).filter_map(|one| one.trim().split_once('='));
    pairs.find(|(name, _)| *name == TOKEN_COOKIE).map(|(_, token)| token)
}
