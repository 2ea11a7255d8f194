use jsonwebtoken::jwk::Jwk;
use serde_json::json;

use super::*;

const NOW: u64 = 1_800_000_000;
const SECRET: &[u8] = b"a secret of tests, 32 bytes long";

// Keys made with openssl for these tests. They are used nowhere else.
const ED_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIPVt/KLWVOTfXh9Iq+yebLAkfc/FtPN+He4LLNeD3h72
-----END PRIVATE KEY-----";
const ED_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAriMmnRcD4eQiJTo7Mip4+PQzu36bFN4vHVsSG9jxwQs=
-----END PUBLIC KEY-----";
const OTHER_ED_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA3995XX2z8c+V+eUrvKIWMqBT1jSub6O+VCtoAwyUtmE=
-----END PUBLIC KEY-----";
const RSA_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQC4eZEuF6Y5FE1c
sBhGLf3ouERxLCMPmYy5jrFWQLmsXXR+KCofTFM8d6fK+A1iNQkmmxO2lbz2HrZt
lqMkxD+E7Q5fbo3Lo9YXD1Tb4X1zZH1B9hqSd3ILANC8765xSTeHn/Oh8WQ2TeZ+
bQD9Ojy/5hxkxsKMvTogmb10Z1Nhhalrn894N4dUxH6I7i/HN92gNtKQIoaCHjk0
KjH/DBrFf1XAujuJCq61gy88J260awuWaGbS39puPUDPdiGqTKpbxZyDMJojknG6
hqXmCAa5vQi5RPVBQKiIWyx5cy74XtSqk8hpL5xRFEO8nTi2cLFTN/9EciPCL9Q5
WaxC0s0bAgMBAAECggEACWT7fT7sEqUTiYBYRB6sexEDP0YxpOY7cemv40YZjosV
1yThfEWNSZuIWoBGYjV0OViVaOt4O4p13N/agBFUcMcHv9ln9DJsQTFhL29szZcU
/+pyEPpvPts0RiLondFOOCRvqlQaN9/AuLiBX+P62wTzdjhfCP7L+oQJz2dBqkon
o8nfN46b5LrWfJ4kp1zFVWsEjY00qLaAXJVx8+0SlYcOxbNffESeq0MOyI8aTRoJ
WekZC469sy0iOMPOi34hMFfyZETOXe5d/yzxGepFMKARrBDLifsSKIstNK7yIjwk
HECjoMkA51zYTvM+ggQvqje1xdXjM5NnZgfTGKCCvQKBgQDZl9R0YW21DFR/7IRy
PPr+uvRmHoNZEeS8fBZhpClZ64i+yCYl6FjiDT+SK9BxHNdobohYi34ArEFYX912
/1WjiQv8cQh680sGoluhKXrN88kXipAN20prrwhTHMHs4egbnEuK3BPCnnVeX0oG
BaooZ8uFXwGlbBoO2TB59vWDvQKBgQDZCUGYRBhyakjb3g/ShKTnoBVwWbVn0QNK
Pb/IHoSFg1p5Then9+Ynoy8rHGQeIyb9U1T+nojVvLRGLRd5IeGcvk+3mkDFlHmW
nudOToeJoJ3RpY/sq3KGqvf5UfE0f0wWVg7f+l0ccMobCOh3qniNG30Lg/l79hTt
4WPnXDG1twKBgC0UwdWi4eHivhcK353zeGUSQtRtefUYOfW7F7//DPouTFSKjyzH
aLLc39De9v6YZSCj1efSbrag+aDfq7idyhZprGwO1xzyDxc+yBEp0OGeookYEiRs
zIxm5SijCqKTY01lIlmQox9tSQ/WWjXJMqnQZ2AogOTO8s8kvGBohBFZAoGAAmu7
ApLH3wbWdzVb4dI+8KJ1esJVZqoLKlnT+Mx2V/LmIHJBi0sVkx2b2hQ//aIQvkSe
rxRfnFq1fA7msyAwnwn0Y6zhyhJk5Mwy8kmn814KRJtfJpmm9l+T0oEaeqZs19bv
5YmqXjXX20NXLHaHT7OdynIXZ02QYDLiZWM+3rMCgYAJ42lPXSwvlCpksTCFb2MU
fK5udWkUuY6oGzwtcg/Sj1M/Esk7HACY9pE5oSrwwbhcl4t4C4UE2oBQtlzV967u
1fp9j0whLypO1Sk7KgBuWNv+Ik25owpPEuqYrVn7omVLBud0ip/PG5Hhi0A7vOrZ
iwNAGvl/A9DwZNA0NByPcg==
-----END PRIVATE KEY-----";
const RSA_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAuHmRLhemORRNXLAYRi39
6LhEcSwjD5mMuY6xVkC5rF10figqH0xTPHenyvgNYjUJJpsTtpW89h62bZajJMQ/
hO0OX26Ny6PWFw9U2+F9c2R9QfYakndyCwDQvO+ucUk3h5/zofFkNk3mfm0A/To8
v+YcZMbCjL06IJm9dGdTYYWpa5/PeDeHVMR+iO4vxzfdoDbSkCKGgh45NCox/wwa
xX9VwLo7iQqutYMvPCdutGsLlmhm0t/abj1Az3YhqkyqW8WcgzCaI5Jxuoal5ggG
ub0IuUT1QUCoiFsseXMu+F7UqpPIaS+cURRDvJ04tnCxUzf/RHIjwi/UOVmsQtLN
GwIDAQAB
-----END PUBLIC KEY-----";
const RSA_1024_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCWj1Sb/EqJU/nqSI3tNT9HXk1E
OhMK69qr5ZLviZK3pQVnznQNPHrd7PFSkchGaUn1PdVU3RzAvgWIzSqmUuufL+iB
hFPC1hCgTfCJHM4Zlnn/xlXd8iMM1vSPLU9bbWhCyVlwUhwoAqiQ1i1fIM5w2Avg
b2+Ta/kYzmKClYicgQIDAQAB
-----END PUBLIC KEY-----";
const EC_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMbfCCSvi4IQ502tmNrPiwxsAe0Wk
g8JJ7iOjYMEFEYEAU7eoZ9D8Pacp/hx5Y2CDDFYwACWo+SCvdiln/UcxGw==
-----END PUBLIC KEY-----";

