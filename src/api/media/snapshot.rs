//! Pictures of cameras.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use hyper::header::{AGE, HeaderValue, LAST_MODIFIED};
use utoipa::IntoParams;

use crate::api::reply::{self, JPEG, Reply};
use crate::api::route::Call;
use crate::api::wire::parse_flag;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::StreamId;
use crate::pictures::picture::Picture;
use crate::service::snapshots::{self, SnapshotRequest};

/// The widths that can be requested, in pixels.
pub(in crate::api) const WIDTHS: RangeInclusive<u32> = 16..=3840;
/// The ages that can be requested, in seconds.
const MAX_AGES: RangeInclusive<u32> = 0..=86_400;
/// The greatest age of a picture in seconds, if the request does not specify one.
const DEFAULT_MAX_AGE: u32 = 10;

/// The parameters of a request for a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SnapshotInput {
    /// Greatest width of the picture in pixels. The default is the width of the camera's picture. A
    /// picture is never enlarged.
    #[param(nullable = false, minimum = 16, maximum = 3840)]
    width: Option<u32>,
    /// Greatest age of the picture in seconds at the time of the request. With 0, the picture arrived after
    /// the request. The picture may be older if `start` is false. The picture may also be older if the
    /// manager does not keep all frames since the last keyframe; the picture is then that keyframe. The manager
    /// does not keep these frames if they cover more than 12 s or have more than 32 MiB, or if
    /// `FRAMES_MAX_MEMORY_MB` is exceeded.
    #[param(required = false, default = 10, maximum = 86400)]
    max_age: u32,
    /// If false, the request does not start the stream. If no new picture can be taken, the response
    /// is the last picture, of any age. If no picture is kept, the response is an error, with status 404 if
    /// the stream is not live.
    #[param(required = false, default = true)]
    start: bool,
}

impl SnapshotInput {
    /// Parses the query of a request for a picture. Ignores unknown parameters, because web pages add a
    /// parameter with a new value in order to make browsers load the picture again.
    pub(crate) fn from_query(query: &str) -> Result<Self, Error> {
        let mut input = Self { width: None, max_age: DEFAULT_MAX_AGE, start: true };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "width" => input.width = Some(width_of(&value)?),
                "max_age" => input.max_age = number("max_age", &value, MAX_AGES)?,
                "start" => input.start = flag(&value)?,
                _ => {}
            }
        }
        Ok(input)
    }

    fn request(self) -> SnapshotRequest {
        let Self { width, max_age, start } = self;
        SnapshotRequest { width, max_age: Duration::from_secs(max_age.into()), start }
    }
}

/// Parses the greatest width of a picture.
pub(in crate::api) fn width_of(value: &str) -> Result<u32, Error> {
    number("width", value, WIDTHS)
}

/// Parses the value of a parameter, which must be in this range.
pub(super) fn number(name: &str, value: &str, range: RangeInclusive<u32>) -> Result<u32, Error> {
    let number = u32::from_str(value).ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        let detail = format!("{name} must be {} to {}", range.start(), range.end());
        Error::new(ErrorKind::InvalidRequest, detail)
    })
}

fn flag(value: &str) -> Result<bool, Error> {
    let invalid = || Error::new(ErrorKind::InvalidRequest, "start must be true or false");
    parse_flag(value).ok_or_else(invalid)
}

/// Returns a picture of a camera. Starts the camera's stream if necessary, unless `start` is false.
pub(super) async fn get(call: Call<'_>) -> Result<Reply, Error> {
    let id = StreamId::parse(&call.id)?;
    let request = SnapshotInput::from_query(call.head.uri.query().unwrap_or_default())?.request();
    let picture = snapshots::take(&call.api.core, &id, &call.shown(), request).await?;
    Ok(response(&picture))
}

/// Returns the response with a picture. Caches must not store the response, because the picture is private.
pub(in crate::api) fn response(picture: &Picture) -> Reply {
    let mut reply = reply::with_body(StatusCode::OK, JPEG, picture.data.clone());
    let headers = reply.headers_mut();
    headers.insert(AGE, HeaderValue::from(picture.age().as_secs()));
    // The date of a frame may be slightly ahead of the clock, but `Last-Modified` must not be in the
    // future.
    let taken_at = picture.taken_at.min(SystemTime::now());
    if let Ok(time) = HeaderValue::from_str(&httpdate::fmt_http_date(taken_at)) {
        headers.insert(LAST_MODIFIED, time);
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pictures::picture;

    #[test]
    fn queries_for_pictures_are_parsed_or_refused() {
        let input = |width, max_age, start| Ok(SnapshotInput { width, max_age, start });
        let table = [
            ("", input(None, 10, true)),
            ("width=640&max_age=0&start=false&_=1", input(Some(640), 0, false)),
            ("width=16&start=1", input(Some(16), 10, true)),
            ("width=15", Err("width must be 16 to 3840")),
            ("width=3841", Err("width must be 16 to 3840")),
            ("width=wide", Err("width must be 16 to 3840")),
            ("max_age=-1", Err("max_age must be 0 to 86400")),
            ("max_age=1.5", Err("max_age must be 0 to 86400")),
            ("start=maybe", Err("start must be true or false")),
        ];
        for (query, expected) in table {
            let input = SnapshotInput::from_query(query).map_err(|error| error.detail);
            assert_eq!(input, expected.map_err(str::to_owned), "{query}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_has_the_age_of_its_picture() {
        let picture = picture::testing::picture(Duration::from_secs(1_763_719_201));
        tokio::time::advance(Duration::from_millis(7900)).await;
        let reply = response(&picture);
        let header = |name| reply.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!(header("content-type"), Some("image/jpeg"));
        assert_eq!(header("cache-control"), Some("no-store"));
        assert_eq!(header("age"), Some("7"));
        assert_eq!(header("last-modified"), Some("Fri, 21 Nov 2025 10:00:01 GMT"));
    }
}
