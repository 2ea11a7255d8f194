//! WebRTC by WHEP (draft-ietf-wish-whep): a player opens a session with an SDP offer, and ends it with DELETE.

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, ETAG, HeaderValue, IF_MATCH, LINK, LOCATION};

use super::playlists::visitor;
use crate::api::credentials::text;
use crate::api::input;
use crate::api::reply::{self, Reply, SDP};
use crate::api::route::Call;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::StreamId;
use crate::service::live;
use crate::service::webrtc::{self, Opened};

/// The largest offer, in bytes. Browsers send up to 10 kB.
pub(in crate::api) const MAX_OFFER: usize = 32 * 1024;
/// The path of a stream's WHEP endpoint.
pub(super) const PATH: &str = "/streams/{id}/whep";
/// The path of a session.
pub(super) const SESSION_PATH: &str = "/streams/{id}/whep/{session}";
/// The content type of the candidates that a player sends after its offer (RFC 8840).
pub(super) const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// Opens a session.
pub(super) async fn open(mut call: Call<'_>) -> Result<Reply, Error> {
    let id = StreamId::parse(&call.id)?;
    webrtc::ensure_permitted(&call.api.core, &id, visitor(&call)).await?;
    ensure_type(&call, SDP)?;
    let offer = input::read_body(&mut call.body, MAX_OFFER).await?;
    let offer = String::from_utf8(offer)
        .map_err(|_| Error::new(ErrorKind::InvalidRequest, "the SDP offer is not UTF-8"))?;
    let request = live::request(&call.api.core, &id, visitor(&call)).await?;
    let opened = webrtc::open(&call.api.core, &request, &offer).await?;
    Ok(created(&call, &id, opened))
}

/// Returns the response with the answer. The session's address contains the playback token if the request's address
/// did, so that players need no other credentials to end the session.
pub(in crate::api) fn created(call: &Call<'_>, id: &StreamId, opened: Opened) -> Reply {
    let Opened { id: session, answer, fragment } = opened;
    let path = match call.shown().path_token {
        Some(token) => format!("/play/{token}/{id}/whep/{session}"),
        None => format!("/streams/{id}/whep/{session}"),
    };
    let mut reply = reply::with_body(StatusCode::CREATED, SDP, answer);
    let headers = reply.headers_mut();
    let location = call.api.public_url.path(&path);
    for (name, value) in [(LOCATION, location), (ETAG, format!("\"{fragment}\""))] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    for link in &call.api.ice_servers {
        if let Ok(value) = HeaderValue::try_from(link) {
            headers.append(LINK, value);
        }
    }
    reply
}

/// Ends a session.
pub(super) async fn close(call: Call<'_>) -> Result<Reply, Error> {
    let id = StreamId::parse(&call.id)?;
    webrtc::close(&call.api.core, &id, visitor(&call), session(&call)).await?;
    Ok(reply::no_content())
}

/// Accepts a player's further candidates, and ignores them: the manager needs none, because the player sends the first
/// packet. Refuses to restart ICE.
pub(super) async fn patch(mut call: Call<'_>) -> Result<Reply, Error> {
    let id = StreamId::parse(&call.id)?;
    webrtc::ensure_permitted(&call.api.core, &id, visitor(&call)).await?;
    ensure_type(&call, FRAGMENT)?;
    input::read_body(&mut call.body, MAX_OFFER).await?;
    let fragment = webrtc::fragment(&call.api.core, &id, visitor(&call), session(&call)).await?;
    let tags = text(&call.head.headers, IF_MATCH.as_str());
    let tags: Vec<_> = tags.iter().flat_map(|tags| tags.split(',').map(str::trim)).collect();
    // A player that restarts ICE does not know the new credentials, and sends `*`.
    if tags.iter().any(|tag| ["*", "\"*\""].contains(tag)) {
        let detail = "the manager does not restart ICE; open a new session";
        return Err(Error::new(ErrorKind::WebrtcUnsupported, detail));
    }
    if !tags.is_empty() && !tags.contains(&format!("\"{fragment}\"").as_str()) {
        let detail = "If-Match is not the ETag of this WebRTC session; open a new session";
        return Err(Error::new(ErrorKind::PreconditionFailed, detail));
    }
    Ok(reply::no_content())
}

/// Returns the session in the path.
fn session<'a>(call: &'a Call<'_>) -> &'a str {
    call.head.uri.path().rsplit('/').next().unwrap_or_default()
}

fn ensure_type(call: &Call<'_>, expected: &str) -> Result<(), Error> {
    let given = text(&call.head.headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let given = given.split(';').next().unwrap_or_default().trim();
    if given.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidRequest, format!("the content type must be {expected}")))
}
