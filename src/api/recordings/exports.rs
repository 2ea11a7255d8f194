//! Exports as MP4.

use std::sync::Arc;

use hyper::Method;
use hyper::header::{CONTENT_DISPOSITION, ETAG, HeaderName, HeaderValue, IF_RANGE};

use super::operations::{query, stream_id};
use super::wire::{DigestOutput, TimeInput};
use crate::api::byte_range::{self, ByteRange};
use crate::api::credentials::text;
use crate::api::reply::{self, MP4, Reply};
use crate::api::route::Call;
use crate::base::error::Error;
use crate::service::replay::exports::{self, Export};

/// The header with the times without recordings, which are left out.
const GAPS: HeaderName = HeaderName::from_static("x-gaps");
/// The most gaps that are listed.
const MAX_GAPS: usize = 50;

/// Returns the export, or the range of it that the client requests.
pub(super) async fn send(call: Call<'_>) -> Result<Reply, Error> {
    let export = prepare(&call).await?;
    let headers = &call.head.headers;
    let tag = format!("\"{}\"", export.tag);
    // A client that continues a download must get the same bytes as before, or all of them.
    let has_changed =
        byte_range::has_condition(headers) && text(headers, IF_RANGE.as_str()) != Some(&tag);
    let range = if has_changed { ByteRange::Whole } else { ByteRange::of(headers) };
    let gaps: Vec<_> =
        export.gaps.iter().take(MAX_GAPS).map(|gap| gap.to_string().replace(" to ", "/")).collect();
    let disposition = format!("attachment; filename=\"{}\"", export.file_name);
    let is_head = call.head.method == Method::HEAD;
    let (core, permit, place) = (Arc::clone(&call.api.core), export.permit, export.place);
    let ended = async move {
        let _place = place;
        permit.ended(&core).await;
    };
    let mut reply = reply::range(is_head, MP4, &export.content, range, ended);
    let headers = [(ETAG, tag), (CONTENT_DISPOSITION, disposition), (GAPS, gaps.join(", "))];
    for (name, value) in headers.into_iter().filter(|(_, value)| !value.is_empty()) {
        if let Ok(value) = HeaderValue::try_from(value) {
            reply.headers_mut().insert(name, value);
        }
    }
    Ok(reply)
}

/// Returns the size and the digest of an export.
pub(super) async fn digest(call: Call<'_>) -> Result<Reply, Error> {
    let export = prepare(&call).await?;
    let sha256 = exports::digest(&call.api.core, &export).await?;
    Ok(reply::json(&DigestOutput::new(&export, sha256)))
}

async fn prepare(call: &Call<'_>) -> Result<Export, Error> {
    let (id, time) = (stream_id(call)?, TimeInput::from_query(query(call))?.parse()?);
    exports::prepare(&call.api.core, &id, &call.shown(), time).await
}
