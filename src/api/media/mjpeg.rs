//! Continuous pictures of cameras (Motion JPEG): as a response that never ends, and over a WebSocket.

use std::sync::Arc;

use hyper::header::UPGRADE;
use utoipa::IntoParams;

use super::playlists::visitor;
use super::snapshot::{WIDTHS, number};
use crate::api::reply::Reply;
use crate::api::route::Call;
use crate::api::websocket::handshake::Handshake;
use crate::base::error::Error;
use crate::camera::id::StreamId;
use crate::pictures::live::PictureSpec;
use crate::pictures::live::form::Form;
use crate::service::live_pictures;

pub(in crate::api) mod multipart;
mod pace;
mod socket;

pub(super) use multipart::MULTIPART;

/// The path, in the manager and in nginx.
pub(super) const PATH: &str = "/streams/{id}/mjpeg";

/// The rates that can be requested, in pictures per second.
pub(in crate::api) const RATES: std::ops::RangeInclusive<u32> = 1..=30;
/// The rate if the request does not specify one.
pub(in crate::api) const DEFAULT_RATE: u32 = 10;

/// The parameters of a request for continuous pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct MjpegInput {
    /// Largest number of pictures per second.
    #[param(required = false, default = 10, minimum = 1, maximum = 30)]
    fps: u32,
    /// Greatest width of the pictures in pixels. The default is the width of the camera's picture. Pictures are never
    /// enlarged.
    #[param(nullable = false, minimum = 16, maximum = 3840)]
    width: Option<u32>,
}

impl MjpegInput {
    /// Parses the query of a request for continuous pictures. Ignores unknown parameters, because web pages add a
    /// parameter with a new value in order to make browsers load the pictures again.
    pub(crate) fn from_query(query: &str) -> Result<Self, Error> {
        let mut input = Self { fps: DEFAULT_RATE, width: None };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "fps" => input.fps = number("fps", &value, RATES)?,
                "width" => input.width = Some(number("width", &value, WIDTHS)?),
                _ => {}
            }
        }
        Ok(input)
    }

    fn spec(self) -> PictureSpec {
        PictureSpec { form: Form::Jpeg(self.width), rate: self.fps.into() }
    }
}

/// Returns the pictures of a camera, as soon as there is one, or accepts a WebSocket. Starts the camera's stream if
/// necessary.
pub(super) async fn get(mut call: Call<'_>) -> Result<Reply, Error> {
    let id = StreamId::parse(&call.id)?;
    let input = MjpegInput::from_query(call.head.uri.query().unwrap_or_default())?;
    let is_socket = call.head.headers.contains_key(UPGRADE);
    let handshake = if is_socket { Some(Handshake::check(&mut call)?) } else { None };
    let core = Arc::clone(&call.api.core);
    let request = live_pictures::request(&core, &id, visitor(&call), input.spec()).await?;
    if let Some(handshake) = handshake {
        return Ok(handshake.accept(move |socket| socket::serve(core, request, socket)));
    }
    let mut view = request.open(&core).await?;
    let first = view.first().await?;
    multipart::reply(view, first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_for_continuous_pictures_are_parsed_or_refused() {
        let input = |fps, width| Ok(MjpegInput { fps, width });
        let table = [
            ("", input(10, None)),
            ("fps=1&width=16&_=7", input(1, Some(16))),
            ("fps=30&width=3840", input(30, Some(3840))),
            ("fps=0", Err("fps must be 1 to 30")),
            ("fps=31", Err("fps must be 1 to 30")),
            ("fps=", Err("fps must be 1 to 30")),
            ("fps=2.5", Err("fps must be 1 to 30")),
            ("width=15", Err("width must be 16 to 3840")),
            ("width=-640", Err("width must be 16 to 3840")),
        ];
        for (query, expected) in table {
            let input = MjpegInput::from_query(query).map_err(|error| error.detail);
            assert_eq!(input, expected.map_err(str::to_owned), "{query}");
        }
    }
}
