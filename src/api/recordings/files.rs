//! Recorded files, or ranges of them. If nginx is in front of the manager, nginx sends the bytes, after the manager has
//! given permission. Otherwise, and if only a copy off-site is left, the manager sends them.
//!
//! A file that is being written grows, but its bytes do not change. So a range of it is always the same, whatever a client
//! knows about an earlier state of the file. nginx compares `If-Range` with the present state, and would send the whole file
//! instead of a range: the manager answers such requests itself. For the same reason, caches must not store the response.

use std::path::Path;
use std::sync::Arc;

use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};

use super::operations::{last_segment, stream_id};
use crate::api::byte_range::{self, ByteRange};
use crate::api::credentials::text;
use crate::api::reply::{self, MP4, Reply};
use crate::api::route::Call;
use crate::base::error::{Error, ErrorKind};
use crate::recordings::file_url::{ConvertedUrl, FileUrl};
use crate::service::replay::{converted, files};

/// The header with which nginx shows that it can send files.
const CAN_SEND_FILES: (&str, &str) = ("x-sendfile-type", "X-Accel-Redirect");
/// The header that tells nginx which file to send.
const SENDS_FILE: &str = "x-accel-redirect";
/// The location in nginx's configuration below which the directories with recordings are, by their positions in
/// `RECORDINGS_DIRS`.
const LOCATION: &str = "/internal/recordings";

/// Returns a recorded file, or the range of it that the client requests.
pub(super) async fn send(call: Call<'_>) -> Result<Reply, Error> {
    let id = stream_id(&call)?;
    let url = FileUrl::parse(last_segment(&call))
        .ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no recording with this name"))?;
    let headers = &call.head.headers;
    let (range, is_conditional) = (ByteRange::of(headers), byte_range::has_condition(headers));
    let between = match range {
        ByteRange::Between(first, last) if !is_conditional => Some((first, last)),
        _ => None,
    };
    let file = files::find(&call.api.core, &id, &call.shown(), url, between).await?;
    let is_nginx = text(headers, CAN_SEND_FILES.0) == Some(CAN_SEND_FILES.1);
    if let Some((dir, name)) = &file.location.local
        && is_nginx
        && (between.is_some() || range == ByteRange::Whole)
    {
        return sent_by_nginx(*dir, name);
    }
    let (content, permit) = file.content().await?;
    let core = Arc::clone(&call.api.core);
    let ended = async move { permit.ended(&core).await };
    Ok(reply::range(call.head.method == Method::HEAD, MP4, &content, range, ended))
}

/// Returns the init segment or a segment of a recording that is converted to H.264.
pub(super) async fn converted(call: Call<'_>) -> Result<Reply, Error> {
    let id = stream_id(&call)?;
    let url = ConvertedUrl::parse(last_segment(&call))
        .ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no segment with this name"))?;
    let bytes = converted::get(&call.api.core, &id, &call.shown(), url).await?;
    Ok(reply::with_body(StatusCode::OK, MP4, bytes))
}

fn sent_by_nginx(dir: usize, name: &Path) -> Result<Reply, Error> {
    let location = HeaderValue::try_from(format!("{LOCATION}/{dir}/{}", name.display()));
    let location = location.map_err(|error| {
        Error::new(ErrorKind::Internal, "the recording has an invalid name").caused_by(error)
    })?;
    let mut reply = reply::with_body(StatusCode::OK, MP4, "");
    reply.headers_mut().insert(SENDS_FILE, location);
    Ok(reply)
}
