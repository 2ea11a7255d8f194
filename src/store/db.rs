//! The registry's tables in SQLite. All SQL stands here, and none of it is SQLite's own dialect, so
//! that another database can take its place.

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

/// A writer waits this long for another one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Readers at once. More wait in line.
const CONNECTIONS: u32 = 4;

/// Why the database cannot be used. Its text is one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The setting names no database.
    #[error("DATABASE_URL cannot be used: sqlite: and a file's path is wanted")]
    Url,
    /// A later version of the program has changed it.
    #[error("{} was made by a newer stream-manager; it is left as it is", .0.display())]
    Newer(PathBuf),
    /// It cannot be read or written.
    #[error(
        "the database {} cannot be used: {error}; it and its directory must be readable and \
         writable, with room on the disk",
        path.display()
    )]
    Database {
        /// The database's file.
        path: PathBuf,
        /// Why not.
        error: sqlx::Error,
    },
}

/// A row of the table of cameras.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The camera's id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Whose it is.
    pub owner: Option<String>,
    /// URL of its ONVIF service.
    pub onvif: Option<String>,
    /// Where it is.
    pub host: String,
    /// Option, in its wire form.
    pub video: String,
    /// Option, in its wire form.
    pub audio: String,
    /// Option, in its wire form.
    pub transport: String,
    /// The sealed source.
    pub source: Vec<u8>,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub updated_at: i64,
}

/// A row of the table of playback sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// The token's id.
    pub id: String,
    /// Who watches.
    pub viewer: String,
    /// Ids of cameras with commas between them.
    pub cameras: String,
    /// Name of an API key.
    pub made_by: Option<String>,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub expires_at: i64,
    /// Whether it was ended before its time.
    pub is_ended: bool,
    /// The owner that its cameras must have; `None` for all.
    pub owner: Option<String>,
    /// Unix seconds.
    pub kept_until: i64,
}

/// Which cameras to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Part of id, name or host.
    pub search: Option<String>,
    /// Whose.
    pub owner: Option<String>,
    /// How many at most.
    pub limit: u32,
    /// How many to leave out first.
    pub offset: u32,
}

/// The open database.
#[derive(Debug, Clone)]
pub struct Database {
    pool: SqlitePool,
    /// Who waits to write must not keep a connection from those who read.
    writers: Arc<Semaphore>,
    path: PathBuf,
}

impl Database {
    /// Opens the database that `url` names, makes it if need be, and brings its tables up to date.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let options = SqliteConnectOptions::from_str(url).map_err(|_| OpenError::Url)?;
        let path = options.get_filename().to_owned();
        if !url.starts_with("sqlite:") || path.as_os_str().is_empty() {
            return Err(OpenError::Url);
        }
        let options = options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true);
        let failed = |error| OpenError::Database { path: path.clone(), error };
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).connect_with(options);
        let pool = pool.await.map_err(failed)?;
        match sqlx::migrate!("src/store/migrations").run(&pool).await {
            Ok(()) => Ok(Self { pool, writers: Arc::new(Semaphore::new(1)), path }),
            Err(MigrateError::VersionMissing(_)) => Err(OpenError::Newer(path)),
            Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
                Err(failed(error))
            }
            Err(error) => Err(failed(sqlx::Error::Migrate(Box::new(error)))),
        }
    }

    /// The database's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What proves that a key fits; `None` in a new database.
    pub async fn proof(&self) -> Result<Option<Vec<u8>>, sqlx::Error> {
        let row = sqlx::query("SELECT proof FROM seal WHERE id = 1");
        row.fetch_optional(&self.pool).await?.map(|row| row.try_get("proof")).transpose()
    }

    /// One camera.
    pub async fn get(&self, id: &str) -> Result<Option<Row>, sqlx::Error> {
        get(&mut *self.pool.acquire().await?, id).await
    }

    /// The cameras that `filter` lets pass, by id, and how many there are without its limits.
    pub async fn list(&self, filter: &Filter) -> Result<(Vec<Row>, i64), sqlx::Error> {
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

    /// Id and host of the cameras of `owner`, or of all, by id.
    pub async fn hosts(&self, owner: Option<&str>) -> Result<Vec<(String, String)>, sqlx::Error> {
        let query = "SELECT id, host FROM cameras WHERE ($1 IS NULL OR owner = $1) ORDER BY id";
        sqlx::query_as(query).bind(owner).fetch_all(&self.pool).await
    }

    /// The playback sessions whose time is not over at `now`; the others are deleted.
    pub async fn sessions(&self, now: i64) -> Result<Vec<SessionRow>, sqlx::Error> {
        let old = sqlx::query("DELETE FROM playback_sessions WHERE kept_until <= $1").bind(now);
        old.execute(&self.pool).await?;
        let rows = sqlx::query("SELECT * FROM playback_sessions").fetch_all(&self.pool).await?;
        rows.iter().map(session_row).collect()
    }

    /// Adds a playback session, or changes whether it is ended. Deletes those whose time was over
    /// when it began.
    pub async fn put_session(&self, row: &SessionRow) -> Result<(), sqlx::Error> {
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
        query.execute(&self.pool).await?;
        let old = sqlx::query("DELETE FROM playback_sessions WHERE kept_until <= $1");
        old.bind(row.created_at).execute(&self.pool).await.map(drop)
    }

    /// As if a later version had changed it.
    #[cfg(test)]
    pub(super) async fn pretend_newer(&self) {
        let query = sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'later', TRUE, x'00', 0)",
        );
        query.execute(&self.pool).await.expect("a row");
    }

    /// Begins to write. Others who want to write wait for the end of it.
    pub async fn write(&self) -> Result<Write, sqlx::Error> {
        // Nobody closes it.
        let permit = Arc::clone(&self.writers).acquire_owned().await.ok();
        let connection = self.pool.acquire().await?;
        let mut write = Write { connection, is_committed: false, _permit: permit };
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *write.connection).await?;
        Ok(write)
    }

    /// Whether it can be read and written. Changes nothing.
    pub async fn check(&self) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT COUNT(*) FROM seal").fetch_one(&self.pool).await?;
        // Who writes now proves that it works, and may take long.
        if let Ok(_permit) = self.writers.try_acquire() {
            let connection = self.pool.acquire().await?;
            let mut write = Write { connection, is_committed: false, _permit: None };
            sqlx::query("BEGIN IMMEDIATE").execute(&mut *write.connection).await?;
            sqlx::query("ROLLBACK").execute(&mut *write.connection).await?;
            // Nothing is left that closing the connection would have to undo.
            write.is_committed = true;
        }
        Ok(())
    }

    /// Puts on disk for good what was written, and leaves nothing behind of what it replaced.
    pub async fn settle(&self) -> Result<(), sqlx::Error> {
        sqlx::query("VACUUM").execute(&self.pool).await?;
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.pool).await.map(drop)
    }
}

