//! API keys and their roles.
//!
//! Only the SHA-256 of a secret is kept. Neither errors nor `Debug` show a secret or its hash.

use std::{fmt, io};

use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use super::rights::{ADDITIONAL, Right, Rights};
use super::role::Role;
use crate::camera::id::{ID_RULE, is_id};

/// The smallest length of a secret, in characters. An attacker who knows the hash of a shorter secret
/// could find the secret by trying all possible secrets.
const MIN_SECRET_LENGTH: usize = 16;

/// An API key without its secret.
#[derive(Clone)]
pub(crate) struct ApiKey {
    /// The unique name of the key's holder. It has the form of an id, so it is safe to log.
    pub name: String,
    /// The permissions of the key's holder.
    pub role: Role,
    /// The rights of the key's holder: those of the role, and further ones.
    pub rights: Rights,
    hash: [u8; 32],
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, role, rights, hash: _ } = self;
        let mut debug = f.debug_struct("ApiKey");
        debug.field("name", name).field("role", role).field("rights", rights);
        debug.finish_non_exhaustive()
    }
}

/// All API keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct ApiKeys {
    keys: Vec<ApiKey>,
}

/// The reason why the setting `API_KEYS` is invalid. The text of the error is one line for the
/// operator and contains no secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiKeysError {
    /// The file cannot be read. The error does not show the path, because an entry that begins with
    /// `@` by mistake looks like a path, but contains a secret.
    #[error("the file whose path follows the @ cannot be read")]
    File(#[source] io::Error),
    /// The setting is not empty, but contains no entry.
    #[error("it contains no keys; leave API_KEYS unset to use the key that the manager creates")]
    Empty,
    /// An entry is invalid. The error identifies the entry by number, because the secret may be
    /// anywhere in an invalid entry, even in place of the name.
    #[error("entry {number} (line {line}) {problem}")]
    Entry {
        /// The number of the entry, from 1.
        number: usize,
        /// The number of the line, from 1.
        line: usize,
        /// The problem.
        problem: EntryError,
    },
}

/// The reason for an invalid entry of `API_KEYS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EntryError {
    /// The entry has neither of the two forms.
    #[error(
        "is neither name:role:secret nor name:role:sha256:<64 hex digits>; no part can contain a \
         comma, a space or a colon"
    )]
    Parts,
    /// The name is not an id.
    #[error("has a name that is not {ID_RULE}")]
    Name,
    /// The role does not exist.
    #[error("has a role that is not admin, user or viewer")]
    Role,
    /// A right after the role does not exist.
    #[error("has a right after the role that is not {ADDITIONAL}")]
    Right,
    /// The secret is too short, or contains characters other than printable ASCII.
    #[error("needs a secret of at least 16 printable ASCII characters")]
    Secret,
    /// The hash does not consist of 64 hex digits.
    #[error("has a sha256 that is not 64 hex digits")]
    Hash,
    /// The secret is the empty string, probably because a variable was unset when the hash was calculated.
    #[error(
        "has the sha256 of an empty secret; calculate it with: printf %s \"$API_KEY\" | sha256sum, \
         where API_KEY contains the secret"
    )]
    EmptySecret,
    /// Two entries have the same name.
    #[error("has the same name as entry {0}")]
    SameName(usize),
    /// Two entries have the same secret, so requests could be logged under either name.
    #[error("has the same secret as entry {0}")]
    SameSecret(usize),
}

impl ApiKeys {
    /// Parses the setting `API_KEYS`: either entries as for [`ApiKeys::parse`], or `@` and the path
    /// of a file with such entries. Blocks while it reads the file.
    pub(crate) fn load(setting: &str) -> Result<Self, ApiKeysError> {
        let setting = setting.trim();
        let keys = match setting.strip_prefix('@') {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(ApiKeysError::File)?;
                // Editors on Windows put a byte order mark at the beginning.
                Self::parse(text.trim_start_matches('\u{feff}'))?
            }
            None => Self::parse(setting)?,
        };
        // Without keys there would be no authentication. An operator who set API_KEYS did not intend
        // this, even if all lines of the file are comments.
        if keys.is_empty() && !setting.is_empty() {
            return Err(ApiKeysError::Empty);
        }
        Ok(keys)
    }

    /// Parses entries `name:role:secret` or `name:role:sha256:<64 hex digits>`, separated by commas
    /// or white space. Further rights follow the role, each after a `+`. A `#` at the beginning of an entry starts a comment, which ends with the
    /// line. The hash is the SHA-256 of the secret alone: `printf %s SECRET | sha256sum`.
    pub(crate) fn parse(text: &str) -> Result<Self, ApiKeysError> {
        let entries = (1..).zip(text.lines()).flat_map(|(line, text)| {
            let entries = text
                .split(|c: char| c == ',' || c.is_whitespace())
                .filter(|entry| !entry.is_empty());
            entries.take_while(|entry| !entry.starts_with('#')).map(move |entry| (line, entry))
        });
        let mut keys: Vec<ApiKey> = Vec::new();
        for (number, (line, entry)) in (1_usize..).zip(entries) {
            let key = parse_entry(entry).and_then(|key| distinct(key, &keys));
            keys.push(key.map_err(|problem| ApiKeysError::Entry { number, line, problem })?);
        }
        Ok(Self { keys })
    }

    /// Returns the key with this name.
    pub(super) fn named(&self, name: &str) -> Option<&ApiKey> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Returns whether there are no keys.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns the key with this secret. The time that this takes reveals nothing about the keys, because
    /// the hash of the secret is compared with the hashes of all keys, even after a match.
    pub(crate) fn find(&self, secret: &str) -> Option<&ApiKey> {
        let hash = hash(secret);
        let mut found = u64::MAX;
        for (index, key) in (0_u64..).zip(&self.keys) {
            found.conditional_assign(&index, key.hash.ct_eq(&hash));
        }
        self.keys.get(usize::try_from(found).ok()?)
    }
}

