//! Finding recordings by time, for playback.

use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use tracing::warn;

use super::Database;
use super::fragment_list::{self, RecordedFragment};
use super::recording_table::{MAX_FILE_MS, MAX_FILES, RecordedFile, file, to_u64};
use crate::base::time::rfc3339_millis;

/// The longest time by which consecutive files of a span can differ from each other, because times are rounded.
const TOLERANCE_MS: i64 = 2;
/// The most files that one request for a time line reads: a month of continuous recording has 45,000. A camera whose
/// connection is interrupted again and again has more.
const MAX_SPANS: i64 = 100_000;

/// The init segment that files have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordedFormat {
    /// The id in the database. Files with the same format have equal parameter sets.
    pub id: i64,
    /// `ftyp` and `moov`.
    pub init: Bytes,
    /// The RFC 6381 codecs of the tracks, separated by commas.
    pub codecs: String,
    /// Width of the picture in pixels.
    pub width: u16,
    /// Height of the picture in pixels.
    pub height: u16,
}

/// A time with recordings, without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimelineSpan {
    /// The beginning.
    pub start_at: i64,
    /// The end.
    pub end_at: i64,
    /// The bytes of the files.
    pub bytes: u64,
    /// True if all files are protected from deletion.
    pub is_locked: bool,
    /// True if something has happened to the camera in this time.
    pub has_event: bool,
}

impl RecordedFile {
    /// Returns true if `next` continues this file, so that players need no discontinuity between the two.
    pub(crate) fn is_continued_by(&self, next: &Self) -> bool {
        self.span == next.span && (next.start_at - self.end_at).abs() <= TOLERANCE_MS
    }
}

impl Database {
    /// Returns the same files as [`Database::recorded_files`], with their fragments. An open file has no fragments
    /// here; the recorder has them in memory.
    pub(crate) async fn recorded_fragments(
        &self,
        stream: i64,
        from: i64,
        to: i64,
    ) -> Result<Vec<(RecordedFile, Vec<RecordedFragment>)>, sqlx::Error> {
        let query = format!(
            "SELECT f.*, length(i.init) AS init_bytes, b.fragments FROM recorded_files f
             JOIN recorded_formats i ON i.id = f.format
             LEFT JOIN recorded_fragments b ON b.file = f.id
             WHERE f.stream = $1 AND f.is_local IN (FALSE, TRUE)
                AND f.start_at > $2 AND f.start_at < $4 AND (f.end_at > $3 OR f.is_open)
             ORDER BY f.id LIMIT {MAX_FILES}"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(query));
        let rows = rows.bind(stream).bind(from.saturating_sub(MAX_FILE_MS)).bind(from).bind(to);
        let rows = rows.fetch_all(&self.pool).await?;
        let with_fragments = |row: &SqliteRow| {
            let file = file(row)?;
            let list: Option<&[u8]> = row.try_get("fragments")?;
            let fragments = fragments(list.unwrap_or_default(), &file);
            Ok((file, fragments))
        };
        rows.iter().map(with_fragments).collect()
    }

    /// Returns the fragments of a closed file; an empty list of an open file.
    pub(crate) async fn fragments_of(
        &self,
        file: &RecordedFile,
    ) -> Result<Vec<RecordedFragment>, sqlx::Error> {
        let query = sqlx::query_scalar("SELECT fragments FROM recorded_fragments WHERE file = $1");
        let list: Option<Vec<u8>> = query.bind(file.id).fetch_optional(&self.pool).await?;
        Ok(fragments(&list.unwrap_or_default(), file))
    }

    /// Returns the format with this id; `None` if there is no such format.
    pub(crate) async fn recorded_format(
        &self,
        id: i64,
    ) -> Result<Option<RecordedFormat>, sqlx::Error> {
        let query = sqlx::query("SELECT * FROM recorded_formats WHERE id = $1").bind(id);
        query.fetch_optional(&self.pool).await?.as_ref().map(format).transpose()
    }

    /// Returns the beginning of the first and the end of the last file of a stream; `None` without files.
    pub(crate) async fn recorded_range(
        &self,
        stream: i64,
    ) -> Result<Option<(i64, i64)>, sqlx::Error> {
        let mut range: Option<(i64, i64)> = None;
        // The index has local files and others in two orders.
        for is_local in [true, false] {
            let query = sqlx::query_as(
                "SELECT MIN(start_at), (SELECT end_at FROM recorded_files
                    WHERE stream = $1 AND is_local = $2 ORDER BY start_at DESC LIMIT 1)
                 FROM recorded_files WHERE stream = $1 AND is_local = $2",
            );
            let query = query.bind(stream).bind(is_local);
            let (first, last): (Option<i64>, Option<i64>) = query.fetch_one(&self.pool).await?;
            if let Some((first, last)) = first.zip(last) {
                let (begin, end) = range.unwrap_or((first, last));
                range = Some((begin.min(first), end.max(last)));
            }
        }
        Ok(range)
    }