fn claims() -> Claims {
    Claims {
        jti: "t-1".into(),
        sub: "Ana Ångström".into(),
        cameras: vec!["door".into(), "yard_2".into()],
        iat: NOW,
        nbf: None,
        exp: NOW + 3600,
        aud: AUDIENCE.into(),
        rights: Rights::default(),
        from: None,
        to: None,
    }
}

fn own() -> Verifier {
    Verifier::new(SECRET, 30).expect("a secret")
}

fn ed() -> EncodingKey {
    EncodingKey::from_ed_pem(ED_PRIVATE.as_bytes()).expect("an Ed25519 key")
}

fn rsa() -> EncodingKey {
    EncodingKey::from_rsa_pem(RSA_PRIVATE.as_bytes()).expect("an RSA key")
}

fn signed(
    algorithm: Algorithm,
    kid: Option<&str>,
    key: &EncodingKey,
    claims_json: &Value,
) -> String {
    let mut header = Header::new(algorithm);
    header.kid = kid.map(str::to_owned);
    jsonwebtoken::encode(&header, claims_json, key).expect("a token")
}

fn with_own_secret(claims_json: &Value) -> String {
    signed(Algorithm::HS256, None, &EncodingKey::from_secret(SECRET), claims_json)
}

/// Returns the claims as JSON with `changes` applied. A null removes a claim.
fn claims_with(changes: &Value) -> Value {
    let mut claims_json = json!(claims());
    for (name, value) in changes.as_object().expect("an object") {
        claims_json[name] = value.clone();
    }
    claims_json.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
    claims_json
}

