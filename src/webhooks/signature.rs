//! The signature of a webhook: `t=TIME,v1=HMAC`. TIME is the time of sending in Unix seconds. HMAC
//! is the HMAC-SHA256, in hex, of TIME, a dot and the body. TIME lets a receiver refuse a webhook
//! that an attacker recorded and sends again.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::digest::InvalidLength;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::base::hex::hex;

/// The name of the header with the signature.
pub(crate) const HEADER: &str = "stream-manager-signature";

/// The shortest accepted secret, in bytes: the length of an HMAC-SHA256.
pub(crate) const MIN_SECRET_LENGTH: usize = 32;

/// Signs webhooks.
#[derive(Clone)]
pub(super) struct Signer(Hmac<Sha256>);

/// The reason why a secret cannot be used. The texts do not contain the secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// The secret is so short that it could be guessed.
    #[error(
        "it is shorter than {MIN_SECRET_LENGTH} characters; generate one with: openssl rand -hex 32"
    )]
    TooShort,
    /// The secret is not a valid key for an HMAC.
    #[error("it is not a valid key")]
    Key(#[source] InvalidLength),
}

impl Signer {
    /// Creates a signer with `secret`.
    pub(super) fn new(secret: &[u8]) -> Result<Self, SecretError> {
        if secret.len() < MIN_SECRET_LENGTH {
            return Err(SecretError::TooShort);
        }
        Hmac::new_from_slice(secret).map(Self).map_err(SecretError::Key)
    }

    /// Returns the value of the header for a webhook with this `body` that is sent at `now`.
    pub(super) fn sign(&self, now: SystemTime, body: &[u8]) -> String {
        let time = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut mac = self.0.clone();
        mac.update(format!("{time}.").as_bytes());
        mac.update(body);
        format!("t={time},v1={}", hex(&mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn signatures_equal_those_of_openssl() {
        // printf %s '1763719201.{"id":"evt_1"}' | openssl dgst -sha256 -hmac
        // 0123456789abcdef0123456789abcdef
        let signer = Signer::new(b"0123456789abcdef0123456789abcdef").expect("long enough");
        let now = UNIX_EPOCH + Duration::from_secs(1_763_719_201);
        let header = signer.sign(now, br#"{"id":"evt_1"}"#);
        assert_eq!(
            header,
            "t=1763719201,v1=5c300e49c3c1c49616af626fdfe1d301081d87cfd7f284d1da1c2eed3d651bcc"
        );
    }

    #[test]
    fn a_short_secret_is_refused_and_not_repeated() {
        let error = Signer::new(b"short-secret").err().expect("too short");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("short-secret"), "{shown}");
    }
}
