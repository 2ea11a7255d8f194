//! The database of cameras, playback sessions, numbers and events, in SQLite: opens it, and begins and commits transactions. It
//! also holds the proof: a sealed value that shows which key belongs to the database (see `key_files`). All SQL of the
//! program is here, in the modules below, and in `migrations/`.
//!
//! | Module | Owns |
//! |---|---|
//! | [`camera_table`] | the cameras |
//! | [`checkpoints`] | when changes move from the write-ahead log into the database's file |
//! | [`event_table`] | the events |
//! | [`event_counts`] | counts of events by hour |
//! | [`number_table`] | the next numbers of segments, epochs and discontinuities |
//! | [`session_table`] | the playback sessions |
//! | [`recording_table`], [`recording_writes`], [`recording_search`], [`recording_sample`] | the recordings, and the counters of their bytes |
//! | [`recording_locks`] | the times for which recordings are locked |
//! | [`offsite_table`] | the copies of recordings in other places, and the queues for them |
//! | [`push_table`] | the key and the subscriptions of push notifications |
//! | [`fragment_list`] | the stored form of a recorded file's fragments |
//!
//! Most of the SQL is standard, with numbered parameters. Another database would need its own form of
//! `BEGIN IMMEDIATE`, `VACUUM`, the `PRAGMA`s, the connection options and the types of columns, and of
//! `LOWER`, which in SQLite changes ASCII letters only.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Row as _, Sqlite};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

pub(crate) mod camera_table;
mod checkpoints;
pub(crate) mod event_counts;
pub(crate) mod event_table;
pub(crate) mod fragment_list;
pub(super) mod number_table;
pub(crate) mod offsite_table;
pub(crate) mod push_table;
pub(crate) mod recording_locks;
pub(crate) mod recording_sample;
pub(crate) mod recording_search;
pub(crate) mod recording_table;
pub(crate) mod recording_writes;
pub(crate) mod session_table;

/// The longest time that a writer waits for the end of another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The number of connections: one for a writer, one for a checkpoint, and four for readers. Further queries wait for a free
/// one. All are open from the start, because each has a thread, and the system may refuse another thread later.
const CONNECTIONS: u32 = 6;
/// The number of rows that a connection's thread reads ahead. The playlist of two hours needs 130 rows. Each time that the
/// thread waits for the reader of the rows costs milliseconds on a busy machine.
const ROWS_AHEAD: usize = 256;
/// The number of pages of the write-ahead log, of 4 kB each, after which a commit moves the changes into the database's file,
/// for example during a large import. Usually, [`checkpoints`] moves them much earlier.
const MAX_LOG_PAGES: i64 = 16_384;
/// The largest size of the log's file in bytes, after the log has begun again at its beginning.
const MAX_LOG_BYTES: i64 = MAX_LOG_PAGES * 4096;

/// The reason why the database cannot be opened. For the operator, the message and the messages of its causes are
/// joined in one line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The setting is not the URL of an SQLite file.
    #[error("DATABASE_URL must be a URL of the form sqlite:PATH, where PATH is the path of a file")]
    Url,
    /// A newer version of the program has created or changed the database.
    #[error("{} was created or changed by a newer stream-manager; upgrade this stream-manager", .0.display())]
    Newer(PathBuf),
    /// The database cannot be read or written.
    #[error(
        "cannot use the database {}; check that this file and its directory are readable and \
         writable, and that the disk has free space",
        path.display()
    )]
    Database {
        /// The database's file.
        path: PathBuf,
        /// The cause.
        source: sqlx::Error,
    },
}

/// The open database. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pool: SqlitePool,
    /// Admits one writer at a time. A writer waits here before it takes a connection, so that waiting
    /// writers leave the connections to readers.
    writers: Arc<Semaphore>,
    /// Admits one checkpoint at a time.
    checkpoints: Arc<Semaphore>,
    /// Notified after each commit.
    committed: Arc<Notify>,
    path: PathBuf,
}

