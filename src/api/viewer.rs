//! nginx asks before it serves any media file: may this viewer have it? The question is also the
//! sign that the viewer is still there.

use hyper::Request;
use hyper::header::{HeaderValue, USER_AGENT};

use super::reply::{self, Reply};
use super::{Api, credentials, playback};
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::StreamId;
use crate::stream::handle::StreamHandle;
use crate::stream::viewers::Viewer;

/// The header in which nginx names the camera.
const CAMERA: &str = "x-camera-id";
/// The header in which nginx is told why.
const REFUSAL: &str = "x-refusal";
/// The header in which nginx names the viewer's address.
const ADDRESS: &str = "x-real-ip";

/// 204: the viewer may. nginx understands 401 and 403 besides; all else becomes an error. Why it is
/// 403, where that is not for want of a right, stands in the header `X-Refusal`.
pub async fn authorize<B>(api: &Api, request: &Request<B>) -> Result<Reply, Error> {
    let id = StreamId::parse(header(request, CAMERA))?;
    let shown = credentials::shown(request.headers());
    let allowed = playback::may_watch(api, &shown, id.camera()).await;
    // nginx would take other answers than 401 and 403 for a fault of the manager's.
    let permit = allowed.map_err(|error| match error.kind {
        ErrorKind::TooManyAttempts => Error { kind: ErrorKind::Unauthorized, ..error },
        _ => error,
    })?;
    if let Some(handle) = api.registry.get(&id) {
        match touch(&handle, permit.user(), request) {
            Err(error) if error.kind == ErrorKind::TooManyViewers => {
                let mut reply = reply::problem(&Error { kind: ErrorKind::Forbidden, ..error });
                let refusal = HeaderValue::from_static("too_many_viewers");
                reply.headers_mut().insert(REFUSAL, refusal);
                return Ok(reply);
            }
            touched => touched?,
        }
    }
    Ok(reply::no_content())
}

/// Notes the viewer that nginx asks for. Refuses one too many.
pub fn touch<B>(handle: &StreamHandle, user: &str, request: &Request<B>) -> Result<(), Error> {
    let player = header(request, USER_AGENT.as_str());
    handle.touch_as_viewer(&Viewer { user, address: header(request, ADDRESS), player })
}

fn header<'a, B>(request: &'a Request<B>, name: &str) -> &'a str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