fn parse_entry(entry: &str) -> Result<ApiKey, EntryError> {
    let parts: Vec<_> = entry.split(':').collect();
    let (name, role, hash) = match parts[..] {
        [name, role, "sha256", digits] => (name, role, parse_hash(digits).ok_or(EntryError::Hash)?),
        [name, role, secret] if is_secret(secret) => (name, role, hash(secret)),
        [_, _, _] => return Err(EntryError::Secret),
        _ => return Err(EntryError::Parts),
    };
    if !is_id(name) {
        return Err(EntryError::Name);
    }
    if hash == self::hash("") {
        return Err(EntryError::EmptySecret);
    }
    let mut parts = role.split('+');
    let role = parts.next().and_then(Role::parse).ok_or(EntryError::Role)?;
    let further: Option<Rights> = parts.map(Right::parse).collect();
    let rights = Rights::of_role(role).and(further.ok_or(EntryError::Right)?);
    Ok(ApiKey { name: name.to_owned(), role, rights, hash })
}

/// Returns `key`, or an error if one of `others` has the same name or the same secret.
fn distinct(key: ApiKey, others: &[ApiKey]) -> Result<ApiKey, EntryError> {
    if let Some(index) = others.iter().position(|other| other.name == key.name) {
        return Err(EntryError::SameName(index + 1));
    }
    if let Some(index) = others.iter().position(|other| other.hash == key.hash) {
        return Err(EntryError::SameSecret(index + 1));
    }
    Ok(key)
}

