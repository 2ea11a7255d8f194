//! The secret that signs playback tokens when the operator has set none.

use std::path::Path;

use crate::store::key_files::sibling_file;
use crate::store::seal::{SealKey, SealKeyError};

/// Reads the secret from a file next to the database, or creates the file.
pub(crate) fn read_or_create(database: &Path) -> Result<Vec<u8>, SealKeyError> {
    let file = sibling_file(database, ".playback-key");
    if let Some(key) = SealKey::read(&file)? {
        return Ok(key.bytes().to_vec());
    }
    let key = SealKey::generate();
    key.write_new(&file)?;
    Ok(key.bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_created_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let database = dir.path().join("cameras.db");
        let secret = read_or_create(&database).expect("a new secret");
        assert_eq!(read_or_create(&database).expect("the secret"), secret);
        assert!(dir.path().join("cameras.db.playback-key").exists());
    }
}