/// Returns a JWKS with both public keys under the given ids, and with keys that must be ignored.
fn jwks(ed_id: &str, rsa_id: &str) -> String {
    let jwk = |key: &EncodingKey, algorithm, id: &str| {
        let mut jwk = Jwk::from_encoding_key(key, algorithm).expect("a key");
        jwk.common.key_id = Some(id.to_owned());
        jwk
    };
    let secret = EncodingKey::from_secret(SECRET);
    let mut no_sig = json!(jwk(&rsa(), Algorithm::RS256, "encryption"));
    no_sig["use"] = "enc".into();
    json!({ "keys": [
        null,
        {"kty": "EC", "kid": "ec", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "OKP", "kid": "x", "crv": "X25519", "x": "AA"},
        {"kty": "OKP", "kid": "short", "crv": "Ed25519", "x": "AAAA"},
        jwk(&secret, Algorithm::HS256, "secret"),
        jwk(&rsa(), Algorithm::PS256, "pss"),
        no_sig,
        jwk(&ed(), Algorithm::EdDSA, ed_id),
        jwk(&rsa(), Algorithm::RS256, rsa_id),
    ]})
    .to_string()
}

#[test]
fn an_issued_token_has_the_given_claims() {
    let signer = Signer::new(SECRET).expect("a secret");
    for claims in [
        claims(),
        Claims { cameras: vec!["*".into()], nbf: Some(NOW - 1), ..claims() },
        Claims { cameras: vec![], exp: NOW + MAX_LIFETIME, ..claims() },
        Claims { cameras: vec!["x".repeat(20); 100], sub: "Å".repeat(200), ..claims() },
        Claims { cameras: vec!["x".repeat(36); 100], sub: "Å".repeat(200), ..claims() },
    ] {
        let token = signer.issue(&claims).expect("a token");
        assert_eq!(own().verify_at(&token, NOW), Ok(claims));
    }
    let now = unix_now();
    let claims = Claims { iat: now, exp: now + 60, ..claims() };
    assert_eq!(own().verify(&signer.issue(&claims).expect("a token")), Ok(claims));
}

#[test]
fn tokens_that_would_be_refused_are_not_issued() {
    let signer = Signer::new(SECRET).expect("a secret");
    for (claims, reason) in [
        (Claims { jti: String::new(), ..claims() }, "jti must be 1 to 64"),
        (Claims { cameras: vec!["a b".into()], ..claims() }, "cameras must be"),
        (Claims { exp: NOW + MAX_LIFETIME + 1, ..claims() }, "24 hours"),
        (Claims { aud: "other".into(), ..claims() }, "audience"),
        (Claims { cameras: vec!["x".repeat(64); 100], ..claims() }, "fewer cameras"),
    ] {
        let error = signer.issue(&claims).expect_err(reason);
        assert_eq!(error.kind, ErrorKind::InvalidRequest);
        assert!(error.detail.contains(reason), "{error}");
    }
}

#[test]
fn rights_and_their_time_are_claims() {
    let verify = |changes: &Value| own().verify_at(&with_own_secret(&claims_with(changes)), NOW);
    let live = Rights::default().with(Right::Live);
    let both = live.with(Right::Recordings);
    let (from, to) = (NOW - 100, NOW - 50);
    let millis = Some(TimeSpan { from: from.cast_signed() * 1000, to: to.cast_signed() * 1000 });
    for (changes, rights, span) in [
        (json!({}), live, None),
        (json!({ "rights": [] }), live, None),
        (json!({ "rights": ["recordings", "flying"] }), both, None),
        (json!({ "rights": ["recordings"], "from": from, "to": to }), both, millis),
    ] {
        let claims = verify(&changes).expect("a token");
        assert_eq!((claims.all_rights(), claims.span()), (rights, span), "{changes}");
        let again = Signer::new(SECRET).expect("a secret").issue(&claims).expect("a token");
        assert_eq!(own().verify_at(&again, NOW), Ok(claims), "{changes}");
    }
    for (changes, claim) in [
        (json!({ "rights": "recordings" }), "rights"),
        (json!({ "rights": [1] }), "rights"),
        (json!({ "from": from }), "from"),
        (json!({ "to": to }), "from"),
        (json!({ "from": to, "to": from }), "from"),
        (json!({ "from": "x", "to": to }), "from"),
    ] {
        assert_eq!(verify(&changes), Err(TokenError::InvalidClaim(claim)), "{changes}");
    }
}

