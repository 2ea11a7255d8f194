//! The file of the key beside the database, and the check that a key belongs to the database.

use std::path::{Path, PathBuf};

use super::db::Database;
use super::error::StoreError;
use super::seal::{SealKey, SealKeyError, Sealer};

/// The context and text that are sealed to recognize the key of a database.
const PROOF: (&str, &[u8]) = ("proof", b"stream-manager");

/// The file of the database's key.
pub(super) fn key_file(database: &Path) -> PathBuf {
    beside(database, ".key")
}

/// The file of the key that a rotation introduces.
pub(super) fn next_key_file(database: &Path) -> PathBuf {
    beside(database, ".key.next")
}

/// A file beside the database, with `ending` after its name.
pub(crate) fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Seals what proves that a key belongs to a database.
pub(super) fn proof_of(sealer: &Sealer) -> Vec<u8> {
    sealer.seal(PROOF.0, PROOF.1)
}

/// Opens the key of a database: `source_key`, or the key in the file beside it. For a new database, the
/// file is created.
pub(super) async fn open_sealer(
    database: &Database,
    source_key: Option<&str>,
) -> Result<Sealer, StoreError> {
    let path = database.path();
    let proof = database.proof().await?;
    let belongs =
        |sealer: &Sealer| proof.as_ref().is_none_or(|proof| sealer.open(PROOF.0, proof).is_some());
    let (sealer, origin) = if let Some(text) = source_key {
        (SealKey::parse(text)?.sealer(), "SOURCE_KEY".to_owned())
    } else {
        finish_rotation(path, &belongs)?;
        let file = key_file(path);
        (read_or_create(path, &file, proof.is_none())?.sealer(), file.display().to_string())
    };
    if !belongs(&sealer) {
        return Err(StoreError::OtherKey { database: path.to_owned(), key: origin });
    }
    if proof.is_none() {
        let mut write = database.write().await?;
        write.set_proof(&proof_of(&sealer)).await?;
        write.commit().await?;
    }
    Ok(sealer)
}

fn read_or_create(database: &Path, file: &Path, is_new: bool) -> Result<SealKey, StoreError> {
    match SealKey::read(file)? {
        Some(key) => Ok(key),
        None if is_new => {
            let key = SealKey::generate();
            key.write_new(file)?;
            Ok(key)
        }
        None => Err(StoreError::NoKey { database: database.to_owned(), key: file.to_owned() }),
    }
}

/// Finishes a rotation that was interrupted. It has left its new key in a file, which belongs to the
/// database if that had been sealed again already.
fn finish_rotation(database: &Path, belongs: &dyn Fn(&Sealer) -> bool) -> Result<(), SealKeyError> {
    let next = next_key_file(database);
    let done = match SealKey::read(&next) {
        Ok(None) => return Ok(()),
        Ok(Some(key)) if belongs(&key.sealer()) => std::fs::rename(&next, key_file(database)),
        // The database is still sealed with the old key.
        Ok(Some(_)) | Err(SealKeyError::File(_)) => std::fs::remove_file(&next),
        Err(error) => return Err(error),
    };
    done.map_err(|source| SealKeyError::Io { path: next, source })
}
