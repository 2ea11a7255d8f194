//! The table of events, and the row with the numbers of the log of events.
//!
//! An event is visible only as long as its camera exists: not after the camera was deleted, even if another camera has
//! the same id. Every query for events contains this condition.

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::{Database, WriteTransaction};
use crate::events::kinds::MOTION;

/// The cameras of events `e` as `c`, and the condition that an event is visible.
pub(super) const VISIBLE: &str = "
    LEFT JOIN cameras AS c ON c.id = e.camera AND c.incarnation = e.incarnation
    WHERE (e.camera IS NULL OR c.id IS NOT NULL)";
/// The events as `e`.
const EVENTS: &str = "events AS e";

/// Events with an end, by this end.
const LASTING_EVENTS: &str = "events AS e INDEXED BY events_by_end";
/// The events as `e`, read in the order of their last changes. Without statistics, SQLite would rather read all events of
/// an owner or camera.
const BY_CHANGE: &str = "events AS e INDEXED BY events_by_change";

/// The longest time for which motion can have no end, in milliseconds. It usually ends within five minutes, but its end may
/// have to wait for the database.
const LONGEST_MOTION: i64 = 3_600_000;

/// A row of the table of events. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventRow {
    /// The number of the event.
    pub id: i64,
    /// The number of the event's last change; `id` if the event has not changed.
    pub change: i64,
    /// The time of the event, or of its beginning.
    pub at: i64,
    /// The end of the event, or the time of its last repetition.
    pub until: Option<i64>,
    /// The camera; `None` if the event is about the service.
    pub camera: Option<String>,
    /// The incarnation of the camera; 0 without a camera.
    pub incarnation: i64,
    /// The owner of the camera at the time of the event.
    pub owner: Option<String>,
    /// The name of the type.
    pub kind: String,
    /// The text for people.
    pub label: Option<String>,
    /// The details, as a JSON object.
    pub data: String,
    /// The id that a back end has given to the event.
    pub reported_id: Option<String>,
    /// The number of later events that were not stored as rows of their own.
    pub repeats: i64,
    /// True if a user has marked the event as seen.
    pub seen: bool,
}

/// A selection of events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EventFilter {
    /// The owner of the camera, both now and at the time of the event; `None` for all events.
    pub owner: Option<String>,
    /// The camera; `None` for all cameras, and events about the service.
    pub camera: Option<String>,
    /// The name of a type, or the part of such names before the dot; `None` for all types.
    pub kind: Option<String>,
    /// The earliest time, in Unix milliseconds.
    pub from: Option<i64>,
    /// The time, in Unix milliseconds, before which the events happened.
    pub to: Option<i64>,
    /// Whether the events are marked as seen; `None` for both.
    pub seen: Option<bool>,
}

/// The numbers of the log of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogNumbers {
    /// The last number that was used for an event or a change.
    pub last: i64,
    /// The greatest number of a change that was deleted to limit the age and number of events.
    pub forgotten: i64,
}

/// The reason for which events are deleted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expired {
    /// They happened before this time, in Unix milliseconds.
    Before(i64),
    /// There are too many events. The number of events to delete.
    Excess(i64),
}

impl Database {
    /// Returns the numbers of the log.
    pub(crate) async fn event_log(&self) -> Result<LogNumbers, sqlx::Error> {
        numbers(&sqlx::query("SELECT * FROM event_log").fetch_one(&self.pool).await?)
    }

    /// Returns the number of stored events.
    pub(crate) async fn count_events(&self) -> Result<i64, sqlx::Error> {
        sqlx::query("SELECT COUNT(*) FROM events").fetch_one(&self.pool).await?.try_get(0)
    }

    /// Returns at most `limit` events that match `filter`, the newest first. If `before` is given, returns only the events
    /// after this time and number in this order.
    pub(crate) async fn events(
        &self,
        filter: &EventFilter,
        before: Option<(i64, i64)>,
        limit: u32,
    ) -> Result<Vec<EventRow>, sqlx::Error> {
        let mut query = select(EVENTS, filter);
        if let Some((at, id)) = before {
            query.push(" AND (e.at, e.id) < (").push_bind(at).push(", ").push_bind(id).push(")");
        }
        query.push(" ORDER BY e.at DESC, e.id DESC LIMIT ").push_bind(limit);
        rows(&query.build().fetch_all(&self.pool).await?)
    }

