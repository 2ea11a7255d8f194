//! Playlists of recordings.

use bytes::Bytes;
use hyper::StatusCode;

use super::operations::stream_id;
use super::wire::TimeInput;
use crate::api::reply::{self, PLAYLIST, Reply};
use crate::api::route::Call;
use crate::base::error::Error;
use crate::recordings::playlist::PlaylistKind;
use crate::service::replay;

/// Returns the multivariant playlist.
pub(super) async fn multivariant(call: Call<'_>) -> Result<Reply, Error> {
    let (id, time) = (stream_id(&call)?, TimeInput::of(&call)?.parse()?);
    Ok(response(replay::multivariant(&call.api.core, &id, &call.shown(), time).await?))
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
    let (id, time) = (stream_id(call)?, TimeInput::of(call)?.parse()?);
    Ok(response(replay::playlist(&call.api.core, &id, &call.shown(), time, kind).await?))
}

fn response(text: Bytes) -> Reply {
    reply::with_body(StatusCode::OK, PLAYLIST, text)
}
