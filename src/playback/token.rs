//! Playback tokens, with which browsers prove their permission to watch certain cameras for a
//! limited time.
//!
//! A token is a JWT, signed by the manager (HS256) or by a back end (`EdDSA` or RS256). Each key is
//! bound to one algorithm. The algorithm and the key id in a token only select one of these keys. Therefore, no
//! key matches a token with the algorithm `none`, or a token with an algorithm to which the named key is not bound.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::access::rights::{Right, Rights};
use crate::base::error::{Error, ErrorKind};
use crate::base::time::{MAX_SECONDS, unix_now};
use crate::base::time_span::TimeSpan;
use crate::camera::id::is_id;
use error::TokenError;
use key::{Key, PublicKeyError};

pub(super) mod error;
pub(super) mod key;

/// The audience of the tokens of playback sessions.
pub(crate) const AUDIENCE: &str = "stream-manager";
/// The audience of the tokens of share links. Managers that do not know share links refuse these tokens; they would
/// otherwise permit watching live.
pub(crate) const SHARE_AUDIENCE: &str = "stream-manager-share";
/// The longest accepted token, in bytes: enough for 100 camera ids of 36 characters.
pub(crate) const MAX_TOKEN_LENGTH: usize = 8192;
/// The shortest accepted secret, in bytes: the length of the signature.
pub(crate) const MIN_SECRET_LENGTH: usize = 32;
/// The longest time from `iat` to `exp`, in seconds.
pub(crate) const MAX_LIFETIME: u64 = 24 * 3600;
/// The longest time from `iat` to `exp` of a share link, in seconds.
pub(crate) const MAX_SHARE_LIFETIME: u64 = 90 * 24 * 3600;
/// The largest accepted time that is not written as an integer, in Unix seconds. Larger floating-point
/// numbers cannot have a fraction.
const MAX_TIME: f64 = 9e15;
/// The largest number of cameras in one token.
pub(crate) const MAX_CAMERAS: usize = 100;
/// The largest value of `PLAYBACK_CLOCK_SKEW_SECONDS`.
pub(crate) const MAX_CLOCK_SKEW: u64 = 300;
/// The longest `sub`, in characters.
pub(crate) const MAX_USER_LENGTH: usize = 200;

/// The claims of a token. The type cannot be deserialized, so that a client's claims can only be
/// read by [`Verifier::verify`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Claims {
    /// The id of the token and of its session.
    pub jti: String,
    /// The user, as 1 to 200 characters without control characters.
    pub sub: String,
    /// The ids of at most 100 cameras that can be watched, or `*` alone for all cameras.
    pub cameras: Vec<String>,
    /// When the token was issued, in seconds since 1970.
    pub iat: u64,
    /// When the token becomes valid, in seconds since 1970; by default `iat`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// When the token expires, in seconds since 1970; at most 24 hours after `iat`.
    pub exp: u64,
    /// The service that the token is for: [`AUDIENCE`] or [`SHARE_AUDIENCE`].
    pub aud: String,
    /// The rights in addition to `live`, or all rights of a share link.
    #[serde(skip_serializing_if = "Rights::is_empty")]
    pub rights: Rights,
    /// The beginning of the time to which the right `recordings` is limited, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The end of this time, in seconds since 1970; present if and only if `from` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

impl Claims {
    /// Returns whether the claims permit watching the camera with this id.
    pub(crate) fn allows(&self, camera: &str) -> bool {
        self.cameras == ["*"] || self.cameras.iter().any(|allowed| allowed == camera)
    }

    /// Returns whether the token belongs to a share link.
    pub(crate) fn is_share(&self) -> bool {
        self.aud == SHARE_AUDIENCE
    }

    /// Returns all rights of the token.
    pub(crate) fn all_rights(&self) -> Rights {
        if self.is_share() { self.rights } else { self.rights.with(Right::Live) }
    }

    /// Returns the time to which the right `recordings` is limited; `None` for all times.
    pub(crate) fn span(&self) -> Option<TimeSpan> {
        let millis = |seconds: u64| i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
        Some(TimeSpan { from: millis(self.from?), to: millis(self.to?) })
    }

