//! Stores motion as events. A task of its own waits for the database, so the analysis does not.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};
use tokio::time::timeout;
use tracing::{Instrument as _, debug, warn};

use super::queue::{Item, Queue};
use super::shared::Unfinished;
use super::watcher::Motion;
use crate::base::backoff::Exponential;
use crate::base::error::{Error, ErrorKind};
use crate::base::time::unix_millis;
use crate::camera::id::CameraId;
use crate::camera::identity::Identity;
use crate::events::kinds::MOTION;
use crate::motion::boxes::MotionBox;
use crate::store::EventLog;
use crate::store::event_log::report::Report;

/// The pauses between attempts while the database fails.
const PAUSES: Exponential =
    Exponential { first: Duration::from_secs(1), ceiling: Duration::from_secs(10) };

/// Stores the motion of one camera. Motion that has not ended when this value is dropped ends then.
#[derive(Debug)]
pub(crate) struct MotionReporter {
    queue: Arc<Queue>,
    log: EventLog,
}

/// The task that stores the motion of one camera.
struct Task {
    queue: Arc<Queue>,
    log: EventLog,
    camera: CameraId,
    /// The stored event that has no end; `None` if all stored events have ended.
    open: Option<Open>,
    /// The number of failures of the database since it last worked.
    failures: u32,
    _unfinished: Unfinished,
}

/// A stored event without an end.
struct Open {
    number: i64,
    item: Item,
}

impl MotionReporter {
    /// Starts the task of a camera without motion. It ends when this value was dropped and all motion is stored.
    pub(crate) fn start(log: EventLog, camera: CameraId, unfinished: Unfinished) -> Self {
        let queue = Arc::new(Queue::default());
        let task = Task {
            queue: Arc::clone(&queue),
            log: log.clone(),
            camera,
            open: None,
            failures: 0,
            _unfinished: unfinished,
        };
        tokio::spawn(task.run().in_current_span());
        Self { queue, log }
    }

    /// Stores motion that has begun or ended, in the background. Never waits.
    pub(crate) fn report(&self, identity: &Identity, motion: Motion) {
        if !self.queue.add(Item { identity: identity.clone(), motion }) {
            // The log of events reports how many events were lost.
            self.log.counters().add_lost(1);
        }
    }
}

impl Drop for MotionReporter {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Task {
    async fn run(mut self) {
        while let Some(item) = self.next().await {
            match self.store(&item).await {
                Ok(()) => self.failures = 0,
                Err(error) if error.kind == ErrorKind::StorageUnavailable => {
                    self.queue.put_back(item);
                    self.pause(&error).await;
                }
                // The next start of the manager ends what has no end.
                Err(error) if error.kind == ErrorKind::ShuttingDown => return,
                Err(error) => {
                    warn!(camera = %self.camera, %error, "an event about motion was not stored");
                    self.open = None;
                }
            }
        }
    }

    /// Waits for the next motion to store. Returns `None` after the end of the analysis, when everything is stored.
    async fn next(&mut self) -> Option<Item> {
        if let Some(item) = self.queue.next().await {
            return Some(item);
        }
        // The analysis has failed unexpectedly.
        let Open { item, .. } = self.open.as_ref()?;
        let ended_at = Some(SystemTime::now().max(item.motion.began_at));
        Some(Item { motion: Motion { ended_at, ..item.motion.clone() }, ..item.clone() })
    }

    async fn store(&mut self, item: &Item) -> Result<(), Error> {
        let Item { identity, motion } = item;
        let open = self.open.as_ref().filter(|open| open.item.is_same_motion(item));
        let report = Report {
            camera: self.camera.clone(),
            identity: identity.clone(),
            kind: MOTION.to_owned(),
            id: None,
            number: open.map(|open| open.number),
            at: unix_millis(motion.began_at),
            until: motion.ended_at.map(unix_millis),
            label: None,
            data: Arc::new(data(motion)),
        };
        let number = self.log.report(report).await?.row.id;
        self.open = motion.ended_at.is_none().then(|| Open { number, item: item.clone() });
        Ok(())
    }

