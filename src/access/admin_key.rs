//! The key that the manager creates if `API_KEYS` is not set.

use std::path::{Path, PathBuf};

use crate::store::key_files::sibling_file;
use crate::store::seal::{SealKey, SealKeyError};

/// The reason why the file with the admin key cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminKeyError {
    /// The file does not contain a key.
    #[error("{} contains no key; delete the file and restart the manager, which then creates a key", .0.display())]
    Invalid(PathBuf),
    /// The file cannot be read or written, or is accessible to other users.
    #[error(transparent)]
    File(SealKeyError),
}

impl AdminKeyError {
    /// Returns true if the file with the key cannot be read or written.
    pub(crate) fn is_unusable(&self) -> bool {
        matches!(self, Self::File(error) if error.is_unusable())
    }
}

impl From<SealKeyError> for AdminKeyError {
    fn from(error: SealKeyError) -> Self {
        match error {
            SealKeyError::File(path) => Self::Invalid(path),
            other => Self::File(other),
        }
    }
}

/// An admin key, and the file that contains it. The key is secret, so the type has no `Debug`.
pub(crate) struct AdminKey {
    /// The key as text.
    pub(crate) secret: String,
    /// The path of the file.
    pub(crate) file: PathBuf,
}

impl AdminKey {
    /// Returns the key in the file next to the database; `None` if the file is missing. The name of this file is the
    /// name of the database with `.admin-key` appended.
    pub(crate) fn read(database: &Path) -> Result<Option<Self>, AdminKeyError> {
        let file = Self::file(database);
        let key = SealKey::read(&file)?;
        Ok(key.map(|key| Self { secret: key.to_base64(), file }))
    }

    /// Returns the key in the file. If the file is missing, creates it with a random key.
    pub(crate) fn read_or_create(database: &Path) -> Result<Self, AdminKeyError> {
        let file = Self::file(database);
        Ok(Self { secret: SealKey::read_or_create(&file)?.to_base64(), file })
    }

    /// Returns the path of the file with the key that is next to this database.
    pub(crate) fn file(database: &Path) -> PathBuf {
        sibling_file(database, ".admin-key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_created_once_and_read_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let database = dir.path().join("cameras.db");
        assert!(AdminKey::read(&database).expect("no file").is_none());
        let created = AdminKey::read_or_create(&database).expect("a new key");
        assert_eq!(created.file, dir.path().join("cameras.db.admin-key"));
        let text = std::fs::read_to_string(&created.file).expect("a file");
        assert_eq!(text.trim(), created.secret);
        let again = AdminKey::read_or_create(&database).expect("the key");
        assert_eq!(again.secret, created.secret);
        std::fs::write(&created.file, "garbage").expect("a write");
        let error = AdminKey::read_or_create(&database).err().expect("no key");
        assert!(error.to_string().contains("delete the file"), "{error}");
    }
}
