//! The lock that excludes other managers from a database.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::error::StoreError;
use super::key_files::beside;

/// Locks the database for this process, as long as the file is open. Another manager would seal with
/// another key, and would not notice changes that are made here.
pub(super) fn lock_database(database: &Path) -> Result<File, StoreError> {
    let path = beside(database, ".lock");
    let file = match File::create(&path) {
        Ok(file) => file,
        Err(source) => return Err(StoreError::Unwritable { path, source }),
    };
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(database.to_owned())),
        Err(TryLockError::Error(source)) => Err(StoreError::Unwritable { path, source }),
    }
}
