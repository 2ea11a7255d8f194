//! API keys: who may call the API, and as what.
//!
//! A secret is kept as its SHA-256 only. Neither an error nor `Debug` shows a secret or its hash.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::camera::id::is_id;

/// The shortest secret, in characters. Shorter ones can be guessed from their hash.
const MIN_SECRET_LENGTH: usize = 16;

/// What the holder of a key may do. Ordered by power: `Viewer < User < Admin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May watch.
    Viewer,
    /// May do what users do.
    User,
    /// May do everything.
    Admin,
}

impl Role {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "viewer" => Some(Self::Viewer),
            "user" => Some(Self::User),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }
}

/// One API key, without its secret.
#[derive(Clone)]
pub struct ApiKey {
    /// Whose key it is, `[A-Za-z0-9_-]{1,64}`: safe in a log line. No two keys share a name.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    hash: [u8; 32],
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, role, hash: _ } = self;
        f.debug_struct("ApiKey").field("name", name).field("role", role).finish_non_exhaustive()
    }
}

/// All API keys.
#[derive(Debug, Clone, Default)]
pub struct ApiKeys {
    keys: Vec<ApiKey>,
}

impl ApiKeys {
    /// Reads the setting `API_KEYS`: entries as for [`ApiKeys::parse`], or `@/path/to/file` with
    /// such entries in the file. Blocks while it reads the file. The error is one line for the
    /// operator and holds no secret.
    pub fn load(setting: &str) -> Result<Self, String> {
        let setting = setting.trim();
        let keys = match setting.strip_prefix('@') {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    // Without the path: entries with a stray @ before them are taken for one.
                    .map_err(|error| format!("the file after @ cannot be read: {error}"))?;
                Self::parse(&text)?
            }
            None => Self::parse(setting)?,
        };
        // No keys may well mean that the API asks for none. Whoever set something, be it a file
        // with all its lines commented out, does not mean that.
        if keys.is_empty() && !setting.is_empty() {
            return Err("no key stands in it; leave it empty if none is wanted".into());
        }
        Ok(keys)
    }

    /// Reads entries `name:role:secret` or `name:role:sha256:<64 hex digits>`, separated by
    /// commas or white space. What follows a `#` that begins an entry is a comment up to the end
    /// of its line. The hash is that of the secret alone: `printf %s SECRET | sha256sum`.
    ///
    /// The error is one line for the operator. It tells an entry by its number, for in an entry
    /// that is written wrongly the secret may stand anywhere, also where the name belongs.
    pub fn parse(text: &str) -> Result<Self, String> {
        let entries = (1..).zip(text.lines()).flat_map(|(line, text)| {
            let entries = text
                .split(|c: char| c == ',' || c.is_whitespace())
                .filter(|entry| !entry.is_empty());
            entries.take_while(|entry| !entry.starts_with('#')).map(move |entry| (line, entry))
        });
        let mut keys: Vec<ApiKey> = Vec::new();
        for (number, (line, entry)) in (1_usize..).zip(entries) {
            let refuse = |reason: &str| Err(format!("entry {number} (line {line}) {reason}"));
            let key = match parse_entry(entry) {
                Ok(key) => key,
                Err(reason) => return refuse(reason),
            };
            if let Some(twin) = keys.iter().position(|other| other.name == key.name) {
                return refuse(&format!("has the name of entry {}", twin + 1));
            }
            // Which of the two names would a request be logged under?
            if let Some(twin) = keys.iter().position(|other| other.hash == key.hash) {
                return refuse(&format!("has the secret of entry {}", twin + 1));
            }
            keys.push(key);
        }
        Ok(Self { keys })
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key whose secret is `secret`. The time this takes tells nothing about the keys: hashes
    /// are compared instead of secrets, and all of them, whichever fits.
    pub fn find(&self, secret: &str) -> Option<&ApiKey> {
        let hash = hash(secret);
        let mut found = u64::MAX;
        for (index, key) in (0_u64..).zip(&self.keys) {
            found.conditional_assign(&index, key.hash.ct_eq(&hash));
        }
        self.keys.get(usize::try_from(found).ok()?)
    }
}

