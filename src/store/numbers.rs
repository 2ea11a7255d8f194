//! The next numbers of segments, epochs and discontinuities of all streams: reads them when the manager
//! starts, and reserves further numbers in the database while streams run.
//!
//! Streams take numbers in memory and do not wait for the database. If the database cannot be written,
//! streams continue, and the reservation is retried.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::Notify;
use tracing::warn;

use super::db::Database;
use super::db::number_table::NumberRow;
use crate::base::lock::lock;
use crate::base::time::to_i64;
use crate::camera::id::StreamId;
use crate::camera::numbers::{NumberSet, Numbers};

/// The shortest time between two transactions that reserve numbers, so that the streams of a large
/// installation share transactions. The numbers that one transaction reserves for a stream last longer
/// than this, even at the beginning of an epoch, when segments are short.
const PAUSE: Duration = Duration::from_millis(500);

/// The id of the row with the first numbers of streams without their own row.
const FLOOR: &str = "";

/// The numbers of all streams. Clones share them.
#[derive(Clone)]
pub(crate) struct StreamNumbers(Arc<Inner>);

struct Inner {
    database: Database,
    streams: DashMap<StreamId, Numbers>,
    /// The first numbers of streams without their own row. They are higher than all numbers of deleted cameras, so
    /// that the id of a deleted camera can be used again.
    floor: Mutex<NumberSet>,
    /// Notified when further numbers of a stream should be reserved.
    low: Arc<Notify>,
}

impl StreamNumbers {
    /// Reads the numbers of all streams.
    pub(super) async fn open(database: Database) -> Result<Self, sqlx::Error> {
        let (streams, low) = (DashMap::new(), Arc::<Notify>::default());
        let mut floor = NumberSet::default();
        for row in database.numbers().await? {
            let numbers = numbers(&row);
            if row.stream == FLOOR {
                floor = numbers;
            } else if let Ok(id) = StreamId::parse(&row.stream) {
                streams.insert(id, Numbers::new(numbers, Arc::clone(&low)));
            }
        }
        Ok(Self(Arc::new(Inner { database, streams, floor: Mutex::new(floor), low })))
    }

    /// Returns the numbers of a stream.
    pub(crate) fn of(&self, id: &StreamId) -> Numbers {
        // No function locks an entry of the map and `floor` at the same time. Otherwise, this function and
        // `raise_floor` could wait for each other for ever.
        if let Some(numbers) = self.0.streams.get(id) {
            return numbers.clone();
        }
        let first = Numbers::new(*lock(&self.0.floor), Arc::clone(&self.0.low));
        self.0.streams.entry(id.clone()).or_insert(first).clone()
    }

    /// Raises the first numbers of streams without their own row above those of a stream whose camera is being
    /// deleted. Returns the row with the raised numbers, which the transaction that deletes the camera must write.
    pub(super) fn raise_floor(&self, id: &StreamId) -> NumberRow {
        // The stream may still run for a moment, and use further numbers.
        let used = self.0.streams.get(id).map(|numbers| numbers.next().after_block());
        let mut floor = lock(&self.0.floor);
        if let Some(used) = used {
            *floor = floor.max(used);
        }
        row(FLOOR.to_owned(), *floor)
    }

    /// Forgets the numbers of a stream whose camera has been deleted.
    pub(super) fn forget(&self, id: &StreamId) {
        self.0.streams.remove(id);
    }

