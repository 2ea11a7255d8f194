//! The lock that prevents other managers from using a database.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::error::StoreError;
use super::key_files::sibling_file;
use crate::base::own_file;

/// Locks the database for this process, for as long as the returned file is open. Without the lock,
/// another manager could seal cameras with another key, and would not notice changes that this process
/// makes. Fails if the database is already locked.
pub(super) fn lock_database(database: &Path) -> Result<File, StoreError> {
    let path = sibling_file(database, ".lock");
    let file = match own_file::open_lock(&path) {
        Ok(file) => file,
        Err(source) => return Err(StoreError::Unwritable { path, source }),
    };
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(database.to_owned())),
        Err(TryLockError::Error(source)) => Err(StoreError::Unwritable { path, source }),
    }
}
