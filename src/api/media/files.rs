//! The endpoint for nginx's `auth_request`. Before nginx serves a media file, nginx sends a request
//! to this endpoint, and the response permits or refuses the file. The request also counts as a
//! viewer's request.

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
/// The header of a 403 whose reason is not a lack of permission. The value names the reason, which is
/// that there are too many viewers.
const REFUSAL: &str = "x-refusal";

/// Returns 204 if the viewer is permitted to get the file. Refuses viewers with 401 or 403 only,
/// because nginx treats every other status as a fault of the manager. So the error of too many
/// viewers becomes a 403 with a reason, and the error of too many wrong API keys becomes a 401. Other
/// errors, for example of the database, keep their status.
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