    /// Returns at most `limit` events that match `filter` and have changed after the change with the number `after`, by
    /// the numbers of their last changes.
    pub(crate) async fn event_changes(
        &self,
        filter: &EventFilter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<EventRow>, sqlx::Error> {
        let mut query = select(BY_CHANGE, filter);
        query.push(" AND e.change > ").push_bind(after);
        query.push(" ORDER BY e.change LIMIT ").push_bind(limit);
        rows(&query.build().fetch_all(&self.pool).await?)
    }

    /// Returns at most `limit` events of a camera that happened in a span of time, at least in part, while the camera had
    /// this owner, the oldest first. Times are in Unix milliseconds.
    pub(crate) async fn events_in_span(
        &self,
        camera: &str,
        owner: Option<&str>,
        (from, to): (i64, i64),
        limit: u32,
    ) -> Result<Vec<EventRow>, sqlx::Error> {
        let camera = EventFilter { camera: Some(camera.to_owned()), ..EventFilter::default() };
        // Three queries, because one for all kinds of events would read all events before `to`.
        let mut begun_before = select(LASTING_EVENTS, &camera);
        begun_before.push(" AND e.until >= ").push_bind(from).push(" AND e.at < ").push_bind(from);
        let mut begun_in_span = select(EVENTS, &camera);
        begun_in_span.push(" AND e.at >= ").push_bind(from).push(" AND e.at < ").push_bind(to);
        // Events of other types without an end have no duration.
        let motion = EventFilter { kind: Some(MOTION.to_owned()), ..camera.clone() };
        let mut continuing = select(EVENTS, &motion);
        continuing.push(" AND e.until IS NULL AND e.at < ").push_bind(from);
        continuing.push(" AND e.at >= ").push_bind(from.saturating_sub(LONGEST_MOTION));
        let mut found = Vec::new();
        for mut query in [begun_before, continuing, begun_in_span] {
            query.push(" AND e.owner IS ").push_bind(owner);
            query.push(" ORDER BY e.at, e.id LIMIT ").push_bind(limit);
            found.extend(rows(&query.build().fetch_all(&self.pool).await?)?);
        }
        found.sort_by_key(|row| (row.at, row.id));
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }

    /// Returns the ids of at most `limit` events of cameras that do not exist any more. Reads the whole table.
    pub(crate) async fn orphaned_events(&self, limit: u32) -> Result<Vec<i64>, sqlx::Error> {
        let query = sqlx::query_scalar(
            "SELECT e.id FROM events AS e
             LEFT JOIN cameras AS c ON c.id = e.camera AND c.incarnation = e.incarnation
             WHERE e.camera IS NOT NULL AND c.id IS NULL LIMIT $1",
        );
        query.bind(limit).fetch_all(&self.pool).await
    }

    /// Makes every later insert and change of an event fail until [`Database::accept_events`] is called.
    #[cfg(test)]
    pub(crate) async fn refuse_events(&self) {
        for trigger in [
            "CREATE TRIGGER refuse BEFORE INSERT ON events
             BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
            "CREATE TRIGGER refuse_changes BEFORE UPDATE ON events
             BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
        ] {
            sqlx::query(trigger).execute(&self.pool).await.expect("a trigger");
        }
    }

    /// Ends the effect of [`Database::refuse_events`].
    #[cfg(test)]
    pub(crate) async fn accept_events(&self) {
        for trigger in ["DROP TRIGGER refuse", "DROP TRIGGER refuse_changes"] {
            sqlx::query(trigger).execute(&self.pool).await.expect("a trigger");
        }
    }
}

impl WriteTransaction {
    /// Returns the numbers of the log.
    pub(crate) async fn event_log(&mut self) -> Result<LogNumbers, sqlx::Error> {
        numbers(&sqlx::query("SELECT * FROM event_log").fetch_one(&mut *self.connection).await?)
    }

    /// Sets the last number that was used for an event or a change.
    pub(crate) async fn set_last_event(&mut self, last: i64) -> Result<(), sqlx::Error> {
        let query = sqlx::query("UPDATE event_log SET last = $1").bind(last);
        query.execute(&mut *self.connection).await.map(drop)
    }

    /// Adds an event.
    pub(crate) async fn add_event(&mut self, row: &EventRow) -> Result<(), sqlx::Error> {
        let query = sqlx::query(
            "INSERT INTO events
                (id, change, at, until, camera, incarnation, owner, type, label, data, reported_id, repeats, seen,
                 topic)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        );
        let query = query.bind(row.id).bind(row.change).bind(row.at).bind(row.until);
        let query = query.bind(&row.camera).bind(row.incarnation).bind(&row.owner);
        let query = query.bind(&row.kind).bind(&row.label).bind(&row.data);
        let query = query.bind(&row.reported_id).bind(row.repeats).bind(row.seen);
        let query = query.bind(row.kind.split('.').next());
        query.execute(&mut *self.connection).await.map(drop)
    }

