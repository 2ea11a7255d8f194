//! Redirects from the old paths of playlists and segments. The targets are relative, so that they are correct below
//! any base path. A player that follows a redirect loads everything else from the present paths.

use hyper::header::{HeaderValue, LOCATION};
use hyper::{Method, StatusCode};

use crate::api::reply::{self, Reply};
use crate::api::route::{Audience, Call, Row};
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::CameraId;
use crate::service::permission::permit_to_watch;

/// The path of the playlist of a playback session.
const SESSION_PLAYLIST: &str = "/api/stream/hls/{id}/playlist.m3u8";
/// The longest name of a segment, in bytes.
const MAX_NAME: usize = 64;

/// The endpoints.
pub(super) fn routes() -> Vec<Row> {
    vec![
        Row::internal(
            Method::GET,
            "/api/cameras/{id}/stream/playlist.m3u8",
            Audience::Viewers,
            |call| Box::pin(camera_playlist(call)),
        ),
        Row::internal(
            Method::GET,
            "/api/cameras/{id}/stream/segment/{name}",
            Audience::Viewers,
            |call| Box::pin(camera_segment(call)),
        ),
        Row::internal(Method::GET, SESSION_PLAYLIST, Audience::Viewers, |call| {
            Box::pin(playlist_of_session(call))
        }),
    ]
}

/// Returns the path of the playlist of a playback session.
pub(super) fn session_playlist(session: &str) -> String {
    SESSION_PLAYLIST.replace("{id}", session)
}

async fn camera_playlist(call: Call<'_>) -> Result<Reply, Error> {
    redirect(&call, &call.camera_id()?, "stream.m3u8").await
}

async fn camera_segment(call: Call<'_>) -> Result<Reply, Error> {
    let path = call.head.uri.path().trim_end_matches('/');
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    if name.len() > MAX_NAME || !name.bytes().all(is_allowed) {
        return Err(Error::new(ErrorKind::NotFound, "invalid segment name"));
    }
    redirect(&call, &call.camera_id()?, name).await
}

async fn playlist_of_session(call: Call<'_>) -> Result<Reply, Error> {
    let session = call.api.core.playback.get(&call.id);
    let camera = session.as_ref().and_then(|session| session.claims.cameras.first());
    let camera = camera.and_then(|camera| CameraId::parse(camera).ok()).ok_or_else(|| {
        let detail = "no playback session with this id exists, or the session is for all cameras";
        Error::new(ErrorKind::UnknownSession, detail)
    })?;
    redirect(&call, &camera, "stream.m3u8").await
}

/// Returns a redirect to a file of a camera's main stream. If a viewer sends a playback token, the target contains
/// this token, because players often send headers only with the first request.
async fn redirect(call: &Call<'_>, camera: &CameraId, file: &str) -> Result<Reply, Error> {
    let shown = call.shown();
    let permit = permit_to_watch(&call.api.core, &shown, camera).await?;
    // Neither an API key nor a bearer token of a proxy must get into a URL.
    let token = shown.bearer_token().filter(|_| permit.is_of_session());
    let folder = match token {
        Some(token) => format!("play/{token}"),
        None => "streams".to_owned(),
    };
    let query = call.head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    // A slash at the end of the path counts as another directory.
    let depth = call.head.uri.path().matches('/').count().saturating_sub(1);
    let root = "../".repeat(depth);
    let target = HeaderValue::from_str(&format!("{root}{folder}/{camera}/{file}{query}"));
    let target = target.map_err(|_| Error::new(ErrorKind::NotFound, "invalid path"))?;
    let mut reply = reply::no_content();
    *reply.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    reply.headers_mut().insert(LOCATION, target);
    Ok(reply)
}
