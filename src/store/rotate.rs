//! Seals all secrets in the database with another key: the sources of the cameras, and the secrets of push notifications.

use super::cameras::Cameras;
use super::db::push_table::PushSecret;
use super::error::StoreError;
use super::key_files::{key_file, next_key_file, proof_of};
use super::rows::Rows;
use super::seal::{SealKey, SealKeyError};

/// Seals all secrets with `new_key`, and returns the number of cameras. If neither `source_key` nor
/// `new_key` is given, generates a key, which replaces the old one in the key file. A caller that gives a
/// `source_key` must also give a `new_key`, because a generated key would be lost. Fails if a manager uses
/// the database.
pub(crate) async fn rotate_key(
    url: &str,
    source_key: Option<&str>,
    new_key: Option<&str>,
) -> Result<usize, StoreError> {
    let cameras = Cameras::open(url, source_key).await?;
    let database = cameras.database();
    let new = new_key
        .map_or_else(|| Ok(SealKey::generate()), |key| SealKey::parse("NEW_SOURCE_KEY", key))?;
    let is_in_file = source_key.is_none() && new_key.is_none();
    let next = next_key_file(database.path());
    if is_in_file {
        // Written before the database changes, so that one of the two files has the right key at any
        // time.
        new.write_new(&next)?;
    }
    let new_rows = Rows::new(new.sealer());
    let mut write = database.write().await?;
    let rows = write.all().await?;
    for row in &rows {
        let record = cameras.read(row).map_err(StoreError::Damaged)?;
        write.put(&new_rows.row(&record).map_err(StoreError::Damaged)?).await?;
    }
    for secret in write.push_secrets().await? {
        // A secret that the old key cannot open is damaged. It is left as it is, because it is of no use with any key.
        if let Some(plain) = cameras.sealer().open(&secret.context(), &secret.sealed) {
            let sealed = new_rows.sealer().seal(&secret.context(), &plain);
            write.set_push_secret(&PushSecret { sealed, ..secret }).await?;
        }
    }
    write.set_proof(&proof_of(&new.sealer())).await?;
    write.commit().await?;
    // Removes everything that the old key sealed from the database's file, before that key is deleted.
    database.compact().await?;
    if is_in_file {
        let renamed = std::fs::rename(&next, key_file(database.path()));
        renamed.map_err(|source| SealKeyError::Io { path: next, source })?;
    }
    Ok(rows.len())
}