#[test]
fn share_links_have_only_recordings_of_a_time_and_last_longer() {
    let verify = |changes: &Value| own().verify_at(&with_own_secret(&claims_with(changes)), NOW);
    let share = |more: &Value| {
        let mut changes = json!({
            "aud": SHARE_AUDIENCE, "rights": ["recordings"], "from": NOW - 100, "to": NOW - 50,
            "exp": NOW + MAX_SHARE_LIFETIME,
        });
        for (name, value) in more.as_object().expect("an object") {
            changes[name] = value.clone();
        }
        verify(&changes)
    };
    let claims = share(&json!({})).expect("a token");
    assert!(claims.is_share() && !claims.all_rights().has(Right::Live));
    for (changes, claim) in [
        (json!({ "exp": NOW + MAX_SHARE_LIFETIME + 1 }), "exp"),
        (json!({ "rights": [] }), "rights"),
        (json!({ "rights": ["recordings", "live"] }), "rights"),
        (json!({ "from": null, "to": null }), "from"),
        (json!({ "aud": AUDIENCE }), "exp"),
    ] {
        assert_eq!(share(&changes), Err(TokenError::InvalidClaim(claim)), "{changes}");
    }
}

#[test]
fn a_token_permits_the_cameras_that_it_names() {
    let allows = |cameras: &[&str], camera| {
        Claims { cameras: cameras.iter().map(|&id| id.into()).collect(), ..claims() }.allows(camera)
    };
    assert!(allows(&["*"], "door") && allows(&["yard", "door"], "door"));
    assert!(!allows(&["yard"], "door") && !allows(&[], "door") && !allows(&["doo"], "door"));
    assert!(!allows(&["*", "yard"], "door") && !allows(&["DOOR"], "door"));
}

#[test]
fn tokens_of_back_ends_are_accepted() {
    let jwks = jwks("ed", "rsa");
    let table = [
        (ED_PUBLIC, Algorithm::EdDSA, None),
        (ED_PUBLIC, Algorithm::EdDSA, Some("any")),
        (RSA_PUBLIC, Algorithm::RS256, None),
        (&jwks, Algorithm::EdDSA, Some("ed")),
        (&jwks, Algorithm::RS256, Some("rsa")),
    ];
    for (keys, algorithm, kid) in table {
        let verifier = own().with_public_keys(keys).expect("keys");
        let key = if algorithm == Algorithm::EdDSA { ed() } else { rsa() };
        let token = signed(algorithm, kid, &key, &claims_with(&json!({})));
        assert_eq!(verifier.verify_at(&token, NOW), Ok(claims()), "{algorithm:?} {kid:?}");
        assert_eq!(own().verify_at(&token, NOW), Err(TokenError::UnknownKey));
        let altered = token.replacen("ey", "ez", 2).replacen("ez", "ey", 1);
        assert!(verifier.verify_at(&altered, NOW).is_err());
        let ours = Signer::new(SECRET).expect("a secret").issue(&claims()).expect("a token");
        assert_eq!(verifier.verify_at(&ours, NOW), Ok(claims()));
    }
}

#[test]
fn several_keys_can_be_valid_at_the_same_time() {
    let token = signed(Algorithm::EdDSA, None, &ed(), &claims_with(&json!({})));
    let other = own().with_public_keys(OTHER_ED_PUBLIC).expect("a key");
    assert_eq!(other.verify_at(&token, NOW), Err(TokenError::BadSignature));
    let both = other.with_public_keys(ED_PUBLIC).expect("a key");
    assert_eq!(both.verify_at(&token, NOW), Ok(claims()));
}

