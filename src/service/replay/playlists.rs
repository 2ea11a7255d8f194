//! Playlists of recordings.

use bytes::Bytes;

use super::{PermittedStream, RequestedTime, converted};
use crate::access::credentials::Credentials;
use crate::base::error::Error;
use crate::camera::id::StreamId;
use crate::recordings::multivariant;
use crate::recordings::playlist::{self, PlaylistKind};
use crate::service::core::Core;

/// The longest time of one playlist, in milliseconds. Players request the next playlist after it.
pub(crate) const MAX_PLAYLIST_MS: i64 = 2 * 60 * 60 * 1000;

/// Returns a media playlist or an I-frame playlist of what was recorded of a stream. With `as_h264`, video in other codecs is
/// converted.
pub(crate) async fn playlist(
    core: &Core,
    id: &StreamId,
    shown: &Credentials<'_>,
    requested: RequestedTime,
    kind: PlaylistKind,
    as_h264: bool,
) -> Result<Bytes, Error> {
    let stream = PermittedStream::find(core, id, shown).await?;
    let span = stream.span(requested, MAX_PLAYLIST_MS)?;
    let footage = stream.footage(span).await?;
    let converted = if as_h264 { converted::formats(&stream, &footage).await? } else { Vec::new() };
    match playlist::render(&footage, kind, &converted) {
        Some(text) => Ok(text.into()),
        None => Err(stream.nothing_recorded(&format!("from {span} yet")).await),
    }
}

/// Returns the multivariant playlist of what was recorded of a stream, for the same playlists as [`playlist()`].
pub(crate) async fn multivariant(
    core: &Core,
    id: &StreamId,
    shown: &Credentials<'_>,
    requested: RequestedTime,
    as_h264: bool,
) -> Result<Bytes, Error> {
    let stream = PermittedStream::find(core, id, shown).await?;
    let span = stream.span(requested, MAX_PLAYLIST_MS)?;
    let footage = stream.footage(span).await?;
    let video = match footage.files.first() {
        Some(first) if as_h264 => converted::video(core, &stream, first).await?,
        Some(first) => stream.format(first.file.format).await?.into(),
        None => return Err(stream.nothing_recorded(&format!("from {span}")).await),
    };
    Ok(multivariant::render(&footage, &video, as_h264).into())
}
