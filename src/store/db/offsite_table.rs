//! The tables of copies of recordings in other places: the places, the queue of files to copy, the uploads in progress, and
//! the queue of copies to delete.
//!
//! Uploads are listed before they begin. So after the manager was killed, the next one knows what it has left in the place.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::recording_table::{RecordedFile, file, to_u64};
use super::recording_writes::MAX_DELETED;
use super::{Database, WriteTransaction};
use crate::camera::id::{CameraId, Profile};
use crate::camera::identity_tag::IdentityTag;

/// The name of a copy, which is that of the recorded file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CopyName {
    /// The camera.
    pub camera: CameraId,
    /// Distinguishes the camera from other cameras with the same id.
    pub identity: IdentityTag,
    /// The profile.
    pub profile: Profile,
    /// The time of the first frame, in UTC milliseconds.
    pub start_at: i64,
    /// The number of the span.
    pub span: i64,
}

/// An upload that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upload {
    /// The id of the recorded file.
    pub file: i64,
    /// The id of a multipart upload, which must be ended; `None` for an upload in one request.
    pub multipart: Option<String>,
    /// The name of the copy.
    pub name: CopyName,
}

/// The files that wait for their copies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// The number of files.
    pub files: u64,
    /// The size of the files in bytes.
    pub bytes: u64,
}

impl Database {
    /// Returns the place that was last used at this URL, and the id in its marker; `None` if there was none.
    pub(crate) async fn offsite_place(
        &self,
        url: &str,
    ) -> Result<Option<(i64, String)>, sqlx::Error> {
        let query = "SELECT id, marker FROM offsite_places WHERE url = $1 ORDER BY id DESC LIMIT 1";
        sqlx::query_as(query).bind(url).fetch_optional(&self.pool).await
    }

    /// Returns the first files of the queue in these directories, at most `limit`. Files with events are first, and older
    /// files before newer ones.
    pub(crate) async fn files_to_copy(
        &self,
        dirs: &[i64],
        limit: u32,
    ) -> Result<Vec<(RecordedFile, CopyName)>, sqlx::Error> {
        let query = sqlx::query(
            "SELECT f.*, length(i.init) AS init_bytes, s.camera, s.identity, s.profile
             FROM recorded_files f
             JOIN recorded_formats i ON i.id = f.format
             JOIN recorded_streams s ON s.id = f.stream
             WHERE f.offsite = 1 AND f.dir IN (SELECT value FROM json_each($1))
             ORDER BY f.has_event DESC, f.id LIMIT $2",
        );
        let rows = query.bind(format!("{dirs:?}")).bind(limit).fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok((file(row)?, name(row)?))).collect()
    }

    /// Returns how much waits for its copy.
    pub(crate) async fn offsite_waiting(&self) -> Result<Waiting, sqlx::Error> {
        let query =
            "SELECT COUNT(*), COALESCE(SUM(bytes), 0) FROM recorded_files WHERE offsite = 1";
        let (files, bytes) = sqlx::query_as::<_, (i64, i64)>(query).fetch_one(&self.pool).await?;
        Ok(Waiting { files: to_u64(files), bytes: to_u64(bytes) })
    }

    /// Returns the uploads to a place that have begun and have not ended.
    pub(crate) async fn offsite_uploads(&self, place: i64) -> Result<Vec<Upload>, sqlx::Error> {
        let query = sqlx::query("SELECT * FROM offsite_uploads WHERE place = $1 ORDER BY file");
        let rows = query.bind(place).fetch_all(&self.pool).await?;
        let upload = |row: &SqliteRow| {
            let (file, multipart) = (row.try_get("file")?, row.try_get("upload")?);
            Ok(Upload { file, multipart, name: name(row)? })
        };
        rows.iter().map(upload).collect()
    }

    /// Returns the first copies in a place that are to be deleted, with their numbers, at most [`MAX_DELETED`].
    pub(crate) async fn offsite_deletions(
        &self,
        place: i64,
    ) -> Result<Vec<(i64, CopyName)>, sqlx::Error> {
        let query = format!(
            "SELECT * FROM offsite_deletions WHERE place = $1 ORDER BY id LIMIT {MAX_DELETED}"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(query)).bind(place).fetch_all(&self.pool);
        rows.await?.iter().map(|row| Ok((row.try_get("id")?, name(row)?))).collect()
    }

    /// Returns true if the deletion of a copy with this number has not been finished or given up.
    pub(crate) async fn is_deletion_queued(&self, number: i64) -> Result<bool, sqlx::Error> {
        let query =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM offsite_deletions WHERE id = $1)");
        query.bind(number).fetch_one(&self.pool).await
    }

    /// Returns the ids of files with copies that ended before a time, except those that are locked, at most
    /// [`MAX_DELETED`].
    pub(crate) async fn expired_copies(&self, before: i64) -> Result<Vec<i64>, sqlx::Error> {
        let query = format!(
            "SELECT id FROM recorded_files WHERE offsite = 2 AND end_at <= $1 AND NOT is_locked
             ORDER BY end_at LIMIT {MAX_DELETED}"
        );
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(query));
        query.bind(before).fetch_all(&self.pool).await
    }
}

