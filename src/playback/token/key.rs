//! The keys that verify tokens, each bound to one algorithm: the manager's secret, and public keys
//! from a PEM file or a JWKS document.

use std::ops::RangeInclusive;

use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::errors::ErrorKind as JwtErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Header, Validation};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::TokenError;

/// The accepted sizes of an RSA modulus, in bytes. Smaller keys are weak. The library does not
/// support larger keys.
const RSA_BYTES: RangeInclusive<usize> = 256..=512;
/// The size of an Ed25519 key, in bytes.
const ED25519_BYTES: usize = 32;

/// The reason why a setting contains no usable public key. Each text is one line for the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PublicKeyError {
    /// The setting is neither one PEM public key nor a JWKS.
    #[error("the key for tokens must be one PEM public key or a JWKS")]
    Form,
    /// The PEM key is of an unsupported type or size, or cannot be parsed.
    #[error("the PEM key for tokens must be Ed25519, or RSA with 2048 to 4096 bits")]
    PemType,
    /// The document is not a JWKS.
    #[error("the JWKS for tokens must be a JSON object with a list of keys")]
    Jwks,
    /// The JWKS contains no usable key.
    #[error("the JWKS for tokens must contain a key for EdDSA or RS256 (2048 to 4096 bits)")]
    JwksType,
}

/// A key and the only algorithm that it is used with.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// The id by which a token must name the key. A key without an id is tried with every token of
    /// its algorithm.
    id: Option<String>,
    algorithm: Algorithm,
    decoding: DecodingKey,
    validation: Validation,
}

impl Key {
    /// Creates a key that is used for `algorithm` only, and that tokens name by `id`, if there is
    /// one.
    pub(super) fn new(id: Option<String>, algorithm: Algorithm, key: DecodingKey) -> Self {
        // The library only verifies the signature. Its other checks are turned off, because they accept
        // tokens without `aud`, round fractions of seconds, and use a clock that tests cannot set.
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self { id, algorithm, decoding: key, validation }
    }

    /// Returns whether a token with this header names the key's algorithm and, if the key has an id, this id.
    pub(super) fn matches(&self, header: &Header) -> bool {
        self.algorithm == header.alg && (self.id.is_none() || self.id == header.kid)
    }

    /// Verifies the signature of a token. Returns the claims, which are not checked.
    pub(super) fn open<T: DeserializeOwned>(&self, token: &str) -> Result<T, TokenError> {
        match jsonwebtoken::decode(token, &self.decoding, &self.validation) {
            Ok(data) => Ok(data.claims),
            Err(error) if matches!(error.kind(), JwtErrorKind::InvalidSignature) => {
                Err(TokenError::BadSignature)
            }
            Err(_) => Err(TokenError::Malformed),
        }
    }
}

/// Returns the key of a PEM text, or all usable keys of a JWKS document.
pub(super) fn parse(text: &str) -> Result<Vec<Key>, PublicKeyError> {
    if text.trim_start().starts_with('{') { jwks_keys(text) } else { Ok(vec![pem_key(text)?]) }
}

fn pem_key(text: &str) -> Result<Key, PublicKeyError> {
    // The library also accepts private keys and certificates, and uses only the first of several keys. In
    // this setting, each of these is a mistake of the operator.
    let mut labels = text.split("-----BEGIN ").skip(1).map(|rest| rest.split("-----").next());
    let (Some("PUBLIC KEY" | "RSA PUBLIC KEY"), None) = (labels.next().flatten(), labels.next())
    else {
        return Err(PublicKeyError::Form);
    };
    let rsa_components = DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key;
    let ed = DecodingKey::from_ed_pem(text.as_bytes()).ok().and_then(|key| ed_key(None, key));
    ed.or_else(|| {
        let der = DecodingKey::from_rsa_pem(text.as_bytes()).ok()?;
        let (n, e) = rsa_components(der.try_get_as_bytes().ok()?).ok()?;
        rsa_key(None, DecodingKey::from_rsa_raw_components(&n, &e))
    })
    .ok_or(PublicKeyError::PemType)
}

fn ed_key(id: Option<String>, key: DecodingKey) -> Option<Key> {
    // The library panics if the key is shorter.
    let is_complete = key.try_get_as_bytes().is_ok_and(|bytes| bytes.len() == ED25519_BYTES);
    let is_usable =
        is_complete && (DEFAULT_PROVIDER.verifier_factory)(&Algorithm::EdDSA, &key).is_ok();
    is_usable.then(|| Key::new(id, Algorithm::EdDSA, key))
}

fn rsa_key(id: Option<String>, key: DecodingKey) -> Option<Key> {
    let DecodingKeyKind::RsaModulusExponent { n, .. } = key.kind() else { return None };
    let size = n.iter().skip_while(|byte| **byte == 0).count();
    RSA_BYTES.contains(&size).then(|| Key::new(id, Algorithm::RS256, key))
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

/// The fields of a JSON Web Key that are read.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
}

fn jwks_keys(text: &str) -> Result<Vec<Key>, PublicKeyError> {
    let jwks: Jwks = serde_json::from_str(text).map_err(|_| PublicKeyError::Jwks)?;
    // Each key is parsed separately, so that an unsupported key does not invalidate the others.
    let jwks = jwks.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
    let keys: Vec<_> = jwks.filter_map(jwk_key).collect();
    if keys.is_empty() {
        return Err(PublicKeyError::JwksType);
    }
    Ok(keys)
}

fn jwk_key(jwk: Jwk) -> Option<Key> {
    if jwk.usage.is_some_and(|usage| usage != "sig") {
        return None;
    }
    match (jwk.kty.as_str(), jwk.crv.as_deref(), jwk.alg.as_deref()) {
        ("OKP", Some("Ed25519"), None | Some("EdDSA")) => {
            ed_key(jwk.kid, DecodingKey::from_ed_components(&jwk.x?).ok()?)
        }
        ("RSA", _, None | Some("RS256")) => {
            rsa_key(jwk.kid, DecodingKey::from_rsa_components(&jwk.n?, &jwk.e?).ok()?)
        }
        _ => None,
    }
}
