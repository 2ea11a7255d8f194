//! What was recorded: which recordings exist, playlists, files, exports, and share links.
//!
//! Media is below `/recordings/{id}/`, where `{id}` is the id of a stream. nginx also passes requests for
//! `/play/{token}/{id}/recordings/` on to these paths.

use hyper::Method;
use utoipa::openapi::schema::Type;

use super::reply::{self, JPEG, MP4, PLAYLIST, Reply};
use super::route::{Audience, Call, Row};
use crate::access::role::Role;
use crate::base::error::{Error, ErrorKind};
use crate::service::replay;
use operations::{
    CONVERSION, EXPORT, of_stream, operation, path_parameter, pictured, played, shared,
};
use wire::{DigestOutput, NewShareOutput, RecordedOutput, ShareInput, SharesOutput, TimeInput};

mod exports;
mod files;
mod operations;
mod pictures;
mod playlists;
mod shares;
mod timelines;
pub(crate) mod wire;

const CALLERS: Audience = Audience::Callers(Role::Viewer);

/// The endpoints.
pub(super) fn routes() -> Vec<Row> {
    [api_routes(), playlist_routes(), file_routes(), timelines::routes()]
        .into_iter()
        .flatten()
        .collect()
}

fn api_routes() -> Vec<Row> {
    vec![
        Row::new(
            Method::GET,
            "/api/recordings",
            CALLERS,
            |call| Box::pin(list(call)),
            || {
                operation("listRecordings", "Returns the streams with recordings")
                    .returns::<RecordedOutput>(
                        "The streams with recordings that the caller can watch.",
                    )
            },
        ),
        Row::new(
            Method::GET,
            "/api/recordings/{id}/export",
            Audience::Viewers,
            |call| Box::pin(exports::digest(call)),
            || {
                of_stream("getExport", "Returns the size and the SHA-256 digest of an export")
                    .describe(
                        "The manager reads all recordings in the export, which can take some time.",
                    )
                    .query::<TimeInput>()
                    .returns::<DigestOutput>("The export.")
                    .fails(EXPORT)
                    .fails(&[ErrorKind::Busy])
            },
        )
        .waits(),
        Row::new(
            Method::GET,
            "/api/recordings/{id}/shares",
            CALLERS,
            |call| Box::pin(shares::list(call)),
            || {
                shared("listShares", "Returns the share links of a camera")
                    .returns::<SharesOutput>("The share links that the caller can see.")
            },
        ),
        Row::new(
            Method::POST,
            "/api/recordings/{id}/shares",
            CALLERS,
            |call| Box::pin(shares::create(call)),
            || {
                shared("createShare", "Creates a share link to recordings of a camera")
                    .describe(
                        "Everyone who has the link can watch and export what was recorded of the camera in this time, until \
                         the link ends or is deleted. The link does not permit watching live.",
                    )
                    .takes::<ShareInput>()
                    .creates::<NewShareOutput>(
                        "The share link and its token, which is not shown again.",
                        None,
                    )
                    .fails(&[ErrorKind::TooManySessions])
            },
        ),
        Row::new(
            Method::DELETE,
            "/api/recordings/{id}/shares/{share}",
            CALLERS,
            |call| Box::pin(shares::delete(call)),
            || {
                shared("deleteShare", "Deletes a share link")
                    .parameter(path_parameter("share", None, "The id of the share link."))
                    .returns_nothing("The token of the share link is no longer valid.")
                    .fails(&[ErrorKind::UnknownShare])
            },
        ),
    ]
}

