//! The secret that signs playback tokens if `PLAYBACK_SECRET` is not set.

use std::path::Path;

use crate::store::key_files::sibling_file;
use crate::store::seal::{SealKey, SealKeyError};

/// Returns the secret in the file `{database}.playback-key`, where `{database}` is the path of the database. If the
/// file is missing, creates the file with a random secret.
pub(crate) fn read_or_create(database: &Path) -> Result<Vec<u8>, SealKeyError> {
    let file = sibling_file(database, ".playback-key");
    Ok(SealKey::read_or_create(&file)?.bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_created_once_and_read_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let database = dir.path().join("cameras.db");
        let secret = read_or_create(&database).expect("a new secret");
        assert_eq!(read_or_create(&database).expect("the secret"), secret);
        assert!(dir.path().join("cameras.db.playback-key").exists());
    }
}
