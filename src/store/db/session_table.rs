//! The table of playback sessions.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::Database;

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
    /// True for a share link.
    pub is_share: bool,
    /// The names of rights, separated by commas.
    pub rights: String,
    /// The beginning of the time to which the right `recordings` is limited, in Unix seconds; `None` for all times.
    pub recordings_from: Option<i64>,
    /// The end of this time, in Unix seconds.
    pub recordings_to: Option<i64>,
}

impl Database {
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
                (id, viewer, cameras, made_by, created_at, expires_at, is_ended, owner, kept_until,
                 is_share, rights, recordings_from, recordings_to)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
             ON CONFLICT (id) DO UPDATE SET
                is_ended = excluded.is_ended, kept_until = excluded.kept_until",
        );
        let query = query.bind(&row.id).bind(&row.viewer).bind(&row.cameras).bind(&row.made_by);
        let query = query.bind(row.created_at).bind(row.expires_at).bind(row.is_ended);
        let query =
            query.bind(&row.owner).bind(row.kept_until).bind(row.is_share).bind(&row.rights);
        let query = query.bind(row.recordings_from).bind(row.recordings_to);
        let mut write = self.write().await?;
        query.execute(&mut *write.connection).await?;
        let expired = sqlx::query("DELETE FROM playback_sessions WHERE kept_until <= $1");
        expired.bind(row.created_at).execute(&mut *write.connection).await?;
        write.commit().await
    }
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
        is_share: row.try_get("is_share")?,
        rights: row.try_get("rights")?,
        recordings_from: row.try_get("recordings_from")?,
        recordings_to: row.try_get("recordings_to")?,
    })
}
