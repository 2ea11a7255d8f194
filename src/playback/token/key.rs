//! Keys that tokens are verified with: each bound to one algorithm, from our secret, a PEM file or
//! a JWKS document.

use std::ops::RangeInclusive;

use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::errors::ErrorKind as JwtErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Header, Validation};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::TokenError;

/// Sizes of an RSA modulus in bytes: smaller ones are weak, larger ones the library cannot use.
const RSA_BYTES: RangeInclusive<usize> = 256..=512;
/// Size of an Ed25519 key in bytes.
const ED25519_BYTES: usize = 32;

/// A key with its one algorithm.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// What a token must name it by. A key without id is tried whatever the token names.
    id: Option<String>,
    algorithm: Algorithm,
    decoding: DecodingKey,
    validation: Validation,
}

impl Key {
    /// A key that tokens may name by `id`, for `algorithm` only.
    pub(super) fn new(id: Option<String>, algorithm: Algorithm, key: DecodingKey) -> Self {
        // The library's own rules are off: it takes a token without `aud`, rounds fractions, and
        // its clock cannot be set by tests. Only the signature is left to it.
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self { id, algorithm, decoding: key, validation }
    }

    /// Whether a token with this header may be signed with this key.
    pub(super) fn fits(&self, header: &Header) -> bool {
        self.algorithm == header.alg && (self.id.is_none() || self.id == header.kid)
    }

    /// The claims of a token that this key signed, not judged any further.
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

/// The keys of a PEM or a JWKS text. The error is one line for the operator.
pub(super) fn parse(text: &str) -> Result<Vec<Key>, String> {
    if text.trim_start().starts_with('{') { jwks_keys(text) } else { Ok(vec![pem_key(text)?]) }
}

fn pem_key(text: &str) -> Result<Key, String> {
    // The library would take a private key or a certificate as well, and of several keys the
    // first. None of these is what the operator meant.
    let mut labels = text.split("-----BEGIN ").skip(1).map(|rest| rest.split("-----").next());
    let (Some("PUBLIC KEY" | "RSA PUBLIC KEY"), None) = (labels.next().flatten(), labels.next())
    else {
        return Err("the key for tokens is neither one PEM public key nor a JWKS".into());
    };
    let rsa_components = DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key;
    let ed = DecodingKey::from_ed_pem(text.as_bytes()).ok().and_then(|key| ed_key(None, key));
    ed.or_else(|| {
        let der = DecodingKey::from_rsa_pem(text.as_bytes()).ok()?;
        let (n, e) = rsa_components(der.try_get_as_bytes().ok()?).ok()?;
        rsa_key(None, DecodingKey::from_rsa_raw_components(&n, &e))
    })
    .ok_or_else(|| {
        "the PEM key for tokens is neither Ed25519 nor RSA with 2048 to 4096 bits".into()
    })
}

fn ed_key(id: Option<String>, key: DecodingKey) -> Option<Key> {
    // The library panics at a key that is shorter.
    let is_whole = key.try_get_as_bytes().is_ok_and(|bytes| bytes.len() == ED25519_BYTES);
    let is_usable =
        is_whole && (DEFAULT_PROVIDER.verifier_factory)(&Algorithm::EdDSA, &key).is_ok();
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

/// What is of use to us of a JSON Web Key.
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

fn jwks_keys(text: &str) -> Result<Vec<Key>, String> {
    let jwks: Jwks = serde_json::from_str(text)
        .map_err(|_| "the JWKS for tokens is no JSON object with a list of keys".to_owned())?;
    // Key by key, so that one of a kind we do not know does not hide the others.
    let jwks = jwks.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
    let keys: Vec<_> = jwks.filter_map(jwk_key).collect();
    if keys.is_empty() {
        return Err("the JWKS for tokens has no key for EdDSA or RS256 (2048 to 4096 bits)".into());
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
