//! The tables of cameras, playback sessions and numbers in SQLite, and the proof: a sealed value that shows which
//! key belongs to the database (see `key_files`). All SQL of the program is here and in `migrations/`.
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
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Row as _, Sqlite, SqliteConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The longest time that a writer waits for the end of another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The number of connections. Further queries wait for a free one. All are open from the start, because each has a
/// thread, and the system may refuse another thread later.
const CONNECTIONS: u32 = 4;

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

/// A row of the table of cameras.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CameraRow {
    /// The camera's id.
    pub id: String,
    /// The camera's name, for people.
    pub name: String,
    /// The owner; `None` if the camera has none.
    pub owner: Option<String>,
    /// The URL of the camera's ONVIF service.
    pub onvif: Option<String>,
    /// The fingerprint of the confirmed certificate of the ONVIF service.
    pub onvif_certificate: Option<String>,
    /// The camera's host, for lists and searches.
    pub host: String,
    /// The option for video, as in the API.
    pub video: String,
    /// The option for audio, as in the API.
    pub audio: String,
    /// The option for the transport, as in the API.
    pub transport: String,
    /// The option `keep`, as in the API.
    pub keep: String,
    /// True if the back end is to analyse the camera's video.
    pub analytics: bool,
    /// The sealed source.
    pub source: Vec<u8>,
    /// When the camera was added, in Unix seconds.
    pub created_at: i64,
    /// When the camera was last changed, in Unix seconds.
    pub updated_at: i64,
}

/// A row of the table of playback sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionRow {
    /// The id of the session and its token.
    pub id: String,
    /// The user who can watch.
    pub viewer: String,
    /// The ids of the cameras, separated by commas.
    pub cameras: String,
    /// The name of the API key that created the session; `None` if a back end issued the token.
    pub made_by: Option<String>,
    /// When the session was created, in Unix seconds.
    pub created_at: i64,
    /// When the token expires, in Unix seconds.
    pub expires_at: i64,
    /// True if the session was ended before its token expired.
    pub is_ended: bool,
    /// The owner that the session's cameras must have; `None` for any owner.
    pub owner: Option<String>,
    /// When the row can be deleted, in Unix seconds.
    pub kept_until: i64,
}

/// A row of the table of numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NumberRow {
    /// The stream's id. The row with an empty id has the first numbers of streams without their own row.
    pub stream: String,
    /// The lowest segment number that is not reserved.
    pub sequence: i64,
    /// The lowest number of an epoch that is not reserved.
    pub epoch: i64,
    /// The lowest discontinuity number that is not reserved.
    pub discontinuity: i64,
}

/// A selection of cameras, and the page of it to return.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// A string that the id, the name or the host must contain; `None` for any.
    pub search: Option<String>,
    /// The owner of the cameras; `None` for any.
    pub owner: Option<String>,
    /// The largest number of cameras to return.
    pub limit: u32,
    /// The number of matching cameras to skip.
    pub offset: u32,
}