/// The location of a database that may not exist yet.
pub(crate) struct Location(SqliteConnectOptions);

impl Location {
    /// Parses the URL of a database.
    pub(crate) fn parse(url: &str) -> Result<Self, OpenError> {
        let options = SqliteConnectOptions::from_str(url).map_err(|_| OpenError::Url)?;
        if !url.starts_with("sqlite:") || options.get_filename().as_os_str().is_empty() {
            return Err(OpenError::Url);
        }
        Ok(Self(options))
    }

    /// Returns the path of the database's file.
    pub(crate) fn path(&self) -> &Path {
        self.0.get_filename()
    }
}

impl Database {
    /// Opens a database, or creates it, and migrates its tables to this version of the program.
    pub(crate) async fn open(location: Location) -> Result<Self, OpenError> {
        let path = location.path().to_owned();
        let options = location
            .0
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("wal_autocheckpoint", MAX_LOG_PAGES.to_string())
            .pragma("journal_size_limit", MAX_LOG_BYTES.to_string())
            .row_buffer_size(ROWS_AHEAD)
            .foreign_keys(true);
        let failed = |source| OpenError::Database { path: path.clone(), source };
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .idle_timeout(None)
            .max_lifetime(None)
            // Connections are tested when they are released. A second test would delay each query.
            .test_before_acquire(false);
        let pool = pool.connect_with(options).await.map_err(failed)?;
        // The connections are opened one after the other, because others fail while one creates the database.
        let mut all = Vec::new();
        for _ in 0..CONNECTIONS {
            all.push(pool.acquire().await.map_err(failed)?);
        }
        drop(all);
        match sqlx::migrate!("src/store/migrations").run(&pool).await {
            Ok(()) => {
                let [writers, checkpoints] = [(); 2].map(|()| Arc::new(Semaphore::new(1)));
                Ok(Self { pool, writers, checkpoints, committed: Arc::default(), path })
            }
            Err(MigrateError::VersionMissing(_)) => Err(OpenError::Newer(path)),
            Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
                Err(failed(error))
            }
            Err(error) => Err(failed(sqlx::Error::Migrate(Box::new(error)))),
        }
    }

    /// Returns the path of the database's file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the proof, which only the database's key can open; `None` in a new database.
    pub(crate) async fn proof(&self) -> Result<Option<Vec<u8>>, sqlx::Error> {
        let row = sqlx::query("SELECT proof FROM seal WHERE id = 1");
        row.fetch_optional(&self.pool).await?.map(|row| row.try_get("proof")).transpose()
    }

    /// Marks the database as changed by a newer version of the program.
    #[cfg(test)]
    pub(super) async fn pretend_newer(&self) {
        let query = sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'later', TRUE, x'00', 0)",
        );
        query.execute(&self.pool).await.expect("a row");
    }

    /// Makes every later query fail.
    #[cfg(test)]
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    /// Waits until no other transaction writes, and begins one. A power cut can undo the last commits.
    pub(crate) async fn write(&self) -> Result<WriteTransaction, sqlx::Error> {
        self.begin(false).await
    }

    /// Does the same as [`Database::write`], but a power cut after the commit undoes neither this transaction nor earlier
    /// ones. The commit waits for the disk.
    pub(crate) async fn write_durably(&self) -> Result<WriteTransaction, sqlx::Error> {
        self.begin(true).await
    }

    async fn begin(&self, is_durable: bool) -> Result<WriteTransaction, sqlx::Error> {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.writers).acquire_owned().await.ok();
        let connection = self.pool.acquire().await?;
        let committed = Arc::clone(&self.committed);
        let mut write = WriteTransaction {
            connection,
            is_committed: false,
            is_durable,
            committed,
            _permit: permit,
        };
        if is_durable {
            sqlx::query("PRAGMA synchronous = FULL").execute(&mut *write.connection).await?;
        }
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *write.connection).await?;
        Ok(write)
    }

    /// Checks that the database can be read and written. Changes nothing.
    pub(crate) async fn check(&self) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT COUNT(*) FROM seal").fetch_one(&self.pool).await?;
        // A transaction in progress shows that writing works. Waiting for its end could take long.
        if let Ok(_permit) = self.writers.try_acquire() {
            let connection = self.pool.acquire().await?;
            let committed = Arc::clone(&self.committed);
            let mut write = WriteTransaction {
                connection,
                is_committed: false,
                is_durable: false,
                committed,
                _permit: None,
            };
            sqlx::query("BEGIN IMMEDIATE").execute(&mut *write.connection).await?;
            sqlx::query("ROLLBACK").execute(&mut *write.connection).await?;
            // The connection can be reused, because it has no changes that closing it would have to undo.
            write.is_committed = true;
        }
        Ok(())
    }

    /// Rewrites the database's file, so that it no longer contains replaced or deleted rows.
    pub(crate) async fn compact(&self) -> Result<(), sqlx::Error> {
        sqlx::query("VACUUM").execute(&self.pool).await?;
        self.checkpoint().await
    }
}

