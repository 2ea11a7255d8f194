//! Media: playlists, and nginx's requests for permission to serve a file.

use hyper::Method;
use utoipa::openapi::schema::Type;

use super::failures;
use super::operation::Operation;
use super::reply::PLAYLIST;
use super::route::{Audience, Row};
use crate::base::error::ErrorKind;
use crate::camera::id::{STREAM_ID_PATTERN, StreamId};
use playlists::ReloadInput;

mod files;
pub(crate) mod playlists;

/// The path of a stream's playlist, in the manager and in nginx.
const PLAYLIST_PATH: &str = "/streams/{id}/stream.m3u8";

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
                operation(
                    "getPlaylist",
                    "Returns the playlist; starts the stream of a known camera",
                )
                .describe(
                    "With `_HLS_msn` the response waits until the playlist has that segment, or the \
                     part `_HLS_part` of it (RFC 8216bis). After the duration of three segments, \
                     the playlist is returned as it is.",
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
                operation(
                    "getIndex",
                    "Returns the multivariant playlist; starts the stream of a known camera",
                )
            },
        )
        .waits(),
    ]
}

fn operation(id: &'static str, summary: &'static str) -> Operation {
    let stream_id = "The camera's id; for the sub stream, followed by `~sub`.";
    Operation::new("media", id, summary)
        .of(Some(STREAM_ID_PATTERN), stream_id)
        .returns_other(PLAYLIST, Type::String, "The playlist.")
        .fails(failures::START)
        .fails(&[ErrorKind::StreamEnded, ErrorKind::AwaitingKeyframe])
}

/// Returns the path of a stream's playlist.
pub(super) fn playlist_path(id: &StreamId) -> String {
    PLAYLIST_PATH.replace("{id}", id.as_str())
}
