//! `stream-manager rotate-key`: re-encrypts the cameras' links and passwords in the database with another
//! key.

use super::error::CommandError;
use super::runtime::block_on;
use crate::base::secret::Secret;
use crate::config::Config;
use crate::store;

/// Re-encrypts the links and passwords of all cameras. Returns the message to print. Fails while a manager
/// uses the database.
pub(super) fn run() -> Result<String, CommandError> {
    let Config { database_url, source_key, new_source_key, .. } = Config::load()?;
    let [old, new] = [&source_key, &new_source_key].map(|key| key.as_ref().map(Secret::expose));
    if old.is_some() && new.is_none() {
        return Err(CommandError::NoNewKey);
    }
    let count = block_on(store::rotate_key(&database_url, old, new))??;
    let cameras = if count == 1 { "1 camera".to_owned() } else { format!("{count} cameras") };
    let next_step =
        if new.is_some() { "; now set SOURCE_KEY to the value of NEW_SOURCE_KEY" } else { "" };
    Ok(format!("encrypted {cameras} with the new key{next_step}"))
}