fn playlist_routes() -> Vec<Row> {
    vec![
        Row::new(
            Method::GET,
            "/recordings/{id}/index.m3u8",
            Audience::Viewers,
            |call| Box::pin(playlists::multivariant(call)),
            || {
                played("getRecordingMultivariantPlaylist", "Returns the multivariant playlist of recordings")
                    .describe("The playlist names the media playlist and the I-frame playlist of the same time.")
                    .returns_other(PLAYLIST, Type::String, "The playlist.")
            },
        ),
        Row::new(
            Method::GET,
            "/recordings/{id}/stream.m3u8",
            Audience::Viewers,
            |call| Box::pin(playlists::media(call)),
            || {
                played("getRecordingPlaylist", "Returns the media playlist of recordings")
                    .describe(
                        "If the end of the time has not been recorded yet, the playlist grows (`EVENT`), and players request \
                         it again.",
                    )
                    .returns_other(PLAYLIST, Type::String, "The playlist.")
            },
        ),
        Row::new(
            Method::GET,
            "/recordings/{id}/iframes.m3u8",
            Audience::Viewers,
            |call| Box::pin(playlists::keyframes(call)),
            || {
                played("getRecordingKeyframes", "Returns the I-frame playlist of recordings")
                    .returns_other(
                        PLAYLIST,
                        Type::String,
                        "The playlist, which lists only keyframes.",
                    )
            },
        ),
    ]
}

fn file_routes() -> Vec<Row> {
    vec![
        Row::new(
            Method::GET,
            "/recordings/{id}/snapshot.jpg",
            Audience::Viewers,
            |call| Box::pin(pictures::snapshot(call)),
            || {
                pictured("getRecordedPicture", "Returns the picture of a stream at a time")
                    .returns_other(JPEG, Type::String, "The picture. The header `X-Taken-At` has its time.")
            },
        )
        .waits(),
        Row::new(
            Method::GET,
            "/recordings/{id}/thumbnail.jpg",
            Audience::Viewers,
            |call| Box::pin(pictures::thumbnail(call)),
            || {
                pictured("getRecordedThumbnail", "Returns a small picture of a stream near a time")
                    .describe(
                        "The picture is the last keyframe at or before the time, which needs less processor time than the exact \
                         picture. The default width is 320 pixels.",
                    )
                    .returns_other(JPEG, Type::String, "The picture. The header `X-Taken-At` has its time.")
            },
        )
        .waits(),
        Row::new(
            Method::GET,
            "/recordings/{id}/export.mp4",
            Audience::Viewers,
            |call| Box::pin(exports::send(call)),
            || {
                of_stream("exportRecording", "Returns recordings as an MP4 file")
                    .describe(
                        "The first and the last picture are those of the requested time. Up to one group of pictures before \
                         it is in the file as well, but is not shown. Times without recordings are left out and listed in \
                         the header `X-Gaps`. `Range` is supported.",
                    )
                    .query::<TimeInput>()
                    .returns_other(MP4, Type::String, "The file.")
                    .fails(EXPORT)
            },
        )
        .waits(),
        Row::new(
            Method::GET,
            "/recordings/{id}/h264/{file}",
            Audience::Viewers,
            |call| Box::pin(files::converted(call)),
            || {
                of_stream("getConvertedSegment", "Returns a part of a recording as H.264")
                    .describe(
                        "Playlists with `codec=h264` list these parts. FFmpeg converts the video when a player requests it. Audio \
                         is as it was recorded.",
                    )
                    .parameter(path_parameter(
                        "file",
                        Some("^[0-9]+-[0-9]+(\\.mp4|-[0-9]+-[0-9]+\\.m4s)$"),
                        "The name of the init segment or of the segment.",
                    ))
                    .returns_other(MP4, Type::String, "The init segment or the segment.")
                    .fails(&[ErrorKind::NotFound])
                    .fails(CONVERSION)
            },
        )
        .waits(),
        Row::new(
            Method::GET,
            "/recordings/{id}/{file}",
            Audience::Viewers,
            |call| Box::pin(files::send(call)),
            || {
                of_stream("getRecordedFile", "Returns a recorded file that a playlist lists")
                    .describe(
                        "`Range` is supported. If a playback token is limited to a time, a file with other recordings can be \
                         requested only with one range of bytes that a playlist lists.",
                    )
                    .parameter(path_parameter("file", Some("^[0-9]+-[0-9]+\\.mp4$"), "The name of the file."))
                    .returns_other(MP4, Type::String, "The file, or the range of it.")
                    .fails(&[ErrorKind::NotFound, ErrorKind::RangeNotSatisfiable])
            },
        ),
    ]
}

async fn list(call: Call<'_>) -> Result<Reply, Error> {
    let streams = replay::timeline::list(&call.api.core, &call.caller).await?;
    Ok(reply::json(&RecordedOutput::new(&streams)))
}
