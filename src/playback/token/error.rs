//! The reasons for which a token is refused.

use crate::base::error::{Error, ErrorKind};
use crate::camera::id::ID_RULE;

/// The reason why a token is refused. The texts are for people and contain no part of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The token is not a valid JWT.
    #[error("the token is malformed")]
    Malformed,
    /// The token is longer than this number of characters.
    #[error("the token is longer than {0} characters; name fewer cameras")]
    TooLong(usize),
    /// No known key has the algorithm and the key id of the token.
    #[error("no known key has the algorithm and the key id of the token")]
    UnknownKey,
    /// The token was signed with another key, or was altered.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// The token is no longer valid.
    #[error("the token has expired")]
    Expired,
    /// The token is not valid yet.
    #[error("the token is not valid yet; check the clocks of its issuer and of the manager")]
    NotYetValid,
    /// The token is for another service.
    #[error("the token's audience (aud) is not stream-manager")]
    WrongAudience,
    /// The token lacks the named claim.
    #[error("the token has no claim {0}")]
    MissingClaim(&'static str),
    /// The named claim is invalid.
    #[error("the token's {0} must be {rule}", rule = rule(.0))]
    InvalidClaim(&'static str),
}

fn rule(claim: &str) -> &'static str {
    match claim {
        "jti" => ID_RULE,
        "sub" => "1 to 200 characters without control characters, or a whole number",
        "cameras" => r#"a list of at most 100 camera ids, or ["*"]"#,
        "exp" => "a Unix time in seconds, at most 24 hours after iat, or 90 days for a share link",
        "nbf" => "a Unix time in seconds, before exp",
        "iat" => "a Unix time in seconds",
        "rights" => "a list of names, such as recordings",
        "from" => "a Unix time in seconds, before the claim to, which is required as well",
        "to" => "a Unix time in seconds, after the claim from, which is required as well",
        _ => "a string or a list of strings",
    }
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        Self::new(ErrorKind::Unauthorized, error.to_string())
    }
}