    /// Returns the number of events of a camera and type that happened after `from` and not after `to`, in Unix
    /// milliseconds, and the id of the newest one.
    pub(crate) async fn recent_events(
        &mut self,
        row: &EventRow,
        from: i64,
    ) -> Result<(i64, Option<i64>), sqlx::Error> {
        let query = sqlx::query_as(
            "SELECT COUNT(*), MAX(id) FROM events
             WHERE camera IS $1 AND incarnation = $2 AND type = $3 AND at > $4 AND at <= $5",
        );
        let query = query.bind(&row.camera).bind(row.incarnation).bind(&row.kind);
        query.bind(from).bind(row.at).fetch_one(&mut *self.connection).await
    }

    /// Counts a repetition of an event at the time `at`, in Unix milliseconds. `change` is the number of this change.
    pub(crate) async fn repeat_event(
        &mut self,
        id: i64,
        at: i64,
        change: i64,
    ) -> Result<(), sqlx::Error> {
        let query = sqlx::query(
            "UPDATE events SET repeats = repeats + 1, until = $2, change = $3 WHERE id = $1",
        );
        query.bind(id).bind(at).bind(change).execute(&mut *self.connection).await.map(drop)
    }

    /// Returns the event that a back end has reported with an id; `None` if there is no such event.
    pub(crate) async fn reported_event(
        &mut self,
        camera: &str,
        incarnation: i64,
        reported_id: &str,
    ) -> Result<Option<EventRow>, sqlx::Error> {
        let query = sqlx::query(
            "SELECT * FROM events WHERE camera = $1 AND incarnation = $2 AND reported_id = $3",
        );
        let query = query.bind(camera).bind(incarnation).bind(reported_id);
        query.fetch_optional(&mut *self.connection).await?.as_ref().map(event_row).transpose()
    }

    /// Returns the event with this number; `None` if there is no such event.
    pub(crate) async fn event(&mut self, id: i64) -> Result<Option<EventRow>, sqlx::Error> {
        let query = sqlx::query("SELECT * FROM events WHERE id = $1").bind(id);
        query.fetch_optional(&mut *self.connection).await?.as_ref().map(event_row).transpose()
    }

    /// Sets the end, the details and the number of the last change of an event.
    pub(crate) async fn change_event(&mut self, row: &EventRow) -> Result<(), sqlx::Error> {
        let query =
            sqlx::query("UPDATE events SET until = $2, data = $3, change = $4 WHERE id = $1");
        let query = query.bind(row.id).bind(row.until).bind(&row.data).bind(row.change);
        query.execute(&mut *self.connection).await.map(drop)
    }

    /// Ends the events of a type that have no end, with their beginning as the end, and returns them. The last number that was
    /// used for an event or a change becomes greater.
    pub(crate) async fn end_open_events(
        &mut self,
        kind: &str,
    ) -> Result<Vec<EventRow>, sqlx::Error> {
        let query = sqlx::query("SELECT * FROM events WHERE topic = $1 AND until IS NULL");
        let open = query.bind(kind).fetch_all(&mut *self.connection).await?;
        let mut last = self.event_log().await?.last;
        let mut ended = rows(&open)?;
        for row in &mut ended {
            last += 1;
            (row.until, row.change) = (Some(row.at), last);
            self.end_event(row.id, row.at, last).await?;
        }
        self.set_last_event(last).await?;
        Ok(ended)
    }

    /// Sets the end of an event. `change` is the number of this change.
    pub(crate) async fn end_event(
        &mut self,
        id: i64,
        until: i64,
        change: i64,
    ) -> Result<(), sqlx::Error> {
        let query = sqlx::query("UPDATE events SET until = $2, change = $3 WHERE id = $1");
        query.bind(id).bind(until).bind(change).execute(&mut *self.connection).await.map(drop)
    }

