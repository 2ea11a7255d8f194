//! Cameras: listing, adding, changing, deleting, testing and importing them, exporting all of them, and
//! the presets of vendors.

use std::future;

use hyper::header::{HeaderValue, LOCATION};
use hyper::{Method, StatusCode};

use super::aliases::fields;
use super::failures;
use super::operation::Operation;
use super::reply::{self, Reply};
use super::route::{Audience, Call, Row};
use crate::access::role::Role;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::CameraId;
use crate::camera::presets;
use crate::service::cameras;
use crate::store::Change;
use import::ImportInput;
use input::{CameraInput, DeleteInput, ListFormat, ListInput, TestInput};
use output::{CameraOutput, CamerasOutput, ExportOutput, ImportOutput, TestOutput, VendorsOutput};

pub(crate) mod import;
pub(crate) mod input;
pub(crate) mod output;

const VIEWERS: Audience = Audience::Callers(Role::Viewer);
const USERS: Audience = Audience::Callers(Role::User);
const ADMINS: Audience = Audience::Callers(Role::Admin);

/// Errors of adding or replacing a camera.
const CHANGE_ERRORS: &[ErrorKind] =
    &[ErrorKind::InvalidId, ErrorKind::InvalidSource, ErrorKind::TooManyCameras];
/// Errors of the check of the ONVIF service's certificate.
const CERTIFICATE_ERRORS: &[ErrorKind] = &[
    ErrorKind::OnvifCertificateUnknown,
    ErrorKind::SourceForbidden,
    ErrorKind::SourceUnreachable,
    ErrorKind::SourceUnsupported,
    ErrorKind::SourceTimeout,
];
const CERTIFICATE_CHECK: &str = "If `onvif` is an `https://` URL without `onvif_certificate`, the manager connects to the service to \
     check its certificate. If the certificate has expired, is for another host, or is not from a certificate \
     authority that the manager trusts, the camera is not stored, and the error `onvif_certificate_unknown` \
     contains the certificate's fingerprint. After the user has confirmed the fingerprint, repeat the request with the \
     fingerprint as `onvif_certificate`.";
/// Errors of switching a running stream to the camera's new source. The camera is stored before the switch,
/// and stays stored after an error.
const SWITCH_ERRORS: &[ErrorKind] = &[
    ErrorKind::TooManyStreams,
    ErrorKind::TooManyStarts,
    ErrorKind::StorageFull,
    ErrorKind::ShuttingDown,
];
/// Errors of a test.
const TEST_ERRORS: &[ErrorKind] = &[
    ErrorKind::InvalidId,
    ErrorKind::InvalidSource,
    ErrorKind::SourceForbidden,
    ErrorKind::SourceNotFound,
    ErrorKind::SourceUnauthorized,
    ErrorKind::SourceLoginUnsupported,
    ErrorKind::SourceUnreachable,
    ErrorKind::SourceUnsupported,
    ErrorKind::SourceBusy,
    ErrorKind::SourceTimeout,
    ErrorKind::FfmpegUnavailable,
    ErrorKind::Busy,
];

/// The endpoints.
pub(super) fn routes() -> Vec<Row> {
    let mut routes = of_all();
    routes.extend(of_one());
    routes
}