/// Changes that become real together, by [`Write::commit`], or not at all.
///
/// Not sqlx's own transaction: when a disk is full SQLite ends the transaction by itself, sqlx counts
/// it as open for ever, and its connection refuses every later one. Here a connection whose changes
/// did not become real is closed, which undoes them whatever state it is in.
pub struct Write {
    connection: PoolConnection<Sqlite>,
    is_committed: bool,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Write {
    /// One camera as it is now.
    pub async fn get(&mut self, id: &str) -> Result<Option<Row>, sqlx::Error> {
        get(&mut self.connection, id).await
    }

    /// All cameras.
    pub async fn all(&mut self) -> Result<Vec<Row>, sqlx::Error> {
        let rows = sqlx::query("SELECT * FROM cameras ORDER BY id")
            .fetch_all(&mut *self.connection)
            .await?;
        rows.iter().map(row).collect()
    }

    /// How many cameras there are.
    pub async fn count(&mut self) -> Result<i64, sqlx::Error> {
        sqlx::query("SELECT COUNT(*) FROM cameras")
            .fetch_one(&mut *self.connection)
            .await?
            .try_get(0)
    }

    /// Adds a camera, or replaces the one of the same id.
    pub async fn put(&mut self, row: &Row) -> Result<(), sqlx::Error> {
        let query = sqlx::query(
            "INSERT INTO cameras
                (id, name, owner, host, video, audio, transport, source, created_at, updated_at,
                 onvif)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (id) DO UPDATE SET
                name = excluded.name, owner = excluded.owner, host = excluded.host,
                video = excluded.video, audio = excluded.audio, transport = excluded.transport,
                source = excluded.source, updated_at = excluded.updated_at,
                onvif = excluded.onvif",
        );
        let query = query.bind(&row.id).bind(&row.name).bind(&row.owner).bind(&row.host);
        let query = query.bind(&row.video).bind(&row.audio).bind(&row.transport);
        let query = query.bind(&row.source).bind(row.created_at).bind(row.updated_at);
        let query = query.bind(&row.onvif);
        query.execute(&mut *self.connection).await.map(drop)
    }

    /// Takes a camera out. False when it was not there.
    pub async fn delete(&mut self, id: &str) -> Result<bool, sqlx::Error> {
        let deleted = sqlx::query("DELETE FROM cameras WHERE id = $1").bind(id);
        Ok(deleted.execute(&mut *self.connection).await?.rows_affected() > 0)
    }

    /// Sets what proves that a key fits.
    pub async fn set_proof(&mut self, proof: &[u8]) -> Result<(), sqlx::Error> {
        let query = sqlx::query(
            "INSERT INTO seal (id, proof) VALUES (1, $1)
             ON CONFLICT (id) DO UPDATE SET proof = excluded.proof",
        );
        query.bind(proof).execute(&mut *self.connection).await.map(drop)
    }

    /// Makes the changes real.
    pub async fn commit(mut self) -> Result<(), sqlx::Error> {
        sqlx::query("COMMIT").execute(&mut *self.connection).await?;
        self.is_committed = true;
        Ok(())
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        if !self.is_committed {
            self.connection.close_on_drop();
        }
    }
}

async fn get(connection: &mut SqliteConnection, id: &str) -> Result<Option<Row>, sqlx::Error> {
    let found = sqlx::query("SELECT * FROM cameras WHERE id = $1").bind(id);
    found.fetch_optional(connection).await?.as_ref().map(row).transpose()
}

fn row(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    Ok(Row {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        owner: row.try_get("owner")?,
        onvif: row.try_get("onvif")?,
        host: row.try_get("host")?,
        video: row.try_get("video")?,
        audio: row.try_get("audio")?,
        transport: row.try_get("transport")?,
        source: row.try_get("source")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
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

/// A pattern that finds `text` anywhere, whatever the case of its ASCII letters: SQLite's `LOWER`
/// knows no others.
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
