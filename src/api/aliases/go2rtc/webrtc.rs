//! Offers and answers of WebRTC over HTTP: as SDP, or as JSON with `type` and `sdp`.

use hyper::StatusCode;
use hyper::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::json;

use super::query::Parameters;
use crate::api::credentials::text;
use crate::api::input;
use crate::api::media::playlists::visitor;
use crate::api::media::whep::{self, MAX_OFFER};
use crate::api::reply::{self, JSON, Reply, SDP};
use crate::api::route::Call;
use crate::base::error::{Error, ErrorKind};
use crate::service::{live, webrtc};

/// An offer in JSON.
#[derive(Debug, Deserialize)]
struct Offer {
    sdp: String,
}

/// Opens a session. The content type of the answer is the one of the offer.
pub(super) async fn open(mut call: Call<'_>) -> Result<Reply, Error> {
    let id = Parameters::of(&call).source()?;
    let request = live::request(&call.api.core, &id, visitor(&call)).await?;
    let content_type = text(&call.head.headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let content_type = content_type.split(';').next().unwrap_or_default().trim();
    let is = |expected: &str| content_type.eq_ignore_ascii_case(expected);
    let (is_json, is_whep) = (is(JSON), is(SDP));
    let body = input::read_body(&mut call.body, MAX_OFFER).await?;
    let offer = if is_json {
        let offer: Offer = serde_json::from_slice(&body)
            .map_err(|error| invalid(&format!("cannot read the offer: {error}")))?;
        offer.sdp
    } else {
        String::from_utf8(body).map_err(|_| invalid("the SDP offer is not UTF-8"))?
    };
    let opened = webrtc::open(&call.api.core, &request, &offer).await?;
    Ok(if is_json {
        reply::json(&json!({ "type": "answer", "sdp": opened.answer }))
    } else if is_whep {
        whep::created(&call, &id, opened)
    } else {
        reply::with_body(StatusCode::OK, SDP, opened.answer)
    })
}

fn invalid(detail: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, detail)
}
