//! The table of numbers: the next segment number, epoch and discontinuity of each stream.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Database, WriteTransaction};

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

impl Database {
    /// Returns the numbers of all streams.
    pub(crate) async fn numbers(&self) -> Result<Vec<NumberRow>, sqlx::Error> {
        let rows = sqlx::query("SELECT * FROM numbers").fetch_all(&self.pool).await?;
        rows.iter().map(number_row).collect()
    }

    /// Adds or replaces numbers of streams.
    pub(crate) async fn put_numbers(&self, rows: Vec<NumberRow>) -> Result<(), sqlx::Error> {
        let mut write = self.write().await?;
        for row in &rows {
            write.put_numbers(row).await?;
        }
        write.commit().await
    }
}

impl WriteTransaction {
    /// Adds or replaces the numbers of a stream.
    pub(crate) async fn put_numbers(&mut self, row: &NumberRow) -> Result<(), sqlx::Error> {
        let query = sqlx::query(
            "INSERT INTO numbers (stream, sequence, epoch, discontinuity) VALUES ($1, $2, $3, $4)
             ON CONFLICT (stream) DO UPDATE SET sequence = excluded.sequence,
                epoch = excluded.epoch, discontinuity = excluded.discontinuity",
        );
        let query = query.bind(&row.stream).bind(row.sequence).bind(row.epoch);
        query.bind(row.discontinuity).execute(&mut *self.connection).await.map(drop)
    }

    /// Deletes the numbers of a stream.
    pub(crate) async fn delete_numbers(&mut self, stream: &str) -> Result<(), sqlx::Error> {
        let query = sqlx::query("DELETE FROM numbers WHERE stream = $1").bind(stream);
        query.execute(&mut *self.connection).await.map(drop)
    }
}

fn number_row(row: &SqliteRow) -> Result<NumberRow, sqlx::Error> {
    Ok(NumberRow {
        stream: row.try_get("stream")?,
        sequence: row.try_get("sequence")?,
        epoch: row.try_get("epoch")?,
        discontinuity: row.try_get("discontinuity")?,
    })
}
