//! Pictures of recordings.

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};

use super::operations::{query, stream_id};
use super::wire::PictureInput;
use crate::api::reply::{self, JPEG, Reply};
use crate::api::route::Call;
use crate::base::error::Error;
use crate::base::time::rfc3339_millis;
use crate::service::replay::pictures::{self, PictureKind};

/// The header with the time of the picture.
const TAKEN_AT: HeaderName = HeaderName::from_static("x-taken-at");
/// The greatest width of a thumbnail in pixels, if the request does not specify one.
const THUMBNAIL_WIDTH: u32 = 320;

/// Returns the picture at a time.
pub(super) async fn snapshot(call: Call<'_>) -> Result<Reply, Error> {
    take(&call, PictureKind::Exact, None).await
}

/// Returns the last keyframe at or before a time as a small picture.
pub(super) async fn thumbnail(call: Call<'_>) -> Result<Reply, Error> {
    take(&call, PictureKind::Keyframe, Some(THUMBNAIL_WIDTH)).await
}

async fn take(call: &Call<'_>, kind: PictureKind, usual: Option<u32>) -> Result<Reply, Error> {
    let id = stream_id(call)?;
    let input = PictureInput::from_query(query(call))?;
    let width = input.width.or(usual);
    let (core, shown) = (&call.api.core, call.shown());
    let picture = pictures::take(core, &id, &shown, input.at, width, kind).await?;
    let mut reply = reply::with_body(StatusCode::OK, JPEG, picture.jpeg);
    if let Ok(time) = HeaderValue::try_from(rfc3339_millis(picture.taken_at)) {
        reply.headers_mut().insert(TAKEN_AT, time);
    }
    Ok(reply)
}