    /// Marks at most `limit` events that match `filter` and whose ids are at least `first` and at most `last` as seen, in
    /// the order of their ids. Returns their number and their greatest id.
    pub(crate) async fn mark_seen(
        &mut self,
        filter: &EventFilter,
        (first, last): (i64, i64),
        limit: u32,
    ) -> Result<(usize, Option<i64>), sqlx::Error> {
        let mut query = QueryBuilder::<Sqlite>::new("UPDATE events SET seen = TRUE WHERE id IN (");
        query.push("SELECT e.id FROM ").push(EVENTS).push(VISIBLE);
        filter_by(&mut query, filter);
        query.push(" AND NOT e.seen AND e.id >= ").push_bind(first);
        query.push(" AND e.id <= ").push_bind(last);
        query.push(" ORDER BY e.id LIMIT ").push_bind(limit).push(") RETURNING id");
        let ids: Vec<i64> = query.build_query_scalar().fetch_all(&mut *self.connection).await?;
        Ok((ids.len(), ids.into_iter().max()))
    }

    /// Deletes at most `limit` expired events, the oldest first, and notes that they are forgotten. Returns their number.
    pub(crate) async fn delete_expired(
        &mut self,
        expired: Expired,
        limit: u32,
    ) -> Result<u64, sqlx::Error> {
        let mut query = QueryBuilder::<Sqlite>::new("DELETE FROM events WHERE id IN (");
        query.push("SELECT id FROM events");
        let limit = match expired {
            Expired::Before(time) => {
                query.push(" WHERE at < ").push_bind(time);
                i64::from(limit)
            }
            Expired::Excess(count) => count.min(limit.into()),
        };
        query.push(" ORDER BY at, id LIMIT ").push_bind(limit).push(") RETURNING change");
        let changes: Vec<i64> = query.build_query_scalar().fetch_all(&mut *self.connection).await?;
        if let Some(greatest) = changes.iter().max() {
            let query = sqlx::query("UPDATE event_log SET forgotten = MAX(forgotten, $1)");
            query.bind(greatest).execute(&mut *self.connection).await?;
        }
        Ok(changes.len() as u64)
    }

    /// Deletes these events.
    pub(crate) async fn delete_events(&mut self, ids: &[i64]) -> Result<(), sqlx::Error> {
        for id in ids {
            let query = sqlx::query("DELETE FROM events WHERE id = $1").bind(id);
            query.execute(&mut *self.connection).await?;
        }
        Ok(())
    }
}

/// Returns a query for the visible events among `events` that match `filter`, to which conditions and an order can be added.
fn select(events: &str, filter: &EventFilter) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("SELECT e.* FROM ");
    query.push(events).push(VISIBLE);
    filter_by(&mut query, filter);
    query
}

/// Adds the conditions of `filter`.
pub(super) fn filter_by(query: &mut QueryBuilder<Sqlite>, filter: &EventFilter) {
    let EventFilter { owner, camera, kind, from, to, seen } = filter;
    // Without statistics, SQLite may use the index of the condition that matches most events. It does not use an index
    // for a column with a plus sign.
    let unless = |is_narrower: bool| if is_narrower { " AND +" } else { " AND " };
    if let Some(owner) = owner {
        query.push(unless(camera.is_some())).push("e.owner = ").push_bind(owner.clone());
        query.push(" AND c.owner = ").push_bind(owner.clone());
    }
    if let Some(camera) = camera {
        query.push(" AND e.camera = ").push_bind(camera.clone());
    }
    if let Some(kind) = kind {
        let column = if kind.contains('.') { "e.type = " } else { "e.topic = " };
        query.push(unless(camera.is_some() || owner.is_some()));
        query.push(column).push_bind(kind.clone());
    }
    if let Some(from) = from {
        query.push(" AND e.at >= ").push_bind(*from);
    }
    if let Some(to) = to {
        query.push(" AND e.at < ").push_bind(*to);
    }
    if let Some(seen) = seen {
        query.push(" AND e.seen = ").push_bind(*seen);
    }
}

fn rows(rows: &[SqliteRow]) -> Result<Vec<EventRow>, sqlx::Error> {
    rows.iter().map(event_row).collect()
}

fn numbers(row: &SqliteRow) -> Result<LogNumbers, sqlx::Error> {
    Ok(LogNumbers { last: row.try_get("last")?, forgotten: row.try_get("forgotten")? })
}

fn event_row(row: &SqliteRow) -> Result<EventRow, sqlx::Error> {
    Ok(EventRow {
        id: row.try_get("id")?,
        change: row.try_get("change")?,
        at: row.try_get("at")?,
        until: row.try_get("until")?,
        camera: row.try_get("camera")?,
        incarnation: row.try_get("incarnation")?,
        owner: row.try_get("owner")?,
        kind: row.try_get("type")?,
        label: row.try_get("label")?,
        data: row.try_get("data")?,
        reported_id: row.try_get("reported_id")?,
        repeats: row.try_get("repeats")?,
        seen: row.try_get("seen")?,
    })
}