/// A transaction that writes. Dropping it without [`WriteTransaction::commit`] undoes its changes.
///
/// sqlx's own transactions are not used, because they fail on a full disk. SQLite then ends the transaction,
/// but sqlx still counts the transaction as open, and the connection refuses every later transaction.
/// Instead, the connection of a transaction that was not committed is closed. Closing the connection undoes
/// the changes whatever state the transaction is in.
pub(crate) struct WriteTransaction {
    connection: PoolConnection<Sqlite>,
    is_committed: bool,
    /// True if the connection waits for the disk with each commit.
    is_durable: bool,
    committed: Arc<Notify>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl WriteTransaction {
    /// Sets the proof, which only the database's key can open.
    pub(crate) async fn set_proof(&mut self, proof: &[u8]) -> Result<(), sqlx::Error> {
        let query = sqlx::query(
            "INSERT INTO seal (id, proof) VALUES (1, $1)
             ON CONFLICT (id) DO UPDATE SET proof = excluded.proof",
        );
        query.bind(proof).execute(&mut *self.connection).await.map(drop)
    }

    /// Commits the changes.
    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        sqlx::query("COMMIT").execute(&mut *self.connection).await?;
        self.committed.notify_one();
        let restored = if self.is_durable {
            let query = sqlx::query("PRAGMA synchronous = NORMAL");
            query.execute(&mut *self.connection).await.is_ok()
        } else {
            true
        };
        // A connection that still waits for the disk is closed.
        self.is_committed = restored;
        Ok(())
    }
}

impl Drop for WriteTransaction {
    fn drop(&mut self) {
        if !self.is_committed {
            self.connection.close_on_drop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of `PRAGMA synchronous`.
    const NORMAL: i64 = 1;
    const FULL: i64 = 2;

    #[tokio::test]
    async fn only_durable_transactions_wait_for_the_disk() {
        let dir = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite:{}", dir.path().join("test.db").display());
        let database = Database::open(Location::parse(&url).expect("a URL")).await;
        let database = database.expect("a database");
        let synchronous = || sqlx::query_scalar::<_, i64>("PRAGMA synchronous");
        for _ in 0..2 * CONNECTIONS {
            let mut write = database.write_durably().await.expect("a transaction");
            let mode = synchronous().fetch_one(&mut *write.connection).await.expect("a mode");
            assert_eq!(mode, FULL);
            write.commit().await.expect("a commit");
        }
        drop(database.write_durably().await.expect("a transaction"));
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut connection = database.pool.acquire().await.expect("a connection");
            let mode = synchronous().fetch_one(&mut *connection).await.expect("a mode");
            assert_eq!(mode, NORMAL);
            connections.push(connection);
        }
    }
}
