//! nginx asks before it serves a media file: is this viewer permitted to have it? The question is
//! also the sign that the viewer is still there.

use hyper::header::HeaderValue;

use super::playlists::visitor;
use crate::api::credentials::text;
use crate::api::reply::{self, Reply};
use crate::api::route::Call;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::StreamId;
use crate::service::watching;

/// The header in which nginx names the stream.
const STREAM: &str = "x-camera-id";
/// The header that gives nginx the reason for a 403 that is not about permission.
const REFUSAL: &str = "x-refusal";

/// Answers 204 if the viewer is permitted to have the file. The only other answers that nginx
/// understands are 401 and 403; it takes all others for a fault of the manager.
pub(super) async fn authorize(call: Call<'_>) -> Result<Reply, Error> {
    let id = StreamId::parse(text(&call.head.headers, STREAM).unwrap_or_default())?;
    match watching::allow_file(&call.api.core, &id, visitor(&call)).await {
        Ok(()) => Ok(reply::no_content()),
        Err(error) if error.kind == ErrorKind::TooManyViewers => {
            let mut reply = reply::problem(&Error { kind: ErrorKind::Forbidden, ..error });
            let refusal = HeaderValue::from_static("too_many_viewers");
            reply.headers_mut().insert(REFUSAL, refusal);
            Ok(reply)
        }
        Err(error) if error.kind == ErrorKind::TooManyAttempts => {
            Err(Error { kind: ErrorKind::Unauthorized, ..error })
        }
        Err(error) => Err(error),
    }
}