    /// Waits until another attempt, because the database has failed. At the end of the analysis, there is one at once.
    async fn pause(&mut self, error: &Error) {
        let camera = &self.camera;
        if self.failures == 0 {
            warn!(%camera, %error, "cannot store an event about motion; retrying");
        } else {
            debug!(%camera, %error, "cannot store an event about motion; retrying");
        }
        let pause = PAUSES.delay(self.failures);
        self.failures = self.failures.saturating_add(1);
        let _ = timeout(pause, self.queue.closed()).await;
    }
}

/// Returns the details of an event.
fn data(motion: &Motion) -> Map<String, Value> {
    let boxes: Vec<_> = motion.boxes.iter().copied().map(box_of).collect();
    let data = [
        ("source", json!("pictures")),
        ("peak", json!(rounded(motion.peak))),
        ("boxes", Value::Array(boxes)),
    ];
    data.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}

fn box_of(one: MotionBox) -> Value {
    let [left, top, width, height] = one.parts().map(rounded);
    json!({ "left": left, "top": top, "width": width, "height": height })
}

/// Returns a part of the picture with four decimal digits.
pub(crate) fn rounded(part: f32) -> f64 {
    (f64::from(part) * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::shared::Analyses;
    use crate::base::tasks::EndedTasks;
    use crate::camera::id::Profile;
    use crate::camera::record::Record;
    use crate::camera::source::Source;
    use crate::camera::source_spec::SourceSpec;
    use crate::events::bus::Bus;
    use crate::store::Cameras;
    use crate::store::db::Database;
    use crate::store::db::event_table::{EventFilter, EventRow};
    use crate::store::event_log::{EventLimits, WriterEnd};

    /// A reporter of the camera `cam`, with a real database.
    struct Setup {
        reporter: Option<MotionReporter>,
        analyses: Analyses,
        database: Database,
        identity: Identity,
        log: EventLog,
        _writer: WriterEnd,
        _dir: tempfile::TempDir,
    }

    impl Setup {
        async fn new() -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            let url = format!("sqlite:{}", dir.path().join("cameras.db").display());
            let cameras = Cameras::open(&url, None).await.expect("a camera store");
            let id = CameraId::parse("cam").expect("an id");
            let source = Source::parse("rtsp://192.0.2.1/").expect("a link");
            let record = Record::new(id.clone(), SourceSpec::from_link(Profile::Main, source));
            let record = cameras.change(&id, |_| Ok(record)).await.expect("a camera").0;
            let (bus, journal) = Bus::with_journal();
            let database = cameras.database().clone();
            let limits = EventLimits { keep: Duration::from_hours(1), max: 1000 };
            let ended = EndedTasks::default();
            let log = EventLog::start(database.clone(), bus, journal, limits, &ended);
            let (log, writer) = log.await.expect("a log");
            let analyses = Analyses::default();
            let reporter = MotionReporter::start(log.clone(), id, analyses.unfinished());
            let identity = record.identity();
            Self {
                reporter: Some(reporter),
                analyses,
                database,
                identity,
                log,
                _writer: writer,
                _dir: dir,
            }
        }

        fn report(&self, began: u64, ended: Option<u64>) {
            let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let (began_at, ended_at) = (at(began), ended.map(at));
            let motion = Motion { began_at, ended_at, boxes: Vec::new(), peak: 0.1 };
            self.reporter.as_ref().expect("a reporter").report(&self.identity, motion);
        }

        /// Returns the stored events, the oldest first.
        async fn rows(&self) -> Vec<EventRow> {
            let mut rows = self.log.page(&EventFilter::default(), None, 100).await.expect("events");
            rows.reverse();
            rows
        }

        /// Returns the beginnings and ends of the stored events in seconds, when the log has this last number.
        async fn times_at(&self, last: i64) -> Vec<(i64, Option<i64>)> {
            let mut numbers = self.log.last();
            let reached = timeout(Duration::from_secs(30), numbers.wait_for(|it| *it >= last));
            reached.await.expect("in time").expect("a log");
            let rows = self.rows().await.into_iter();
            rows.map(|row| (row.at / 1000, row.until.map(|until| until / 1000))).collect()
        }
    }

    #[tokio::test]
    async fn motion_is_stored_in_order_after_the_database_has_failed() {
        let setup = Setup::new().await;
        setup.report(1, None);
        assert_eq!(setup.times_at(1).await, [(1, None)]);
        setup.database.refuse_events().await;
        setup.report(1, Some(5));
        for began in [20, 40] {
            setup.report(began, None);
            setup.report(began, Some(began + 5));
        }
        setup.report(60, None);
        let refused = setup.log.report(Report {
            camera: CameraId::parse("cam").expect("an id"),
            identity: setup.identity.clone(),
            kind: "reported.door".to_owned(),
            id: None,
            number: None,
            at: 0,
            until: None,
            label: None,
            data: Arc::default(),
        });
        refused.await.expect_err("the database has failed");
        assert_eq!(setup.times_at(1).await, [(1, None)]);
        setup.database.accept_events().await;
        // The end of the first motion, two with an end, and the beginning of the last one.
        let expected = [(1, Some(5)), (20, Some(25)), (40, Some(45)), (60, None)];
        assert_eq!(setup.times_at(5).await, expected);
        setup.report(60, Some(65));
        assert_eq!(setup.times_at(6).await[3], (60, Some(65)));
    }

    #[tokio::test]
    async fn motion_without_an_end_ends_with_the_analysis() {
        let mut setup = Setup::new().await;
        setup.report(1, None);
        assert_eq!(setup.times_at(1).await, [(1, None)]);
        setup.reporter = None;
        setup.analyses.finish().await;
        let rows = setup.rows().await;
        assert!(rows.len() == 1 && rows[0].until > Some(rows[0].at), "{rows:?}");
    }

    #[tokio::test]
    async fn motion_after_an_event_that_was_deleted_is_stored() {
        let setup = Setup::new().await;
        setup.report(1, None);
        assert_eq!(setup.times_at(1).await, [(1, None)]);
        let mut write = setup.database.write().await.expect("a transaction");
        write.delete_events(&[1]).await.expect("a deletion");
        write.commit().await.expect("a commit");
        setup.report(1, Some(5));
        setup.report(20, None);
        assert_eq!(setup.times_at(3).await, [(1, Some(5)), (20, None)]);
    }

    #[tokio::test]
    async fn motion_never_changes_the_event_of_other_motion() {
        let setup = Setup::new().await;
        setup.report(1, None);
        setup.report(20, Some(25));
        setup.report(40, None);
        assert_eq!(setup.times_at(3).await, [(1, None), (20, Some(25)), (40, None)]);
    }

    #[test]
    fn details_have_boxes_in_parts_of_the_picture() {
        let motion = Motion {
            began_at: SystemTime::UNIX_EPOCH,
            ended_at: None,
            boxes: vec![MotionBox { left: 16, top: 9, right: 48, bottom: 90 }],
            peak: 0.123_45,
        };
        let expected = json!({
            "source": "pictures", "peak": 0.1235,
            "boxes": [{ "left": 0.1, "top": 0.1, "width": 0.2, "height": 0.9 }],
        });
        assert_eq!(Value::Object(data(&motion)), expected);
    }
}
