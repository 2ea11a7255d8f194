//! Playback tokens: what a browser shows to watch certain cameras for a while.
//!
//! A token is a JWT, signed by us (HS256) or by a back end (`EdDSA` or RS256). Each key is bound
//! to one algorithm. What a token says about its algorithm and key only picks among our keys; a
//! token that says `none`, or names another algorithm than its key's, finds no key at all.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::error::{Error, ErrorKind};
use crate::base::time::unix_now;
use crate::camera::id::{ID_RULE, is_id};
use key::Key;

mod key;

/// The audience of every token: who it is meant for.
pub const AUDIENCE: &str = "stream-manager";
/// The longest token, in bytes. Longer ones are not looked into. It leaves room for 100 camera
/// ids of 20 characters, or 70 of 36.
pub const MAX_TOKEN_LENGTH: usize = 4096;
/// The shortest secret to sign with, in bytes: as many as the signature has.
pub const MIN_SECRET_LENGTH: usize = 32;
/// The longest time from `iat` to `exp`, in seconds.
pub const MAX_LIFETIME: u64 = 24 * 3600;
/// The most cameras that one token names.
pub const MAX_CAMERAS: usize = 100;

/// How far the clocks of two machines may differ, in seconds.
pub const LEEWAY: u64 = 5;
/// The longest `sub`, in characters.
const MAX_USER_LENGTH: usize = 200;

/// What a token says. It cannot be deserialized, so that what comes from outside goes through
/// [`Verifier::verify`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// The token's own id, `[A-Za-z0-9_-]{1,64}`.
    pub jti: String,
    /// The user, 1 to 200 characters without control characters.
    pub sub: String,
    /// Ids of the cameras that may be watched, at most 100; `*` alone stands for all.
    pub cameras: Vec<String>,
    /// When the token was made, in seconds since 1970.
    pub iat: u64,
    /// From when on it is good, in seconds since 1970; unset means from `iat` on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// Until when it is good, in seconds since 1970; at most 24 hours after `iat`.
    pub exp: u64,
    /// Who it is meant for: [`AUDIENCE`].
    pub aud: String,
}

impl Claims {
    /// Whether the camera with this id may be watched.
    pub fn allows(&self, camera: &str) -> bool {
        self.cameras == ["*"] || self.cameras.iter().any(|allowed| allowed == camera)
    }

    /// What does not depend on the time.
    fn check_form(&self) -> Result<(), TokenError> {
        let sub_length = self.sub.chars().count();
        let is_camera_list = self.cameras == ["*"]
            || (self.cameras.len() <= MAX_CAMERAS && self.cameras.iter().all(|id| is_id(id)));
        let rules = [
            ("jti", is_id(&self.jti)),
            ("sub", (1..=MAX_USER_LENGTH).contains(&sub_length) && !has_control(&self.sub)),
            ("cameras", is_camera_list),
            ("exp", self.exp > self.iat && self.exp - self.iat <= MAX_LIFETIME),
            ("nbf", self.nbf.is_none_or(|nbf| nbf < self.exp)),
        ];
        match rules.iter().find(|(_, is_kept)| !is_kept) {
            _ if self.aud != AUDIENCE => Err(TokenError::WrongAudience),
            Some((claim, _)) => Err(TokenError::InvalidClaim(claim)),
            None => Ok(()),
        }
    }