fn of_all() -> Vec<Row> {
    vec![
        Row::new(
            Method::POST,
            "/api/cameras/test",
            USERS,
            |call| Box::pin(test(call)),
            || {
                operation(
                    "testCamera",
                    "Tests a camera, which need not be known, and takes a picture",
                )
                .describe(
                    "Takes the input of a request that adds a camera, and `profile`. Stores nothing. If the camera's \
                     stream is live with the same source and options, the test takes the picture from that \
                     stream if possible. Otherwise, it opens another connection to the camera.",
                )
                .takes::<TestInput>()
                .returns::<TestOutput>("The media that the camera sends, and a picture.")
                .fails(TEST_ERRORS)
            },
        )
        .waits(),
        Row::new(
            Method::GET,
            "/api/cameras",
            VIEWERS,
            |call| Box::pin(list(call)),
            || {
                operation("listCameras", "Returns a page of the cameras that the caller can see")
                    .query::<ListInput>()
                    .returns_or_lists::<CamerasOutput, CameraOutput>(
                        "The page, sorted by id. With `format=array`, only its list of cameras.",
                    )
                    .fails(failures::QUERY)
            },
        ),
        Row::new(
            Method::POST,
            "/api/cameras",
            USERS,
            |call| Box::pin(create(call)),
            || {
                operation("createCamera", "Adds a camera")
                    .describe(CERTIFICATE_CHECK)
                    .takes::<CameraInput>()
                    .creates::<CameraOutput>("The camera is added.", Some("The camera's path."))
                    .fails(CHANGE_ERRORS)
                    .fails(CERTIFICATE_ERRORS)
                    .fails(&[ErrorKind::CameraExists])
            },
        ),
        Row::new(
            Method::GET,
            "/api/cameras.json",
            ADMINS,
            |call| Box::pin(export(call)),
            || {
                operation("exportCameras", "Exports all cameras, with encrypted sources")
                    .returns_list::<ExportOutput>("All cameras, in the format of an import.")
            },
        ),
        Row::new(
            Method::PUT,
            "/api/cameras.json",
            ADMINS,
            |call| Box::pin(import::import(call)),
            || {
                operation(
                    "importCameras",
                    "Adds or replaces all cameras in the body, or none of them",
                )
                .describe(
                    "The body is a list of cameras as JSON, or an object with the list `cameras`. Every \
                     camera must have an `id`. The body can also be CSV, or the configuration of mediamtx, \
                     go2rtc or Frigate; `left_out` then lists what cannot be imported. The body is limited \
                     to 32 MiB, and to 8 MiB for YAML. Running streams \
                     switch to the new sources after all cameras have been stored. If a stream cannot \
                     switch, the response is an error. Even then, all cameras stay stored, and all other \
                     streams switch.",
                )
                .query::<ImportInput>()
                .takes_list::<CameraInput>("cameras")
                .returns::<ImportOutput>("All cameras are imported. With `dry_run`, nothing has changed.")
                .fails(CHANGE_ERRORS)
                .fails(SWITCH_ERRORS)
            },
        ),
        Row::new(
            Method::GET,
            "/api/vendors",
            VIEWERS,
            |_| Box::pin(future::ready(Ok(vendors()))),
            || {
                let summary = "Returns the presets: ports and stream paths of vendors' cameras";
                Operation::new("cameras", "listVendors", summary)
                    .returns::<VendorsOutput>("The presets.")
            },
        ),
    ]
}

fn of_one() -> Vec<Row> {
    let path = "/api/cameras/{id}";
    vec![
        Row::new(
            Method::GET,
            path,
            VIEWERS,
            |call| Box::pin(get(call)),
            || {
                operation("getCamera", "Returns one camera")
                    .of_camera()
                    .returns::<CameraOutput>("The camera.")
                    .fails(failures::CAMERA)
            },
        ),
        Row::new(
            Method::PUT,
            path,
            USERS,
            |call| Box::pin(put(call)),
            || {
                operation("putCamera", "Adds or replaces a camera")
                    .of_camera()
                    .describe(
                        "If the whole source is left out, a known camera keeps its source. If the source \
                         was given with an `ip`, and `ip`, `port` and `username` stay the same, a \
                         password that is left out is kept, too. If `onvif` stays the same, an `onvif_certificate` \
                         that is left out is kept. An `analytics` that is left out is always kept. All other \
                         fields that are left out get \
                         their defaults. Running streams switch to the new source and options, and failed \
                         streams start again. If the new source lacks a stream, that stream ends. The \
                         certificate of a new `onvif` is checked as when a camera is added.",
                    )
                    .takes::<CameraInput>()
                    .returns::<CameraOutput>("The camera is replaced.")
                    .creates::<CameraOutput>("The camera is added.", Some("The camera's path."))
                    .fails(CHANGE_ERRORS)
                    .fails(CERTIFICATE_ERRORS)
                    .fails(SWITCH_ERRORS)
            },
        ),
        Row::new(
            Method::DELETE,
            path,
            USERS,
            |call| Box::pin(delete(call)),
            || {
                operation(
                    "deleteCamera",
                    "Deletes a camera with its recordings, and stops its streams",
                )
                .of_camera()
                .query::<DeleteInput>()
                .returns_nothing("The camera is deleted.")
                .fails(failures::CAMERA)
                .fails(failures::QUERY)
            },
        ),
    ]
}

