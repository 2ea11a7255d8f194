//! What the endpoints of recordings have in common: their documentation, and the parts of their paths.

use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};

use super::wire::{PictureInput, PlaylistInput};
use crate::api::failures;
use crate::api::operation::Operation;
use crate::api::route::Call;
use crate::api::schema;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::{STREAM_ID_PATTERN, StreamId};

/// Errors of exports.
pub(super) const EXPORT: &[ErrorKind] = &[
    ErrorKind::InvalidRequest,
    ErrorKind::NoRecordings,
    ErrorKind::FormatsDiffer,
    ErrorKind::RangeNotSatisfiable,
];

/// Errors of conversions to H.264.
pub(super) const CONVERSION: &[ErrorKind] = &[
    ErrorKind::Busy,
    ErrorKind::FfmpegUnavailable,
    ErrorKind::RequestTimeout,
    ErrorKind::SourceUnsupported,
];

pub(super) fn operation(id: &'static str, summary: &'static str) -> Operation {
    Operation::new("recordings", id, summary)
        .fails(failures::DATABASE)
        .fails(&[ErrorKind::RecordingsOff])
}

/// Returns the documentation of an endpoint for one stream.
pub(super) fn of_stream(id: &'static str, summary: &'static str) -> Operation {
    operation(id, summary)
        .of(
            Some(STREAM_ID_PATTERN),
            "The camera's id, or the camera's id followed by `~sub` for its sub stream.",
        )
        .fails(failures::CAMERA)
}

/// Returns the documentation of a playlist.
pub(super) fn played(id: &'static str, summary: &'static str) -> Operation {
    of_stream(id, summary)
        .query::<PlaylistInput>()
        .fails(failures::QUERY)
        .fails(&[ErrorKind::NoRecordings])
        .fails(CONVERSION)
}

/// Returns the documentation of a picture.
pub(super) fn pictured(id: &'static str, summary: &'static str) -> Operation {
    of_stream(id, summary).query::<PictureInput>().fails(failures::QUERY).fails(&[
        ErrorKind::NoRecordings,
        ErrorKind::Busy,
        ErrorKind::FfmpegUnavailable,
        ErrorKind::SourceUnsupported,
    ])
}

/// Returns the documentation of an endpoint for share links.
pub(super) fn shared(id: &'static str, summary: &'static str) -> Operation {
    operation(id, summary).of_camera().fails(failures::CAMERA)
}

pub(super) fn path_parameter(name: &str, pattern: Option<&str>, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(utoipa::openapi::Required::True)
        .description(Some(description))
        .schema(Some(schema::string(pattern)))
        .build()
}

/// Returns the stream in the path.
pub(super) fn stream_id(call: &Call<'_>) -> Result<StreamId, Error> {
    StreamId::parse(&call.id)
}

/// Returns the query.
pub(super) fn query<'a>(call: &'a Call<'_>) -> &'a str {
    call.head.uri.query().unwrap_or_default()
}

/// Returns the last segment of the path.
pub(super) fn last_segment<'a>(call: &'a Call<'_>) -> &'a str {
    call.head.uri.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}
