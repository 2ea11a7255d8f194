//! The tables of recordings: changes. The counters of bytes per day change in the same transactions as the files.

use bytes::Bytes;
use sqlx::Row as _;

use super::recording_table::{DAY_MS, RecordedFile, file};
use super::{Database, WriteTransaction, fragment_list};
use crate::camera::id::{CameraId, Profile};
use crate::camera::identity_tag::IdentityTag;
use crate::store::db::fragment_list::RecordedFragment;

/// The most files that one transaction deletes, so that other writers wait for a few milliseconds at most.
pub(crate) const MAX_DELETED: usize = 50;

/// The rule by which the files of a stream are copied to another place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum CopyRule {
    /// No file is copied.
    #[default]
    Never,
    /// Only files at whose time something has happened to the camera are copied.
    WithEvent,
    /// All files are copied.
    Always,
}

/// A new file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewFile {
    /// The id of the stream.
    pub stream: i64,
    /// The id of the directory.
    pub dir: i64,
    /// The id of the format.
    pub format: i64,
    /// The number of the span.
    pub span: i64,
    /// The time of the first frame, in UTC milliseconds.
    pub start_at: i64,
    /// The decode time of the first frame of video, in ticks of the video track.
    pub decode_time: u64,
    /// True if something has happened to the camera at this time.
    pub has_event: bool,
}

/// The content of a file that is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClosedFile {
    /// The end of the last frame, in UTC milliseconds.
    pub end_at: i64,
    /// Size of the whole file in bytes.
    pub bytes: u64,
    /// The number of frames of video.
    pub frames: u32,
    /// The fragments.
    pub fragments: Vec<RecordedFragment>,
    /// True if something has happened to the camera at this time.
    pub has_event: bool,
    /// Decides whether the file is to be copied.
    pub copy: CopyRule,
}

/// A selection of files for deletion. All conditions must apply. Locked files, open files and files without a local copy
/// are never selected.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deletable {
    /// Only files of this stream; `None` for all streams.
    pub stream: Option<i64>,
    /// Only files in this directory; `None` for all directories.
    pub dir: Option<i64>,
    /// Only files that end before this time.
    pub before: i64,
    /// If true, also files at whose time something has happened to the camera.
    pub with_events: bool,
    /// If true, also files that wait for their copy.
    pub with_waiting: bool,
    /// Only files after this one, which has this beginning and this id; `None` from the first one on.
    pub after: Option<(i64, i64)>,
}

impl WriteTransaction {
    /// Adds a directory, or notes its new path. Returns its id.
    pub(crate) async fn put_recording_dir(
        &mut self,
        marker: &str,
        path: &str,
    ) -> Result<i64, sqlx::Error> {
        let query = sqlx::query_scalar(
            "INSERT INTO recording_dirs (marker, path) VALUES ($1, $2)
             ON CONFLICT (marker) DO UPDATE SET path = excluded.path RETURNING id",
        );
        query.bind(marker).bind(path).fetch_one(&mut *self.connection).await
    }

    /// Adds a stream whose new files go to the directory `dir`, or changes the directory of a known stream. Returns its
    /// id.
    pub(crate) async fn put_recorded_stream(
        &mut self,
        camera: &CameraId,
        identity: IdentityTag,
        profile: Profile,
        dir: i64,
    ) -> Result<i64, sqlx::Error> {
        let query = sqlx::query_scalar(
            "INSERT INTO recorded_streams (camera, identity, profile, dir)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (camera, identity, profile) DO UPDATE SET dir = excluded.dir
             RETURNING id",
        );
        let query = query.bind(camera.as_str()).bind(identity.to_i64()).bind(profile.as_str());
        query.bind(dir).fetch_one(&mut *self.connection).await
    }

    /// Adds a format, unless there is one with this `digest`. Returns its id.
    pub(crate) async fn put_recorded_format(
        &mut self,
        digest: &[u8; 32],
        init: &Bytes,
        codecs: &str,
        (width, height): (u16, u16),
    ) -> Result<i64, sqlx::Error> {
        let known = sqlx::query_scalar("SELECT id FROM recorded_formats WHERE digest = $1");
        let known = known.bind(&digest[..]).fetch_optional(&mut *self.connection).await?;
        if let Some(id) = known {
            return Ok(id);
        }
        let query = sqlx::query_scalar(
            "INSERT INTO recorded_formats (digest, init, codecs, width, height)
             VALUES ($1, $2, $3, $4, $5) RETURNING id",
        );
        let query = query.bind(&digest[..]).bind(&init[..]).bind(codecs).bind(width).bind(height);
        query.fetch_one(&mut *self.connection).await
    }

