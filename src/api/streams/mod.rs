//! Streams: start, stop, status, list and log.
//!
//! Requests to paths below `/api/stream/` name the camera in their input. Requests to paths below
//! `/api/cameras/{id}/stream/` and `/api/streams/{id}/` name the camera in the path. `/api/streams` lists all
//! streams that run, or whose start has failed recently.

use hyper::Method;

use super::aliases::fields::{self, extended};
use super::failures;
use super::operation::Operation;
use super::reply::{self, Reply};
use super::route::{Audience, Call, Row};
use crate::access::role::Role;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::{CameraId, StreamId};
use crate::service::streams::{self, StreamOrCamera};
use input::{IdInput, ProfileInput, StartCameraInput, StartInput, StreamInput};
use output::{LogOutput, StartOutput, StopOutput, StreamOutput, StreamsOutput};

pub(crate) mod input;
pub(crate) mod output;

const VIEWERS: Audience = Audience::Callers(Role::Viewer);
const USERS: Audience = Audience::Callers(Role::User);

/// The endpoints.
pub(super) fn routes() -> Vec<Row> {
    let mut routes = by_input();
    routes.extend(by_path());
    routes
}

fn by_input() -> Vec<Row> {
    let stream = "/api/stream/start";
    vec![
        // Existing back ends start streams with GET. HEAD is refused, because it would start a
        // stream too.
        Row::new(
            Method::GET,
            stream,
            VIEWERS,
            |call| Box::pin(start(call)),
            || {
                start_operation("startStreamByQuery")
                    .describe("For existing back ends. Starts a stream although the method is GET.")
                    .query::<StartInput>()
                    .fails(&[ErrorKind::TooManyCameras])
            },
        )
        .without_head()
        .waits(),
        Row::new(
            Method::POST,
            stream,
            VIEWERS,
            |call| Box::pin(start(call)),
            || {
                start_operation("startStream")
                    .input::<StartInput>()
                    .fails(&[ErrorKind::TooManyCameras])
            },
        )
        .waits(),
        Row::new(
            Method::POST,
            "/api/stream/stop",
            USERS,
            |call| Box::pin(stop(call)),
            || stop_operation("stopStream").input::<IdInput>(),
        )
        .waits(),
        Row::new(
            Method::GET,
            "/api/stream/status",
            VIEWERS,
            |call| Box::pin(status(call)),
            || status_operation("getStream").query::<IdInput>(),
        ),
        Row::new(
            Method::GET,
            "/api/streams",
            VIEWERS,
            |call| Box::pin(list(call)),
            || {
                Operation::new(
                    "streams",
                    "listStreams",
                    "Returns the state of all running or failed streams",
                )
                .returns::<StreamsOutput>("The streams that the caller can see.")
                .fails(failures::DATABASE)
            },
        ),
    ]
}

fn by_path() -> Vec<Row> {
    vec![
        Row::new(
            Method::GET,
            "/api/streams/{id}/log",
            VIEWERS,
            |call| Box::pin(log(call)),
            || {
                let summary = "Returns the last lines that a stream's FFmpegs wrote";
                Operation::new("streams", "getStreamLog", summary)
                    .of_camera()
                    .query::<ProfileInput>()
                    .returns::<LogOutput>(
                        "The lines, without secrets; empty if there is no stream.",
                    )
                    .fails(failures::QUERY)
                    .fails(failures::CAMERA)
                    .fails(failures::DATABASE)
            },
        ),
        Row::new(
            Method::POST,
            "/api/cameras/{id}/stream/start",
            VIEWERS,
            |call| Box::pin(start_camera(call)),
            || start_operation("startCamera").of_camera().input::<StartCameraInput>(),
        )
        .waits(),
        Row::new(
            Method::POST,
            "/api/cameras/{id}/stream/stop",
            USERS,
            |call| Box::pin(stop_camera(call)),
            || stop_operation("stopCamera").of_camera().input::<StreamInput>(),
        )
        .waits(),
        Row::new(
            Method::GET,
            "/api/cameras/{id}/stream/status",
            VIEWERS,
            |call| Box::pin(camera_status(call)),
            || status_operation("getCameraStream").of_camera().query::<StreamInput>(),
        ),
    ]
}

fn start_operation(id: &'static str) -> Operation {
    Operation::new("streams", id, "Starts a stream, or joins it if it is running")
        .returns::<StartOutput>(
            "The stream is playable, or it is still starting because `wait` was false or because the \
             camera has not sent a keyframe yet.",
        )
        .fails(failures::START)
        .fails(&[ErrorKind::InvalidRequest])
}

