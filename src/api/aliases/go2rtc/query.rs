//! The parameters of go2rtc's addresses. As go2rtc does, ignores values that cannot be read.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::api::media::mjpeg::{DEFAULT_RATE, RATES};
use crate::api::media::snapshot::WIDTHS;
use crate::api::route::Call;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::StreamId;
use crate::pictures::live::PictureSpec;
use crate::pictures::live::form::Form;

/// The parameters of a query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameters<'a>(&'a str);

impl<'a> Parameters<'a> {
    /// Returns the parameters of a request.
    pub(super) fn of(call: &'a Call<'_>) -> Self {
        Self(call.head.uri.query().unwrap_or_default())
    }

    /// Returns the value of the first of these parameters that is present.
    pub(super) fn get(&self, names: &[&str]) -> Option<Cow<'a, str>> {
        let mut all = url::form_urlencoded::parse(self.0.as_bytes());
        all.find(|(name, _)| names.contains(&name.as_ref())).map(|(_, value)| value)
    }

    /// Returns the stream in `src`; `None` if `src` is missing or empty.
    pub(super) fn given_source(&self) -> Result<Option<StreamId>, Error> {
        let source = self.get(&["src"]).filter(|id| !id.trim().is_empty());
        source.map(|id| StreamId::parse(id.trim())).transpose()
    }

    /// Returns the stream in `src`.
    pub(super) fn source(&self) -> Result<StreamId, Error> {
        let missing = || {
            let detail = "the parameter src is missing; it must contain the id of a camera";
            Error::new(ErrorKind::InvalidRequest, detail)
        };
        self.given_source()?.ok_or_else(missing)
    }

    /// Returns the greatest width of pictures, in pixels; `None` for the width of the camera's picture.
    pub(super) fn width(&self) -> Option<u32> {
        self.number(&["width", "w"], WIDTHS)
    }

    /// Returns the pictures that the client wants.
    pub(super) fn pictures(&self) -> PictureSpec {
        let rate = self.number(&["fps"], RATES).unwrap_or(DEFAULT_RATE);
        PictureSpec { form: Form::Jpeg(self.width()), rate: rate.into() }
    }

    /// Returns the nearest number in this range; `None` if there is no number, or if it is 0.
    pub(super) fn number(&self, names: &[&str], range: RangeInclusive<u32>) -> Option<u32> {
        let number = self.get(names)?.parse::<u32>().ok().filter(|number| *number > 0)?;
        Some(number.clamp(*range.start(), *range.end()))
    }

    /// Returns the greatest age of a picture.
    pub(super) fn cache(&self) -> Duration {
        self.get(&["cache"]).and_then(|text| duration(&text)).unwrap_or_default()
    }
}

/// Parses a duration of Go, such as `1m30s` or `1.5s`; `None` if it is invalid or negative.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut sum = Duration::ZERO;
    if rest.is_empty() || rest == "0" {
        return (rest == "0").then_some(sum);
    }
    while !rest.is_empty() {
        let (number, from_unit) = rest.split_at(rest.find(|c| !matches!(c, '0'..='9' | '.'))?);
        let end = from_unit.find(|c| matches!(c, '0'..='9' | '.')).unwrap_or(from_unit.len());
        let (unit, later) = from_unit.split_at(end);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        sum = sum.checked_add(part)?;
        rest = later;
    }
    Some(sum)
}

#[cfg(test)]
impl<'a> From<&'a str> for Parameters<'a> {
    fn from(query: &'a str) -> Self {
        Self(query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_go_are_parsed_or_ignored() {
        for (text, millis) in [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("500ms", Some(500)),
            ("+10s", Some(10_000)),
            ("1.5s", Some(1500)),
            ("1m30s", Some(90_000)),
            ("2h45m.5s", Some(9_900_500)),
            ("1500µs", Some(1)),
            ("24h", Some(86_400_000)),
            ("10", None),
            ("s", None),
            (".s", None),
            ("1.2.3s", None),
            ("-1s", None),
            ("10é", None),
            ("10 s", None),
            ("1d", None),
            (&format!("{}h", "9".repeat(400)), None),
            ("", None),
        ] {
            assert_eq!(duration(text).map(|it| it.as_millis()), millis, "{text}");
        }
    }

    #[test]
    fn parameters_are_limited_or_ignored() {
        let query = Parameters("src=+7~sub+&w=5000&fps=60&cache=1m&height=7");
        assert_eq!(query.source().expect("an id").as_str(), "7~sub");
        assert_eq!(query.pictures(), PictureSpec { form: Form::Jpeg(Some(3840)), rate: 30.0 });
        assert_eq!(query.cache(), Duration::from_mins(1));
        let query = Parameters("src=&width=0&fps=many&cache=soon");
        assert!(query.given_source().expect("no id").is_none() && query.source().is_err());
        assert_eq!(query.pictures(), PictureSpec { form: Form::Jpeg(None), rate: 10.0 });
        assert_eq!(query.cache(), Duration::ZERO);
        assert!(Parameters("src=../7").given_source().is_err());
    }
}
