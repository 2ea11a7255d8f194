//! Aliases for clients of the systems that the manager replaces: old requests become requests of the present API,
//! and the responses get the old fields as well. The aliases do nothing else.
//!
//! | Module | Owns |
//! |---|---|
//! | `fields` | the old names of fields |
//! | `go2rtc` | the requests of go2rtc's player |
//! | `media` | redirects from the old paths of playlists and segments |
//!
//! `docs/guide/existing-clients.md` and `docs/guide/go2rtc-clients.md` document the aliases. They are not part of the
//! OpenAPI document, because new clients must not use them.

use hyper::Method;
use serde_json::{Map, Value, json};

use super::reply::Reply;
use super::route::{Audience, Call, Row};
use crate::access::role::Role;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::CameraId;
use crate::service;
use fields::{Fields, extended};

pub(super) mod fields;
pub(crate) mod go2rtc;
mod media;

const VIEWERS: Audience = Audience::Callers(Role::Viewer);
const USERS: Audience = Audience::Callers(Role::User);

/// The meaning of `camera_id`, for errors.
const CAMERA_ID: &str = "the id of the camera";
/// The meaning of `user_id`, for errors.
const USER_ID: &str = "an id or a name of the user who watches, which your back end chooses";
/// The largest page of the list of cameras.
const PAGE: usize = 1000;

/// The endpoints.
pub(super) fn routes() -> Vec<Row> {
    let mut routes = vec![
        Row::internal(Method::POST, "/api/stream/cameras/add", USERS, |call| {
            Box::pin(add_camera(call))
        }),
        Row::internal(Method::GET, "/api/stream/cameras/status", VIEWERS, |call| {
            Box::pin(cameras_status(call))
        }),
        Row::internal(Method::GET, "/api/stream/health", Audience::Everyone, |call| {
            Box::pin(health(call))
        }),
        Row::internal(Method::POST, "/api/stream/playback/create-session", VIEWERS, |call| {
            Box::pin(create_session(call))
        }),
        Row::internal(Method::GET, "/api/stream/playback/sessions", VIEWERS, |call| {
            Box::pin(sessions(call))
        }),
        Row::internal(Method::POST, "/api/stream/playback/{id}/start", VIEWERS, |call| {
            Box::pin(start_session(call))
        })
        .waits(),
    ];
    routes.extend(media::routes());
    routes.extend(go2rtc::routes());
    routes
}

/// Adds or replaces a camera: `PUT /api/cameras/{id}`.
async fn add_camera(mut call: Call<'_>) -> Result<Reply, Error> {
    let mut input = Fields::read(&mut call).await?;
    let id = CameraId::parse(&input.id("camera_id", CAMERA_ID)?)?;
    input.rename("rtsp_url", "rtsp_link");
    input.rename("rtsp_url_sub", "rtsp_link_sub");
    let reply =
        call.forward(Method::PUT, &format!("/api/cameras/{id}"), Some(input.into())).await?;
    let public_url = &call.api.public_url;
    extended(reply, |camera| fields::of_camera(camera, public_url)).await
}

/// Creates a playback session: `POST /api/playback/sessions`.
async fn create_session(mut call: Call<'_>) -> Result<Reply, Error> {
    let mut input = Fields::read(&mut call).await?;
    let camera = input.id("camera_id", CAMERA_ID)?;
    input.set("camera", camera);
    let user = input.id("user_id", USER_ID)?;
    input.set("user", user);
    let reply = call.forward(Method::POST, "/api/playback/sessions", Some(input.into())).await?;
    extended(reply, |session| {
        let url = session["hls_url"].clone();
        let mut fields = fields::of_session(session);
        fields.insert("stream_url".to_owned(), url);
        fields
    })
    .await
}

/// Returns the playback sessions: `GET /api/playback/sessions`.
async fn sessions(call: Call<'_>) -> Result<Reply, Error> {
    let reply = call.forward(Method::GET, "/api/playback/sessions", None).await?;
    extended(reply, |list| fields::with_list(list, "sessions", fields::of_session)).await
}

/// Starts the first camera of a playback session: `POST /api/cameras/{id}/stream/start`.
async fn start_session(call: Call<'_>) -> Result<Reply, Error> {
    let id = call.id.clone();
    let session = service::sessions::find(&call.api.core, &call.caller, &id)?;
    // A back end can issue the token of a session itself. If such a session is ended before the manager has received
    // the token, the manager knows only the session's id, and no cameras.
    let camera =
        session.claims.cameras.into_iter().next().ok_or_else(|| {
            Error::new(ErrorKind::UnknownSession, "the playback session was ended")
        })?;
    let path = format!("/api/cameras/{camera}/stream/start");
    let reply = call.forward(Method::POST, &path, Some(json!({}))).await?;
    let stream_url = call.api.public_url.url(&media::session_playlist(&id));
    extended(reply, move |_| {
        let mut fields = Map::new();
        fields.insert("session_id".to_owned(), id.as_str().into());
        fields.insert("camera_id".to_owned(), camera.as_str().into());
        fields.insert("stream_url".to_owned(), stream_url.into());
        fields
    })
    .await
}

/// Returns all cameras, and whether their streams are running: `GET /api/cameras` and `GET /api/streams`.
async fn cameras_status(call: Call<'_>) -> Result<Reply, Error> {
    let mut cameras = Vec::new();
    loop {
        let path = format!("/api/cameras?limit={PAGE}&offset={}", cameras.len());
        let mut page = fields::body(call.forward(Method::GET, &path, None).await?).await?;
        let Value::Array(entries) = page["cameras"].take() else { break };
        let is_last = entries.len() < PAGE;
        cameras.extend(entries);
        if is_last {
            break;
        }
    }
    let reply = call.forward(Method::GET, "/api/streams", None).await?;
    let public_url = &call.api.public_url;
    extended(reply, move |list| fields::of_status(list, &cameras, public_url)).await
}

/// Returns the health of the service: `GET /api/health`.
async fn health(call: Call<'_>) -> Result<Reply, Error> {
    let reply = call.forward(Method::GET, "/api/health", None).await?;
    extended(reply, |_| Map::new()).await
}
