//! Values on the wire: types and forms that several resources use.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use crate::base::error::Error;
use crate::base::secret::Secret;
use crate::camera::source::Source;

/// A text that is never shown.
#[derive(Clone, ToSchema)]
#[schema(value_type = String, format = Password)]
pub(super) struct Password(Secret);

/// A URL that is never shown.
pub(super) type Link = Password;

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Secret::new(String::deserialize(deserializer)?)))
    }
}

impl Password {
    /// The secret itself.
    pub(super) fn into_secret(self) -> Secret {
        self.0
    }

    /// Returns whether the text is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.0.expose().is_empty()
    }

    /// The source at this URL; `None` if it is empty.
    pub(super) fn source(&self) -> Result<Option<Source>, Error> {
        if self.is_empty() {
            return Ok(None);
        }
        Source::parse(self.0.expose()).map(Some)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads a field where null means the same as leaving it out.
pub(super) fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads an id, which can be a number as well: back ends send the keys of their database.
pub(super) fn text_or_number<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "indicator_id must be a text or a whole number")]
    enum TextOrNumber {
        Text(String),
        Number(u64),
    }
    Ok(match TextOrNumber::deserialize(deserializer)? {
        TextOrNumber::Text(text) => text,
        TextOrNumber::Number(number) => number.to_string(),
    })
}

/// Reads a number, which is a text in a query.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    text_or_number(deserializer)?
        .parse()
        .map_err(|_| serde::de::Error::custom("limit and offset must be whole numbers"))
}

/// Reads a flag, which is a text in a query.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "wait must be true or false")]
    enum Flag {
        Bool(bool),
        Text(String),
    }
    match Flag::deserialize(deserializer)? {
        Flag::Bool(flag) => Ok(flag),
        Flag::Text(text) => match text.as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(serde::de::Error::custom("wait must be true or false")),
        },
    }
}

/// The default of a flag that is usually set.
pub(super) fn yes() -> bool {
    true
}

/// Seconds, to the millisecond.
pub(super) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