fn parse_entry(entry: &str) -> Result<ApiKey, &'static str> {
    let parts: Vec<_> = entry.split(':').collect();
    let (name, role, hash) = match parts[..] {
        [name, role, "sha256", digits] => {
            (name, role, parse_hash(digits).ok_or("has a sha256 that is not 64 hex digits")?)
        }
        [name, role, secret] if is_secret(secret) => (name, role, hash(secret)),
        [_, _, _] => {
            return Err("has a secret that is not at least 16 characters of printable ASCII");
        }
        _ => {
            return Err("is not name:role:secret or name:role:sha256:<64 hex digits>; \
                        no part has a comma, a space or a colon in it");
        }
    };
    if !is_id(name) {
        return Err("has a name that is not 1 to 64 characters out of A-Z, a-z, 0-9, _ and -");
    }
    let role = Role::parse(role).ok_or("has a role that is not admin, user or viewer")?;
    Ok(ApiKey { name: name.to_owned(), role, hash })
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

    const SECRET: &str = "correct-horse-battery";
    /// `printf %s correct-horse-battery | sha256sum`
    const HASH: &str = "62249369389075490555a758353aec61500c6218fa597252d52dc4bd0148f12d";

    #[test]
    fn keys_are_found_by_their_secret_only() {
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
    fn no_keys() {
        for text in ["", " \n ", ",,", "# a:admin:0123456789abcdef"] {
            let keys = ApiKeys::parse(text).expect(text);
            assert!(keys.is_empty());
            assert!(keys.find("").is_none() && keys.find(SECRET).is_none());
        }
    }

    #[test]
    fn an_unusable_entry_is_told_by_its_number_and_no_secret_is_shown() {
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
            (format!("first:user:{SECRET}"), "the name of entry 1"),
            ("a:user:first-of-them-all".to_owned(), "the secret of entry 1"),
        ];
        for (entry, reason) in table {
            let text = format!("first:user:first-of-them-all\n{entry},last:user:{SECRET}+");
            let error = ApiKeys::parse(&text).expect_err(&entry);
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
            r#"ApiKeys { keys: [ApiKey { name: "a", role: User, .. }] }"#
        );
    }

    #[test]
    fn roles_are_ordered_by_power_and_written_in_lower_case() {
        assert!(Role::Viewer < Role::User && Role::User < Role::Admin);
        for role in [Role::Viewer, Role::User, Role::Admin] {
            let text = serde_json::to_string(&role).expect("a text");
            assert_eq!(Role::parse(text.trim_matches('"')), Some(role));
        }
    }

    #[test]
    fn a_file_is_read_and_one_without_keys_is_refused() {
        let path = std::env::temp_dir().join(format!("api-keys-{}", std::process::id()));
        let setting = format!(" @{} ", path.display());
        assert!(ApiKeys::load(&setting).expect_err("no such file").contains("cannot be read"));
        std::fs::write(&path, format!("# keys\n\na:user:{SECRET}\n")).expect("a file");
        let keys = ApiKeys::load(&setting);
        std::fs::write(&path, format!("# a:user:{SECRET}\n")).expect("a file");
        let none = ApiKeys::load(&setting);
        std::fs::remove_file(&path).expect("the file");
        assert!(keys.expect("a key").find(SECRET).is_some());
        assert!(none.expect_err("no key").contains("no key"));
        let error = ApiKeys::load(&format!("@a:user:{SECRET}")).expect_err("no such file");
        assert!(!error.contains(SECRET), "{error}");
        assert!(ApiKeys::load(" ").expect("no keys wanted").is_empty());
        assert!(ApiKeys::load(&format!("a:user:{SECRET}")).expect("a key").find(SECRET).is_some());
    }
}
