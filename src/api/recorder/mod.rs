//! The recorder: the space that recordings use, recording a camera now, and protecting and deleting recordings.

use hyper::Method;

use super::failures;
use super::operation::Operation;
use super::reply::{self, Reply};
use super::route::{Audience, Call, Row};
use crate::access::role::Role;
use crate::base::error::{Error, ErrorKind};
use crate::service::recorded;
use wire::{
    DeletedOutput, LockInput, LockedOutput, NowInput, NowOutput, RecordingStatusOutput, SpanInput,
    StorageOutput,
};

pub(crate) mod wire;

const USERS: Audience = Audience::Callers(Role::User);
const ADMINS: Audience = Audience::Callers(Role::Admin);

/// The endpoints.
pub(super) fn routes() -> Vec<Row> {
    vec![
        Row::new(
            Method::GET,
            "/api/storage",
            ADMINS,
            |call| Box::pin(storage(call)),
            || {
                operation("getRecordingStorage", "Returns how much space recordings use")
                    .returns::<StorageOutput>("The directories, and the bytes per camera and day.")
            },
        ),
        Row::new(
            Method::GET,
            "/api/cameras/{id}/recording",
            USERS,
            |call| Box::pin(status(call)),
            || {
                operation("getRecording", "Returns whether a camera is being recorded")
                    .of_camera()
                    .returns::<RecordingStatusOutput>(
                        "The state of each stream that is to be recorded now.",
                    )
                    .fails(failures::CAMERA)
            },
        ),
        Row::new(
            Method::POST,
            "/api/cameras/{id}/recording",
            USERS,
            |call| Box::pin(record_now(call)),
            || {
                operation("recordNow", "Records a camera from now on, for a limited time")
                    .describe(
                        "The recording does not depend on the mode in the camera's option `recording`, but has its \
                         `profile`. A further request replaces the end.",
                    )
                    .of_camera()
                    .takes::<NowInput>()
                    .returns::<NowOutput>("The recording begins.")
                    .fails(failures::CAMERA)
            },
        ),
        Row::new(
            Method::DELETE,
            "/api/cameras/{id}/recording",
            USERS,
            |call| Box::pin(end_now(call)),
            || {
                operation("endRecordNow", "Ends a recording that was requested")
                    .describe(
                        "If the option `recording` requires it, the camera is still recorded.",
                    )
                    .of_camera()
                    .returns_nothing("The recording ends.")
                    .fails(failures::CAMERA)
            },
        ),
        Row::new(
            Method::PUT,
            "/api/cameras/{id}/recordings/lock",
            USERS,
            |call| Box::pin(lock(call)),
            || {
                operation("lockRecordings", "Protects recordings from deletion, or ends the protection")
                    .describe("Files last for about a minute. Each file that overlaps the time is protected as a whole.")
                    .of_camera()
                    .takes::<LockInput>()
                    .returns::<LockedOutput>("The recordings are locked or unlocked.")
                    .fails(failures::CAMERA)
            },
        ),
        Row::new(
            Method::DELETE,
            "/api/cameras/{id}/recordings",
            USERS,
            |call| Box::pin(delete(call)),
            || {
                operation("deleteRecordings", "Deletes recordings of a camera")
                    .describe(
                        "Deletes each file that overlaps the time as a whole, except files that are locked or are being \
                         written. Without `from` and `to`, deletes all recordings of the camera.",
                    )
                    .of_camera()
                    .query::<SpanInput>()
                    .returns::<DeletedOutput>("The recordings are deleted.")
                    .fails(failures::CAMERA)
                    .fails(failures::QUERY)
            },
        ),
    ]
}

fn operation(id: &'static str, summary: &'static str) -> Operation {
    Operation::new("recordings", id, summary)
        .fails(failures::DATABASE)
        .fails(&[ErrorKind::RecordingsOff])
}

async fn storage(call: Call<'_>) -> Result<Reply, Error> {
    let view = recorded::storage(&call.api.core).await?;
    Ok(reply::json(&StorageOutput::new(view)))
}

async fn status(call: Call<'_>) -> Result<Reply, Error> {
    let view = recorded::status(&call.api.core, &call.caller, &call.camera_id()?).await?;
    Ok(reply::json(&RecordingStatusOutput::new(view)))
}

async fn record_now(mut call: Call<'_>) -> Result<Reply, Error> {
    let id = call.camera_id()?;
    let time = call.input::<NowInput>().await?.time();
    let until = recorded::record_now(&call.api.core, &call.caller, &id, Some(time)).await?;
    Ok(reply::json(&NowOutput::new(until)))
}

async fn end_now(call: Call<'_>) -> Result<Reply, Error> {
    recorded::record_now(&call.api.core, &call.caller, &call.camera_id()?, None).await?;
    Ok(reply::no_content())
}

async fn lock(mut call: Call<'_>) -> Result<Reply, Error> {
    let id = call.camera_id()?;
    let (span, locked) = call.input::<LockInput>().await?.parse()?;
    let files = recorded::lock(&call.api.core, &call.caller, &id, span, locked).await?;
    Ok(reply::json(&LockedOutput { files }))
}

async fn delete(mut call: Call<'_>) -> Result<Reply, Error> {
    let (id, input) = (call.camera_id()?, call.query_without_body::<SpanInput>().await?);
    let span = input.parse()?;
    let deleted = recorded::delete(&call.api.core, &call.caller, &id, span).await?;
    Ok(reply::json(&DeletedOutput::new(deleted)))
}