/// The open database. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pool: SqlitePool,
    /// Admits one writer at a time. A writer waits here before it takes a connection, so that waiting
    /// writers leave the connections to readers.
    writers: Arc<Semaphore>,
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
            .foreign_keys(true);
        let failed = |source| OpenError::Database { path: path.clone(), source };
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .idle_timeout(None)
            .max_lifetime(None);
        let pool = pool.connect_with(options).await.map_err(failed)?;
        // The connections are opened one after the other, because others fail while one creates the database.
        let mut all = Vec::new();
        for _ in 0..CONNECTIONS {
            all.push(pool.acquire().await.map_err(failed)?);
        }
        drop(all);
        match sqlx::migrate!("src/store/migrations").run(&pool).await {
            Ok(()) => Ok(Self { pool, writers: Arc::new(Semaphore::new(1)), path }),
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

    /// Returns a camera; `None` if there is no such camera.
    pub(crate) async fn get(&self, id: &str) -> Result<Option<CameraRow>, sqlx::Error> {
        get(&mut *self.pool.acquire().await?, id).await
    }

    /// Returns one page of the cameras that match `filter`, by id, and the number of all matches.
    pub(crate) async fn list(&self, filter: &Filter) -> Result<(Vec<CameraRow>, i64), sqlx::Error> {
        let pattern = filter.search.as_deref().map(like);
        let rows = sqlx::query(
            "SELECT * FROM cameras
             WHERE ($1 IS NULL OR owner = $1)
               AND ($2 IS NULL OR LOWER(id || ' ' || name || ' ' || host) LIKE $2 ESCAPE '\\')
             ORDER BY id LIMIT $3 OFFSET $4",
        );
        let rows = rows.bind(&filter.owner).bind(&pattern).bind(filter.limit).bind(filter.offset);
        let rows = rows.fetch_all(&self.pool).await?;
        let total = sqlx::query(
            "SELECT COUNT(*) FROM cameras
             WHERE ($1 IS NULL OR owner = $1)
               AND ($2 IS NULL OR LOWER(id || ' ' || name || ' ' || host) LIKE $2 ESCAPE '\\')",
        );
        let total = total.bind(&filter.owner).bind(&pattern).fetch_one(&self.pool).await?;
        Ok((rows.iter().map(row).collect::<Result<_, _>>()?, total.try_get(0)?))
    }

    /// Returns the ids and hosts of the cameras, sorted by id. If `owner` is given, returns only the cameras
    /// of this owner.
    pub(crate) async fn hosts(
        &self,
        owner: Option<&str>,
    ) -> Result<Vec<(String, String)>, sqlx::Error> {
        let query = "SELECT id, host FROM cameras WHERE ($1 IS NULL OR owner = $1) ORDER BY id";
        sqlx::query_as(query).bind(owner).fetch_all(&self.pool).await
    }

    /// Returns the URL and the fingerprint of each ONVIF service that has a confirmed certificate, sorted by the
    /// time at which the camera was last changed. If `owner` is given, returns only the services of this owner's
    /// cameras.
    pub(crate) async fn onvif_certificates(
        &self,
        owner: Option<&str>,
    ) -> Result<Vec<(String, String)>, sqlx::Error> {
        let query = "SELECT onvif, onvif_certificate FROM cameras
             WHERE onvif IS NOT NULL AND onvif_certificate IS NOT NULL
               AND ($1 IS NULL OR owner = $1)
             ORDER BY updated_at, id";
        sqlx::query_as(query).bind(owner).fetch_all(&self.pool).await
    }

    /// Returns the ids of all cameras, sorted.
    pub(crate) async fn ids(&self) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar("SELECT id FROM cameras ORDER BY id").fetch_all(&self.pool).await
    }

    /// Returns the ids of the cameras whose option `keep` has this value, sorted.
    pub(crate) async fn with_keep(&self, keep: &str) -> Result<Vec<String>, sqlx::Error> {
        let query = sqlx::query_scalar("SELECT id FROM cameras WHERE keep = $1 ORDER BY id");
        query.bind(keep).fetch_all(&self.pool).await
    }

    /// Deletes the playback sessions that are no longer needed at the time `now`, and returns the others.
    pub(crate) async fn sessions(&self, now: i64) -> Result<Vec<SessionRow>, sqlx::Error> {
        let expired = sqlx::query("DELETE FROM playback_sessions WHERE kept_until <= $1").bind(now);
        expired.execute(&self.pool).await?;
        let rows = sqlx::query("SELECT * FROM playback_sessions").fetch_all(&self.pool).await?;
        rows.iter().map(session_row).collect()
    }

    /// Adds a playback session. If the session exists, updates only whether it is ended and how long it
    /// is kept. Also deletes the sessions that were no longer needed when the given session was created.
    pub(crate) async fn put_session(&self, row: &SessionRow) -> Result<(), sqlx::Error> {
        let query = sqlx::query(
            "INSERT INTO playback_sessions
                (id, viewer, cameras, made_by, created_at, expires_at, is_ended, owner, kept_until)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (id) DO UPDATE SET
                is_ended = excluded.is_ended, kept_until = excluded.kept_until",
        );
        let query = query.bind(&row.id).bind(&row.viewer).bind(&row.cameras).bind(&row.made_by);
        let query = query.bind(row.created_at).bind(row.expires_at).bind(row.is_ended);
        let query = query.bind(&row.owner).bind(row.kept_until);
        let mut write = self.write().await?;
        query.execute(&mut *write.connection).await?;
        let expired = sqlx::query("DELETE FROM playback_sessions WHERE kept_until <= $1");
        expired.bind(row.created_at).execute(&mut *write.connection).await?;
        write.commit().await
    }

    /// Returns the numbers of all streams.
    pub(super) async fn numbers(&self) -> Result<Vec<NumberRow>, sqlx::Error> {
        let rows = sqlx::query("SELECT * FROM numbers").fetch_all(&self.pool).await?;
        rows.iter().map(number_row).collect()
    }

    /// Adds or replaces numbers of streams.
    pub(super) async fn put_numbers(&self, rows: Vec<NumberRow>) -> Result<(), sqlx::Error> {
        let mut write = self.write().await?;
        for row in &rows {
            write.put_numbers(row).await?;
        }
        write.commit().await
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

    /// Makes every later commit that updates a camera fail.
    #[cfg(test)]
    pub(super) async fn fail_commits(&self) {
        for statement in [
            "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
            "CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
            "CREATE TRIGGER fail AFTER UPDATE ON cameras BEGIN INSERT INTO child VALUES (1); END",
        ] {
            sqlx::query(statement).execute(&self.pool).await.expect(statement);
        }
    }

    /// Waits until no other transaction writes, and begins one.
    pub(crate) async fn write(&self) -> Result<WriteTransaction, sqlx::Error> {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.writers).acquire_owned().await.ok();
        let connection = self.pool.acquire().await?;
        let mut write = WriteTransaction { connection, is_committed: false, _permit: permit };
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *write.connection).await?;
        Ok(write)
    }

    /// Checks that the database can be read and written. Changes nothing.
    pub(crate) async fn check(&self) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT COUNT(*) FROM seal").fetch_one(&self.pool).await?;
        // A transaction in progress shows that writing works. Waiting for its end could take long.
        if let Ok(_permit) = self.writers.try_acquire() {
            let connection = self.pool.acquire().await?;
            let mut write = WriteTransaction { connection, is_committed: false, _permit: None };
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
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.pool).await.map(drop)
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
    _permit: Option<OwnedSemaphorePermit>,
}