    /// Checks the rules that do not depend on the present time.
    fn check_form(&self) -> Result<(), TokenError> {
        let is_camera_list = self.cameras == ["*"]
            || (self.cameras.len() <= MAX_CAMERAS && self.cameras.iter().all(|id| is_id(id)));
        let only_recordings = Rights::default().with(Right::Recordings);
        let is_span = match (self.from, self.to) {
            (None, None) => !self.is_share(),
            (Some(from), Some(to)) => from < to && to <= MAX_SECONDS,
            _ => false,
        };
        let max_lifetime = if self.is_share() { MAX_SHARE_LIFETIME } else { MAX_LIFETIME };
        let rules = [
            ("jti", is_id(&self.jti)),
            ("sub", is_user(&self.sub)),
            ("cameras", is_camera_list),
            ("exp", self.exp > self.iat && self.exp - self.iat <= max_lifetime),
            ("nbf", self.nbf.is_none_or(|nbf| nbf < self.exp)),
            ("rights", !self.is_share() || self.rights == only_recordings),
            ("from", is_span),
        ];
        match rules.iter().find(|(_, is_met)| !is_met) {
            _ if self.aud != AUDIENCE && !self.is_share() => Err(TokenError::WrongAudience),
            Some((claim, _)) => Err(TokenError::InvalidClaim(claim)),
            None => Ok(()),
        }
    }

    /// Checks that the token is valid at `now`. Refuses tokens that were issued after `now`, so
    /// that no token stays valid for longer than [`MAX_LIFETIME`]. The clocks of issuer and manager may differ
    /// by `clock_skew` seconds.
    fn check_time(&self, now: u64, clock_skew: u64) -> Result<(), TokenError> {
        if now >= self.exp.saturating_add(clock_skew) {
            return Err(TokenError::Expired);
        }
        if self.nbf.unwrap_or(0).max(self.iat) > now.saturating_add(clock_skew) {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }
}

/// Returns whether the text can be the user of a token.
pub(crate) fn is_user(text: &str) -> bool {
    (1..=MAX_USER_LENGTH).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// The error for a signing secret that is too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret that signs tokens is shorter than {MIN_SECRET_LENGTH} bytes")]
pub(crate) struct ShortSecret;

/// Issues tokens. `Debug` does not show the secret.
#[derive(Debug, Clone)]
pub(crate) struct Signer(EncodingKey);

impl Signer {
    /// Creates a signer with `secret`, of at least 32 bytes.
    pub(crate) fn new(secret: &[u8]) -> Result<Self, ShortSecret> {
        check_secret(secret)?;
        Ok(Self(EncodingKey::from_secret(secret)))
    }

    /// Returns a token with these claims. Error: `InvalidRequest` if [`Verifier::verify`] would
    /// always refuse the token.
    pub(crate) fn issue(&self, claims: &Claims) -> Result<String, Error> {
        let invalid = |reason: String| Error::new(ErrorKind::InvalidRequest, reason);
        claims.check_form().map_err(|error| invalid(error.to_string()))?;
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.0).map_err(
            |error| Error::new(ErrorKind::Internal, "the token cannot be signed").caused_by(error),
        )?;
        if token.len() > MAX_TOKEN_LENGTH {
            return Err(invalid(format!(
                "the token would be longer than {MAX_TOKEN_LENGTH} bytes; name fewer cameras"
            )));
        }
        Ok(token)
    }
}

fn check_secret(secret: &[u8]) -> Result<(), ShortSecret> {
    if secret.len() < MIN_SECRET_LENGTH { Err(ShortSecret) } else { Ok(()) }
}

/// Verifies tokens. `Debug` does not show the secret.
#[derive(Debug, Clone)]
pub(crate) struct Verifier {
    keys: Vec<Key>,
    /// The tolerated difference between the clocks of issuer and manager, in seconds.
    clock_skew: u64,
}

impl Verifier {
    /// Creates a verifier of tokens that a [`Signer`] with the same secret issued. The clocks of issuer and manager
    /// may differ by `clock_skew` seconds.
    pub(crate) fn new(secret: &[u8], clock_skew: u64) -> Result<Self, ShortSecret> {
        check_secret(secret)?;
        let key = Key::new(None, Algorithm::HS256, DecodingKey::from_secret(secret));
        Ok(Self { keys: vec![key], clock_skew })
    }

    /// Returns the time from which a token with these claims is refused, in Unix seconds.
    pub(super) fn valid_until(&self, claims: &Claims) -> u64 {
        claims.exp.saturating_add(self.clock_skew)
    }

    /// Makes the verifier accept the tokens of a back end, too. `text` is either the back end's public key in
    /// PEM (Ed25519, or RSA with 2048 to 4096 bits), or a JWKS document, in which keys of other types and
    /// sizes are ignored. If a key in the JWKS has a `kid`, a token must name the key by this `kid`.
    pub(crate) fn with_public_keys(mut self, text: &str) -> Result<Self, PublicKeyError> {
        self.keys.extend(key::parse(text)?);
        Ok(self)
    }