    /// Adds an open file. Returns its id.
    pub(crate) async fn open_file(&mut self, new: &NewFile) -> Result<i64, sqlx::Error> {
        let query = sqlx::query_scalar(
            "INSERT INTO recorded_files (stream, dir, format, span, start_at, end_at, decode_time,
                bytes, frames, is_open, is_locked, has_event, is_local, offsite)
             VALUES ($1, $2, $3, $4, $5, $5, $6, 0, 0, TRUE, FALSE, $7, TRUE, 0) RETURNING id",
        );
        let query = query.bind(new.stream).bind(new.dir).bind(new.format).bind(new.span);
        let query = query.bind(new.start_at).bind(to_i64(new.decode_time)).bind(new.has_event);
        query.fetch_one(&mut *self.connection).await
    }

    /// Closes an open file, counts its bytes, and queues its copy. Locks it if its time is locked: it can enter the index
    /// long after the time was locked. Returns false, and changes nothing, if the file is not
    /// open.
    pub(crate) async fn close_file(
        &mut self,
        id: i64,
        closed: &ClosedFile,
    ) -> Result<bool, sqlx::Error> {
        let query = sqlx::query(
            "UPDATE recorded_files SET end_at = $2, bytes = $3, frames = $4, is_open = FALSE,
                has_event = has_event OR $5, offsite = ($6 OR ($7 AND (has_event OR $5))),
                is_locked = is_locked OR EXISTS (SELECT 1 FROM recorded_locks l
                    WHERE l.stream = recorded_files.stream AND l.end_at > start_at AND l.begin_at < $2)
             WHERE id = $1 AND is_open RETURNING stream, start_at",
        );
        let query = query.bind(id).bind(closed.end_at).bind(to_i64(closed.bytes));
        let query = query.bind(closed.frames).bind(closed.has_event);
        let query = query.bind(closed.copy == CopyRule::Always);
        let query = query.bind(closed.copy == CopyRule::WithEvent);
        let Some(row) = query.fetch_optional(&mut *self.connection).await? else {
            return Ok(false);
        };
        let query = sqlx::query(
            "INSERT INTO recorded_fragments (file, fragments) VALUES ($1, $2)
             ON CONFLICT (file) DO UPDATE SET fragments = excluded.fragments",
        );
        let list = fragment_list::encode(&closed.fragments);
        query.bind(id).bind(list).execute(&mut *self.connection).await?;
        let (stream, start_at) = (row.try_get("stream")?, row.try_get("start_at")?);
        self.count_bytes(stream, start_at, (to_i64(closed.bytes), 1), 0).await?;
        Ok(true)
    }

    /// Notes the new size of a closed file in bytes.
    pub(crate) async fn resize_file(&mut self, id: i64, bytes: u64) -> Result<(), sqlx::Error> {
        let query =
            "SELECT stream, start_at, bytes FROM recorded_files WHERE id = $1 AND NOT is_open";
        let row = sqlx::query(query).bind(id).fetch_optional(&mut *self.connection).await?;
        let Some(row) = row else { return Ok(()) };
        let (stream, start_at) = (row.try_get("stream")?, row.try_get("start_at")?);
        let added = to_i64(bytes) - row.try_get::<i64, _>("bytes")?;
        // The copy of the smaller file is replaced.
        let query = sqlx::query(
            "UPDATE recorded_files SET offsite = 1, offsite_place = NULL
             WHERE id = $1 AND offsite = 2 RETURNING bytes",
        );
        if let Some(row) = query.bind(id).fetch_optional(&mut *self.connection).await? {
            let copied: i64 = row.try_get("bytes")?;
            self.count_bytes(stream, start_at, (0, 0), -copied).await?;
        }
        let query = sqlx::query("UPDATE recorded_files SET bytes = $2 WHERE id = $1");
        query.bind(id).bind(to_i64(bytes)).execute(&mut *self.connection).await?;
        self.count_bytes(stream, start_at, (added, 0), 0).await
    }

    /// Marks the files of a stream that overlap a time as files with an event. Queues the copies of files that have none,
    /// unless `copy` is [`CopyRule::Never`].
    pub(crate) async fn mark_event(
        &mut self,
        stream: i64,
        (from, to): (i64, i64),
        copy: CopyRule,
    ) -> Result<(), sqlx::Error> {
        let query = sqlx::query(
            "UPDATE recorded_files SET has_event = TRUE,
                offsite = CASE WHEN offsite = 0 AND NOT is_open THEN $5 ELSE offsite END
             WHERE stream = $1 AND is_local IN (FALSE, TRUE)
                AND start_at > $2 AND start_at < $4 AND (end_at > $3 OR is_open)",
        );
        let query = query.bind(stream).bind(from - super::recording_table::MAX_FILE_MS);
        let query = query.bind(from).bind(to).bind(copy != CopyRule::Never);
        query.execute(&mut *self.connection).await.map(drop)
    }

    /// Protects the files of a stream that overlap a time from deletion, or ends the protection. Returns the number of
    /// these files.
    pub(crate) async fn lock_files(
        &mut self,
        stream: i64,
        (from, to): (i64, i64),
        is_locked: bool,
    ) -> Result<u64, sqlx::Error> {
        let query = sqlx::query(
            "UPDATE recorded_files SET is_locked = $5
             WHERE stream = $1 AND is_local IN (FALSE, TRUE)
                AND start_at > $2 AND start_at < $4 AND (end_at > $3 OR is_open)",
        );
        let query = query.bind(stream).bind(from - super::recording_table::MAX_FILE_MS);
        let query = query.bind(from).bind(to).bind(is_locked);
        Ok(query.execute(&mut *self.connection).await?.rows_affected())
    }

    /// Returns true if a file of a stream is in the index.
    pub(crate) async fn has_file(
        &mut self,
        stream: i64,
        start_at: i64,
        span: i64,
    ) -> Result<bool, sqlx::Error> {
        let query = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM recorded_files
             WHERE stream = $1 AND is_local IN (FALSE, TRUE) AND start_at = $2 AND span = $3)",
        );
        query.bind(stream).bind(start_at).bind(span).fetch_one(&mut *self.connection).await
    }

    /// Deletes the rows of these files, which must be at most [`MAX_DELETED`], subtracts their bytes, and queues the
    /// deletion of their copies. The files themselves must have been deleted before.
    pub(crate) async fn delete_files(&mut self, ids: &[i64]) -> Result<(), sqlx::Error> {
        for id in ids.iter().take(MAX_DELETED) {
            self.delete_copy_later(*id).await?;
            let query = sqlx::query(
                "DELETE FROM recorded_files WHERE id = $1
                 RETURNING stream, start_at, bytes, is_open, is_local",
            );
            let Some(row) = query.bind(id).fetch_optional(&mut *self.connection).await? else {
                continue;
            };
            if !row.try_get::<bool, _>("is_open")? && row.try_get("is_local")? {
                let (stream, start_at) = (row.try_get("stream")?, row.try_get("start_at")?);
                let bytes: i64 = row.try_get("bytes")?;
                self.count_bytes(stream, start_at, (-bytes, -1), 0).await?;
            }
        }
        Ok(())
    }

    /// Deletes the rows of these files, as [`WriteTransaction::delete_files`] does, but keeps the copies of those that have
    /// one, and their rows.
    pub(crate) async fn delete_files_without_copy(
        &mut self,
        ids: &[i64],
    ) -> Result<(), sqlx::Error> {
        let kept = self.forget_local_files(ids).await?;
        let others: Vec<_> = ids.iter().copied().filter(|id| !kept.contains(id)).collect();
        self.delete_files(&others).await
    }

    /// Notes that the local files of these files are gone, or will be deleted now, if they have a copy. Returns the ids of
    /// those that have one.
    pub(crate) async fn forget_local_files(
        &mut self,
        ids: &[i64],
    ) -> Result<Vec<i64>, sqlx::Error> {
        let mut with_copy = Vec::new();
        for id in ids.iter().take(MAX_DELETED) {
            let query = sqlx::query(
                "UPDATE recorded_files SET is_local = FALSE
                 WHERE id = $1 AND is_local AND NOT is_open AND offsite = 2
                 RETURNING stream, start_at, bytes",
            );
            let Some(row) = query.bind(id).fetch_optional(&mut *self.connection).await? else {
                continue;
            };
            let (stream, start_at) = (row.try_get("stream")?, row.try_get("start_at")?);
            let bytes: i64 = row.try_get("bytes")?;
            self.count_bytes(stream, start_at, (-bytes, -1), 0).await?;
            with_copy.push(*id);
        }
        Ok(with_copy)
    }

    /// Notes that the local file of a file that has a copy is there again, and counts its bytes. Has no effect if the index
    /// does not list the file as a mere copy.
    pub(crate) async fn restore_local_file(&mut self, id: i64) -> Result<(), sqlx::Error> {
        let query = sqlx::query(
            "UPDATE recorded_files SET is_local = TRUE
             WHERE id = $1 AND NOT is_local AND NOT is_open RETURNING stream, start_at, bytes",
        );
        let row = query.bind(id).fetch_optional(&mut *self.connection).await?;
        let Some(row) = row else { return Ok(()) };
        let (stream, start_at) = (row.try_get("stream")?, row.try_get("start_at")?);
        self.count_bytes(stream, start_at, (row.try_get("bytes")?, 1), 0).await
    }

    /// Marks all recordings of a camera for deletion. Returns whether there are any.
    pub(crate) async fn delete_recordings_of(
        &mut self,
        camera: &CameraId,
        identity: IdentityTag,
    ) -> Result<bool, sqlx::Error> {
        let query = sqlx::query(
            "UPDATE recorded_streams SET is_deleted = TRUE WHERE camera = $1 AND identity = $2",
        );
        let query = query.bind(camera.as_str()).bind(identity.to_i64());
        Ok(query.execute(&mut *self.connection).await?.rows_affected() > 0)
    }

    /// Deletes a stream that has no files. Returns whether it was deleted.
    pub(crate) async fn delete_recorded_stream(
        &mut self,
        stream: i64,
    ) -> Result<bool, sqlx::Error> {
        let query = sqlx::query(
            "DELETE FROM recorded_streams
             WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM recorded_files WHERE stream = $1)",
        );
        Ok(query.bind(stream).execute(&mut *self.connection).await?.rows_affected() > 0)
    }

    /// Adds to the counters of the day on which `start_at` is: bytes and number of local files, and bytes of copies. Deletes
    /// counters that have become zero.
    pub(super) async fn count_bytes(
        &mut self,
        stream: i64,
        start_at: i64,
        (bytes, files): (i64, i64),
        offsite_bytes: i64,
    ) -> Result<(), sqlx::Error> {
        let day = start_at.div_euclid(DAY_MS);
        let query = sqlx::query(
            "INSERT INTO recorded_days (stream, day, bytes, files, offsite_bytes)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (stream, day) DO UPDATE SET
                bytes = bytes + excluded.bytes, files = files + excluded.files,
                offsite_bytes = offsite_bytes + excluded.offsite_bytes",
        );
        let query = query.bind(stream).bind(day).bind(bytes).bind(files).bind(offsite_bytes);
        query.execute(&mut *self.connection).await?;
        if files < 0 || offsite_bytes < 0 {
            let query = sqlx::query(
                "DELETE FROM recorded_days
                 WHERE stream = $1 AND day = $2 AND files <= 0 AND offsite_bytes <= 0",
            );
            query.bind(stream).bind(day).execute(&mut *self.connection).await?;
        }
        Ok(())
    }
}

