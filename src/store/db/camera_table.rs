//! The table of cameras.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::{Database, WriteTransaction};

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
    /// When the camera is recorded, as JSON.
    pub recording: String,
    /// How motion in front of the camera is detected, as JSON.
    pub motion: String,
    /// The time until which the camera is recorded whatever `recording` is, in UTC milliseconds. It is changed only by
    /// [`WriteTransaction::set_record_until`].
    pub record_until: Option<i64>,
    /// The sealed source.
    pub source: Vec<u8>,
    /// A random number that was chosen when the camera was added.
    pub incarnation: i64,
    /// When the camera was added, in Unix seconds.
    pub created_at: i64,
    /// When the camera was last changed, in Unix seconds.
    pub updated_at: i64,
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

impl Database {
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

    /// Returns the cameras that have options for recordings other than `off`, or that are recorded until a certain time.
    pub(crate) async fn recorded_cameras(&self, off: &str) -> Result<Vec<CameraRow>, sqlx::Error> {
        let query = sqlx::query(
            "SELECT * FROM cameras WHERE recording <> $1 OR record_until IS NOT NULL ORDER BY id",
        );
        query.bind(off).fetch_all(&self.pool).await?.iter().map(row).collect()
    }

    /// Returns the time until which a camera is recorded, in UTC milliseconds; `None` if there is no such time, or no such
    /// camera.
    pub(crate) async fn record_until(&self, id: &str) -> Result<Option<i64>, sqlx::Error> {
        let query =
            sqlx::query_scalar::<_, Option<i64>>("SELECT record_until FROM cameras WHERE id = $1");
        Ok(query.bind(id).fetch_optional(&self.pool).await?.flatten())
    }

    /// Returns the cameras that have options for motion other than `off`.
    pub(crate) async fn cameras_with_motion(
        &self,
        off: &str,
    ) -> Result<Vec<CameraRow>, sqlx::Error> {
        let query = sqlx::query("SELECT * FROM cameras WHERE motion <> $1 ORDER BY id").bind(off);
        query.fetch_all(&self.pool).await?.iter().map(row).collect()
    }

    /// Makes every later commit that updates a camera fail.
    #[cfg(test)]
    pub(crate) async fn fail_commits(&self) {
        for statement in [
            "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
            "CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
            "CREATE TRIGGER fail AFTER UPDATE ON cameras BEGIN INSERT INTO child VALUES (1); END",
        ] {
            sqlx::query(statement).execute(&self.pool).await.expect(statement);
        }
    }
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

    /// Adds a camera, or replaces the camera with the same id but keeps its time of creation and its
    /// incarnation.
    pub(crate) async fn put(&mut self, row: &CameraRow) -> Result<(), sqlx::Error> {
        let query = sqlx::query(
            "INSERT INTO cameras
                (id, name, owner, host, video, audio, transport, source, created_at, updated_at,
                 onvif, keep, onvif_certificate, analytics, incarnation,
                 recording, motion)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
             ON CONFLICT (id) DO UPDATE SET
                name = excluded.name, owner = excluded.owner, host = excluded.host,
                video = excluded.video, audio = excluded.audio, transport = excluded.transport,
                source = excluded.source, updated_at = excluded.updated_at,
                onvif = excluded.onvif, keep = excluded.keep,
                onvif_certificate = excluded.onvif_certificate,
                analytics = excluded.analytics, recording = excluded.recording,
                motion = excluded.motion",
        );
        let query = query.bind(&row.id).bind(&row.name).bind(&row.owner).bind(&row.host);
        let query = query.bind(&row.video).bind(&row.audio).bind(&row.transport);
        let query = query.bind(&row.source).bind(row.created_at).bind(row.updated_at);
        let query = query.bind(&row.onvif).bind(&row.keep).bind(&row.onvif_certificate);
        let query = query.bind(row.analytics).bind(row.incarnation).bind(&row.recording);
        let query = query.bind(&row.motion);
        query.execute(&mut *self.connection).await.map(drop)
    }

    /// Sets the time until which a camera is recorded, in UTC milliseconds. Returns whether the camera exists.
    pub(crate) async fn set_record_until(
        &mut self,
        id: &str,
        until: Option<i64>,
    ) -> Result<bool, sqlx::Error> {
        let query = sqlx::query("UPDATE cameras SET record_until = $2 WHERE id = $1");
        let done = query.bind(id).bind(until).execute(&mut *self.connection).await?;
        Ok(done.rows_affected() > 0)
    }

    /// Deletes a camera. Returns whether it existed.
    pub(crate) async fn delete(&mut self, id: &str) -> Result<bool, sqlx::Error> {
        let deleted = sqlx::query("DELETE FROM cameras WHERE id = $1").bind(id);
        Ok(deleted.execute(&mut *self.connection).await?.rows_affected() > 0)
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
        recording: row.try_get("recording")?,
        motion: row.try_get("motion")?,
        record_until: row.try_get("record_until")?,
        source: row.try_get("source")?,
        incarnation: row.try_get("incarnation")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
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