    /// Reserves numbers for running streams, until the future is dropped.
    pub(crate) async fn run(&self) {
        loop {
            self.0.low.notified().await;
            if let Err(error) = self.write(Numbers::to_reserve).await {
                warn!(%error, "cannot reserve segment numbers in the database; streams continue");
                self.0.low.notify_one();
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Records the numbers of all streams exactly, so that the next manager skips none. Must be called
    /// after all streams have ended.
    pub(crate) async fn release(&self) {
        if let Err(error) = self.write(Numbers::to_release).await {
            warn!(%error, "cannot record segment numbers in the database; streams skip some numbers after a restart");
        }
    }

    /// Calls `choose` for every stream, and writes the numbers that it returns.
    async fn write(&self, choose: fn(&Numbers) -> Option<NumberSet>) -> Result<(), sqlx::Error> {
        let changes: Vec<_> = (self.0.streams.iter())
            .filter_map(|entry| {
                let chosen = choose(entry.value())?;
                Some((entry.key().clone(), entry.value().clone(), chosen))
            })
            .collect();
        if changes.is_empty() {
            return Ok(());
        }
        let rows = changes.iter().map(|(id, _, chosen)| row(id.to_string(), *chosen));
        self.0.database.put_numbers(rows.collect()).await?;
        for (_, numbers, chosen) in changes {
            numbers.set_reserved(chosen);
        }
        Ok(())
    }
}

fn numbers(row: &NumberRow) -> NumberSet {
    let number = |value: i64| u64::try_from(value).unwrap_or(0);
    NumberSet {
        sequence: number(row.sequence),
        epoch: number(row.epoch),
        discontinuity: number(row.discontinuity),
    }
}

fn row(stream: String, numbers: NumberSet) -> NumberRow {
    NumberRow {
        stream,
        sequence: to_i64(numbers.sequence),
        epoch: to_i64(numbers.epoch),
        discontinuity: to_i64(numbers.discontinuity),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::db::Location;

    struct Setup {
        dir: tempfile::TempDir,
    }

    impl Setup {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().expect("a directory") }
        }

        /// Opens the numbers as the next manager would.
        async fn open(&self) -> StreamNumbers {
            let url = format!("sqlite:{}", self.dir.path().join("cameras.db").display());
            let location = Location::parse(&url).expect("a URL");
            let database = Database::open(location).await.expect("a database");
            StreamNumbers::open(database).await.expect("numbers")
        }
    }

    fn id(id: &str) -> StreamId {
        StreamId::parse(id).expect("an id")
    }

    fn use_next(numbers: &Numbers) -> NumberSet {
        let next = numbers.next();
        let one = |number: u64| number + 1;
        numbers.use_below(NumberSet {
            sequence: one(next.sequence),
            epoch: one(next.epoch),
            discontinuity: one(next.discontinuity),
        });
        next
    }

    #[tokio::test]
    async fn discontinuities_begin_at_zero_and_numbers_continue_after_a_restart() {
        let setup = Setup::new();
        let first = setup.open().await;
        let used = use_next(&first.of(&id("cam")));
        assert_eq!(used.discontinuity, 0);
        first.release().await;
        // The next manager continues with the next numbers, whatever the clock shows.
        let next = setup.open().await.of(&id("cam")).next();
        assert_eq!((next.sequence, next.discontinuity), (used.sequence + 1, 1));
    }

    #[tokio::test]
    async fn a_crash_skips_at_most_one_block() {
        let setup = Setup::new();
        let first = setup.open().await;
        let begun = first.of(&id("cam")).next();
        for used in 1..=100 {
            use_next(&first.of(&id("cam")));
            first.write(Numbers::to_reserve).await.expect("a row");
            let next = setup.open().await.of(&id("cam")).next();
            let skipped = next.sequence - begun.sequence - used;
            assert!((8..=16).contains(&skipped), "{skipped} segment numbers are skipped");
            assert!(next.discontinuity - used <= 4 && next.epoch - begun.epoch > used);
        }
    }

    #[tokio::test]
    async fn numbers_are_reserved_while_streams_run() {
        let setup = Setup::new();
        let numbers = setup.open().await;
        let task = tokio::spawn({
            let numbers = numbers.clone();
            async move { numbers.run().await }
        });
        for stream in ["a", "b"] {
            use_next(&numbers.of(&id(stream)));
        }
        let is_reserved = || async {
            let rows = numbers.0.database.numbers().await.expect("rows");
            rows.iter().filter(|row| row.stream != FLOOR).count() == 2
        };
        while !is_reserved().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        task.abort();
    }

    #[tokio::test]
    async fn the_numbers_of_a_reused_id_are_higher_than_the_numbers_of_the_deleted_camera() {
        let setup = Setup::new();
        let numbers = setup.open().await;
        let cam = numbers.of(&id("cam"));
        let used = NumberSet { sequence: cam.next().sequence + 1000, ..cam.next() };
        cam.use_below(used);
        let row = numbers.raise_floor(&id("cam"));
        numbers.0.database.put_numbers(vec![row]).await.expect("a row");
        numbers.forget(&id("cam"));
        // The deleted camera's stream uses a few more numbers before it ends.
        cam.use_below(NumberSet { sequence: used.sequence + 3, ..used });
        for numbers in [numbers, setup.open().await] {
            assert!(numbers.of(&id("cam")).next().sequence > cam.next().sequence);
        }
    }

    #[tokio::test]
    async fn streams_continue_if_the_database_fails() {
        let setup = Setup::new();
        let numbers = setup.open().await;
        numbers.0.database.close().await;
        let cam = numbers.of(&id("cam"));
        let used = use_next(&cam);
        numbers.write(Numbers::to_reserve).await.expect_err("a closed database");
        assert_eq!(cam.next().sequence, used.sequence + 1);
        assert!(cam.to_reserve().is_some(), "the reservation is retried");
    }
}