impl WriteTransaction {
    /// Returns a camera; `None` if there is no such camera.
    pub(crate) async fn get(&mut self, id: &str) -> Result<Option<CameraRow>, sqlx::Error> {
        get(&mut self.connection, id).await
    }

    /// Returns all cameras, by id.
    pub(crate) async fn all(&mut self) -> Result<Vec<CameraRow>, sqlx::Error> {
        let rows = sqlx::query("SELECT * FROM cameras ORDER BY id")
            .fetch_all(&mut *self.connection)
            .await?;
        rows.iter().map(row).collect()
    }

    /// Returns the number of cameras.
    pub(crate) async fn count(&mut self) -> Result<i64, sqlx::Error> {
        sqlx::query("SELECT COUNT(*) FROM cameras")
            .fetch_one(&mut *self.connection)
            .await?
            .try_get(0)
    }

    /// Adds a camera, or replaces the camera with the same id but keeps its time of creation.
    pub(crate) async fn put(&mut self, row: &CameraRow) -> Result<(), sqlx::Error> {
        let query = sqlx::query(
            "INSERT INTO cameras
                (id, name, owner, host, video, audio, transport, source, created_at, updated_at,
                 onvif, keep, onvif_certificate, analytics)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
             ON CONFLICT (id) DO UPDATE SET
                name = excluded.name, owner = excluded.owner, host = excluded.host,
                video = excluded.video, audio = excluded.audio, transport = excluded.transport,
                source = excluded.source, updated_at = excluded.updated_at,
                onvif = excluded.onvif, keep = excluded.keep,
                onvif_certificate = excluded.onvif_certificate, analytics = excluded.analytics",
        );
        let query = query.bind(&row.id).bind(&row.name).bind(&row.owner).bind(&row.host);
        let query = query.bind(&row.video).bind(&row.audio).bind(&row.transport);
        let query = query.bind(&row.source).bind(row.created_at).bind(row.updated_at);
        let query = query.bind(&row.onvif).bind(&row.keep).bind(&row.onvif_certificate);
        let query = query.bind(row.analytics);
        query.execute(&mut *self.connection).await.map(drop)
    }