#[test]
fn a_key_of_a_jwks_is_found_by_its_id_and_used_with_its_algorithm_only() {
    let verifier = own().with_public_keys(&jwks("ed", "rsa")).expect("keys");
    for (algorithm, kid) in [
        (Algorithm::EdDSA, Some("rsa")),
        (Algorithm::EdDSA, Some("unknown")),
        (Algorithm::EdDSA, None),
        (Algorithm::RS256, Some("ed")),
        (Algorithm::RS256, Some("pss")),
        (Algorithm::RS256, Some("encryption")),
        (Algorithm::RS512, Some("rsa")),
        (Algorithm::PS256, Some("rsa")),
        (Algorithm::PS256, Some("pss")),
    ] {
        let key = if algorithm == Algorithm::EdDSA { ed() } else { rsa() };
        let token = signed(algorithm, kid, &key, &claims_with(&json!({})));
        assert_eq!(verifier.verify_at(&token, NOW), Err(TokenError::UnknownKey), "{kid:?}");
    }
    let only_secret = jwks("ed", "rsa").replace("\"OKP\"", "\"oct\"").replace("\"RSA\"", "\"oct\"");
    assert!(own().with_public_keys(&only_secret).is_err());
}

#[test]
fn a_token_with_another_algorithm_than_its_key_is_refused() {
    let good = with_own_secret(&claims_with(&json!({})));
    let (message, signature) = good.rsplit_once('.').expect("three parts");
    let (_, payload) = message.split_once('.').expect("three parts");
    // {"alg":"none"}, {"alg":"None","typ":"JWT"}, {"alg":""}
    for header in ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJOb25lIiwidHlwIjoiSldUIn0", "eyJhbGciOiIifQ"] {
        for signature in ["", signature] {
            let token = format!("{header}.{payload}.{signature}");
            assert_eq!(own().verify_at(&token, NOW), Err(TokenError::Malformed), "{token}");
        }
    }
    // These tokens are signed with HMAC. The secret is the public key, in three spellings.
    for (public, verifier) in [
        (RSA_PUBLIC, own().with_public_keys(RSA_PUBLIC).expect("a key")),
        (ED_PUBLIC, own().with_public_keys(ED_PUBLIC).expect("a key")),
        (RSA_PUBLIC, own().with_public_keys(&jwks("ed", "rsa")).expect("keys")),
    ] {
        for secret in [public.to_owned(), format!("{public}\n"), public.replace('\n', "")] {
            let key = EncodingKey::from_secret(secret.as_bytes());
            let token = signed(Algorithm::HS256, Some("rsa"), &key, &claims_with(&json!({})));
            assert_eq!(verifier.verify_at(&token, NOW), Err(TokenError::BadSignature));
        }
    }
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let key = EncodingKey::from_secret(SECRET);
        let token = signed(algorithm, None, &key, &claims_with(&json!({})));
        assert_eq!(own().verify_at(&token, NOW), Err(TokenError::UnknownKey));
    }
}

#[test]
fn foreign_and_altered_tokens_are_refused() {
    let good = with_own_secret(&claims_with(&json!({})));
    assert_eq!(own().verify_at(&good, NOW), Ok(claims()));
    for length in 0..good.len() {
        own().verify_at(&good[..length], NOW).expect_err(&good[..length]);
    }
    for (index, byte) in good.bytes().enumerate() {
        let other = if byte == b'A' { "B" } else { "A" };
        let altered = format!("{}{other}{}", &good[..index], &good[index + 1..]);
        own().verify_at(&altered, NOW).expect_err(&altered);
    }
    let mut critical = Header::new(Algorithm::HS256);
    critical.crit = Some(vec!["b64".into()]);
    let secret = EncodingKey::from_secret(SECRET);
    let critical = jsonwebtoken::encode(&critical, &claims(), &secret).expect("a token");
    let table = [
        format!("{good}."),
        format!("{good} "),
        format!(".{good}"),
        format!("{good}.{good}"),
        "x".repeat(MAX_TOKEN_LENGTH),
        ".".repeat(MAX_TOKEN_LENGTH),
        with_own_secret(&json!([claims()])),
        "..".into(),
        "ä.ö.ü".into(),
        critical,
    ];
    for token in table {
        let refusal = own().verify_at(&token, NOW);
        assert_eq!(refusal, Err(TokenError::Malformed), "{token:.80}");
    }
    for long in [
        "x".repeat(1_000_000),
        with_own_secret(&claims_with(&json!({"cameras": vec!["x".repeat(64); 100]}))),
    ] {
        assert_eq!(own().verify_at(&long, NOW), Err(TokenError::TooLong(MAX_TOKEN_LENGTH)));
    }
    let foreign = EncodingKey::from_secret(b"another secret that is 32 bytes!");
    let token = signed(Algorithm::HS256, None, &foreign, &claims_with(&json!({})));
    assert_eq!(own().verify_at(&token, NOW), Err(TokenError::BadSignature));
}

