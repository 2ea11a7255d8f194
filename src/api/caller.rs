//! Who asks: what a page has to know before it offers anything.

use serde::Serialize;
use utoipa::ToSchema;

use super::reply::{self, Reply};
use crate::access::Caller;
use crate::access::keys::Role;

/// Answer to who asks.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallerOutput<'a> {
    /// The API key's name; null when there are no keys.
    name: Option<&'a str>,
    /// What the caller may do: `admin` for everybody when there are no keys.
    #[schema(value_type = String, pattern = "^(viewer|user|admin)$")]
    role: Role,
}

/// `GET /api/caller`.
pub fn get(caller: &Caller) -> Reply {
    reply::json(&CallerOutput { name: caller.key(), role: caller.role() })
}