    /// Returns whether a stream has recordings in each of these days. The days are given by their limits: the first day
    /// begins at the first limit and ends at the second one, where the second day begins. So the days can be those of
    /// any time zone.
    pub(crate) async fn days_with_recordings(
        &self,
        stream: i64,
        limits: &[i64],
    ) -> Result<Vec<bool>, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        let mut days = Vec::with_capacity(limits.len());
        for (begin, end) in limits.iter().zip(limits.iter().skip(1)) {
            let query = sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM recorded_files
                 WHERE stream = $1 AND is_local IN (FALSE, TRUE)
                    AND start_at > $2 AND start_at < $4 AND (end_at > $3 OR is_open))",
            );
            let query = query.bind(stream).bind(begin.saturating_sub(MAX_FILE_MS));
            days.push(query.bind(begin).bind(end).fetch_one(&mut *connection).await?);
        }
        Ok(days)
    }

    /// Returns the times from `from` to `to` in which a stream has recordings, at most [`MAX_SPANS`] files of them. Files
    /// that continue each other are one time, unless only one of them is protected, or marked with an event.
    pub(crate) async fn recorded_spans(
        &self,
        stream: i64,
        from: i64,
        to: i64,
    ) -> Result<Vec<TimelineSpan>, sqlx::Error> {
        let query = sqlx::query_as::<_, (i64, i64, i64, i64, bool, bool)>(
            "SELECT span, start_at, end_at, bytes, is_locked, has_event FROM recorded_files
             WHERE stream = $1 AND is_local IN (FALSE, TRUE)
                AND start_at > $2 AND start_at < $4 AND (end_at > $3 OR is_open)
             ORDER BY start_at, id LIMIT $5",
        );
        let query = query.bind(stream).bind(from.saturating_sub(MAX_FILE_MS)).bind(from).bind(to);
        let query = query.bind(MAX_SPANS);
        let mut spans: Vec<TimelineSpan> = Vec::new();
        let mut last = None;
        for (span, start_at, end_at, bytes, is_locked, has_event) in
            query.fetch_all(&self.pool).await?
        {
            let bytes = to_u64(bytes);
            let before = spans.last_mut().filter(|before| {
                last == Some(span) && (start_at - before.end_at).abs() <= TOLERANCE_MS
            });
            last = Some(span);
            let start_at = match before {
                Some(before) if (before.is_locked, before.has_event) == (is_locked, has_event) => {
                    before.end_at = end_at;
                    before.bytes += bytes;
                    continue;
                }
                // There is no gap between the two.
                Some(before) => before.end_at,
                None => start_at,
            };
            spans.push(TimelineSpan { start_at, end_at, bytes, is_locked, has_event });
        }
        Ok(spans)
    }
}

fn format(row: &SqliteRow) -> Result<RecordedFormat, sqlx::Error> {
    Ok(RecordedFormat {
        id: row.try_get("id")?,
        init: row.try_get::<Vec<u8>, _>("init")?.into(),
        codecs: row.try_get("codecs")?,
        width: row.try_get("width")?,
        height: row.try_get("height")?,
    })
}

/// Decodes a file's list of fragments. If the list is damaged, the file has no fragments, so that the other files can
/// still be played.
fn fragments(list: &[u8], file: &RecordedFile) -> Vec<RecordedFragment> {
    /// The file with a damaged list that was reported last. Players request the same times again and again.
    static REPORTED: AtomicI64 = AtomicI64::new(0);
    fragment_list::decode(list, file.init_bytes).unwrap_or_else(|| {
        if REPORTED.swap(file.id, Ordering::Relaxed) != file.id {
            let (file, begin) = (file.id, rfc3339_millis(file.start_at));
            warn!(file, begin, "a recorded file is left out, because the database's list of its fragments is damaged");
        }
        Vec::new()
    })
}

#[cfg(test)]
mod tests;