#[test]
fn every_claim_is_checked() {
    use TokenError::{Expired, InvalidClaim, MissingClaim, NotYetValid, WrongAudience};
    let day = MAX_LIFETIME;
    let table = [
        (json!({}), Ok(())),
        (json!({"extra": {"a": [1]}}), Ok(())),
        (json!({"jti": null}), Err(MissingClaim("jti"))),
        (json!({"sub": null}), Err(MissingClaim("sub"))),
        (json!({"cameras": null}), Err(MissingClaim("cameras"))),
        (json!({"iat": null}), Err(MissingClaim("iat"))),
        (json!({"exp": null}), Err(MissingClaim("exp"))),
        (json!({"aud": null}), Err(MissingClaim("aud"))),
        (json!({"jti": ""}), Err(InvalidClaim("jti"))),
        (json!({"jti": 1}), Err(InvalidClaim("jti"))),
        (json!({"jti": "a b"}), Err(InvalidClaim("jti"))),
        (json!({"jti": "x".repeat(65)}), Err(InvalidClaim("jti"))),
        (json!({"sub": ""}), Err(InvalidClaim("sub"))),
        (json!({"sub": "a\nb"}), Err(InvalidClaim("sub"))),
        (json!({"sub": "a\u{85}"}), Err(InvalidClaim("sub"))),
        (json!({"sub": "x".repeat(201)}), Err(InvalidClaim("sub"))),
        (json!({"cameras": "*"}), Err(InvalidClaim("cameras"))),
        (json!({"cameras": ["*", "door"]}), Err(InvalidClaim("cameras"))),
        (json!({"cameras": ["../door"]}), Err(InvalidClaim("cameras"))),
        (json!({"cameras": [""]}), Err(InvalidClaim("cameras"))),
        (json!({"cameras": [7, "door"]}), Ok(())),
        (json!({"cameras": [7.5]}), Err(InvalidClaim("cameras"))),
        (json!({"cameras": 7}), Err(InvalidClaim("cameras"))),
        (json!({"sub": 42}), Ok(())),
        (json!({"sub": true}), Err(InvalidClaim("sub"))),
        (json!({"sub": -1}), Err(InvalidClaim("sub"))),
        (json!({"cameras": vec!["x"; 101]}), Err(InvalidClaim("cameras"))),
        (json!({"cameras": vec!["x".repeat(65)]}), Err(InvalidClaim("cameras"))),
        (json!({"aud": "other"}), Err(WrongAudience)),
        (json!({"aud": ["other"]}), Err(WrongAudience)),
        (json!({"aud": []}), Err(WrongAudience)),
        (json!({"aud": ["other", AUDIENCE]}), Ok(())),
        (json!({"aud": 1}), Err(InvalidClaim("aud"))),
        (json!({"exp": NOW}), Err(InvalidClaim("exp"))),
        (json!({"exp": "soon"}), Err(InvalidClaim("exp"))),
        (json!({"exp": -1}), Err(InvalidClaim("exp"))),
        (json!({"exp": 1_800_000_100.5}), Ok(())),
        (json!({"exp": 1e300}), Err(InvalidClaim("exp"))),
        (json!({"exp": -0.5}), Err(InvalidClaim("exp"))),
        (json!({"exp": u64::MAX}), Err(InvalidClaim("exp"))),
        (json!({"exp": NOW + day}), Ok(())),
        (json!({"exp": NOW + day + 1}), Err(InvalidClaim("exp"))),
        (json!({"iat": NOW - 60, "exp": NOW - 29}), Ok(())),
        (json!({"iat": NOW - 60, "exp": NOW - 30}), Err(Expired)),
        (json!({"iat": 1, "exp": 2}), Err(Expired)),
        (json!({"iat": NOW + 30}), Ok(())),
        (json!({"iat": NOW + 31}), Err(NotYetValid)),
        (json!({"iat": 1_799_999_999.5, "exp": 1_800_000_060.0}), Ok(())),
        (json!({"iat": u64::MAX - 1, "exp": u64::MAX}), Err(NotYetValid)),
        (json!({"iat": "now"}), Err(InvalidClaim("iat"))),
        (json!({"nbf": NOW + 30}), Ok(())),
        (json!({"nbf": NOW + 31}), Err(NotYetValid)),
        (json!({"nbf": NOW + 3600}), Err(InvalidClaim("nbf"))),
        (json!({"nbf": "now"}), Err(InvalidClaim("nbf"))),
    ];
    for (changes, expected) in table {
        let claims_json = claims_with(&changes);
        let result = own().verify_at(&with_own_secret(&claims_json), NOW);
        assert_eq!(result.clone().map(|_| ()), expected, "{changes}");
        assert!(result.is_err() || result.is_ok_and(|claims| claims.aud == AUDIENCE));
    }
}

