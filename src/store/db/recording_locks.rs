//! The table of the times for which recordings are locked. It keeps the locks of files that are not in the index.

use sqlx::Row as _;

use super::WriteTransaction;
use super::recording_table::MAX_FILE_MS;

impl WriteTransaction {
    /// Notes that the recordings of a stream are locked for a time, or that they are not locked any more. Times are UTC
    /// milliseconds. Files that are in the index need [`WriteTransaction::lock_files`] as well.
    pub(crate) async fn note_lock(
        &mut self,
        stream: i64,
        (from, to): (i64, i64),
        is_locked: bool,
    ) -> Result<(), sqlx::Error> {
        if from >= to {
            return Ok(());
        }
        let query = sqlx::query(
            "DELETE FROM recorded_locks WHERE stream = $1 AND end_at >= $2 AND begin_at <= $3
             RETURNING begin_at, end_at",
        );
        let query = query.bind(stream).bind(from).bind(to);
        let mut locked = Vec::new();
        for row in query.fetch_all(&mut *self.connection).await? {
            locked.push((row.try_get::<i64, _>("begin_at")?, row.try_get::<i64, _>("end_at")?));
        }
        let begin = locked.iter().map(|(begin, _)| *begin).min().unwrap_or(from).min(from);
        let end = locked.iter().map(|(_, end)| *end).max().unwrap_or(to).max(to);
        let left = if is_locked { vec![(begin, end)] } else { vec![(begin, from), (to, end)] };
        for (begin, end) in left.into_iter().filter(|(begin, end)| begin < end) {
            let query = sqlx::query(
                "INSERT INTO recorded_locks (stream, begin_at, end_at) VALUES ($1, $2, $3)",
            );
            query.bind(stream).bind(begin).bind(end).execute(&mut *self.connection).await?;
        }
        Ok(())
    }

    /// Widens a time to the times of all files of a stream that overlap it.
    pub(crate) async fn times_of_files(
        &mut self,
        stream: i64,
        (from, to): (i64, i64),
    ) -> Result<(i64, i64), sqlx::Error> {
        let query = sqlx::query_as::<_, (Option<i64>, Option<i64>)>(
            "SELECT MIN(start_at), MAX(end_at) FROM recorded_files
             WHERE stream = $1 AND is_local IN (FALSE, TRUE)
                AND start_at > $2 AND start_at < $4 AND (end_at > $3 OR is_open)",
        );
        let query = query.bind(stream).bind(from.saturating_sub(MAX_FILE_MS)).bind(from).bind(to);
        let (first, last) = query.fetch_one(&mut *self.connection).await?;
        Ok((from.min(first.unwrap_or(from)), to.max(last.unwrap_or(to))))
    }
}
