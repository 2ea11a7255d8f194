//! The roles of API keys.

use serde::{Deserialize, Serialize};

/// The permissions of an API key. Ordered by power: `Viewer < User < Admin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Can see and watch all cameras.
    Viewer,
    /// Can watch and manage the cameras whose owner is the name of the key.
    User,
    /// Has all permissions.
    Admin,
}

impl Role {
    /// Returns the role with this name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Viewer, Self::User, Self::Admin].into_iter().find(|role| role.name() == text)
    }

    /// Returns the name of the role.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::User => "user",
            Self::Admin => "admin",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_ordered_by_power_and_written_in_lower_case() {
        assert!(Role::Viewer < Role::User && Role::User < Role::Admin);
        for role in [Role::Viewer, Role::User, Role::Admin] {
            let text = serde_json::to_string(&role).expect("a string");
            assert_eq!(Role::parse(text.trim_matches('"')), Some(role));
        }
    }
}
