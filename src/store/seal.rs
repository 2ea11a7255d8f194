//! Seals secrets with XChaCha20-Poly1305, so that neither the database nor a copy of it reveals them.
//! Each secret is bound to a context, such as the camera's id, so that a sealed source cannot be moved
//! to another camera.

use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chacha20poly1305::aead::{Aead, Generate, Key, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::base::own_file::{self, ForeignFile, OpenFileError};

/// The length of a key, in bytes.
const KEY_LENGTH: usize = 32;
/// The length of a nonce, in bytes.
const NONCE_LENGTH: usize = 24;
/// The version of the format: the first byte of every sealed secret.
const VERSION: u8 = 1;
/// The greatest length of a file with a key, in bytes.
const MAX_FILE_LENGTH: u64 = 1024;
/// The mode of a file with a key.
const MODE: u32 = 0o600;

/// The reason why a key cannot be used. The text contains no part of the key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealKeyError {
    /// The setting is not a key.
    #[error("{0} is invalid: it must be 32 bytes as base64 (openssl rand -base64 32) or hex")]
    Setting(&'static str),
    /// The file does not contain a key.
    #[error("{} contains no key; restore the key that belongs to the database", .0.display())]
    File(PathBuf),
    /// Other users can access the file.
    #[error("{} is accessible to other users; run: chmod 600 {}", .0.display(), .0.display())]
    Exposed(PathBuf),
    /// The manager cannot have created the file.
    #[error(transparent)]
    Foreign(ForeignFile),
    /// The file cannot be read or written.
    #[error("cannot read or write the key file {}", path.display())]
    Io {
        /// The key file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl SealKeyError {
    /// Returns true if the file with the key cannot be read or written.
    pub(crate) fn is_unusable(&self) -> bool {
        matches!(self, Self::Io { .. })
    }
}

/// Seals and opens secrets with one key. The type does not implement `Debug`, so that the key is never
/// shown.
#[derive(Clone)]
pub(crate) struct Sealer {
    cipher: XChaCha20Poly1305,
    /// Makes the digests, with a key that is derived from the key of `cipher`.
    digests: Hmac<Sha256>,
}

/// A key, which a setting or a file contains.
#[derive(Clone)]
pub(crate) struct SealKey([u8; KEY_LENGTH]);

impl SealKey {
    /// Generates a key.
    pub(crate) fn generate() -> Self {
        Self(Key::<XChaCha20Poly1305>::generate().into())
    }

    /// Parses a key from the value of a setting.
    pub(crate) fn parse(setting: &'static str, text: &str) -> Result<Self, SealKeyError> {
        decode(text).map(Self).ok_or(SealKeyError::Setting(setting))
    }

    /// Reads a key from a file that the manager has created; `None` if the file does not exist. Fails if
    /// other users can access the file, or may have created it.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, SealKeyError> {
        let failed = |source| SealKeyError::Io { path: path.to_owned(), source };
        let file = match own_file::open(path) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(None),
            Err(OpenFileError::Foreign(error)) => return Err(SealKeyError::Foreign(error)),
            Err(OpenFileError::Io(error)) => return Err(failed(error)),
        };
        if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
            return Err(SealKeyError::Exposed(path.to_owned()));
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE_LENGTH).read_to_end(&mut bytes).map_err(failed)?;
        let text = String::from_utf8_lossy(&bytes);
        decode(&text).map(Self).map(Some).ok_or_else(|| SealKeyError::File(path.to_owned()))
    }

    /// Reads a key from a file. If the file does not exist, creates it with a random key.
    pub(crate) fn read_or_create(path: &Path) -> Result<Self, SealKeyError> {
        if let Some(key) = Self::read(path)? {
            return Ok(key);
        }
        Self::generate().write_new(path)?;
        // Some file systems give every file a fixed owner and mode, and the manager refuses the key file if
        // these are wrong. Reading the new file at once shows this at the first start, and not only at the
        // second one.
        Self::read(path)?.ok_or_else(|| SealKeyError::File(path.to_owned()))
    }

    /// Writes the key into a new file that only its owner can read. Fails if the file exists.
    pub(crate) fn write_new(&self, path: &Path) -> Result<(), SealKeyError> {
        own_file::create(path, MODE, &format!("{}\n", self.to_base64()))
            .map_err(|source| SealKeyError::Io { path: path.to_owned(), source })
    }

    /// Returns the key as text, in the form that [`SealKey::write_new`] writes.
    pub(crate) fn to_base64(&self) -> String {
        BASE64.encode(self.0)
    }

    /// Returns the bytes of the key.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Creates a sealer with this key.
    pub(crate) fn sealer(&self) -> Sealer {
        Sealer { cipher: XChaCha20Poly1305::new(&self.0.into()), digests: digests(&self.0) }
    }
}

