//! Counts of events by hour.

use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::Database;
use super::event_table::{EventFilter, VISIBLE, filter_by};

/// The limits of the service. A million events, twice the default limit of stored events, take about a second. 20,000
/// counts are about 2 MB of JSON.
const LIMITS: Limits = Limits { events: 1_000_000, counts: 20_000 };
/// One hour in milliseconds.
const HOUR: i64 = 3_600_000;

/// The number of events of a camera and type in one hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventCount {
    /// The beginning of the hour, in Unix milliseconds.
    pub hour: i64,
    /// The camera; `None` if the events are about the service.
    pub camera: Option<String>,
    /// The name of the type.
    pub kind: String,
    /// The number of events, including those that only increased the number of repetitions of a stored event.
    pub count: i64,
}

/// The limits of one query.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// The largest number of events that are counted.
    events: u32,
    /// The largest number of counts.
    counts: u32,
}

impl Database {
    /// Counts the events that match `filter`, for each hour, camera and type with events, in this order. Returns `None` if
    /// there are too many events or counts. The filter must have a beginning and an end.
    pub(crate) async fn count_by_hour(
        &self,
        filter: &EventFilter,
    ) -> Result<Option<Vec<EventCount>>, sqlx::Error> {
        self.count_within(filter, LIMITS).await
    }

    async fn count_within(
        &self,
        filter: &EventFilter,
        limits: Limits,
    ) -> Result<Option<Vec<EventCount>>, sqlx::Error> {
        let rows = counts("", filter, limits).build().fetch_all(&self.pool).await?;
        let mut found = Vec::with_capacity(rows.len());
        let mut read = 0_i64;
        for row in &rows {
            found.push(EventCount {
                hour: row.try_get::<i64, _>("hour")?.saturating_mul(HOUR),
                camera: row.try_get("camera")?,
                kind: row.try_get("type")?,
                count: row.try_get("events")?,
            });
            read = read.saturating_add(row.try_get("stored")?);
        }
        let is_complete = rows.len() <= limits.counts as usize && read <= limits.events.into();
        Ok(is_complete.then_some(found))
    }
}

/// Returns the query for the counts. Its text begins with `prefix`.
fn counts(prefix: &str, filter: &EventFilter, limits: Limits) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(prefix);
    query.push("SELECT hour, camera, type, SUM(1 + repeats) AS events, COUNT(*) AS stored FROM (");
    query.push("SELECT e.at / ").push_bind(HOUR).push(" AS hour, e.camera, e.type, e.repeats");
    query.push(" FROM events AS e").push(VISIBLE);
    filter_by(&mut query, filter);
    // One more than permitted, so that the caller notices that there are too many.
    query.push(" LIMIT ").push_bind(limits.events.saturating_add(1));
    query.push(") GROUP BY hour, camera, type ORDER BY hour, camera, type");
    query.push(" LIMIT ").push_bind(limits.counts.saturating_add(1));
    query
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Cameras;

    async fn open(dir: &tempfile::TempDir) -> Database {
        let url = format!("sqlite:{}", dir.path().join("cameras.db").display());
        Cameras::open(&url, None).await.expect("a camera store").database().clone()
    }

    #[tokio::test]
    async fn each_selection_uses_an_index_that_contains_the_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let database = open(&dir).await;
        let hour = EventFilter { from: Some(0), to: Some(HOUR), ..EventFilter::default() };
        let owner = || Some("anna".to_owned());
        let camera = || Some("cam".to_owned());
        let kind = |kind: &str| Some(kind.to_owned());
        for (filter, index) in [
            (hour.clone(), "events_by_time"),
            (EventFilter { camera: camera(), ..hour.clone() }, "events_by_camera"),
            (EventFilter { owner: owner(), ..hour.clone() }, "events_by_owner"),
            (EventFilter { kind: kind("stream"), ..hour.clone() }, "events_by_topic"),
            (EventFilter { kind: kind("stream.live"), ..hour.clone() }, "events_by_type"),
            (
                EventFilter {
                    owner: owner(),
                    camera: camera(),
                    kind: kind("motion"),
                    ..hour.clone()
                },
                "events_by_camera",
            ),
        ] {
            let mut query = counts("EXPLAIN QUERY PLAN ", &filter, LIMITS);
            let rows = query.build().fetch_all(&database.pool).await.expect("a plan");
            let plan: Vec<String> =
                rows.iter().map(|row| row.try_get("detail").expect("a text")).collect();
            let is_limited = |step: &String| {
                step.contains(&format!("SEARCH e USING INDEX {index} ("))
                    && step.contains("at>? AND at<?")
            };
            assert!(plan.iter().any(is_limited), "{filter:?}: {plan:?}");
            let reads_all =
                |step: &String| step.starts_with("SCAN e") || step.starts_with("SCAN c");
            assert!(!plan.iter().any(reads_all), "{filter:?}: {plan:?}");
        }
    }

    #[tokio::test]
    async fn too_many_events_or_counts_are_not_counted_in_part() {
        let dir = tempfile::tempdir().expect("a directory");
        let database = open(&dir).await;
        let fill = async |count: i64, at: i64, kinds: i64| {
            let query = sqlx::query(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
                 INSERT INTO events (change, at, incarnation, topic, type, data, repeats, seen)
                 SELECT -i - $2, $2, 0, 'storage', 'storage.' || (i % $3), '{}', 1, FALSE FROM n",
            );
            let query = query.bind(count).bind(at).bind(kinds);
            query.execute(&database.pool).await.expect("events");
        };
        let count = async |from: i64, to: i64| {
            let filter = EventFilter { from: Some(from), to: Some(to), ..EventFilter::default() };
            let limits = Limits { events: 20, counts: 5 };
            let counts = database.count_within(&filter, limits).await.expect("counts");
            counts.map(|counts| (counts.len(), counts.iter().map(|it| it.count).sum::<i64>()))
        };
        fill(5, HOUR, 5).await;
        fill(1, HOUR + 1000, 5).await;
        assert_eq!(count(0, 2 * HOUR).await, Some((5, 12)));
        fill(1, 2 * HOUR, 1).await;
        assert_eq!(count(0, 2 * HOUR).await, Some((5, 12)), "the end is not part of the time");
        assert_eq!(count(0, 2 * HOUR + 1).await, None, "too many counts");
        fill(20, 5 * HOUR, 1).await;
        assert_eq!(count(5 * HOUR, 6 * HOUR).await, Some((1, 40)));
        fill(1, 5 * HOUR + 1000, 1).await;
        assert_eq!(count(5 * HOUR, 6 * HOUR).await, None, "too many events");
    }
}