fn is_secret(text: &str) -> bool {
    text.len() >= MIN_SECRET_LENGTH && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn parse_hash(digits: &str) -> Option<[u8; 32]> {
    let value = |digit: u8| char::from(digit).to_digit(16);
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    let bytes: Option<Vec<u8>> = pairs
        .iter()
        .map(|&[high, low]| u8::try_from(value(high)? * 16 + value(low)?).ok())
        .collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::chain;

    const SECRET: &str = "correct-horse-battery";
    /// `printf %s correct-horse-battery | sha256sum`
    const HASH: &str = "62249369389075490555a758353aec61500c6218fa597252d52dc4bd0148f12d";

    /// `printf %s "" | sha256sum`
    const EMPTY_HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_key_is_found_only_by_its_secret() {
        let text = format!(
            "# the keys, of which there are three\n\
             ops:admin:#ecret=with/odd+signs!,\tapp_1:user:sha256:{HASH} # app:user:not-this-one-no\r\n\
             \n  # gone:admin:0123456789abcdef, x:admin:0123456789abcdef\n\
             Door-2:viewer:0123456789abcdef,,"
        );
        let keys = ApiKeys::parse(&text).expect("three keys");
        assert!(!keys.is_empty());
        let table = [
            ("#ecret=with/odd+signs!", Some(("ops", Role::Admin))),
            (SECRET, Some(("app_1", Role::User))),
            ("0123456789abcdef", Some(("Door-2", Role::Viewer))),
            ("0123456789abcde", None),
            ("0123456789abcdeF", None),
            ("0123456789abcdef ", None),
            ("not-this-one-no", None),
            ("ops", None),
            (HASH, None),
            ("", None),
        ];
        for (secret, expected) in table {
            let found = keys.find(secret).map(|key| (key.name.as_str(), key.role));
            assert_eq!(found, expected, "{secret}");
        }
    }

    #[test]
    fn rights_follow_the_role() {
        let text = format!(
            "a:viewer:0123456789abcdef b:viewer+recordings:{SECRET}2 c:user+recordings:sha256:{HASH}"
        );
        let keys = ApiKeys::parse(&text).expect("three keys");
        let rights = |secret: &str| keys.find(secret).map(|key| (key.role, key.rights.to_text()));
        assert_eq!(rights("0123456789abcdef"), Some((Role::Viewer, "live".to_owned())));
        let both = "live,recordings".to_owned();
        assert_eq!(rights(&format!("{SECRET}2")), Some((Role::Viewer, both.clone())));
        assert_eq!(rights(SECRET), Some((Role::User, both)));
    }

    #[test]
    fn text_without_entries_has_no_keys() {
        for text in ["", " \n ", ",,", "# a:admin:0123456789abcdef"] {
            let keys = ApiKeys::parse(text).expect(text);
            assert!(keys.is_empty());
            assert!(keys.find("").is_none() && keys.find(SECRET).is_none());
        }
    }

    #[test]
    fn an_invalid_entry_is_identified_by_its_number_and_no_secret_is_shown() {
        let long_name = format!("{}:user:{SECRET}", "n".repeat(65));
        let table = [
            (SECRET.to_owned(), "name:role:secret"),
            (format!("a:{SECRET}"), "name:role:secret"),
            (format!("a:user:{SECRET}:x"), "name:role:secret"),
            (format!("@/etc/keys:user:{SECRET}"), "a name"),
            (format!(":user:{SECRET}"), "a name"),
            (format!("ä:user:{SECRET}"), "a name"),
            (format!("a.b:user:{SECRET}"), "a name"),
            (long_name, "a name"),
            (format!("a:root:{SECRET}"), "a role"),
            (format!("a:Admin:{SECRET}"), "a role"),
            (format!("a::{SECRET}"), "a role"),
            (format!("a:user+:{SECRET}"), "a right"),
            (format!("a:user+admin:{SECRET}"), "a right"),
            (format!("a:user+recordings+x:{SECRET}"), "a right"),
            (format!("a:+recordings:{SECRET}"), "a role"),
            (format!("a:{SECRET}:user"), "a secret"),
            (format!("{SECRET}:user:a"), "a secret"),
            ("a:user:".to_owned(), "a secret"),
            ("a:user:123456789abcdef".to_owned(), "a secret"),
            (format!("a:user:{SECRET}ä"), "a secret"),
            (format!("a:user:{SECRET}\u{7f}"), "a secret"),
            ("a:user:sha256:".to_owned(), "sha256"),
            (format!("a:user:sha256:{}", &HASH[1..]), "sha256"),
            (format!("a:user:sha256:{HASH}0"), "sha256"),
            (format!("a:user:sha256:{HASH}00"), "sha256"),
            (format!("a:user:sha256:+{}", &HASH[1..]), "sha256"),
            (format!("a:admin:sha256:{EMPTY_HASH}"), "an empty secret"),
            (format!("first:user:{SECRET}"), "the same name as entry 1"),
            ("a:user:first-of-them-all".to_owned(), "the same secret as entry 1"),
        ];
        for (entry, reason) in table {
            let text = format!("first:user:first-of-them-all\n{entry},last:user:{SECRET}+");
            let error = ApiKeys::parse(&text).expect_err(&entry).to_string();
            assert!(error.starts_with("entry 2 (line 2)") && error.contains(reason), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
            for secret in [SECRET, &HASH[1..], "123456789abcdef", "first-of"] {
                assert!(!error.contains(secret), "{error}");
            }
        }
    }

    #[test]
    fn debug_shows_neither_secret_nor_hash() {
        let keys = ApiKeys::parse(&format!("a:user:{SECRET}")).expect("a key");
        assert_eq!(
            format!("{keys:?}"),
            r#"ApiKeys { keys: [ApiKey { name: "a", role: User, rights: {"live"}, .. }] }"#
        );
    }

    #[test]
    fn keys_are_read_from_a_file_and_a_file_without_keys_is_refused() {
        let path = std::env::temp_dir().join(format!("api-keys-{}", std::process::id()));
        let setting = format!(" @{} ", path.display());
        let refused = ApiKeys::load(&setting).expect_err("no such file");
        assert!(matches!(refused, ApiKeysError::File(_)), "{refused}");
        std::fs::write(&path, format!("# keys\n\na:user:{SECRET}\n")).expect("a file");
        let keys = ApiKeys::load(&setting);
        std::fs::write(&path, format!("\u{feff}a:user:{SECRET}\r\n")).expect("a file");
        let of_windows = ApiKeys::load(&setting);
        std::fs::write(&path, format!("# a:user:{SECRET}\n")).expect("a file");
        let none = ApiKeys::load(&setting);
        std::fs::remove_file(&path).expect("the file");
        assert!(keys.expect("a key").find(SECRET).is_some());
        assert!(of_windows.expect("a key").find(SECRET).is_some(), "with a byte order mark");
        assert!(none.expect_err("no key").to_string().contains("no keys"));
        let error = ApiKeys::load(&format!("@a:user:{SECRET}")).expect_err("no such file");
        assert!(!chain(&error).contains(SECRET), "{error}");
        assert!(ApiKeys::load(" ").expect("no keys").is_empty());
        assert!(ApiKeys::load(&format!("a:user:{SECRET}")).expect("a key").find(SECRET).is_some());
    }
}