    /// What depends on the time. A token from the future is refused, so none lives on for longer
    /// than [`MAX_LIFETIME`] from now.
    fn check_time(&self, now: u64) -> Result<(), TokenError> {
        if now >= self.exp.saturating_add(LEEWAY) {
            return Err(TokenError::Expired);
        }
        if self.nbf.unwrap_or(0).max(self.iat) > now.saturating_add(LEEWAY) {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// Why a token is refused. Its text is a sentence for people and holds nothing of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token, or is longer than [`MAX_TOKEN_LENGTH`].
    #[error("the token is malformed")]
    Malformed,
    /// None of our keys has its algorithm and key id.
    #[error("the token is signed by an unknown key or with another algorithm than its key's")]
    UnknownKey,
    /// Somebody else signed it, or it was altered.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// It is meant for somebody else.
    #[error("the token is for another audience than {AUDIENCE}")]
    WrongAudience,
    /// It lacks the named claim.
    #[error("the token has no {0}")]
    MissingClaim(&'static str),
    /// The named claim is not what it must be.
    #[error("the token's {0} must be {rule}", rule = rule(.0))]
    InvalidClaim(&'static str),
}

fn rule(claim: &str) -> &'static str {
    match claim {
        "jti" => ID_RULE,
        "sub" => "1 to 200 characters without control characters",
        "cameras" => "a list of at most 100 camera ids, or of * alone",
        "exp" => "in whole seconds, after iat and at most 24 hours after it",
        "nbf" => "in whole seconds and before exp",
        "iat" => "in whole seconds",
        _ => "a text or a list of texts",
    }
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        Self::new(ErrorKind::Unauthorized, error.to_string())
    }
}

/// Makes tokens. `Debug` does not show the secret.
#[derive(Debug, Clone)]
pub struct Signer(EncodingKey);

impl Signer {
    /// Signs with `secret`, at least 32 bytes. The error is one line for the operator.
    pub fn new(secret: &[u8]) -> Result<Self, String> {
        check_secret(secret)?;
        Ok(Self(EncodingKey::from_secret(secret)))
    }

    /// The token that says `claims`. Errors: `InvalidRequest` if [`Verifier::verify`] would
    /// refuse it for anything but the time.
    pub fn mint(&self, claims: &Claims) -> Result<String, Error> {
        let invalid = |reason: String| Error::new(ErrorKind::InvalidRequest, reason);
        claims.check_form().map_err(|error| invalid(error.to_string()))?;
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.0)
            .map_err(|_| Error::new(ErrorKind::Internal, "the token cannot be signed"))?;
        if token.len() > MAX_TOKEN_LENGTH {
            return Err(invalid(format!(
                "the token would be longer than {MAX_TOKEN_LENGTH} bytes; name fewer cameras"
            )));
        }
        Ok(token)
    }
}

fn check_secret(secret: &[u8]) -> Result<(), String> {
    if secret.len() < MIN_SECRET_LENGTH {
        return Err(format!("the secret for tokens is shorter than {MIN_SECRET_LENGTH} bytes"));
    }
    Ok(())
}

/// Judges tokens. `Debug` does not show the secret.
#[derive(Debug, Clone)]
pub struct Verifier {
    keys: Vec<Key>,
}

impl Verifier {
    /// Takes tokens that a [`Signer`] with the same secret made. The error is one line for the
    /// operator.
    pub fn new(secret: &[u8]) -> Result<Self, String> {
        check_secret(secret)?;
        let key = Key::new(None, Algorithm::HS256, DecodingKey::from_secret(secret));
        Ok(Self { keys: vec![key] })
    }

    /// Also takes tokens that a back end signed. `text` is its public key in PEM, Ed25519 or RSA
    /// with 2048 to 4096 bits, or a JWKS document, of which only such keys are used. A token
    /// names its key of a JWKS by `kid`. The error is one line for the operator.
    pub fn with_public_keys(mut self, text: &str) -> Result<Self, String> {
        self.keys.extend(key::parse(text)?);
        Ok(self)
    }

    /// What the token says, provided that it is signed by one of our keys, meant for us, good at
    /// this time and complete. Clocks may differ by 5 seconds.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        // A clock before 1970 makes every token one from the future, which is refused.
        let now = unix_now();
        self.verify_at(token, now)
    }

    fn verify_at(&self, token: &str, now: u64) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN_LENGTH {
            return Err(TokenError::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        // What `crit` lists must be understood, and we understand nothing of the kind.
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let mut refusal = TokenError::UnknownKey;
        for key in self.keys.iter().filter(|key| key.fits(&header)) {
            match key.open::<RawClaims>(token) {
                Ok(claims) => {
                    let claims = Claims::try_from(claims)?;
                    claims.check_form()?;
                    claims.check_time(now)?;
                    return Ok(claims);
                }
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }
}

/// The claims as they come, to tell one that is missing from one that is wrong.
#[derive(Deserialize)]
struct RawClaims {
    jti: Option<Value>,
    sub: Option<Value>,
    cameras: Option<Value>,
    iat: Option<Value>,
    nbf: Option<Value>,
    exp: Option<Value>,
    aud: Option<Value>,
}

/// `aud` may be a list. Being among those it is meant for is enough.
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
            Audience::Many(auds) => auds.into_iter().find(|aud| aud == AUDIENCE),
        };
        Ok(Self {
            jti: required("jti", raw.jti)?,
            sub: required("sub", raw.sub)?,
            cameras: required("cameras", raw.cameras)?,
            iat: required("iat", raw.iat)?,
            nbf: raw.nbf.map(|nbf| required("nbf", Some(nbf))).transpose()?,
            exp: required("exp", raw.exp)?,
            aud: aud.ok_or(TokenError::WrongAudience)?,
        })
    }
}

fn required<T: DeserializeOwned>(
    name: &'static str,
    value: Option<Value>,
) -> Result<T, TokenError> {
    let value = value.ok_or(TokenError::MissingClaim(name))?;
    serde_json::from_value(value).map_err(|_| TokenError::InvalidClaim(name))
}

#[cfg(test)]
mod tests;
