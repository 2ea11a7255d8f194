//! Media: playlists, live sockets, pictures, and nginx's requests for permission to serve a file.

use hyper::Method;
use utoipa::openapi::schema::Type;

use super::failures;
use super::operation::Operation;
use super::reply::{JPEG, PLAYLIST};
use super::route::{Audience, Row};
use crate::base::error::ErrorKind;
use crate::base::public_url::PublicUrl;
use crate::camera::id::{STREAM_ID_PATTERN, StreamId};
use mjpeg::MjpegInput;
use playlists::ReloadInput;
use snapshot::SnapshotInput;

mod files;
mod live;
mod mjpeg;
pub(crate) mod playlists;
pub(crate) mod snapshot;

/// The path of a stream's playlist, in the manager and in nginx.
pub(super) const PLAYLIST_PATH: &str = "/streams/{id}/stream.m3u8";

/// The endpoints.
pub(super) fn routes() -> Vec<Row> {
    vec![
        Row::internal(Method::GET, "/internal/viewer", Audience::Viewers, |call| {
            Box::pin(files::authorize(call))
        }),
        Row::new(
            Method::GET,
            PLAYLIST_PATH,
            Audience::Viewers,
            |call| Box::pin(playlists::media(call)),
            || {
                playlist(
                    "getPlaylist",
                    "Returns the playlist; starts the stream of a known camera if necessary",
                )
                .describe(
                    "With `_HLS_msn`, the response waits until the playlist contains the segment with \
                     that number. With `_HLS_part` in addition, the response waits only for that part of \
                     the segment (RFC 8216bis). After three times `HLS_SEGMENT_TIME`, the response is the \
                     newest playlist. Numbers that are too far ahead are refused. If the stream is not \
                     playable, the request first waits until the stream has started.",
                )
                .query::<ReloadInput>()
                .fails(failures::QUERY)
            },
        )
        .waits(),
        Row::new(
            Method::GET,
            "/streams/{id}/index.m3u8",
            Audience::Viewers,
            |call| Box::pin(playlists::multivariant(call)),
            || {
                playlist(
                    "getIndex",
                    "Returns the multivariant playlist; starts the stream of a known camera if necessary",
                )
            },
        )
        .waits(),
        // OpenAPI cannot describe WebSockets.
        Row::internal(Method::GET, "/streams/{id}/live", Audience::Viewers, |call| {
            Box::pin(live::open(call))
        })
        .without_head(),
        Row::new(
            Method::GET,
            "/streams/{id}/snapshot.jpg",
            Audience::Viewers,
            |call| Box::pin(snapshot::get(call)),
            snapshot_operation,
        )
        .waits(),
        Row::new(
            Method::GET,
            mjpeg::PATH,
            Audience::Viewers,
            |call| Box::pin(mjpeg::get(call)),
            mjpeg_operation,
        )
        .waits(),
    ]
}

fn playlist(id: &'static str, summary: &'static str) -> Operation {
    operation(id, summary)
        .returns_other(PLAYLIST, Type::String, "The playlist.")
        .fails(&[ErrorKind::TooManyViewers])
}

fn snapshot_operation() -> Operation {
    operation("getSnapshot", "Returns a picture of a camera")
        .describe(
            "The picture is taken from the camera's stream, without another connection to the \
             camera, or is an earlier picture (see `max_age` and `start`). If a new picture is needed, the stream \
             is started unless it is running or `start` is false. The header `Age` is \
             the picture's age in seconds, and `Last-Modified` is the time at which the camera took \
             the picture.",
        )
        .query::<SnapshotInput>()
        .returns_other(JPEG, Type::String, "The picture.")
        .fails(failures::QUERY)
        .fails(&[ErrorKind::NotFound, ErrorKind::Busy])
}

fn mjpeg_operation() -> Operation {
    operation("getMjpeg", "Returns continuous pictures of a camera")
        .describe(
            "The response begins with the first picture, and ends when the permission to watch or the stream ends. \
             The stream is started if it is not running. Each part has the headers `Content-Type` (`image/jpeg`), \
             `Content-Length` and `X-Timestamp`, the time at which the camera took the picture, in Unix seconds. A \
             client that reads slowly gets fewer pictures. If there is no new picture for 10 s, the last one is sent \
             again. With `Upgrade: websocket`, the path is a WebSocket with the same parameters.",
        )
        .query::<MjpegInput>()
        .returns_other(mjpeg::MULTIPART, Type::String, "The pictures.")
        .fails(failures::QUERY)
        .fails(&[ErrorKind::TooManyViewers, ErrorKind::Busy, ErrorKind::Internal])
}

fn operation(id: &'static str, summary: &'static str) -> Operation {
    let stream_id = "The camera's id; for the sub stream, followed by `~sub`.";
    // Players get `StreamEnded` instead of `Stopped`.
    let start = failures::START.iter().copied().filter(|kind| *kind != ErrorKind::Stopped);
    Operation::new("media", id, summary)
        .of(Some(STREAM_ID_PATTERN), stream_id)
        .fails(&start.collect::<Vec<_>>())
        .fails(&[ErrorKind::StreamEnded, ErrorKind::AwaitingKeyframe])
}

/// Returns the path of a stream's playlist, as browsers see it.
pub(super) fn playlist_path(id: &StreamId, public_url: &PublicUrl) -> String {
    public_url.path(&PLAYLIST_PATH.replace("{id}", id.as_str()))
}
