//! Playlists, served from memory. A response waits until the stream is playable. A response to a
//! blocking reload of a low-latency player (RFC 8216bis, 6.2.5.2) also waits until the playlist has
//! the requested segment or part, but at most for the duration of three segments.

use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::USER_AGENT;
use utoipa::IntoParams;

use crate::api::credentials::text;
use crate::api::reply::{self, PLAYLIST, Reply};
use crate::api::route::Call;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::StreamId;
use crate::output::hls::published::Published;
use crate::service::watching::{self, Reload, Visitor};

/// The parameters of a playlist request of a low-latency player (RFC 8216bis, 6.2.5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReloadInput {
    /// The response waits until the playlist has the segment with this sequence number.
    #[param(rename = "_HLS_msn", nullable = false)]
    sequence: Option<u64>,
    /// The response waits only until that segment has the part with this index. Requires
    /// `_HLS_msn`.
    #[param(rename = "_HLS_part", nullable = false)]
    part: Option<usize>,
    /// Permits a delta update, which leaves out older segments.
    #[param(rename = "_HLS_skip", required = false, value_type = String, pattern = "^(YES|v2)$")]
    skip: bool,
}

impl ReloadInput {
    /// Parses the query of a request for a playlist. Ignores unknown parameters, because players
    /// and caches add some.
    pub(crate) fn from_query(query: &str) -> Result<Self, Error> {
        let mut reload = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let is_valid = match name.as_ref() {
                "_HLS_msn" => {
                    value.parse().map(|sequence| reload.sequence = Some(sequence)).is_ok()
                }
                "_HLS_part" => value.parse().map(|part| reload.part = Some(part)).is_ok(),
                "_HLS_skip" => {
                    reload.skip = matches!(value.as_ref(), "YES" | "v2");
                    reload.skip
                }
                _ => true,
            };
            if !is_valid {
                let detail = format!("invalid value for {name}");
                return Err(Error::new(ErrorKind::InvalidRequest, detail));
            }
        }
        if reload.part.is_some() && reload.sequence.is_none() {
            let detail = "_HLS_part requires _HLS_msn";
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        Ok(reload)
    }

    fn reload(self) -> Reload {
        Reload { sequence: self.sequence, part: self.part }
    }
}

/// Returns the playlist as soon as the stream is playable and the playlist has the segment or part
/// that the player requests.
pub(super) async fn media(call: Call<'_>) -> Result<Reply, Error> {
    let input = ReloadInput::from_query(call.head.uri.query().unwrap_or_default())?;
    let playlists = find(&call, input.reload()).await?;
    Ok(response(if input.skip { playlists.delta() } else { playlists.whole() }))
}

/// Returns the multivariant playlist as soon as the stream is playable.
pub(super) async fn multivariant(call: Call<'_>) -> Result<Reply, Error> {
    Ok(response(find(&call, Reload::default()).await?.multivariant()))
}

async fn find(call: &Call<'_>, reload: Reload) -> Result<Arc<Published>, Error> {
    let id = StreamId::parse(&call.id)?;
    watching::playlists(&call.api.core, &id, visitor(call), reload).await
}

fn response(text: Bytes) -> Reply {
    reply::with_body(StatusCode::OK, PLAYLIST, text)
}

/// Returns the sender of a viewer's request.
pub(in crate::api) fn visitor<'a>(call: &'a Call<'_>) -> Visitor<'a> {
    let player = text(&call.head.headers, USER_AGENT.as_str()).unwrap_or_default();
    Visitor { shown: call.shown(), player }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_of_playlists_are_parsed_or_refused() {
        let reload = |sequence, part, skip| Ok(ReloadInput { sequence, part, skip });
        let table = [
            ("", reload(None, None, false)),
            ("_HLS_msn=7", reload(Some(7), None, false)),
            ("_HLS_msn=7&_HLS_part=2&_HLS_skip=YES&_=1", reload(Some(7), Some(2), true)),
            ("_HLS_part=2", Err(())),
            ("_HLS_msn=x", Err(())),
            ("_HLS_msn=-1", Err(())),
            ("_HLS_msn=7&_HLS_part=", Err(())),
            ("_HLS_msn=99999999999999999999", Err(())),
            ("_HLS_skip=NO", Err(())),
        ];
        for (query, expected) in table {
            assert_eq!(ReloadInput::from_query(query).map_err(|_| ()), expected, "{query}");
        }
    }
}
