//! JSON types that several resources use.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use crate::base::error::{Error, ErrorKind};
use crate::base::fingerprint::Fingerprint;
use crate::base::secret::Secret;
use crate::base::time::{parse_rfc3339, unix_millis};
use crate::camera::source::Source;

/// A string that is never shown in logs or responses.
#[derive(Clone, ToSchema)]
#[schema(value_type = String, format = Password)]
pub(super) struct Password(Secret);

/// A URL, which may contain secrets. Logs and responses never show it in full.
pub(super) type Link = Password;

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Secret::new(String::deserialize(deserializer)?)))
    }
}

impl Password {
    /// Returns the secret.
    pub(super) fn into_secret(self) -> Secret {
        self.0
    }

    /// Returns whether the string is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.0.expose().is_empty()
    }

    /// Returns the source with this URL; `None` if the URL is empty.
    pub(super) fn source(&self) -> Result<Option<Source>, Error> {
        if self.is_empty() {
            return Ok(None);
        }
        ensure_nothing_is_hidden(self.0.expose())?;
        let source = Source::parse(self.0.expose())?;
        source.ensure_usable()?;
        Ok(Some(source))
    }
}

/// Returns an error if a link or path contains `***`, which replaces a secret in responses. If a client sent
/// this link back and the manager stored it, the camera's secret would be lost.
pub(super) fn ensure_nothing_is_hidden(link_or_path: &str) -> Result<(), Error> {
    if !link_or_path.contains("***") {
        return Ok(());
    }
    let detail = "a link or path contains ***, which replaces a secret in responses; send the secret instead";
    Err(Error::new(ErrorKind::InvalidSource, detail))
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads a field in which null means the default, as if the field were left out.
pub(super) fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads an id that is a string or a number, because back ends send the primary keys of their databases.
/// Blanks around an id are removed.
pub(super) fn string_or_number<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "must be a string or a non-negative integer")]
    enum StringOrNumber {
        String(String),
        Number(u64),
    }
    Ok(match StringOrNumber::deserialize(deserializer)? {
        StringOrNumber::String(text) => text.trim().to_owned(),
        StringOrNumber::Number(number) => number.to_string(),
    })
}

/// Parses the fingerprint of a certificate; `None` if the text is missing or empty.
pub(super) fn fingerprint(text: Option<&str>) -> Result<Option<Fingerprint>, Error> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    Fingerprint::parse(text).map(Some).ok_or_else(|| {
        let detail = "onvif_certificate must be a SHA-256 fingerprint: 64 hexadecimal digits, with or \
                      without colons between the pairs";
        Error::new(ErrorKind::InvalidRequest, detail)
    })
}

/// Reads a whole number, which is a string in a query and in a form.
pub(super) fn number<'de, T: FromStr, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let text = string_or_number(deserializer)?;
    text.parse().map_err(|_| D::Error::custom(NOT_A_NUMBER))
}

/// Reads a whole number, which is a string in a form. Null and an empty string count as no number.
pub(super) fn optional_number<'de, T: FromStr, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    #[derive(Deserialize)]
    struct Text(#[serde(deserialize_with = "string_or_number")] String);

    let text = Option::<Text>::deserialize(deserializer)?.map(|Text(text)| text);
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(|_| D::Error::custom(NOT_A_NUMBER))).transpose()
}

/// Reads a number that can have decimals, and that some clients send as a string.
pub(super) fn decimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "must be a number")]
    enum Decimal {
        Number(f64),
        String(String),
    }
    match Decimal::deserialize(deserializer)? {
        Decimal::Number(number) => Ok(number),
        Decimal::String(text) => {
            text.trim().parse().map_err(|_| D::Error::custom("must be a number"))
        }
    }
}

/// The message for a number that cannot be read.
const NOT_A_NUMBER: &str = "must be a non-negative integer that is not too large";

/// Reads a boolean, which is a string in a query and in a form.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "must be true or false")]
    enum Flag {
        Bool(bool),
        Number(u64),
        String(String),
    }
    let flag = match Flag::deserialize(deserializer)? {
        Flag::Bool(flag) => Some(flag),
        Flag::Number(number) => parse_flag(&number.to_string()),
        Flag::String(text) => parse_flag(&text),
    };
    flag.ok_or_else(|| D::Error::custom("must be true or false"))
}

/// Reads a boolean like [`flag`]. Null counts as no value.
pub(super) fn optional_flag<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<bool>, D::Error> {
    #[derive(Deserialize)]
    struct Value(#[serde(deserialize_with = "flag")] bool);

    Ok(Option::<Value>::deserialize(deserializer)?.map(|Value(flag)| flag))
}

/// Returns the boolean that a text means. The case of the letters does not matter, because the languages of
/// back ends write booleans differently, for example `True` in Python.
pub(super) fn parse_flag(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Parses a time such as `2026-02-03T04:05:06Z` to UTC milliseconds; `None` if it is missing or empty.
pub(super) fn optional_time(field: &str, text: Option<&str>) -> Result<Option<i64>, Error> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    parse_rfc3339(text).map(unix_millis).map(Some).ok_or_else(|| {
        let detail = format!("{field} must be a time such as 2026-02-03T04:05:06Z");
        Error::new(ErrorKind::InvalidRequest, detail)
    })
}

/// Parses the beginning and the end of a time to Unix seconds; `None` if both are missing.
pub(super) fn span_in_seconds(
    from: Option<&str>,
    to: Option<&str>,
) -> Result<Option<(u64, u64)>, Error> {
    let seconds = |millis: i64| u64::try_from(millis / 1000).unwrap_or(0);
    match (optional_time("from", from)?, optional_time("to", to)?) {
        (None, None) => Ok(None),
        (Some(from), Some(to)) if seconds(from) < seconds(to) => {
            Ok(Some((seconds(from), seconds(to))))
        }
        _ => {
            let detail = "from and to must both be given, and to must be later than from";
            Err(Error::new(ErrorKind::InvalidRequest, detail))
        }
    }
}

/// Returns true, as the default of a field.
pub(super) fn yes() -> bool {
    true
}

/// Returns a duration in seconds, rounded to milliseconds.
pub(super) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
