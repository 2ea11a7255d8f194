//! Tests of the delivery from the bus to push servers, on a paused clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::client::Outcome;
use super::super::subscription::testing::{admin, browser, preferences};
use super::super::subscription::{Choice, Preferences};
use super::super::subscriptions::NewSubscription;
use super::super::testing::{FakePermission, FakePost, Request};
use super::*;
use crate::camera::id::CameraId;
use crate::camera::identity::Identity;
use crate::camera::recording::ScheduleEntry;
use crate::events::{CameraEvent, CameraEventKind, ReportedEvent, Subject};
use crate::store::Cameras;

struct Setup {
    _dir: TempDir,
    subscriptions: Arc<Subscriptions>,
    permission: FakePermission,
    requests: mpsc::UnboundedReceiver<Request>,
    bus: Bus,
    /// The time of the clock, in Unix seconds.
    seconds: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Setup {
    /// Starts the delivery. The last change of a stored event has the number 10.
    async fn new() -> Self {
        let dir = TempDir::new().expect("a directory");
        let url = format!("sqlite:{}", dir.path().join("cameras.db").display());
        let cameras = Cameras::open(&url, None).await.expect("a store");
        let seconds = Arc::new(AtomicU64::new(1_763_719_201));
        let time = Arc::clone(&seconds);
        let clock: SystemClock =
            Arc::new(move || UNIX_EPOCH + Duration::from_secs(time.load(Ordering::Relaxed)));
        let (counters, permission) = (PushCounters::default(), FakePermission::default());
        let (database, sealer) = (cameras.database().clone(), cameras.sealer().clone());
        let subscriptions =
            Subscriptions::open(database, sealer, Arc::clone(&clock), counters.clone(), |_| true);
        let subscriptions = Arc::new(subscriptions.await.expect("subscriptions"));
        let (send, requests) = mpsc::unbounded_channel();
        let bus = Bus::default();
        let delivery = Delivery {
            subscriptions: Arc::clone(&subscriptions),
            sender: Arc::new(FakePost(send)),
            permission: Arc::new(permission.clone()),
            servers: Servers::new(),
            counters,
            clock,
            bus: bus.clone(),
            last: watch::Sender::new(10).subscribe(),
        };
        let task = tokio::spawn(delivery.run());
        tokio::time::pause();
        Self { _dir: dir, subscriptions, permission, requests, bus, seconds, task }
    }

    /// Adds a subscription, and returns its id. Waits until the delivery has noticed it.
    async fn subscribe(&self, number: u32, preferences: Preferences) -> String {
        let choice = Choice::new(preferences).expect("preferences");
        let browser = browser(&format!("https://push.example.com/{number}"));
        let new = NewSubscription { holder: admin(), browser, choice };
        let (added, _) = unpaused(self.subscriptions.put(new)).await.expect("added");
        tokio::time::sleep(Duration::from_millis(1)).await;
        added.id.clone()
    }

    fn camera(&self, camera: &str, kind: CameraEventKind) {
        let event = EventKind::Camera(CameraEvent { kind, error: None });
        self.publish(camera, SystemTime::now(), event);
    }

    fn offline(&self, camera: &str) {
        self.camera(camera, CameraEventKind::Offline);
    }

    fn reported(&self, number: i64) {
        self.reported_at(number, SystemTime::now());
    }

    fn reported_at(&self, number: i64, at: SystemTime) {
        let (name, data) = ("reported.door".to_owned(), Arc::new(Map::<String, Value>::new()));
        let event = ReportedEvent { number, name, until: None, label: None, data };
        self.publish("cam", at, EventKind::Reported(event));
    }

    fn publish(&self, camera: &str, at: SystemTime, kind: EventKind) {
        let id = CameraId::parse(camera).expect("an id");
        let subject = Some(Subject::camera(id, Identity::default()));
        self.bus.publish(Event { at, subject, kind });
    }

    /// Accepts the requests that come within a second. Returns the subscriptions, types and cameras, sorted.
    async fn accepted(&mut self) -> Vec<(String, String)> {
        let mut accepted = Vec::new();
        while let Ok(request) = timeout(Duration::from_secs(1), self.requests.recv()).await {
            let request = request.expect("a delivery");
            let text = |field: &str| request.content[field].as_str().unwrap_or_default().to_owned();
            accepted.push((request.to.clone(), format!("{} {}", text("camera"), text("type"))));
            let _ = request.answer.send(Outcome::Delivered);
        }
        accepted.sort();
        accepted
    }

    async fn count(&mut self) -> usize {
        self.accepted().await.len()
    }
}

/// Waits for a future that uses the database. On a paused clock, the time limit of a query would end at once.
async fn unpaused<F: Future>(future: F) -> F::Output {
    tokio::time::resume();
    let output = future.await;
    tokio::time::pause();
    output
}

fn of(id: &str, summary: &str) -> (String, String) {
    (id.to_owned(), summary.to_owned())
}

#[tokio::test]
async fn events_reach_those_who_want_them_and_nothing_happens_without_subscriptions() {
    let mut setup = Setup::new().await;
    setup.offline("front");
    assert_eq!(setup.count().await, 0);
    assert_eq!(setup.permission.checks(), 0);
    let all = setup.subscribe(1, preferences(&["camera"])).await;
    let back = Preferences { cameras: vec!["back".into()], ..preferences(&["camera.offline"]) };
    let back = setup.subscribe(2, back).await;
    let streams = setup.subscribe(3, preferences(&["stream"])).await;
    setup.offline("front");
    setup.offline("back");
    setup.camera("side", CameraEventKind::Online);
    let mut expected = vec![
        of(&all, "front camera.offline"),
        of(&all, "back camera.offline"),
        of(&all, "side camera.online"),
        of(&back, "back camera.offline"),
    ];
    expected.sort();
    assert_eq!(setup.accepted().await, expected);
    for id in [&all, &back, &streams] {
        assert!(unpaused(setup.subscriptions.remove(id)).await.expect("removed"));
    }
    setup.offline("other");
    assert_eq!(setup.count().await, 0);
    assert!(!setup.task.is_finished());
    setup.subscribe(1, preferences(&["camera"])).await;
    setup.offline("other");
    assert_eq!(setup.count().await, 1, "the delivery continues with the next subscription");
}

#[tokio::test]
async fn only_holders_who_can_see_an_event_get_it() {
    let mut setup = Setup::new().await;
    let (one, two) = (
        setup.subscribe(1, preferences(&["camera"])).await,
        setup.subscribe(2, preferences(&["camera"])).await,
    );
    setup.permission.forbid(&two);
    setup.offline("front");
    assert_eq!(setup.accepted().await, [of(&one, "front camera.offline")]);
    setup.permission.set_failing(true);
    setup.offline("back");
    assert_eq!(setup.count().await, 0, "if the database fails, nothing is sent");
    setup.permission.set_failing(false);
    setup.offline("side");
    assert_eq!(setup.accepted().await, [of(&one, "side camera.offline")]);
}

#[tokio::test]
async fn the_limit_applies_to_each_camera_and_subscription() {
    let mut setup = Setup::new().await;
    let one = setup.subscribe(1, preferences(&["camera"])).await;
    let two = setup.subscribe(2, Preferences { per_minute: 3, ..preferences(&["camera"]) }).await;
    for _ in 0..5 {
        setup.offline("front");
    }
    setup.offline("back");
    let accepted = setup.accepted().await;
    let count =
        |id: &str, summary: &str| accepted.iter().filter(|it| **it == of(id, summary)).count();
    assert_eq!(count(&one, "front camera.offline"), 1);
    assert_eq!(count(&two, "front camera.offline"), 3);
    assert_eq!(accepted.len(), 6, "{accepted:?}");
    tokio::time::advance(Duration::from_mins(1)).await;
    setup.offline("front");
    assert_eq!(setup.count().await, 2);
}

#[tokio::test]
async fn nothing_is_sent_in_quiet_hours() {
    let mut setup = Setup::new().await;
    // It is 10:00:01 in UTC, and 19:00:01 in Tokyo.
    let entry = |from: &str, to: &str| ScheduleEntry {
        days: Vec::new(),
        from: from.to_owned(),
        to: to.to_owned(),
    };
    let quiet = Preferences {
        quiet_hours: vec![entry("19:00", "20:00")],
        time_zone: Some("Asia/Tokyo".to_owned()),
        ..preferences(&["camera"])
    };
    setup.subscribe(1, quiet).await;
    setup.offline("front");
    assert_eq!(setup.count().await, 0);
    setup.seconds.fetch_add(3600, Ordering::Relaxed);
    setup.offline("front");
    assert_eq!(setup.count().await, 1);
}

#[tokio::test]
async fn the_end_of_a_reported_event_is_not_pushed() {
    let mut setup = Setup::new().await;
    let preferences = Preferences { per_minute: 60, ..preferences(&["reported"]) };
    setup.subscribe(1, preferences).await;
    for number in [11, 12, 11, 12, 7, 13] {
        setup.reported(number);
    }
    assert_eq!(setup.count().await, 3);
}

#[tokio::test]
async fn events_of_the_past_are_not_pushed() {
    let mut setup = Setup::new().await;
    setup.subscribe(1, Preferences { per_minute: 60, ..preferences(&["reported"]) }).await;
    let now = UNIX_EPOCH + Duration::from_secs(setup.seconds.load(Ordering::Relaxed));
    for (number, age) in [(11, 3600), (12, 310), (13, 290), (14, 0)] {
        setup.reported_at(number, now - Duration::from_secs(age));
    }
    assert_eq!(setup.count().await, 2);
}

#[tokio::test]
async fn subscriptions_end_when_the_push_server_or_the_clock_says_so() {
    let mut setup = Setup::new().await;
    let gone = setup.subscribe(1, preferences(&["camera"])).await;
    setup.offline("front");
    let request = setup.requests.recv().await.expect("a request");
    assert_eq!(request.to, gone);
    let _ = request.answer.send(Outcome::Gone);
    let mut changes = setup.subscriptions.changes();
    let deleted = unpaused(changes.wait_for(|all| all.is_empty())).await;
    drop(deleted.expect("the subscription is deleted"));
    setup.subscribe(2, preferences(&["camera"])).await;
    setup.seconds.fetch_add(90 * 86_400, Ordering::Relaxed);
    changes.wait_for(|all| all.is_empty()).await.expect("the subscription has expired");
}