fn operation(id: &'static str, summary: &'static str) -> Operation {
    Operation::new("cameras", id, summary).fails(failures::DATABASE)
}

async fn list(mut call: Call<'_>) -> Result<Reply, Error> {
    let input: ListInput = call.input().await?;
    let format = input.format;
    let core = &call.api.core;
    let (records, total) = cameras::list(core, &call.caller, input.filter()).await?;
    let reply = reply::json(&CamerasOutput::new(&records, total, core));
    match format {
        ListFormat::Object => Ok(reply),
        ListFormat::Array => fields::camera_array(reply, &call.api.public_url).await,
    }
}

async fn get(call: Call<'_>) -> Result<Reply, Error> {
    let core = &call.api.core;
    let record = cameras::get(core, &call.caller, &call.camera_id()?).await?;
    Ok(reply::json(&CameraOutput::new(&record, core)))
}

async fn create(mut call: Call<'_>) -> Result<Reply, Error> {
    let (id, new) = call.input::<CameraInput>().await?.split()?;
    let core = &call.api.core;
    let record = cameras::create(core, &call.api.finder, &call.caller, id, new).await?;
    Ok(created(&call, &record.id, &CameraOutput::new(&record, core)))
}

async fn put(mut call: Call<'_>) -> Result<Reply, Error> {
    let id = call.camera_id()?;
    let (given, new) = call.input::<CameraInput>().await?.split()?;
    if given.is_some_and(|given| given != id) {
        let detail = "the id in the body differs from the id in the path; omit the id in the body";
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    let core = &call.api.core;
    let (record, change) = cameras::put(core, &call.api.finder, &call.caller, &id, new).await?;
    let output = CameraOutput::new(&record, core);
    Ok(if change == Change::Created { created(&call, &id, &output) } else { reply::json(&output) })
}

fn created(call: &Call<'_>, id: &CameraId, output: &CameraOutput) -> Reply {
    let mut reply = reply::json(output);
    *reply.status_mut() = StatusCode::CREATED;
    let location = call.api.public_url.url(&format!("/api/cameras/{id}"));
    if let Ok(location) = HeaderValue::from_str(&location) {
        reply.headers_mut().insert(LOCATION, location);
    }
    reply
}

async fn delete(mut call: Call<'_>) -> Result<Reply, Error> {
    let (id, input) = (call.camera_id()?, call.query_without_body::<DeleteInput>().await?);
    let keep = input.keep.unwrap_or_default();
    cameras::delete(&call.api.core, &call.caller, &id, keep).await?;
    Ok(reply::no_content())
}

async fn test(mut call: Call<'_>) -> Result<Reply, Error> {
    let TestInput { camera, profile } = call.input().await?;
    let (id, camera) = camera.split()?;
    let (core, stills) = (&call.api.core, &call.api.stills);
    let still = cameras::test(core, stills, &call.caller, id, camera, profile).await?;
    Ok(reply::json(&TestOutput::new(still)))
}

async fn export(call: Call<'_>) -> Result<Reply, Error> {
    let core = &call.api.core;
    let records = cameras::all(core).await?;
    let exported = records.iter().map(|record| ExportOutput::new(record, &core.cameras));
    Ok(reply::json(&exported.collect::<Result<Vec<_>, _>>()?))
}

fn vendors() -> Reply {
    reply::json(&VendorsOutput { vendors: presets::all() })
}
