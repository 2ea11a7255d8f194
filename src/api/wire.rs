//! JSON types that several resources use.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use crate::base::error::{Error, ErrorKind};
use crate::base::fingerprint::Fingerprint;
use crate::base::secret::Secret;
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
/// such a link back and it were stored, the camera's secret would be lost.
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

/// Reads an id that is a string or a number: back ends send the primary keys of their databases.
pub(super) fn string_or_number<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "indicator_id must be a string or a non-negative integer")]
    enum StringOrNumber {
        String(String),
        Number(u64),
    }
    Ok(match StringOrNumber::deserialize(deserializer)? {
        StringOrNumber::String(text) => text,
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

/// Reads a whole number, which is a string in a query.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    string_or_number(deserializer)?
        .parse()
        .map_err(|_| serde::de::Error::custom("limit and offset must be non-negative integers"))
}

/// Reads a boolean, which is a string in a query: `true` or `1`, `false` or `0`.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "wait and dry_run must be true or false")]
    enum Flag {
        Bool(bool),
        String(String),
    }
    match Flag::deserialize(deserializer)? {
        Flag::Bool(flag) => Ok(flag),
        Flag::String(text) => match text.as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(serde::de::Error::custom("wait and dry_run must be true or false")),
        },
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
