//! Fuzz targets for credentials and ids that clients send.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use super::support::assert_is_line;
use crate::access::keys::ApiKeys;
use crate::access::rights::Right;
use crate::camera::id::{CameraId, StreamId, is_id};
use crate::playback::token::{
    AUDIENCE, MAX_LIFETIME, MAX_SHARE_LIFETIME, MAX_TOKEN_LENGTH, Signer, Verifier,
};
use crate::recordings::file_url::FileUrl;

/// The secret that signs tokens in these fuzz targets.
const SECRET: &[u8] = b"a secret of the fuzz targets only";
/// The time at which tokens are checked, in Unix seconds: the beginning of 2030.
const NOW: u64 = 1_893_456_000;

/// The tolerated difference between clocks, in seconds.
const SKEW: u64 = 30;

static VERIFIER: LazyLock<Verifier> =
    LazyLock::new(|| Verifier::new(SECRET, SKEW).expect("a secret"));
static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new(SECRET).expect("a secret"));

/// Reads `data` as a complete playback token, and then as the claims of a token to which this function
/// adds a valid signature. If `data` has several lines, the first line is the header of that token, and
/// the rest is its claims.
///
/// Checks that only valid tokens with a valid signature are accepted, and that a token with the same
/// claims can be issued, unless the accepted token is almost as long as allowed.
pub fn playback_token(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    verify(&text);
    let (header, claims) = text.split_once('\n').unwrap_or((r#"{"alg":"HS256"}"#, &text));
    let signed = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(claims));
    verify(&format!("{signed}.{}", BASE64URL.encode(signature(&signed))));
}

fn verify(token: &str) {
    let claims = match VERIFIER.verify_at(token, NOW) {
        Ok(claims) => claims,
        Err(error) => return assert_is_line(&error.to_string(), 200),
    };
    let (signed, signature_part) = token.rsplit_once('.').expect("a signature");
    assert_eq!(BASE64URL.decode(signature_part).as_deref(), Ok(signature(signed).as_slice()));
    let (header, _) = signed.split_once('.').expect("a header");
    let header = BASE64URL.decode(header).expect("base64");
    let header: Value = serde_json::from_slice(&header).expect("a header");
    assert_eq!((&header["alg"], header.get("crit")), (&Value::from("HS256"), None));

    assert!(claims.is_share() || claims.aud == AUDIENCE, "{claims:?}");
    assert!(claims.iat <= NOW + SKEW && NOW < claims.exp + SKEW, "{claims:?}");
    let longest = if claims.is_share() { MAX_SHARE_LIFETIME } else { MAX_LIFETIME };
    assert!(claims.exp - claims.iat <= longest, "{claims:?}");
    assert!(!claims.is_share() || claims.span().is_some(), "{claims:?}");
    assert!(claims.is_share() != claims.all_rights().has(Right::Live), "{claims:?}");
    assert!(claims.span().is_none_or(|span| span.from < span.to || span.to == i64::MAX));
    assert!(claims.cameras == ["*"] || claims.cameras.iter().all(|id| is_id(id)), "{claims:?}");
    assert!(claims.allows("a camera") == (claims.cameras == ["*"]), "{claims:?}");
    // The issued token may be longer than the accepted one, because it may have a longer header.
    if token.len() + 100 <= MAX_TOKEN_LENGTH {
        let again = SIGNER.issue(&claims).expect("a token");
        assert_eq!(VERIFIER.verify_at(&again, NOW), Ok(claims));
    }
}

fn signature(text: &str) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("a key of any length");
    mac.chain_update(text).finalize().into_bytes().to_vec()
}

/// Reads `data` as the public keys of a back end.
///
/// Checks that no key accepts a token whose signature is empty or consists of zeros.
pub fn public_keys(data: &[u8]) {
    let verifier = VERIFIER.clone();
    let verifier = match verifier.with_public_keys(&String::from_utf8_lossy(data)) {
        Ok(verifier) => verifier,
        Err(error) => return assert_is_line(&error.to_string(), 200),
    };
    for algorithm in ["EdDSA", "RS256", "HS256"] {
        for size in [0, 32, 64, 256, 512] {
            let header = BASE64URL.encode(format!(r#"{{"alg":"{algorithm}","kid":"a"}}"#));
            let token = format!("{header}.e30.{}", BASE64URL.encode(vec![0; size]));
            assert!(verifier.verify_at(&token, NOW).is_err());
        }
    }
}

/// Reads `data` as the setting `API_KEYS`.
///
/// Checks that errors are single lines without any long part of an entry, that `Debug` shows no secret, and
/// that every secret finds the key of its own entry.
pub fn api_keys(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let words = text.split(|c: char| c == ',' || c.is_whitespace());
    let keys = match ApiKeys::parse(&text) {
        Ok(keys) => keys,
        Err(error) => {
            let shown = error.to_string();
            assert_is_line(&shown, 200);
            // Shorter parts are not checked, because the message may contain the same word by chance.
            let parts = words.flat_map(|word| word.split(':')).filter(|part| part.len() >= 16);
            return parts.for_each(|part| assert!(!shown.contains(part), "{shown}"));
        }
    };
    let shown = format!("{keys:?}");
    for line in text.lines() {
        let words = line.split(|c: char| c == ',' || c.is_whitespace());
        for word in words.filter(|word| !word.is_empty()).take_while(|word| !word.starts_with('#'))
        {
            if let [name, _, secret] = word.split(':').collect::<Vec<_>>()[..] {
                assert!(!shown.contains(secret) || text.matches(secret).count() > 1, "{shown}");
                assert_eq!(keys.find(secret).map(|key| key.name.as_str()), Some(name));
            }
        }
    }
}

/// Reads `data` as the ids of a camera and of a stream, and as the name of a recorded file.
///
/// Checks that an accepted id is safe in file names, URLs, labels, log lines and arguments.
pub fn id(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let camera = CameraId::parse(&text).ok();
    if let Some(id) = &camera {
        assert_eq!(id.as_str(), text);
    }
    if let Some(url) = FileUrl::parse(&text) {
        assert_eq!(url.to_string(), text);
    }
    if let Ok(id) = StreamId::parse(&text) {
        assert_eq!(id.as_str(), text);
        assert_eq!(CameraId::parse(id.camera().as_str()).as_ref(), Ok(id.camera()));
        assert_eq!(StreamId::new(id.camera().clone(), id.profile()), id);
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_-~".contains(&byte);
        assert!(text.bytes().all(is_safe) && (1..=80).contains(&text.len()), "{text}");
    } else {
        assert_eq!(camera, None, "a valid camera id must be a valid stream id");
    }
}