#[test]
fn invalid_keys_are_refused() {
    assert!(Signer::new(&SECRET[1..]).is_err() && Verifier::new(&SECRET[1..], 0).is_err());
    let two = format!("{ED_PUBLIC}\n{RSA_PUBLIC}");
    let table = [
        ("", PublicKeyError::Form),
        ("key", PublicKeyError::Form),
        (ED_PRIVATE, PublicKeyError::Form),
        (RSA_PRIVATE, PublicKeyError::Form),
        (&two, PublicKeyError::Form),
        (&ED_PUBLIC[..60], PublicKeyError::PemType),
        (RSA_1024_PUBLIC, PublicKeyError::PemType),
        (EC_PUBLIC, PublicKeyError::PemType),
        ("{", PublicKeyError::Jwks),
        ("{}", PublicKeyError::Jwks),
        (r#"{"keys": {}}"#, PublicKeyError::Jwks),
        (r#"{"keys": []}"#, PublicKeyError::JwksType),
        (r#"{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}"#, PublicKeyError::JwksType),
        (r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}]}"#, PublicKeyError::JwksType),
    ];
    for (text, reason) in table {
        let error = own().with_public_keys(text).expect_err(text);
        assert_eq!(error, reason, "{text}");
    }
}

#[test]
fn a_refusal_is_unauthorized_and_debug_shows_no_secret() {
    let error = Error::from(TokenError::MissingClaim("jti"));
    assert_eq!(
        (error.kind, error.detail.as_str()),
        (ErrorKind::Unauthorized, "the token has no claim jti")
    );
    let shown = format!("{:?} {:?}", own(), Signer::new(SECRET));
    assert!(!shown.contains("secret of tests") && !shown.contains("97, 32"), "{shown}");
}

#[test]
fn times_lose_their_fraction_and_numeric_ids_become_strings() {
    let changes = json!({
        "sub": 42, "cameras": [7, "door"], "iat": 1_800_000_000.5, "nbf": 1_800_000_001.0,
        "exp": 1_800_000_100.9,
    });
    let expected = Claims {
        sub: "42".into(),
        cameras: vec!["7".into(), "door".into()],
        nbf: Some(NOW + 1),
        exp: NOW + 100,
        ..claims()
    };
    assert_eq!(own().verify_at(&with_own_secret(&claims_with(&changes)), NOW), Ok(expected));
}

#[test]
fn the_tolerated_clock_difference_is_a_setting() {
    let token = with_own_secret(&claims_with(&json!({"iat": NOW - 60, "exp": NOW - 20})));
    let verify = |skew| Verifier::new(SECRET, skew).expect("a secret").verify_at(&token, NOW);
    assert_eq!((verify(0).is_ok(), verify(20).is_ok(), verify(21).is_ok()), (false, false, true));
}
