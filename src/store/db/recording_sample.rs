//! Adds many closed files at once, for benchmarks. The manager itself adds files one by one.

use std::collections::BTreeMap;

use sqlx::{QueryBuilder, Sqlite};

use super::recording_table::DAY_MS;
use super::recording_writes::{ClosedFile, NewFile, to_i64};
use super::{WriteTransaction, fragment_list};

/// The rows of one statement. Each row has ten values, and a statement can have 32,766 values.
const ROWS: usize = 500;

impl WriteTransaction {
    /// Adds closed files without copies, in the order in which they were recorded.
    pub(crate) async fn add_closed_files(
        &mut self,
        files: &[(ClosedFile, NewFile)],
    ) -> Result<(), sqlx::Error> {
        let last = "SELECT COALESCE(MAX(id), 0) FROM recorded_files";
        let last: i64 = sqlx::query_scalar(last).fetch_one(&mut *self.connection).await?;
        let numbered: Vec<_> = (last + 1..).zip(files).collect();
        for rows in numbered.chunks(ROWS) {
            let mut query = QueryBuilder::<Sqlite>::new(
                "INSERT INTO recorded_files (id, stream, dir, format, span, start_at, end_at,
                    decode_time, bytes, frames, is_open, is_locked, has_event, is_local, offsite) ",
            );
            query.push_values(rows, |mut row, (id, (closed, new))| {
                row.push_bind(*id).push_bind(new.stream).push_bind(new.dir).push_bind(new.format);
                row.push_bind(new.span).push_bind(new.start_at).push_bind(closed.end_at);
                row.push_bind(to_i64(new.decode_time)).push_bind(to_i64(closed.bytes));
                row.push_bind(closed.frames);
                row.push("FALSE").push("FALSE").push("FALSE").push("TRUE").push("0");
            });
            query.build().execute(&mut *self.connection).await?;
            let mut query =
                QueryBuilder::<Sqlite>::new("INSERT INTO recorded_fragments (file, fragments) ");
            query.push_values(rows, |mut row, (id, (closed, _))| {
                row.push_bind(*id).push_bind(fragment_list::encode(&closed.fragments));
            });
            query.build().execute(&mut *self.connection).await?;
        }
        let mut days = BTreeMap::<(i64, i64), (i64, i64)>::new();
        for (closed, new) in files {
            let day = days.entry((new.stream, new.start_at.div_euclid(DAY_MS))).or_default();
            *day = (day.0 + to_i64(closed.bytes), day.1 + 1);
        }
        for ((stream, day), bytes_and_files) in days {
            self.count_bytes(stream, day * DAY_MS, bytes_and_files, 0).await?;
        }
        Ok(())
    }
}
