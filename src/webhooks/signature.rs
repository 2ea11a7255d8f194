//! The signature of a webhook: `t=…,v1=…`, the time of sending in Unix seconds and the HMAC-SHA256,
//! in hex, of that time, a dot and the body. The time lets a receiver refuse what somebody
//! recorded and sends again.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The header's name.
pub const HEADER: &str = "stream-manager-signature";

/// The shortest secret that is taken, in bytes: as long as what HMAC-SHA256 gives.
pub const MIN_SECRET_LENGTH: usize = 32;

/// What signs.
#[derive(Clone)]
pub struct Signer(Hmac<Sha256>);

impl Signer {
    /// Signs with `secret`. The error is one line for the operator.
    pub fn new(secret: &[u8]) -> Result<Self, String> {
        if secret.len() < MIN_SECRET_LENGTH {
            return Err(format!(
                "WEBHOOK_SECRET is shorter than {MIN_SECRET_LENGTH} characters; \
                 e.g. WEBHOOK_SECRET=$(openssl rand -hex 32)"
            ));
        }
        Hmac::new_from_slice(secret).map(Self).map_err(|error| format!("WEBHOOK_SECRET: {error}"))
    }

    /// The header's value for `body`, sent at `now`.
    pub fn sign(&self, now: SystemTime, body: &[u8]) -> String {
        let time = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut mac = self.0.clone();
        mac.update(format!("{time}.").as_bytes());
        mac.update(body);
        let hex = mac.finalize().into_bytes().into_iter().map(|byte| format!("{byte:02x}"));
        format!("t={time},v1={}", hex.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn as_openssl_signs_it() {
        // printf %s '1763719201.{"id":"evt_1"}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
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
        assert!(error.contains("WEBHOOK_SECRET") && !error.contains("short-secret"), "{error}");
    }
}