fn stop_operation(id: &'static str) -> Operation {
    Operation::new("streams", id, "Stops a stream and waits until it has ended")
        .describe(
            "The main stream of a camera with `keep: always` stays stopped until it is started again: \
             over the API, by a viewer's request for its playlist or a new picture, by setting `keep` to \
             another value and back to `always`, or at the next start of the manager.",
        )
        .returns::<StopOutput>(
            "The stream has ended, or there was no stream. If the stream takes longer than `STOP_GRACE_SECONDS` \
             plus 2 s to end, the response arrives before its end.",
        )
        .fails(&[ErrorKind::InvalidId])
        .fails(failures::DATABASE)
}

fn status_operation(id: &'static str) -> Operation {
    Operation::new("streams", id, "Returns the state of one stream")
        .returns::<StreamOutput>("The state; without details if it is `stopped`.")
        .fails(failures::QUERY)
        .fails(failures::CAMERA)
        .fails(failures::DATABASE)
}

async fn start(mut call: Call<'_>) -> Result<Reply, Error> {
    let request = call.input::<StartInput>().await?.request()?;
    let id = request.id.clone();
    let outcome = streams::start(&call.api.core, &call.caller, request).await?;
    Ok(reply::json(&StartOutput::new(&id, outcome, &call.api.public_url)))
}

async fn start_camera(mut call: Call<'_>) -> Result<Reply, Error> {
    let mut input: StartCameraInput = call.input().await?;
    let parts = input.take_parts()?;
    let StartCameraInput { profile, output, wait, .. } = input;
    let id = StreamId::new(call.camera_id()?, profile);
    let api = call.api;
    let (core, public_url) = (&api.core, &api.public_url);
    let outcome = if parts.is_empty() {
        streams::start_known(core, &call.caller, &id, output, wait).await?
    } else {
        streams::start_changed(core, &call.caller, &id, &parts, output, wait).await?
    };
    let reply = reply::json(&StartOutput::new(&id, outcome, public_url));
    extended(reply, |stream| fields::of_stream(stream, public_url)).await
}

async fn stop(mut call: Call<'_>) -> Result<Reply, Error> {
    let IdInput { indicator_id, profile } = call.input().await?;
    stop_stream(&call, StreamId::new(CameraId::parse(&indicator_id)?, profile)).await
}

async fn stop_camera(mut call: Call<'_>) -> Result<Reply, Error> {
    let StreamInput { profile, .. } = call.input().await?;
    let reply = stop_stream(&call, StreamId::new(call.camera_id()?, profile)).await?;
    let public_url = &call.api.public_url;
    extended(reply, |stream| fields::of_stream(stream, public_url)).await
}

async fn stop_stream(call: &Call<'_>, id: StreamId) -> Result<Reply, Error> {
    streams::stop(&call.api.core, &call.caller, &id).await?;
    Ok(reply::json(&StopOutput::new(&id)))
}

async fn status(mut call: Call<'_>) -> Result<Reply, Error> {
    let IdInput { indicator_id, profile } = call.input().await?;
    stream_status(&call, StreamId::new(CameraId::parse(&indicator_id)?, profile)).await
}

async fn camera_status(mut call: Call<'_>) -> Result<Reply, Error> {
    let StreamInput { profile, .. } = call.input().await?;
    let reply = stream_status(&call, StreamId::new(call.camera_id()?, profile)).await?;
    let public_url = &call.api.public_url;
    extended(reply, |stream| fields::of_stream(stream, public_url)).await
}

async fn stream_status(call: &Call<'_>, id: StreamId) -> Result<Reply, Error> {
    let found = streams::find(&call.api.core, &call.caller, &id).await?;
    let public_url = &call.api.public_url;
    Ok(reply::json(&match found {
        StreamOrCamera::Stream(handle) => StreamOutput::running(&handle, public_url),
        StreamOrCamera::Camera(camera) => StreamOutput::stopped(&camera, public_url),
    }))
}

async fn list(call: Call<'_>) -> Result<Reply, Error> {
    let streams = streams::list(&call.api.core, &call.caller).await?;
    Ok(reply::json(&StreamsOutput::new(&streams, &call.api.public_url)))
}

async fn log(mut call: Call<'_>) -> Result<Reply, Error> {
    let ProfileInput { profile } = call.input().await?;
    let id = StreamId::new(call.camera_id()?, profile);
    let lines = streams::log(&call.api.core, &call.caller, &id).await?;
    Ok(reply::json(&LogOutput::new(&id, lines)))
}
