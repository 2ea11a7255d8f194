//! Media: playlists, live sockets, pictures, WebRTC sessions, and nginx's requests for permission to serve a file.

use hyper::Method;
use utoipa::openapi::Required;
use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::Type;

use super::failures;
use super::operation::Operation;
use super::reply::{JPEG, PLAYLIST, SDP};
use super::route::{Audience, Row};
use super::schema;
use crate::base::error::ErrorKind;
use crate::base::public_url::PublicUrl;
use crate::camera::id::{STREAM_ID_PATTERN, StreamId};
use mjpeg::MjpegInput;
use playlists::ReloadInput;
use snapshot::SnapshotInput;

mod files;
pub(super) mod live;
pub(super) mod mjpeg;
pub(crate) mod playlists;
pub(crate) mod snapshot;
pub(super) mod whep;

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
        Row::new(
            Method::POST,
            whep::PATH,
            Audience::Viewers,
            |call| Box::pin(whep::open(call)),
            open_operation,
        )
        .waits(),
        Row::new(
            Method::DELETE,
            whep::SESSION_PATH,
            Audience::Viewers,
            |call| Box::pin(whep::close(call)),
            || session_operation("closeWebrtc", "Ends a WebRTC session").describe("Only the user who opened the session can end it.").returns_nothing("The session has ended."),
        ),
        Row::new(
            Method::PATCH,
            whep::SESSION_PATH,
            Audience::Viewers,
            |call| Box::pin(whep::patch(call)),
            patch_operation,
        ),
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

fn open_operation() -> Operation {
    operation("openWebrtc", "Opens a WebRTC session by WHEP; starts the stream of a known camera if necessary")
        .describe(
            "The body is an SDP offer that can receive video, and optionally audio. The answer contains the \
             addresses at which the player reaches the manager. The manager sends H.264 in packetization mode 1, H.265 \
             if the player offers it, and audio: Opus or G.711 as the camera sends it, and other audio as Opus. The session \
             ends when the player does not connect within 15 s, when no ICE request arrives from the player for 10 s, and \
             when the permission to watch ends.",
        )
        .takes_other(SDP, Type::String, "The SDP offer.")
        .creates_other(
            SDP,
            Type::String,
            "The SDP answer.",
            &[
                ("Location", "The session, relative to the service. DELETE ends the session."),
                ("ETag", "The session's ICE credentials."),
                ("Link", "A STUN or TURN server that the player can use; one header for each server."),
            ],
        )
        .fails(&[
            ErrorKind::TooManyViewers,
            ErrorKind::Busy,
            ErrorKind::WebrtcUnavailable,
            ErrorKind::WebrtcUnsupported,
        ])
}

fn patch_operation() -> Operation {
    session_operation("patchWebrtc", "Accepts the further ICE candidates of a WebRTC player")
        .describe(
            "The candidates are not needed and are ignored. A restart of ICE, which has the header `If-Match: \"*\"`, is \
             refused. Another `If-Match` must contain the `ETag` of the session.",
        )
        .takes_other(whep::FRAGMENT, Type::String, "An SDP fragment.")
        .returns_nothing("The candidates are accepted.")
        .fails(&[ErrorKind::PreconditionFailed, ErrorKind::WebrtcUnsupported])
}

fn session_operation(id: &'static str, summary: &'static str) -> Operation {
    let session = ParameterBuilder::new()
        .name("session")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("The session's id, from the header `Location` of the answer."))
        .schema(Some(schema::string(None)));
    Operation::new("media", id, summary)
        .of(Some(STREAM_ID_PATTERN), "The camera's id; for the sub stream, followed by `~sub`.")
        .parameter(session)
        .fails(failures::DATABASE)
        .fails(&[ErrorKind::InvalidId, ErrorKind::NotFound])
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
