//! Tests of the log of events, with a real database.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::timeout;

use super::report::Effect;
use super::*;
use crate::base::error::ErrorKind;
use crate::base::time::unix_millis;
use crate::camera::id::{CameraId, Profile};
use crate::camera::identity::Identity;
use crate::camera::record::Record;
use crate::camera::source::Source;
use crate::camera::source_spec::SourceSpec;
use crate::events::StreamEventKind::{Live, Stalled};
use crate::events::bus::EventReceiver;
use crate::events::kinds::MOTION;
use crate::events::testing::stream_event;
use crate::events::{Event, EventKind, StorageEvent, StorageEventKind, StreamEventKind};
use crate::store::Cameras;

const LIMITS: EventLimits = EventLimits { keep: Duration::from_hours(24), max: 1000 };
const HOUR: i64 = 3_600_000;
/// The time limit of waits.
const PATIENCE: Duration = Duration::from_secs(30);

/// A log of events in a camera store with the camera `cam`, which belongs to Anna.
struct Setup {
    cameras: Cameras,
    log: EventLog,
    writer: WriterEnd,
    camera: Record,
    dir: tempfile::TempDir,
}

impl Setup {
    async fn new() -> Self {
        Self::open(tempfile::tempdir().expect("a directory")).await
    }

    async fn open(dir: tempfile::TempDir) -> Self {
        let url = format!("sqlite:{}", dir.path().join("cameras.db").display());
        let cameras = Cameras::open(&url, None).await.expect("a camera store");
        let (bus, journal) = Bus::with_journal();
        let (database, ended) = (cameras.database().clone(), EndedTasks::default());
        let started = EventLog::start(database, bus, journal, LIMITS, &ended).await;
        let (log, writer) = started.expect("a log");
        let camera = put(&cameras, Some("anna")).await;
        Self { cameras, log, writer, camera, dir }
    }

    /// Ends the log, and opens it as the next manager would.
    async fn restart(self) -> Self {
        self.writer.finish().await;
        drop((self.cameras, self.log));
        Self::open(self.dir).await
    }

    fn publish_at(&self, kind: StreamEventKind, number: u64, at: i64) {
        let at = UNIX_EPOCH + Duration::from_millis(at.unsigned_abs());
        self.log.bus().publish(stream_event(kind, number, self.camera.identity(), at));
    }

    fn publish(&self, number: u64) {
        self.publish_at(Live, number, now());
    }

    /// Waits until the last number is at least this one.
    async fn reaches(&self, number: i64) {
        let mut last = self.log.last();
        let reached = timeout(PATIENCE, last.wait_for(|last| *last >= number)).await;
        reached.expect("in time").expect("a log");
    }

    async fn events(&self, filter: &EventFilter) -> Vec<EventRow> {
        self.log.page(filter, None, 1000).await.expect("events")
    }

    async fn all(&self) -> Vec<EventRow> {
        self.events(&EventFilter::default()).await
    }

    fn report(&self, id: Option<&str>, at: i64) -> Report {
        Report {
            camera: self.camera.id.clone(),
            identity: self.camera.identity(),
            kind: "reported.door".to_owned(),
            id: id.map(str::to_owned),
            number: None,
            at,
            until: None,
            label: Some("Door".to_owned()),
            data: Arc::default(),
        }
    }
}

/// Adds the camera `cam`, or changes its owner.
async fn put(cameras: &Cameras, owner: Option<&str>) -> Record {
    let id = CameraId::parse("cam").expect("an id");
    let source = Source::parse("rtsp://192.0.2.1/").expect("a link");
    let record = Record {
        owner: owner.map(str::to_owned),
        ..Record::new(id.clone(), SourceSpec::from_link(Profile::Main, source))
    };
    cameras.change(&id, |_| Ok(record)).await.expect("a camera").0
}

fn now() -> i64 {
    unix_millis(SystemTime::now())
}

fn ids(rows: &[EventRow]) -> Vec<i64> {
    rows.iter().map(|row| row.id).collect()
}

fn owned_by(owner: &str) -> EventFilter {
    EventFilter { owner: Some(owner.to_owned()), ..EventFilter::default() }
}