impl WriteTransaction {
    /// Adds a place, or notes its new URL. Returns its id.
    pub(crate) async fn put_offsite_place(
        &mut self,
        marker: &str,
        url: &str,
    ) -> Result<i64, sqlx::Error> {
        let query = sqlx::query_scalar(
            "INSERT INTO offsite_places (marker, url) VALUES ($1, $2)
             ON CONFLICT (marker) DO UPDATE SET url = excluded.url RETURNING id",
        );
        query.bind(marker).bind(url).fetch_one(&mut *self.connection).await
    }

    /// Notes that the upload of a file begins, with the id of its multipart upload, if it has one. An earlier copy with the
    /// same name is not deleted any more. Returns false if the file is not in the queue any more.
    pub(crate) async fn begin_upload(
        &mut self,
        file: i64,
        place: i64,
        upload: Option<&str>,
    ) -> Result<bool, sqlx::Error> {
        let query = sqlx::query(
            "INSERT INTO offsite_uploads
                (file, place, upload, camera, identity, profile, start_at, span)
             SELECT f.id, $2, $3, s.camera, s.identity, s.profile, f.start_at, f.span
             FROM recorded_files f JOIN recorded_streams s ON s.id = f.stream
             WHERE f.id = $1 AND f.offsite = 1
             ON CONFLICT (file) DO UPDATE SET place = excluded.place, upload = excluded.upload",
        );
        let query = query.bind(file).bind(place).bind(upload);
        let is_begun = query.execute(&mut *self.connection).await?.rows_affected() > 0;
        let query = sqlx::query(
            "DELETE FROM offsite_deletions
             WHERE (place, camera, identity, profile, start_at, span) IN
                (SELECT place, camera, identity, profile, start_at, span FROM offsite_uploads
                 WHERE file = $1)",
        );
        query.bind(file).execute(&mut *self.connection).await?;
        Ok(is_begun)
    }

    /// Notes that the copy of a file, with this size in bytes, is complete. If the file was deleted in the meantime, queues
    /// the deletion of its copy, and returns false. If the file has grown in the meantime, also returns false, and the file
    /// stays in the queue.
    pub(crate) async fn finish_upload(
        &mut self,
        file: i64,
        place: i64,
        size: u64,
    ) -> Result<bool, sqlx::Error> {
        let query = sqlx::query(
            "UPDATE recorded_files SET offsite = 2, offsite_place = $2
             WHERE id = $1 AND offsite = 1 AND bytes = $3 RETURNING stream, start_at, bytes",
        );
        let query = query.bind(file).bind(place).bind(super::recording_writes::to_i64(size));
        let row = query.fetch_optional(&mut *self.connection).await?;
        if let Some(row) = &row {
            let (stream, start_at) = (row.try_get("stream")?, row.try_get("start_at")?);
            self.count_bytes(stream, start_at, (0, 0), row.try_get("bytes")?).await?;
        }
        self.end_upload(file).await?;
        Ok(row.is_some())
    }