    /// Returns the claims of a token that is well-formed, signed with one of the keys, issued for
    /// this service, and valid now.
    pub(crate) fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        // A clock before 1970 counts as 1970, so that every token is refused as not valid yet.
        let now = unix_now();
        self.verify_at(token, now)
    }

    /// Does the same as [`Verifier::verify`] for the time `now`, in seconds since 1970.
    pub(crate) fn verify_at(&self, token: &str, now: u64) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN_LENGTH {
            return Err(TokenError::TooLong(MAX_TOKEN_LENGTH));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        // A token that names extensions in `crit` must be refused if they are not supported. The manager
        // supports no extensions.
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let mut refusal = TokenError::UnknownKey;
        for key in self.keys.iter().filter(|key| key.matches(&header)) {
            match key.open::<RawClaims>(token) {
                Ok(claims) => {
                    let claims = Claims::try_from(claims)?;
                    claims.check_form()?;
                    claims.check_time(now, self.clock_skew)?;
                    return Ok(claims);
                }
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }
}

/// The claims as received, in a form that distinguishes missing claims from invalid ones.
#[derive(Deserialize)]
struct RawClaims {
    jti: Option<Value>,
    sub: Option<Value>,
    cameras: Option<Value>,
    iat: Option<Value>,
    nbf: Option<Value>,
    exp: Option<Value>,
    aud: Option<Value>,
    rights: Option<Value>,
    from: Option<Value>,
    to: Option<Value>,
}

/// The claim `aud`: one audience, or a list of audiences.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl TryFrom<RawClaims> for Claims {
    type Error = TokenError;

    fn try_from(raw: RawClaims) -> Result<Self, TokenError> {
        let aud = match required("aud", raw.aud)? {
            Audience::One(aud) => Some(aud),
            // A share link has no other audiences.
            Audience::Many(auds) => auds.into_iter().find(|aud| aud == AUDIENCE),
        };
        let cameras: Vec<Id> = required("cameras", raw.cameras)?;
        Ok(Self {
            jti: required("jti", raw.jti)?,
            sub: required::<Id>("sub", raw.sub)?.into(),
            cameras: cameras.into_iter().map(String::from).collect(),
            iat: time("iat", raw.iat)?,
            nbf: raw.nbf.map(|nbf| time("nbf", Some(nbf))).transpose()?,
            exp: time("exp", raw.exp)?,
            aud: aud.ok_or(TokenError::WrongAudience)?,
            rights: raw.rights.map_or(Ok(Rights::default()), rights)?,
            from: raw.from.map(|from| time("from", Some(from))).transpose()?,
            to: raw.to.map(|to| time("to", Some(to))).transpose()?,
        })
    }
}

/// The id of a user or a camera, which back ends may write as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(u64),
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        match id {
            Id::Text(text) => text,
            Id::Number(number) => number.to_string(),
        }
    }
}

/// Reads the claim `rights`, a list of names. Unknown rights are ignored, because later versions have more of them.
fn rights(value: Value) -> Result<Rights, TokenError> {
    let names: Vec<String> = required("rights", Some(value))?;
    Ok(names.iter().filter_map(|name| Right::parse(name)).collect())
}

/// Returns the value of the claim `name`, which is a Unix time. JWTs can contain fractions of seconds, which are cut
/// off.
fn time(name: &'static str, value: Option<Value>) -> Result<u64, TokenError> {
    let value = value.ok_or(TokenError::MissingClaim(name))?;
    let is_time = |seconds: &f64| (0.0..=MAX_TIME).contains(seconds);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the number is in the range, and its fraction is cut off on purpose"
    )]
    let from_float = || value.as_f64().filter(is_time).map(|seconds| seconds as u64);
    value.as_u64().or_else(from_float).ok_or(TokenError::InvalidClaim(name))
}

/// Returns the value of the claim `name`, or an error if the claim is missing or has the wrong
/// type.
fn required<T: DeserializeOwned>(
    name: &'static str,
    value: Option<Value>,
) -> Result<T, TokenError> {
    let value = value.ok_or(TokenError::MissingClaim(name))?;
    serde_json::from_value(value).map_err(|_| TokenError::InvalidClaim(name))
}

#[cfg(test)]
mod tests;