impl Database {
    /// Returns the first files of a stream whose ids are greater than `after`, at most [`MAX_DELETED`].
    pub(crate) async fn some_files(
        &self,
        stream: i64,
        after: i64,
    ) -> Result<Vec<RecordedFile>, sqlx::Error> {
        let query = format!(
            "SELECT f.*, length(i.init) AS init_bytes FROM recorded_files f
             JOIN recorded_formats i ON i.id = f.format
             WHERE f.stream = $1 AND f.id > $2 ORDER BY f.id LIMIT {MAX_DELETED}"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(stream).bind(after);
        query.fetch_all(&self.pool).await?.iter().map(file).collect()
    }

    /// Returns the closed files of a stream that overlap a time, are not locked, and have ids greater than `after`, at most
    /// [`MAX_DELETED`].
    pub(crate) async fn unlocked_files(
        &self,
        stream: i64,
        (from, to): (i64, i64),
        after: i64,
    ) -> Result<Vec<RecordedFile>, sqlx::Error> {
        let query = format!(
            "SELECT f.*, length(i.init) AS init_bytes FROM recorded_files f
             JOIN recorded_formats i ON i.id = f.format
             WHERE f.stream = $1 AND f.is_local IN (FALSE, TRUE)
                AND f.start_at > $2 AND f.start_at < $4 AND f.end_at > $3
                AND NOT f.is_locked AND NOT f.is_open AND f.id > $5
             ORDER BY f.id LIMIT {MAX_DELETED}"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(stream);
        let query = query.bind(from.saturating_sub(super::recording_table::MAX_FILE_MS));
        let query = query.bind(from).bind(to).bind(after);
        query.fetch_all(&self.pool).await?.iter().map(file).collect()
    }

    /// Returns the number of files of a stream that overlap a time.
    pub(crate) async fn count_files(
        &self,
        stream: i64,
        (from, to): (i64, i64),
    ) -> Result<u64, sqlx::Error> {
        let query = sqlx::query_scalar(
            "SELECT COUNT(*) FROM recorded_files
             WHERE stream = $1 AND is_local IN (FALSE, TRUE)
                AND start_at > $2 AND start_at < $4 AND (end_at > $3 OR is_open)",
        );
        let query = query.bind(stream);
        let query = query.bind(from.saturating_sub(super::recording_table::MAX_FILE_MS));
        let count: i64 = query.bind(from).bind(to).fetch_one(&self.pool).await?;
        Ok(super::recording_table::to_u64(count))
    }

    /// Returns the ids of those of these files, at most [`MAX_DELETED`], that are locked.
    pub(crate) async fn locked_of(&self, ids: &[i64]) -> Result<Vec<i64>, sqlx::Error> {
        let mut query =
            sqlx::QueryBuilder::new("SELECT id FROM recorded_files WHERE is_locked AND id IN (");
        let mut list = query.separated(", ");
        for id in ids.iter().take(MAX_DELETED) {
            list.push_bind(*id);
        }
        query.push(")");
        query.build_query_scalar().fetch_all(&self.pool).await
    }

    /// Returns the oldest files that a selection contains, at most [`MAX_DELETED`].
    pub(crate) async fn deletable_files(
        &self,
        selection: Deletable,
    ) -> Result<Vec<RecordedFile>, sqlx::Error> {
        let condition = "x.is_local = TRUE AND NOT x.is_locked AND NOT x.is_open
            AND ($2 IS NULL OR x.dir = $2) AND x.end_at <= $3 AND ($4 OR NOT x.has_event)
            AND ($5 OR x.offsite <> 1) AND (x.start_at, x.id) > ($6, $7)";
        // Without a stream, the oldest files of each stream are candidates, so that the index serves this query, too.
        let query = match selection.stream {
            Some(_) => format!(
                "SELECT x.*, length(i.init) AS init_bytes FROM recorded_files x
                 JOIN recorded_formats i ON i.id = x.format
                 WHERE x.stream = $1 AND x.start_at < $3 AND {condition}
                 ORDER BY x.start_at, x.id LIMIT {MAX_DELETED}"
            ),
            None => format!(
                "SELECT f.*, length(i.init) AS init_bytes FROM recorded_streams s
                 JOIN recorded_files f ON $1 IS NULL AND f.id IN (
                    SELECT x.id FROM recorded_files x WHERE x.stream = s.id AND {condition}
                    ORDER BY x.start_at, x.id LIMIT {MAX_DELETED})
                 JOIN recorded_formats i ON i.id = f.format
                 ORDER BY f.start_at, f.id LIMIT {MAX_DELETED}"
            ),
        };
        let (start_at, id) = selection.after.unwrap_or((i64::MIN, i64::MIN));
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(selection.stream);
        let query = query.bind(selection.dir).bind(selection.before);
        let query = query.bind(selection.with_events).bind(selection.with_waiting);
        let query = query.bind(start_at).bind(id);
        query.fetch_all(&self.pool).await?.iter().map(file).collect()
    }
}

pub(super) fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