    /// Removes an upload that has ended. If its file was deleted in the meantime, queues the deletion of its copy, which may
    /// be complete.
    pub(crate) async fn end_upload(&mut self, file: i64) -> Result<(), sqlx::Error> {
        let query = sqlx::query(
            "INSERT INTO offsite_deletions (place, camera, identity, profile, start_at, span)
             SELECT u.place, u.camera, u.identity, u.profile, u.start_at, u.span
             FROM offsite_uploads u
             WHERE u.file = $1 AND NOT EXISTS (SELECT 1 FROM recorded_files WHERE id = $1)",
        );
        query.bind(file).execute(&mut *self.connection).await?;
        let query = sqlx::query("DELETE FROM offsite_uploads WHERE file = $1").bind(file);
        query.execute(&mut *self.connection).await.map(drop)
    }

    /// Removes a file from the queue.
    pub(crate) async fn leave_queue(&mut self, file: i64) -> Result<(), sqlx::Error> {
        let query =
            sqlx::query("UPDATE recorded_files SET offsite = 0 WHERE id = $1 AND offsite = 1");
        query.bind(file).execute(&mut *self.connection).await.map(drop)
    }

    /// Queues the deletion of these copies, which must be at most [`MAX_DELETED`], except those of files that are locked.
    /// Files without a local copy are deleted from the index.
    pub(crate) async fn drop_copies(&mut self, ids: &[i64]) -> Result<(), sqlx::Error> {
        for id in ids.iter().take(MAX_DELETED) {
            let is_locked =
                sqlx::query_scalar("SELECT is_locked FROM recorded_files WHERE id = $1");
            let is_locked = is_locked.bind(id).fetch_optional(&mut *self.connection).await?;
            if is_locked.unwrap_or(true) {
                continue;
            }
            self.delete_copy_later(*id).await?;
            let query = "DELETE FROM recorded_files WHERE id = $1 AND NOT is_local";
            sqlx::query(query).bind(id).execute(&mut *self.connection).await?;
        }
        Ok(())
    }

    /// Queues the deletion of a file's copy, and subtracts its bytes. Has no effect without a copy.
    pub(super) async fn delete_copy_later(&mut self, file: i64) -> Result<(), sqlx::Error> {
        let query = sqlx::query(
            "INSERT INTO offsite_deletions (place, camera, identity, profile, start_at, span)
             SELECT f.offsite_place, s.camera, s.identity, s.profile, f.start_at, f.span
             FROM recorded_files f JOIN recorded_streams s ON s.id = f.stream
             WHERE f.id = $1 AND f.offsite = 2 AND f.offsite_place IS NOT NULL",
        );
        query.bind(file).execute(&mut *self.connection).await?;
        let query = sqlx::query(
            "UPDATE recorded_files SET offsite = 0, offsite_place = NULL
             WHERE id = $1 AND offsite = 2 RETURNING stream, start_at, bytes",
        );
        if let Some(row) = query.bind(file).fetch_optional(&mut *self.connection).await? {
            let (stream, start_at) = (row.try_get("stream")?, row.try_get("start_at")?);
            let bytes: i64 = row.try_get("bytes")?;
            self.count_bytes(stream, start_at, (0, 0), -bytes).await?;
        }
        Ok(())
    }

    /// Removes copies that were deleted from the queue.
    pub(crate) async fn finish_deletions(&mut self, numbers: &[i64]) -> Result<(), sqlx::Error> {
        for number in numbers {
            let query = sqlx::query("DELETE FROM offsite_deletions WHERE id = $1").bind(number);
            query.execute(&mut *self.connection).await?;
        }
        Ok(())
    }
}

fn name(row: &SqliteRow) -> Result<CopyName, sqlx::Error> {
    let damaged = |column: &str| sqlx::Error::Decode(format!("damaged column {column}").into());
    let profile: &str = row.try_get("profile")?;
    let profile = [Profile::Main, Profile::Sub].into_iter().find(|it| it.as_str() == profile);
    let identity = IdentityTag::from_i64(row.try_get("identity")?);
    Ok(CopyName {
        camera: CameraId::parse(row.try_get("camera")?).map_err(|_| damaged("camera"))?,
        identity: identity.ok_or_else(|| damaged("identity"))?,
        profile: profile.ok_or_else(|| damaged("profile"))?,
        start_at: row.try_get("start_at")?,
        span: row.try_get("span")?,
    })
}
