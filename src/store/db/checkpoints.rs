//! Moves changes from the write-ahead log into the database's file.
//!
//! By default, SQLite does this at the end of a commit, as soon as the log has 1000 pages. The commit then waits for the
//! disk several times, and all further writers wait for this commit. Here, another connection does it, while others read and
//! write.

use std::time::Duration;

use sqlx::Row as _;
use tokio::time::sleep;
use tracing::{info, warn};

use super::Database;

/// The time between a change and the next move. After a power cut, the changes of this time are missing.
const INTERVAL: Duration = Duration::from_secs(10);
/// The number of pages, of 4 kB each, after which the log begins again at its beginning, and writers wait for that. The log
/// usually does so earlier, as soon as all changes were moved and no connection reads the log.
const MAX_PAGES: i64 = 4096;

impl Database {
    /// Moves changes into the database's file again and again, until the returned future is dropped.
    pub(crate) async fn keep_checkpointed(&self) {
        self.checkpoint_every(INTERVAL).await;
    }

    async fn checkpoint_every(&self, interval: Duration) {
        let mut has_failed = false;
        loop {
            self.committed.notified().await;
            sleep(interval).await;
            match self.move_changes().await {
                Ok(()) if has_failed => info!("changes are moved into the database's file again"),
                Ok(()) => {}
                Err(error) => {
                    if !has_failed {
                        warn!(%error, "changes cannot be moved into the database's file; retrying");
                    }
                    has_failed = true;
                    self.committed.notify_one();
                    continue;
                }
            }
            has_failed = false;
        }
    }

    /// Moves changes into the database's file, except those that are committed in the meantime.
    async fn move_changes(&self) -> Result<(), sqlx::Error> {
        let pages = self.run_checkpoint("PASSIVE").await?;
        if pages > MAX_PAGES {
            // The semaphore is never closed.
            let _permit = self.writers.acquire().await.ok();
            self.run_checkpoint("RESTART").await?;
        }
        Ok(())
    }

    /// Moves all changes into the database's file, and empties the log.
    pub(crate) async fn checkpoint(&self) -> Result<(), sqlx::Error> {
        self.run_checkpoint("TRUNCATE").await.map(drop)
    }

    /// Returns the number of pages in the log.
    async fn run_checkpoint(&self, mode: &str) -> Result<i64, sqlx::Error> {
        // SQLite refuses a second checkpoint at the same time. The semaphore is never closed.
        let _permit = self.checkpoints.acquire().await.ok();
        let query = sqlx::AssertSqlSafe(format!("PRAGMA wal_checkpoint({mode})"));
        sqlx::query(query).fetch_one(&self.pool).await?.try_get("log")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::store::db::Location;

    async fn database(directory: &Path) -> Database {
        let url = format!("sqlite:{}", directory.join("cameras.db").display());
        Database::open(Location::parse(&url).expect("a URL")).await.expect("a database")
    }

    async fn write(database: &Database, proof: &[u8]) {
        let mut write = database.write().await.expect("a transaction");
        write.set_proof(proof).await.expect("a row");
        write.commit().await.expect("a commit");
    }

    fn log_of(database: &Database) -> PathBuf {
        let mut path = database.path().as_os_str().to_owned();
        path.push("-wal");
        path.into()
    }

    /// Returns whether the database's file, without the log, contains these bytes.
    fn is_stored(database: &Database, bytes: &[u8]) -> bool {
        let file = fs::read(database.path()).expect("a file");
        file.windows(bytes.len()).any(|part| part == bytes)
    }

    async fn until(condition: impl AsyncFn() -> bool) {
        let wait = async {
            while !condition().await {
                sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the condition");
    }

    #[tokio::test]
    async fn changes_are_moved_in_the_background_and_the_log_stays_small() {
        let directory = tempfile::tempdir().expect("a directory");
        let database = database(directory.path()).await;
        // More pages than a commit moves by default.
        write(&database, &vec![7; 5 << 20]).await;
        assert!(!is_stored(&database, &[7; 64]), "a commit has moved changes");
        let new = b"the proof of the new key";
        write(&database, new).await;
        let kept = database.clone();
        let task = tokio::spawn(async move { kept.checkpoint_every(Duration::ZERO).await });
        until(async || is_stored(&database, new)).await;
        // A checkpoint continues if its task is aborted.
        let no_checkpoint = database.checkpoints.acquire().await;
        task.abort();
        drop(no_checkpoint);
        database.move_changes().await.expect("a database");
        let size = || fs::metadata(log_of(&database)).expect("a log").len();
        let before = size();
        write(&database, b"newer").await;
        assert_eq!(size(), before, "the log did not begin again");
        database.checkpoint().await.expect("a database");
        assert_eq!(size(), 0);
    }
}
