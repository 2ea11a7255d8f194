//! Playlists of recordings.

use bytes::Bytes;
use hyper::StatusCode;

use super::operations::{query, stream_id};
use super::wire::PlaylistInput;
use crate::api::reply::{self, PLAYLIST, Reply};
use crate::api::route::Call;
use crate::base::error::Error;
use crate::recordings::playlist::PlaylistKind;
use crate::service::replay::playlists;

/// Returns the multivariant playlist.
pub(super) async fn multivariant(call: Call<'_>) -> Result<Reply, Error> {
    let (id, (time, as_h264)) =
        (stream_id(&call)?, PlaylistInput::from_query(query(&call))?.parse()?);
    let playlist =
        playlists::multivariant(&call.api.core, &id, &call.shown(), time, as_h264).await?;
    Ok(response(playlist))
}

/// Returns the media playlist.
pub(super) async fn media(call: Call<'_>) -> Result<Reply, Error> {
    playlist(&call, PlaylistKind::Media).await
}

/// Returns the I-frame playlist.
pub(super) async fn keyframes(call: Call<'_>) -> Result<Reply, Error> {
    playlist(&call, PlaylistKind::Keyframes).await
}

async fn playlist(call: &Call<'_>, kind: PlaylistKind) -> Result<Reply, Error> {
    let (id, (time, as_h264)) =
        (stream_id(call)?, PlaylistInput::from_query(query(call))?.parse()?);
    let (core, shown) = (&call.api.core, call.shown());
    Ok(response(playlists::playlist(core, &id, &shown, time, kind, as_h264).await?))
}

fn response(text: Bytes) -> Reply {
    reply::with_body(StatusCode::OK, PLAYLIST, text)
}
