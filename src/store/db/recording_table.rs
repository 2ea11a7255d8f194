//! The tables of recordings: reading. [`recording_writes`](super::recording_writes) changes them, and
//! [`recording_search`](super::recording_search) finds recordings by time.
//!
//! A *file* has about a minute of one stream of one camera. Consecutive files of a *span* continue each other: the
//! second one begins at the end of the first one, with the same init segment and on the same time line. Between spans,
//! players need a discontinuity. All times are UTC milliseconds.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::Database;
use crate::camera::id::{CameraId, Profile};
use crate::camera::identity_tag::IdentityTag;

/// The longest playing time of a file. A query for the files of a time begins earlier by this time.
pub(crate) const MAX_FILE_MS: i64 = 10 * 60 * 1000;
/// Milliseconds of a UTC day.
pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// The most files that a query returns. Two hours have about 120 files; interruptions add some.
pub(super) const MAX_FILES: u32 = 10_000;

/// A stream of a camera that has been recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordedStream {
    /// The id in the database.
    pub id: i64,
    /// The camera.
    pub camera: CameraId,
    /// Distinguishes the camera from other cameras with the same id, and from the same camera of another owner.
    pub identity: IdentityTag,
    /// The profile.
    pub profile: Profile,
    /// The id of the directory for new files.
    pub dir: i64,
    /// True if all recordings are being deleted.
    pub is_deleted: bool,
}

/// A directory with recordings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordingDir {
    /// The id in the database.
    pub id: i64,
    /// The id in the directory's marker file.
    pub marker: String,
    /// The path at which the directory was used last.
    pub path: String,
}

/// The state of a file's copy in the off-site storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offsite {
    /// There is no copy.
    None,
    /// A copy is to be made.
    Wanted,
    /// There is a copy.
    Stored,
}

/// A recorded file.
#[expect(clippy::struct_excessive_bools, reason = "the columns of a row")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordedFile {
    /// The id, which is greater than the ids of all files that were begun earlier.
    pub id: i64,
    /// The id of the [`RecordedStream`].
    pub stream: i64,
    /// The id of the [`RecordingDir`].
    pub dir: i64,
    /// The id of the format in the table of formats.
    pub format: i64,
    /// The number of the span.
    pub span: i64,
    /// The time at which the first frame was taken.
    pub start_at: i64,
    /// The end of the last frame.
    pub end_at: i64,
    /// The decode time of the first frame of video, in ticks of the video track. Within a span, decode times continue.
    pub decode_time: u64,
    /// Size of the whole file in bytes, with the table of frames; of an open file, of what was written when the database
    /// was updated last.
    pub bytes: u64,
    /// The size of the init segment, which is where the first fragment begins.
    pub init_bytes: u64,
    /// The number of frames of video.
    pub frames: u32,
    /// True while the file is being written.
    pub is_open: bool,
    /// True if the file must not be deleted.
    pub is_locked: bool,
    /// True if something has happened to the camera at the time of the file, so that the file is kept for longer.
    pub has_event: bool,
    /// True if the file is in its directory; false if only a copy off-site is left.
    pub is_local: bool,
    /// The state of the copy off-site.
    pub offsite: Offsite,
    /// The id of the place with the copy; `None` without a copy.
    pub offsite_place: Option<i64>,
}

impl RecordedFile {
    /// Returns true if there is a local file or a copy.
    pub(crate) fn can_be_read(&self) -> bool {
        self.is_local || self.offsite == Offsite::Stored
    }
}

/// The recordings of one stream that begin on one UTC day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordedDay {
    /// The id of the [`RecordedStream`].
    pub stream: i64,
    /// The day, in days since 1970-01-01.
    pub day: i64,
    /// The bytes of the closed local files.
    pub bytes: u64,
    /// The number of the closed local files.
    pub files: u64,
    /// The bytes of the copies off-site.
    pub offsite_bytes: u64,
}

/// The columns of a file. The init segment itself is not read.
pub(super) const FILE: &str = "SELECT f.*, length(i.init) AS init_bytes FROM recorded_files f
     JOIN recorded_formats i ON i.id = f.format";

impl Database {
    /// Returns the id of this database for the marker files of directories with recordings.
    pub(crate) async fn recording_marker(&self) -> Result<String, sqlx::Error> {
        let query = "SELECT marker FROM recording_store WHERE id = 1";
        sqlx::query_scalar(query).fetch_one(&self.pool).await
    }

    /// Returns all directories that have been used for recordings.
    pub(crate) async fn recording_dirs(&self) -> Result<Vec<RecordingDir>, sqlx::Error> {
        let rows = sqlx::query("SELECT * FROM recording_dirs ORDER BY id");
        let rows = rows.fetch_all(&self.pool).await?;
        let dir = |row: &SqliteRow| {
            Ok(RecordingDir {
                id: row.try_get("id")?,
                marker: row.try_get("marker")?,
                path: row.try_get("path")?,
            })
        };
        rows.iter().map(dir).collect()
    }

    /// Returns all streams that have been recorded, sorted by camera.
    pub(crate) async fn recorded_streams(&self) -> Result<Vec<RecordedStream>, sqlx::Error> {
        let query = "SELECT * FROM recorded_streams ORDER BY camera, identity, profile";
        let rows = sqlx::query(query).fetch_all(&self.pool).await?;
        rows.iter().map(stream).collect()
    }