    /// Deletes a camera. Returns whether it existed.
    pub(crate) async fn delete(&mut self, id: &str) -> Result<bool, sqlx::Error> {
        let deleted = sqlx::query("DELETE FROM cameras WHERE id = $1").bind(id);
        Ok(deleted.execute(&mut *self.connection).await?.rows_affected() > 0)
    }

    /// Adds or replaces the numbers of a stream.
    pub(super) async fn put_numbers(&mut self, row: &NumberRow) -> Result<(), sqlx::Error> {
        let query = sqlx::query(
            "INSERT INTO numbers (stream, sequence, epoch, discontinuity) VALUES ($1, $2, $3, $4)
             ON CONFLICT (stream) DO UPDATE SET sequence = excluded.sequence,
                epoch = excluded.epoch, discontinuity = excluded.discontinuity",
        );
        let query = query.bind(&row.stream).bind(row.sequence).bind(row.epoch);
        query.bind(row.discontinuity).execute(&mut *self.connection).await.map(drop)
    }

    /// Deletes the numbers of a stream.
    pub(super) async fn delete_numbers(&mut self, stream: &str) -> Result<(), sqlx::Error> {
        let query = sqlx::query("DELETE FROM numbers WHERE stream = $1").bind(stream);
        query.execute(&mut *self.connection).await.map(drop)
    }

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
        self.is_committed = true;
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

async fn get(
    connection: &mut SqliteConnection,
    id: &str,
) -> Result<Option<CameraRow>, sqlx::Error> {
    let found = sqlx::query("SELECT * FROM cameras WHERE id = $1").bind(id);
    found.fetch_optional(connection).await?.as_ref().map(row).transpose()
}

fn row(row: &SqliteRow) -> Result<CameraRow, sqlx::Error> {
    Ok(CameraRow {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        owner: row.try_get("owner")?,
        onvif: row.try_get("onvif")?,
        onvif_certificate: row.try_get("onvif_certificate")?,
        analytics: row.try_get("analytics")?,
        host: row.try_get("host")?,
        video: row.try_get("video")?,
        audio: row.try_get("audio")?,
        transport: row.try_get("transport")?,
        keep: row.try_get("keep")?,
        source: row.try_get("source")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}

fn number_row(row: &SqliteRow) -> Result<NumberRow, sqlx::Error> {
    Ok(NumberRow {
        stream: row.try_get("stream")?,
        sequence: row.try_get("sequence")?,
        epoch: row.try_get("epoch")?,
        discontinuity: row.try_get("discontinuity")?,
    })
}

fn session_row(row: &SqliteRow) -> Result<SessionRow, sqlx::Error> {
    Ok(SessionRow {
        id: row.try_get("id")?,
        viewer: row.try_get("viewer")?,
        cameras: row.try_get("cameras")?,
        made_by: row.try_get("made_by")?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        is_ended: row.try_get("is_ended")?,
        owner: row.try_get("owner")?,
        kept_until: row.try_get("kept_until")?,
    })
}

/// Returns a pattern that finds `text` in strings that were converted with SQLite's `LOWER`. Only the
/// letters A to Z match in either case, because `LOWER` does not change other letters.
fn like(text: &str) -> String {
    let mut pattern = String::from("%");
    for character in text.to_ascii_lowercase().chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}