/// Returns the HMAC with which the sealer of `key` makes digests. The HMAC's key is derived from `key`, so that sealing
/// and digests use different keys.
fn digests(key: &[u8; KEY_LENGTH]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC accepts keys of any length")]
    let hmac = |key: &[u8]| Hmac::<Sha256>::new_from_slice(key).expect("a key");
    hmac(&hmac(key).chain_update(b"digests").finalize().into_bytes())
}

/// Decodes a key from hex or base64.
fn decode(text: &str) -> Option<[u8; KEY_LENGTH]> {
    let text = text.trim();
    if text.len() == 2 * KEY_LENGTH {
        let mut key = [0; KEY_LENGTH];
        for (byte, pair) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        return Some(key);
    }
    BASE64.decode(text).ok()?.try_into().ok()
}

impl Sealer {
    /// Returns the sealed form of `plain`. Only [`Sealer::open`] with the same key and `context` can
    /// open it.
    pub(crate) fn seal(&self, context: &str, plain: &[u8]) -> Vec<u8> {
        let nonce = XNonce::generate();
        let payload = Payload { msg: plain, aad: context.as_bytes() };
        #[expect(clippy::expect_used, reason = "fails only for 256 GiB and more")]
        let sealed = self.cipher.encrypt(&nonce, payload).expect("a short secret");
        [&[VERSION], nonce.as_slice(), &sealed].concat()
    }

    /// Returns a digest of `plain`, which only this key can make.
    pub(crate) fn digest(&self, context: &str, plain: &[u8]) -> [u8; 32] {
        let mut digest = self.digests.clone();
        digest.update(context.as_bytes());
        digest.update(&[0]);
        digest.update(plain);
        digest.finalize().into_bytes().into()
    }

    /// Opens a sealed secret. Returns `None` if the secret was sealed with another key or context, or was
    /// altered.
    pub(crate) fn open(&self, context: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (&VERSION, rest) = sealed.split_first()? else { return None };
        let (nonce, msg) = rest.split_at_checked(NONCE_LENGTH)?;
        let nonce = XNonce::try_from(nonce).ok()?;
        self.cipher.decrypt(&nonce, Payload { msg, aad: context.as_bytes() }).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intact_secret_opens_with_the_same_key_and_context_only() {
        let sealer = SealKey::generate().sealer();
        let text = sealer.seal("front", b"rtsp://u:secret@cam/");
        assert!(!text.windows(6).any(|bytes| bytes == b"secret"));
        assert_ne!(text, sealer.seal("front", b"rtsp://u:secret@cam/"));
        assert_eq!(
            sealer.open("front", &text).as_deref(),
            Some(b"rtsp://u:secret@cam/".as_slice())
        );
        assert_eq!(sealer.open("back", &text), None);
        assert_eq!(SealKey::generate().sealer().open("front", &text), None);
        for at in 0..text.len() {
            let mut damaged = text.clone();
            damaged[at] ^= 1;
            assert_eq!(sealer.open("front", &damaged), None, "byte {at}");
            assert_eq!(sealer.open("front", &text[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn keys_are_parsed_from_hex_and_base64() {
        let hex = "00".repeat(31) + "ff";
        let base64 = BASE64.encode([[0; 31].as_slice(), &[255]].concat());
        let key = |text: &str| SealKey::parse("SOURCE_KEY", text).ok().map(|key| key.0);
        assert_eq!(key(&hex), key(&base64));
        assert!(key(&hex).is_some());
        for bad in ["", "secret", &hex[1..], &"zz".repeat(32), &"0".repeat(63), "ä"] {
            assert!(key(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_key_file_that_is_damaged_or_readable_by_others_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("key");
        assert!(SealKey::read(&path).expect("no file").is_none());
        let key = SealKey::generate();
        key.write_new(&path).expect("a file");
        key.write_new(&path).expect_err("the file exists");
        assert_eq!(SealKey::read(&path).expect("a key").expect("a file").0, key.0);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("chmod");
        assert!(matches!(SealKey::read(&path), Err(SealKeyError::Exposed(_))));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        std::fs::write(&path, "garbage").expect("a write");
        assert!(matches!(SealKey::read(&path), Err(SealKeyError::File(_))));
    }
}
