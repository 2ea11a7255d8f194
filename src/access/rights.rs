//! The rights of roles, API keys and playback sessions. This is the only table of them.
//!
//! | Right | Permits | Roles that have it |
//! |---|---|---|
//! | `live` | watching cameras now | all |
//! | `recordings` | watching and exporting what was recorded | `admin` |
//!
//! An API key can have further rights than its role. So can a playback session, which always has the right `live`, unless
//! it belongs to a share link. A right never includes more cameras.

use std::fmt;

use serde::{Serialize, Serializer};

use super::role::Role;
use crate::base::error::{Error, ErrorKind};

/// A right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// Watching cameras now.
    Live,
    /// Watching and exporting what was recorded.
    Recordings,
}

/// The rights, their names, and the lowest role that has each of them.
const TABLE: [(Right, &str, Role); 2] =
    [(Right::Live, "live", Role::Viewer), (Right::Recordings, "recordings", Role::Admin)];

/// The names of the rights that a key or a session can have in addition.
pub(crate) const ADDITIONAL: &str = "recordings";

impl Right {
    /// Returns the right with this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        TABLE.iter().find(|(_, known, _)| *known == name).map(|(right, ..)| *right)
    }

    fn name(self) -> &'static str {
        TABLE.iter().find(|(right, ..)| *right == self).map_or("", |(_, name, _)| name)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of rights.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rights(u8);

impl Rights {
    /// Returns the rights of a role.
    pub(crate) fn of_role(role: Role) -> Self {
        TABLE.iter().filter(|(.., lowest)| role >= *lowest).map(|(right, ..)| *right).collect()
    }

    /// Returns these rights and one more.
    #[must_use]
    pub(crate) fn with(self, right: Right) -> Self {
        Self(self.0 | right.bit())
    }

    /// Returns these rights except one.
    #[must_use]
    pub(crate) fn without(self, right: Right) -> Self {
        Self(self.0 & !right.bit())
    }

    /// Returns these rights and those of `other`.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether the set is empty.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(crate) fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Returns whether the set contains a right.
    pub(crate) fn has(self, right: Right) -> bool {
        self.0 & right.bit() != 0
    }

    /// Returns whether the set contains all rights of `other`.
    pub(crate) fn includes(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns an error if the set does not contain a right.
    pub(crate) fn ensure(self, right: Right) -> Result<(), Error> {
        if self.has(right) {
            return Ok(());
        }
        let detail = match right {
            Right::Live => {
                "this share link permits recordings of the shared time only, not watching live"
                    .to_owned()
            }
            Right::Recordings => format!(
                "this API key or playback token does not have the right `{right}`; add `+{right}` to the role of the key \
                 in API_KEYS, or `{right}` to the rights of the playback session"
            ),
        };
        Err(Error::new(ErrorKind::Forbidden, detail))
    }

    /// Returns the names of the rights.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        TABLE.iter().filter(move |(right, ..)| self.has(*right)).map(|(_, name, _)| *name)
    }

    /// Reads the text with the names of rights, separated by commas. Unknown names are ignored.
    pub(crate) fn from_text(names: &str) -> Self {
        names.split(',').filter_map(Right::parse).collect()
    }

    /// Returns the names of the rights, separated by commas.
    pub(crate) fn to_text(self) -> String {
        self.names().collect::<Vec<_>>().join(",")
    }
}

impl FromIterator<Right> for Rights {
    fn from_iter<T: IntoIterator<Item = Right>>(rights: T) -> Self {
        rights.into_iter().fold(Self::default(), Self::with)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// A list of names.
impl Serialize for Rights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_right_has_its_own_name_and_bit() {
        let all: Rights = TABLE.iter().map(|(right, ..)| *right).collect();
        assert_eq!(all.names().count(), TABLE.len());
        for (right, name, _) in TABLE {
            assert_eq!((Right::parse(name), right.to_string().as_str()), (Some(right), name));
        }
        assert_eq!(Right::parse("Recordings"), None);
    }

    #[test]
    fn roles_have_the_rights_of_the_table() {
        let names = |role| Rights::of_role(role).to_text();
        assert_eq!(names(Role::Viewer), "live");
        assert_eq!(names(Role::User), "live");
        assert_eq!(names(Role::Admin), "live,recordings");
    }

    #[test]
    fn a_missing_right_is_an_error() {
        let live = Rights::default().with(Right::Live);
        live.ensure(Right::Live).expect("the right");
        let error = live.ensure(Right::Recordings).expect_err("no right");
        assert!(error.kind == ErrorKind::Forbidden && error.detail.contains("`recordings`"));
        live.with(Right::Recordings).ensure(Right::Recordings).expect("the right");
        assert_eq!(
            Rights::from_text("people,recordings"),
            Rights::default().with(Right::Recordings)
        );
        assert!(Rights::from_text("").is_empty());
        let both = live.with(Right::Recordings);
        assert!(both.includes(live) && both.includes(both) && !live.includes(both));
    }
}
