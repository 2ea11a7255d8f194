//! The file with the key, next to the database, and the check that a key belongs to the database.

use std::path::{Path, PathBuf};

use super::db::Database;
use super::error::StoreError;
use super::seal::{SealKey, SealKeyError, Sealer};

/// The context and the text of the proof, which is sealed with the database's key. A key that can open
/// the proof belongs to the database.
const PROOF: (&str, &[u8]) = ("proof", b"stream-manager");

/// Returns the path of the file with the database's key.
pub(super) fn key_file(database: &Path) -> PathBuf {
    sibling_file(database, ".key")
}

/// Returns the path of the file with the new key during a rotation.
pub(super) fn next_key_file(database: &Path) -> PathBuf {
    sibling_file(database, ".key.next")
}

/// Returns the path of a file next to the database: the path of the database with `ending` added.
pub(crate) fn sibling_file(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Returns the proof, sealed with the key of `sealer`.
pub(super) fn proof_of(sealer: &Sealer) -> Vec<u8> {
    sealer.seal(PROOF.0, PROOF.1)
}

/// Returns the sealer of a database, with `source_key`, or with the key in the database's key file if
/// there is no `source_key`. In the second case, finishes an interrupted rotation of the key file, and
/// creates a missing key file for a new database. Fails if the key is missing, invalid, or belongs to
/// another database.
pub(super) async fn open_sealer(
    database: &Database,
    source_key: Option<&str>,
) -> Result<Sealer, StoreError> {
    let path = database.path();
    let proof = database.proof().await?;
    let belongs =
        |sealer: &Sealer| proof.as_ref().is_none_or(|proof| sealer.open(PROOF.0, proof).is_some());
    let (sealer, origin) = if let Some(text) = source_key {
        (SealKey::parse("SOURCE_KEY", text)?.sealer(), "SOURCE_KEY".to_owned())
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

/// Reads the key from `file`. For a new database, creates the file if it is missing.
fn read_or_create(database: &Path, file: &Path, is_new: bool) -> Result<SealKey, StoreError> {
    if is_new {
        return Ok(SealKey::read_or_create(file)?);
    }
    let missing = || StoreError::NoKey { database: database.to_owned(), key: file.to_owned() };
    SealKey::read(file)?.ok_or_else(missing)
}

/// Finishes an interrupted rotation, which has left a file with the new key. If the database is already
/// sealed with the new key, this file becomes the key file. Otherwise the file is removed.
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