    /// Returns the recordings of a stream of a camera; `None` if it has never been recorded.
    pub(crate) async fn recorded_stream(
        &self,
        camera: &CameraId,
        identity: IdentityTag,
        profile: Profile,
    ) -> Result<Option<RecordedStream>, sqlx::Error> {
        let query = sqlx::query(
            "SELECT * FROM recorded_streams
             WHERE camera = $1 AND identity = $2 AND profile = $3",
        );
        let query = query.bind(camera.as_str()).bind(identity.to_i64()).bind(profile.as_str());
        query.fetch_optional(&self.pool).await?.as_ref().map(stream).transpose()
    }

    /// Returns the files of a stream that overlap the time from `from` to `to`, in the order of recording. An open file
    /// has the end that was known when the database was updated last, so it is returned if it begins before `to`.
    pub(crate) async fn recorded_files(
        &self,
        stream: i64,
        from: i64,
        to: i64,
    ) -> Result<Vec<RecordedFile>, sqlx::Error> {
        let query = format!(
            "{FILE} WHERE f.stream = $1 AND f.is_local IN (FALSE, TRUE)
                AND f.start_at > $2 AND f.start_at < $4 AND (f.end_at > $3 OR f.is_open)
             ORDER BY f.id LIMIT {MAX_FILES}"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(query));
        let rows = rows.bind(stream).bind(from.saturating_sub(MAX_FILE_MS)).bind(from).bind(to);
        rows.fetch_all(&self.pool).await?.iter().map(file).collect()
    }

    /// Returns the file with this id; `None` if the id is unknown.
    pub(crate) async fn recorded_file(&self, id: i64) -> Result<Option<RecordedFile>, sqlx::Error> {
        let query = sqlx::query(sqlx::AssertSqlSafe(format!("{FILE} WHERE f.id = $1"))).bind(id);
        query.fetch_optional(&self.pool).await?.as_ref().map(file).transpose()
    }

    /// Returns the counters of all streams and days, sorted by stream and day.
    pub(crate) async fn recorded_days(&self) -> Result<Vec<RecordedDay>, sqlx::Error> {
        let query = sqlx::query("SELECT * FROM recorded_days ORDER BY stream, day");
        let day = |row: &SqliteRow| {
            Ok(RecordedDay {
                stream: row.try_get("stream")?,
                day: row.try_get("day")?,
                bytes: to_u64(row.try_get("bytes")?),
                files: to_u64(row.try_get("files")?),
                offsite_bytes: to_u64(row.try_get("offsite_bytes")?),
            })
        };
        query.fetch_all(&self.pool).await?.iter().map(day).collect()
    }

    /// Returns the bytes of all closed local files.
    pub(crate) async fn recorded_bytes(&self) -> Result<u64, sqlx::Error> {
        let query = "SELECT COALESCE(SUM(bytes), 0) FROM recorded_days";
        sqlx::query_scalar(query).fetch_one(&self.pool).await.map(to_u64)
    }

    /// Returns all files of a stream in one directory.
    pub(crate) async fn files_in(
        &self,
        stream: i64,
        dir: i64,
    ) -> Result<Vec<RecordedFile>, sqlx::Error> {
        let query = format!("{FILE} WHERE f.stream = $1 AND f.dir = $2");
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(stream).bind(dir);
        query.fetch_all(&self.pool).await?.iter().map(file).collect()
    }

    /// Returns the files that are being written, or that an interrupted manager has not closed.
    pub(crate) async fn open_files(&self) -> Result<Vec<RecordedFile>, sqlx::Error> {
        let query =
            sqlx::query(sqlx::AssertSqlSafe(format!("{FILE} WHERE f.is_open ORDER BY f.id")));
        query.fetch_all(&self.pool).await?.iter().map(file).collect()
    }
}

pub(super) fn stream(row: &SqliteRow) -> Result<RecordedStream, sqlx::Error> {
    let damaged = |column: &str| sqlx::Error::Decode(format!("damaged column {column}").into());
    let profile: &str = row.try_get("profile")?;
    Ok(RecordedStream {
        id: row.try_get("id")?,
        camera: CameraId::parse(row.try_get("camera")?).map_err(|_| damaged("camera"))?,
        identity: IdentityTag::from_i64(row.try_get("identity")?)
            .ok_or_else(|| damaged("identity"))?,
        profile: match profile {
            "main" => Profile::Main,
            "sub" => Profile::Sub,
            _ => return Err(damaged("profile")),
        },
        dir: row.try_get("dir")?,
        is_deleted: row.try_get("is_deleted")?,
    })
}

pub(super) fn file(row: &SqliteRow) -> Result<RecordedFile, sqlx::Error> {
    Ok(RecordedFile {
        id: row.try_get("id")?,
        stream: row.try_get("stream")?,
        dir: row.try_get("dir")?,
        format: row.try_get("format")?,
        span: row.try_get("span")?,
        start_at: row.try_get("start_at")?,
        end_at: row.try_get("end_at")?,
        decode_time: to_u64(row.try_get("decode_time")?),
        bytes: to_u64(row.try_get("bytes")?),
        init_bytes: to_u64(row.try_get("init_bytes")?),
        frames: u32::try_from(row.try_get::<i64, _>("frames")?).unwrap_or_default(),
        is_open: row.try_get("is_open")?,
        is_locked: row.try_get("is_locked")?,
        has_event: row.try_get("has_event")?,
        is_local: row.try_get("is_local")?,
        offsite: match row.try_get("offsite")? {
            0 => Offsite::None,
            1 => Offsite::Wanted,
            _ => Offsite::Stored,
        },
        offsite_place: row.try_get("offsite_place")?,
    })
}

pub(super) fn to_u64(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
