//! The key by which push servers recognize the manager (VAPID, RFC 8292).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hyper::header::HeaderValue;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use web_push_native::p256::SecretKey;
use web_push_native::p256::elliptic_curve::sec1::ToEncodedPoint as _;
use web_push_native::p256::pkcs8::EncodePrivateKey as _;

use crate::base::error::{Error, ErrorKind};
use crate::base::random;

/// The lifetime of a signature, in seconds. RFC 8292 permits at most 24 hours.
const LIFETIME: u64 = 12 * 3600;
/// The length of a private key, in bytes.
const LENGTH: usize = 32;

/// The key. The type does not implement `Debug`, so that the private key is never shown.
pub(super) struct VapidKey {
    private: SecretKey,
    signer: EncodingKey,
    public: String,
}

/// The claims that a signature confirms.
#[derive(Serialize)]
struct Claims<'a> {
    /// The push server, as `https://` and its host.
    aud: &'a str,
    /// When the signature expires, in Unix seconds.
    exp: u64,
    /// The address at which the push server's operator can reach the manager's operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
}

impl VapidKey {
    /// Generates a key.
    pub(super) fn generate() -> Result<Self, Error> {
        // Nearly all random numbers are valid keys. The number 0 is not, for example.
        for _ in 0..10 {
            if let Some(key) = Self::from_bytes(&random::bytes::<LENGTH>()?) {
                return Ok(key);
            }
        }
        Err(Error::new(ErrorKind::Internal, "no key for push notifications can be generated"))
    }

    /// Reads a private key; `None` if it is not one.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let private = SecretKey::from_slice(bytes).ok().filter(|_| bytes.len() == LENGTH)?;
        let signer = EncodingKey::from_ec_der(private.to_pkcs8_der().ok()?.as_bytes());
        let public = BASE64.encode(private.public_key().to_encoded_point(false));
        Some(Self { private, signer, public })
    }

    /// Returns the bytes of the private key.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.private.to_bytes().to_vec()
    }

    /// Returns the public key, in the form that browsers take as `applicationServerKey`: base64url without padding.
    pub(super) fn public(&self) -> &str {
        &self.public
    }

    /// Returns the value of the header `Authorization` for a request at the time `now`, in Unix seconds, to the push server
    /// `audience`. Push servers can use `contact` if there are problems.
    pub(super) fn authorization(
        &self,
        audience: &str,
        contact: Option<&str>,
        now: u64,
    ) -> Result<HeaderValue, Error> {
        let internal = || Error::new(ErrorKind::Internal, "a push notification cannot be signed");
        let claims = Claims { aud: audience, exp: now.saturating_add(LIFETIME), sub: contact };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &self.signer)
            .map_err(|error| internal().caused_by(error))?;
        let value = HeaderValue::try_from(format!("vapid t={token}, k={}", self.public));
        let mut value = value.map_err(|error| internal().caused_by(error))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_key_is_read_again_and_its_signatures_can_be_verified() {
        let key = VapidKey::generate().expect("a key");
        let key = VapidKey::from_bytes(&key.to_bytes()).expect("the same key");
        let contact = Some("mailto:ops@example.com");
        let header = key.authorization("https://push.example.com", contact, 1000).expect("a value");
        let (token, public) = header
            .to_str()
            .expect("text")
            .strip_prefix("vapid t=")
            .and_then(|rest| rest.split_once(", k="))
            .expect("a token and a key");
        assert_eq!(public, key.public());
        let point = BASE64.decode(public).expect("base64url");
        assert_eq!((point.len(), point[0]), (65, 4));
        let mut validation = Validation::new(Algorithm::ES256);
        validation.validate_exp = false;
        validation.set_audience(&["https://push.example.com"]);
        let decoded =
            jsonwebtoken::decode::<Value>(token, &DecodingKey::from_ec_der(&point), &validation);
        let expected = json!({
            "aud": "https://push.example.com", "exp": 44_200, "sub": "mailto:ops@example.com",
        });
        assert_eq!(decoded.expect("a valid signature").claims, expected);
        let other = VapidKey::generate().expect("a key");
        let other = BASE64.decode(other.public()).expect("base64url");
        jsonwebtoken::decode::<Value>(token, &DecodingKey::from_ec_der(&other), &validation)
            .expect_err("another key");
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        for bytes in [[0; 32].as_slice(), &[0xff; 32], &[1; 31], &[]] {
            assert!(VapidKey::from_bytes(bytes).is_none(), "{bytes:?}");
        }
    }
}
