//! The short form of a camera's identity, for the names of directories.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::camera::identity::Identity;

/// A number that is derived from a camera's [`Identity`]. A new camera with the id of an earlier one, or the same camera of
/// another owner, has another number, and so does not get the recordings of the earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct IdentityTag(u32);

impl IdentityTag {
    /// Returns the short form of an identity.
    pub(crate) fn of(identity: &Identity) -> Self {
        let mut digest = Sha256::new().chain_update(identity.incarnation.to_be_bytes());
        if let Some(owner) = &identity.owner {
            // The separator distinguishes an owner whose name is empty from no owner.
            digest = digest.chain_update(b"/").chain_update(owner.as_bytes());
        }
        let digest: [u8; 32] = digest.finalize().into();
        let [a, b, c, d, ..] = digest;
        Self(u32::from_be_bytes([a, b, c, d]))
    }

    /// Converts the number to the form in which the database stores it.
    pub(crate) fn to_i64(self) -> i64 {
        self.0.into()
    }

    /// Converts the stored form; `None` if it is out of range.
    pub(crate) fn from_i64(number: i64) -> Option<Self> {
        u32::try_from(number).ok().map(Self)
    }

    /// Parses the eight hexadecimal digits of a directory's name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        let is_usual = text.len() == 8 && text.bytes().all(is_digit);
        is_usual.then(|| u32::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl fmt::Display for IdentityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_and_owners_differ() {
        let tag = |incarnation, owner: Option<&str>| {
            IdentityTag::of(&Identity { incarnation, owner: owner.map(Into::into) })
        };
        let tags = [tag(1, None), tag(2, None), tag(1, Some("")), tag(1, Some("a"))];
        for (index, one) in tags.iter().enumerate() {
            assert!(tags.iter().skip(index + 1).all(|other| other != one), "{index}");
        }
        assert_eq!(tag(1, Some("a")), tag(1, Some("a")));
    }

    #[test]
    fn the_number_is_the_same_after_each_conversion() {
        for number in [0, 7, u32::MAX] {
            let one = IdentityTag(number);
            assert_eq!(IdentityTag::parse(&one.to_string()), Some(one));
            assert_eq!(IdentityTag::from_i64(one.to_i64()), Some(one));
        }
        assert_eq!(IdentityTag(0xab).to_string(), "000000ab");
        for bad in ["", "ab", "000000AB", "+00000ab", "0000000ab", "0000000g"] {
            assert_eq!(IdentityTag::parse(bad), None, "{bad}");
        }
        assert_eq!(IdentityTag::from_i64(-1), None);
        assert_eq!(IdentityTag::from_i64(1 << 32), None);
    }
}
