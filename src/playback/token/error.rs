//! Why a token is refused.

use crate::base::error::{Error, ErrorKind};
use crate::camera::id::ID_RULE;

/// Why a token is refused. Its text is a sentence for people and contains nothing of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not a token, or too long.
    #[error("the token is malformed")]
    Malformed,
    /// None of our keys has its algorithm and key id.
    #[error("the token is signed with an unknown key, or with another algorithm than its key's")]
    UnknownKey,
    /// It was signed with another key, or altered.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// It is not valid any more.
    #[error("the token has expired")]
    Expired,
    /// It is not valid yet.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// It is for another service.
    #[error("the token is for another audience than stream-manager")]
    WrongAudience,
    /// It lacks the named claim.
    #[error("the token has no {0}")]
    MissingClaim(&'static str),
    /// The named claim is invalid.
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