#[tokio::test]
async fn events_are_numbered_in_order_and_numbers_continue_after_a_restart() {
    let setup = Setup::new().await;
    for number in 0..10 {
        setup.publish(number);
    }
    let storage = StorageEvent {
        kind: StorageEventKind::Full,
        directory: "/recordings".to_owned(),
        error: None,
    };
    let kind = EventKind::Storage(storage);
    setup.log.bus().publish(Event { at: SystemTime::now(), subject: None, kind });
    setup.reaches(11).await;
    let setup = setup.restart().await;
    assert_eq!(*setup.log.last().borrow(), 11);
    setup.publish(11);
    setup.reaches(12).await;
    let rows = setup.all().await;
    assert_eq!(ids(&rows), (1..=12).rev().collect::<Vec<_>>());
    assert_eq!((rows[1].kind.as_str(), rows[1].camera.as_deref()), ("storage.full", None));
    assert_eq!(rows[2].data, r#"{"generation":9,"profile":"main"}"#);
    assert_eq!(setup.log.counters().lost(), 0);
}

#[tokio::test]
async fn the_events_that_were_published_before_the_end_are_stored() {
    let setup = Setup::new().await;
    for number in 0..500 {
        setup.publish_at(Live, number, now() - i64::try_from(number).expect("few") * 4 * 60_000);
    }
    // Ends at once, so that most events are still in the journal.
    let setup = setup.restart().await;
    assert_eq!(setup.all().await.len(), 500);
}

#[tokio::test]
async fn pages_do_not_change_while_events_are_added() {
    let setup = Setup::new().await;
    let begin = now() - 10 * HOUR;
    for number in 0..10 {
        setup.publish_at(Live, number, begin + i64::try_from(number).expect("few") * HOUR / 2);
    }
    setup.reaches(10).await;
    let (mut found, mut before) = (Vec::new(), None);
    for round in 0.. {
        let page = setup.log.page(&EventFilter::default(), before, 3).await.expect("a page");
        let Some(last) = page.last() else { break };
        before = Some((last.at, last.id));
        found.extend(ids(&page));
        // A new event, and one that happened earlier but is reported only now.
        setup.publish(100 + round);
        let at = begin + 9 * HOUR / 2 - i64::try_from(round).expect("few");
        setup.log.report(setup.report(None, at)).await.expect("a report");
    }
    let first: Vec<_> = found.iter().copied().filter(|id| *id <= 10).collect();
    assert_eq!(first, (1..=10).rev().collect::<Vec<_>>(), "{found:?}");
    assert!(found.len() - first.len() <= 1, "{found:?}");
}

#[tokio::test]
async fn events_are_found_by_camera_type_and_time() {
    let setup = Setup::new().await;
    let at = now() - HOUR;
    setup.publish_at(Live, 1, at);
    setup.publish_at(Stalled, 2, at + 1000);
    setup.reaches(2).await;
    setup.log.report(setup.report(Some("a"), at + 2000)).await.expect("a report");
    let filter = |change: fn(&mut EventFilter)| {
        let mut filter = EventFilter::default();
        change(&mut filter);
        filter
    };
    let with_times = |from, to| EventFilter { from, to, ..EventFilter::default() };
    let table = [
        (filter(|it| it.camera = Some("cam".into())), vec![3, 2, 1]),
        (filter(|it| it.camera = Some("other".into())), vec![]),
        (filter(|it| it.kind = Some("stream.live".into())), vec![1]),
        (filter(|it| it.kind = Some("stream".into())), vec![2, 1]),
        (filter(|it| it.kind = Some("reported".into())), vec![3]),
        (filter(|it| it.kind = Some("strea_".into())), vec![]),
        (filter(|it| it.kind = Some("' OR 1=1 --".into())), vec![]),
        (filter(|it| it.camera = Some("' OR 1=1 --".into())), vec![]),
        (filter(|it| it.seen = Some(true)), vec![]),
        (filter(|it| it.seen = Some(false)), vec![3, 2, 1]),
        (with_times(Some(at + 1000), None), vec![3, 2]),
        (with_times(None, Some(at + 1000)), vec![1]),
        (with_times(Some(at + 1), Some(at + 1001)), vec![2]),
        (owned_by("anna"), vec![3, 2, 1]),
        (owned_by("ben"), vec![]),
    ];
    for (filter, expected) in table {
        assert_eq!(ids(&setup.events(&filter).await), expected, "{filter:?}");
    }
}

#[tokio::test]
async fn events_in_a_span_of_time_include_those_that_began_before_it() {
    let setup = Setup::new().await;
    let at = now() - HOUR;
    let long = Report { until: Some(at + 5000), ..setup.report(Some("long"), at) };
    setup.log.report(long).await.expect("a report");
    setup.publish_at(Live, 2, at + 7000);
    setup.reaches(2).await;
    for (span, expected) in [
        ((0, 1000), vec![1]),
        ((1000, 2000), vec![1]),
        ((5000, 7001), vec![1, 2]),
        ((5001, 7001), vec![2]),
        ((5001, 7000), vec![]),
        ((-1000, 0), vec![]),
    ] {
        let (from, to) = (at + span.0, at + span.1);
        let camera = (&setup.camera.id, setup.camera.owner.as_deref());
        let found = setup.log.in_span(camera, (from, to), 10).await.expect("events");
        assert_eq!(ids(&found), expected, "{span:?}");
    }
}

#[tokio::test]
async fn motion_that_has_not_ended_is_found_in_later_spans() {
    let setup = Setup::new().await;
    let at = now() - HOUR / 2;
    let motion = Report { kind: MOTION.to_owned(), ..setup.report(None, at) };
    let motion = setup.log.report(motion).await.expect("motion").row;
    for (id, until) in [("a", None), ("b", Some(at + 60_000))] {
        let report = Report { until, ..setup.report(Some(id), at - 1000) };
        setup.log.report(report).await.expect("a report");
    }
    let camera = (&setup.camera.id, setup.camera.owner.as_deref());
    let later = async |begin| {
        let found = setup.log.in_span(camera, (at + begin, at + HOUR), 10).await;
        ids(&found.expect("events"))
    };
    assert_eq!(later(10_000).await, [3, motion.id]);
    assert_eq!(later(120_000).await, [motion.id]);
    assert_eq!(later(-10_000).await, [2, 3, motion.id]);
}

#[tokio::test]
async fn a_flapping_camera_stores_twenty_events_of_a_type_within_an_hour() {
    let setup = Setup::new().await;
    let first = now() - 3 * HOUR;
    for number in 0..30_u64 {
        let at = first + i64::try_from(number).expect("few") * 60_000;
        setup.publish_at(Live, number, at);
        if number < 3 {
            setup.publish_at(Stalled, number, at + 1000);
        }
    }
    setup.reaches(33).await;
    let live = EventFilter { kind: Some("stream.live".into()), ..EventFilter::default() };
    let rows = setup.events(&live).await;
    assert_eq!(rows.len(), 20);
    assert_eq!((rows[0].repeats, rows[0].until), (10, Some(first + 29 * 60_000)));
    assert!(rows[1..].iter().all(|row| row.repeats == 0 && row.until.is_none()));
    let stalled = EventFilter { kind: Some("stream.stalled".into()), ..EventFilter::default() };
    assert_eq!(setup.events(&stalled).await.len(), 3, "each type has its own limit");
    // The limit applies after a restart as well.
    let setup = setup.restart().await;
    setup.publish_at(Live, 30, first + 30 * 60_000);
    setup.reaches(34).await;
    assert_eq!(setup.events(&live).await[0].repeats, 11);
    // The first events are more than an hour old.
    setup.publish_at(Live, 31, first + HOUR + 1);
    setup.reaches(35).await;
    let rows = setup.events(&live).await;
    assert_eq!((rows.len(), rows[0].repeats), (21, 0));
    // Reports are not limited in this way.
    for number in 0..25 {
        let report = setup.report(None, first + number);
        assert_eq!(setup.log.report(report).await.expect("a report").effect, Effect::Added);
    }
}

#[tokio::test]
async fn motion_gets_its_end_and_details_and_ends_with_the_manager() {
    let setup = Setup::new().await;
    let mut published = setup.log.bus().subscribe();
    let motion = |at| Report { kind: MOTION.to_owned(), ..setup.report(None, at) };
    let (first, second) = (now() - 20_000, now() - 5000);
    let begun = setup.log.report(motion(first)).await.expect("motion").row;
    assert_eq!((begun.kind.as_str(), begun.until), ("motion", None));
    let data = serde_json::Map::from_iter([("peak".to_owned(), 0.5.into())]);
    let (number, until) = (Some(begun.id), Some(first + 7000));
    let end = Report { number, until, data: Arc::new(data), ..motion(first) };
    let ended = setup.log.report(end).await.expect("motion").row;
    assert_eq!((ended.id, ended.at, ended.until), (begun.id, first, until));
    assert_eq!((ended.data.as_str(), ended.change), (r#"{"peak":0.5}"#, 2));
    for is_over in [false, true] {
        let event = published.next().await.expect("nothing is lost").expect("an event");
        let EventKind::Reported(event) = &event.kind else { panic!("another event") };
        assert_eq!((event.name.as_str(), event.until.is_some()), ("motion", is_over));
    }

    let open = setup.log.report(motion(second)).await.expect("motion").row;
    let door = setup.log.report(setup.report(None, second)).await.expect("a report").row;
    let setup = setup.restart().await;
    let rows = setup.all().await;
    let ends = |id| rows.iter().find(|row| row.id == id).map(|row| (row.until, row.change));
    assert_eq!(ends(open.id), Some((Some(second), 5)), "the manager was killed");
    assert_eq!(ends(ended.id), Some((until, 2)));
    assert_eq!(ends(door.id), Some((None, door.change)));
    let next = setup.log.report(setup.report(None, second)).await.expect("a report").row;
    assert_eq!(next.id, 6, "no number is used twice");
}

#[tokio::test]
async fn the_end_of_motion_that_the_start_adds_is_published() {
    let setup = Setup::new().await;
    let motion = Report { kind: MOTION.to_owned(), ..setup.report(None, now() - 5000) };
    let open = setup.log.report(motion).await.expect("motion").row;
    setup.writer.finish().await;
    let (bus, journal) = Bus::with_journal();
    let mut published = bus.subscribe();
    let database = setup.cameras.database().clone();
    let started = EventLog::start(database, bus, journal, LIMITS, &EndedTasks::default()).await;
    let (_log, _writer) = started.expect("a log");
    let event = published.try_next().expect("nothing is lost").expect("an event");
    let EventKind::Reported(reported) = &event.kind else { panic!("{event:?}") };
    assert_eq!((reported.number, reported.until), (open.id, Some(event.at)));
    assert_eq!(event.camera().map(CameraId::as_str), Some("cam"));
}

#[tokio::test]
async fn motion_whose_event_was_deleted_is_stored_again() {
    let setup = Setup::new().await;
    let at = now() - 20_000;
    let motion = || Report { kind: MOTION.to_owned(), ..setup.report(None, at) };
    let begun = setup.log.report(motion()).await.expect("motion").row;
    let mut write = setup.cameras.database().write().await.expect("a transaction");
    write.delete_events(&[begun.id]).await.expect("a deletion");
    write.commit().await.expect("a commit");
    let end = Report { number: Some(begun.id), until: Some(at + 5000), ..motion() };
    let ended = setup.log.report(end).await.expect("motion");
    assert_eq!((ended.effect, ended.row.at), (Effect::Added, at));
    assert_eq!(setup.all().await, [ended.row]);
}

#[tokio::test]
async fn a_report_with_a_known_id_adds_no_event_but_can_add_the_end() {
    let setup = Setup::new().await;
    let mut published = setup.log.bus().subscribe();
    let at = now() - 10_000;
    let first = setup.log.report(setup.report(Some("a"), at)).await.expect("a report");
    assert_eq!((first.effect, first.row.id, first.row.until), (Effect::Added, 1, None));
    let again = setup.log.report(setup.report(Some("a"), now())).await.expect("a report");
    assert_eq!((again.effect, &again.row), (Effect::Unchanged, &first.row));
    let end = Report { until: Some(at + 5000), ..setup.report(Some("a"), now()) };
    let ended = setup.log.report(end.clone()).await.expect("a report");
    assert_eq!((ended.effect, ended.row.until), (Effect::Ended, Some(at + 5000)));
    assert_eq!((ended.row.id, ended.row.at, ended.row.change), (1, at, 2));
    let again = setup.log.report(end).await.expect("a report");
    assert_eq!((again.effect, &again.row), (Effect::Unchanged, &ended.row));
    assert_eq!(setup.all().await, [ended.row]);

    for (id, until) in [("a", at - 1000), ("b", at - 1000)] {
        let early = Report { until: Some(until), ..setup.report(Some(id), at) };
        let error = setup.log.report(early).await.expect_err("an end before the beginning");
        assert_eq!(error.kind, ErrorKind::InvalidRequest, "{id}");
    }
    assert_eq!(
        (report::end_after(at, at - 999), report::end_after(at, at + 1)),
        (Some(at), Some(at + 1))
    );
    let other = Report { kind: "reported.alarm".into(), ..setup.report(Some("a"), now()) };
    let error = setup.log.report(other).await.expect_err("another type");
    assert_eq!(error.kind, ErrorKind::EventExists);

    let ends = [reported_end(&mut published), reported_end(&mut published)];
    assert!(published.try_next().expect("nothing is lost").is_none());
    let until = |millis: i64| UNIX_EPOCH + Duration::from_millis(millis.unsigned_abs());
    assert_eq!(ends, [None, Some(until(at + 5000))], "subscribers get both changes once");
}

/// Returns the end of the next published event, which must be a reported one.
fn reported_end(events: &mut EventReceiver) -> Option<SystemTime> {
    let event = events.try_next().expect("nothing is lost").expect("an event");
    let EventKind::Reported(reported) = &event.kind else { panic!("{event:?}") };
    assert_eq!((reported.number, reported.name.as_str()), (1, "reported.door"));
    reported.until
}

#[tokio::test]
async fn the_reports_for_one_camera_are_limited() {
    let setup = Setup::new().await;
    for _ in 0..600 {
        setup.log.report(setup.report(None, now())).await.expect("a report");
    }
    let known = setup.report(Some("a"), now());
    let error = setup.log.report(known).await.expect_err("the limit");
    assert_eq!(error.kind, ErrorKind::TooManyEvents);
    assert!(error.retry_after.is_some());
    let other = CameraId::parse("other").expect("an id");
    let other = Report { camera: other, ..setup.report(None, now()) };
    setup.log.report(other).await.expect("a report for another camera");
    assert_eq!(setup.all().await.len(), 600);
}

#[tokio::test]
async fn another_camera_or_owner_with_the_same_id_gets_no_old_events() {
    let setup = Setup::new().await;
    setup.publish(1);
    setup.reaches(1).await;
    setup.log.report(setup.report(Some("a"), now())).await.expect("a report");

    // Another owner.
    let camera = put(&setup.cameras, Some("ben")).await;
    assert_eq!(ids(&setup.events(&owned_by("ben")).await), [] as [i64; 0]);
    assert_eq!(ids(&setup.events(&owned_by("anna")).await), [] as [i64; 0]);
    assert_eq!(ids(&setup.all().await), [2, 1], "callers without an owner see all events");
    let setup = Setup { camera, ..setup };
    setup.publish(3);
    setup.reaches(3).await;
    assert_eq!(ids(&setup.events(&owned_by("ben")).await), [3]);

    // Another camera, which is added in the same second.
    setup.cameras.delete(&setup.camera.id, |_| Ok(())).await.expect("a camera");
    assert_eq!(ids(&setup.all().await), [] as [i64; 0]);
    let camera = put(&setup.cameras, Some("ben")).await;
    assert_ne!(camera.incarnation, setup.camera.incarnation);
    assert_eq!(ids(&setup.all().await), [] as [i64; 0]);
    assert_eq!(
        ids(&setup.log.changes(&owned_by("ben"), 0, 10).await.expect("changes")),
        [] as [i64; 0]
    );
    let span = (0, now() + 1);
    let owned = (&camera.id, camera.owner.as_deref());
    assert_eq!(ids(&setup.log.in_span(owned, span, 10).await.expect("events")), [] as [i64; 0]);
    // The deleted camera's stream ends late.
    setup.publish(4);
    setup.reaches(4).await;
    assert_eq!(ids(&setup.all().await), [] as [i64; 0]);
    // The id that a back end has given to an event can be used again.
    let setup = Setup { camera, ..setup };
    let again = setup.log.report(setup.report(Some("a"), now())).await.expect("a report");
    assert_eq!(again.effect, Effect::Added);

    let database = setup.cameras.database();
    assert_eq!(database.count_events().await.expect("a number"), 5);
    retention::delete_orphans(database).await.expect("a deletion");
    assert_eq!(database.count_events().await.expect("a number"), 1);
    assert_eq!(ids(&setup.all().await), [5]);
    assert_eq!(setup.log.numbers().await.expect("numbers").forgotten, 0);
}

#[tokio::test]
async fn old_events_and_those_above_the_limit_are_deleted_and_noted() {
    let setup = Setup::new().await;
    let now = SystemTime::now();
    let age = |hours: i64| unix_millis(now) - hours * HOUR;
    for number in 0..120 {
        setup.log.report(setup.report(Some(&number.to_string()), age(25))).await.expect("a report");
    }
    for number in 0..130 {
        setup.log.report(setup.report(None, age(2) + number)).await.expect("a report");
    }
    let database = setup.cameras.database();
    retention::delete_expired(database, LIMITS, now).await.expect("a deletion");
    assert_eq!(database.count_events().await.expect("a number"), 130);
    assert_eq!(setup.log.numbers().await.expect("numbers").forgotten, 120);
    let few = EventLimits { max: 10, ..LIMITS };
    retention::delete_expired(database, few, now).await.expect("a deletion");
    assert_eq!(ids(&setup.all().await), (241..=250).rev().collect::<Vec<_>>());
    assert_eq!(setup.log.numbers().await.expect("numbers").forgotten, 240);
}

#[tokio::test]
async fn events_wait_in_order_while_the_database_fails_and_the_excess_is_counted() {
    let setup = Setup::new().await;
    setup.publish(0);
    setup.reaches(1).await;
    setup.cameras.database().refuse_events().await;
    // More than the journal can keep. The first ones are taken from it before the writer notices the failure.
    let count = 10_200;
    for number in 1..=count {
        let kind = if number % 2 == 0 { Live } else { Stalled };
        setup.publish_at(kind, number, now() - i64::try_from(number).expect("few") * HOUR);
        if number % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let error = setup.log.report(setup.report(None, now())).await.expect_err("no database");
    assert_eq!(error.kind, ErrorKind::StorageUnavailable);
    let lost = setup.log.counters().lost();
    assert!((100..=200).contains(&lost), "{lost} events are lost");
    assert_eq!(setup.all().await.len(), 1, "the list works");

    setup.cameras.database().accept_events().await;
    let stored = count - lost;
    setup.reaches(1 + i64::try_from(stored).expect("few")).await;
    let by_change = setup.log.changes(&EventFilter::default(), 0, 20_000).await.expect("events");
    let epochs: Vec<_> = by_change
        .iter()
        .map(|row| {
            let data: serde_json::Value = serde_json::from_str(&row.data).expect("JSON");
            data["generation"].as_u64().expect("a number")
        })
        .collect();
    assert_eq!(epochs, (0..=stored).collect::<Vec<_>>(), "in order, and without a gap");
    setup.log.report(setup.report(None, now())).await.expect("a report");
    assert_eq!(setup.log.counters().lost(), lost);
}

#[tokio::test]
async fn events_that_cannot_be_stored_at_the_end_are_counted() {
    let setup = Setup::new().await;
    setup.cameras.database().refuse_events().await;
    for number in 0..250 {
        setup.publish(number);
    }
    setup.writer.finish().await;
    assert_eq!(setup.log.counters().lost(), 250);
    let error = setup.log.report(Report {
        camera: setup.camera.id.clone(),
        identity: Identity::default(),
        kind: "reported.door".to_owned(),
        id: None,
        number: None,
        at: now(),
        until: None,
        label: None,
        data: Arc::default(),
    });
    assert_eq!(error.await.expect_err("the log is closed").kind, ErrorKind::ShuttingDown);
    setup.log.closed().await;
}

#[tokio::test]
async fn events_are_marked_as_seen_within_the_filter() {
    let setup = Setup::new().await;
    for _ in 0..5 {
        setup.log.report(setup.report(None, now())).await.expect("a report");
    }
    let seen = EventFilter { seen: Some(true), ..EventFilter::default() };
    let mark =
        async |filter: &EventFilter, ids| setup.log.mark_seen(filter, ids).await.expect("ok");
    assert_eq!(mark(&owned_by("ben"), (0, 5)).await, 0);
    assert_eq!(mark(&owned_by("anna"), (2, 2)).await, 1);
    assert_eq!(ids(&setup.events(&seen).await), [2]);
    let door = EventFilter { kind: Some("reported.door".into()), ..EventFilter::default() };
    assert_eq!(mark(&door, (0, 4)).await, 3);
    assert_eq!(mark(&EventFilter::default(), (0, 4)).await, 0);
    let mut found = ids(&setup.events(&seen).await);
    found.sort_unstable();
    assert_eq!(found, [1, 2, 3, 4]);
    // In several transactions.
    let old = now() - 20 * HOUR;
    for number in 0..1100 {
        setup.publish_at(Live, number, old + i64::try_from(number).expect("few") * 4 * 60_000);
    }
    setup.reaches(1105).await;
    assert_eq!(mark(&EventFilter::default(), (0, i64::MAX)).await, 1101);
}
