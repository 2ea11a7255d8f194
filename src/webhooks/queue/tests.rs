//! Tests of the queue with receivers that behave in different ways, on a paused clock.

use std::sync::Mutex;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;
use crate::camera::identity::Identity;
use crate::events::Subject;
use crate::events::bus::Bus;
use crate::stream::reporter::EventReporter;

/// A receiver for which the test decides the outcome of every request.
struct FakePost(mpsc::UnboundedSender<Request>);

struct Request {
    body: Value,
    answer: oneshot::Sender<Outcome>,
}

impl Post for FakePost {
    async fn post(&self, body: Bytes) -> Outcome {
        let (answer, answered) = oneshot::channel();
        let body = serde_json::from_slice(&body).expect("JSON");
        let _ = self.0.send(Request { body, answer });
        match answered.await {
            Ok(Outcome::Refused(cause)) if cause == FAULT => panic!("{FAULT}"),
            Ok(outcome) => outcome,
            // The test dropped the request, so there is no response.
            Err(_) => std::future::pending().await,
        }
    }
}

/// The refusal that makes the receiver panic.
const FAULT: &str = "a panic on purpose";

struct Setup {
    bus: Bus,
    requests: mpsc::UnboundedReceiver<Request>,
    end: Option<oneshot::Sender<()>>,
    queue: JoinHandle<()>,
}

fn setup() -> Setup {
    let bus = Bus::default();
    let (send, requests) = mpsc::unbounded_channel();
    let (end, ended) = oneshot::channel();
    let queue = tokio::spawn(Queue::new(FakePost(send), bus.subscribe()).run(ended));
    Setup { bus, requests, end: Some(end), queue }
}

impl Setup {
    fn reporter(&self, camera: &str) -> EventReporter {
        let stream = StreamId::parse(camera).expect("an id");
        EventReporter::new(self.bus.clone(), Subject::stream(stream, Identity::default()))
    }

    async fn request(&mut self) -> Request {
        let request = timeout(Duration::from_hours(1), self.requests.recv()).await;
        request.expect("a request in time").expect("a queue")
    }

    /// Responds to the next request with `outcome`. Returns the camera and the epoch of the request.
    async fn answer(&mut self, outcome: Outcome) -> (String, u64) {
        let request = self.request().await;
        let _ = request.answer.send(outcome);
        named(&request.body)
    }

    async fn has_no_request(&mut self) {
        let request = timeout(Duration::from_hours(1), self.requests.recv()).await;
        assert!(request.is_err(), "another request");
    }

    /// Ends the queue, and returns how long that took.
    async fn end(&mut self) -> Duration {
        let began = Instant::now();
        self.end.take();
        (&mut self.queue).await.expect("a queue that ends");
        began.elapsed()
    }
}

fn named(body: &Value) -> (String, u64) {
    let camera = body["camera"].as_str().expect("a camera");
    (camera.to_owned(), body["generation"].as_u64().expect("an epoch"))
}

fn retry(after: Option<u64>) -> Outcome {
    Outcome::Retry { cause: "down".into(), after: after.map(Duration::from_secs) }
}

#[tokio::test(start_paused = true)]
async fn events_of_one_stream_are_in_order_and_other_streams_do_not_wait() {
    let mut setup = setup();
    let (mut one, mut other) = (setup.reporter("one"), setup.reporter("other"));
    one.live(1);
    one.live(2);
    let first = setup.request().await;
    assert_eq!(named(&first.body), ("one".into(), 1));
    other.live(7);
    assert_eq!(setup.answer(Outcome::Delivered).await, ("other".into(), 7));
    let id = first.body["id"].clone();
    let _ = first.answer.send(retry(None));
    // The same event is sent again before the next one.
    let second = setup.request().await;
    assert_eq!((&second.body["id"], named(&second.body).1), (&id, 1));
    let _ = second.answer.send(Outcome::Delivered);
    let third = setup.request().await;
    assert_eq!(named(&third.body).1, 2);
    assert_ne!(third.body["id"], id);
}

#[tokio::test(start_paused = true)]
async fn retries_are_bounded_and_their_pauses_grow() {
    let mut setup = setup();
    let mut reporter = setup.reporter("cam");
    let began = Instant::now();
    reporter.live(1);
    reporter.live(2);
    let mut last = Instant::now();
    let mut pauses = Vec::new();
    for _ in 0..MAX_ATTEMPTS {
        assert_eq!(setup.answer(retry(None)).await.1, 1);
        pauses.push(last.elapsed());
        last = Instant::now();
    }
    assert!(began.elapsed() < GIVE_UP_AFTER, "{:?}", began.elapsed());
    let first = PAUSES.first;
    assert!(pauses[1] >= first / 2 && pauses[1] <= first + first / 100, "{pauses:?}");
    assert!(pauses[11] >= PAUSES.ceiling / 2, "{pauses:?}");
    assert_eq!(setup.answer(Outcome::Delivered).await.1, 2);
    setup.has_no_request().await;
}

#[tokio::test(start_paused = true)]
async fn a_requested_pause_is_kept_up_to_the_ceiling() {
    let mut setup = setup();
    setup.reporter("cam").live(1);
    setup.answer(retry(Some(20))).await;
    let answered = Instant::now();
    setup.answer(retry(Some(1_000_000))).await;
    assert_eq!(answered.elapsed().as_secs(), 20);
    let answered = Instant::now();
    setup.answer(Outcome::Delivered).await;
    assert_eq!(answered.elapsed().as_secs(), PAUSES.ceiling.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_is_not_sent_again() {
    let mut setup = setup();
    let mut reporter = setup.reporter("cam");
    reporter.live(1);
    reporter.live(2);
    assert_eq!(setup.answer(Outcome::Refused("404".into())).await.1, 1);
    assert_eq!(setup.answer(Outcome::Delivered).await.1, 2);
    setup.has_no_request().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failed_attempt_and_blocks_nothing() {
    let mut setup = setup();
    let mut reporter = setup.reporter("cam");
    reporter.live(1);
    reporter.live(2);
    for _ in 0..MAX_ATTEMPTS {
        assert_eq!(setup.answer(Outcome::Refused(FAULT.into())).await.1, 1);
    }
    assert_eq!(setup.answer(Outcome::Delivered).await.1, 2);
    setup.has_no_request().await;
}

#[tokio::test(start_paused = true)]
async fn an_unresponsive_receiver_gets_few_requests_at_once_and_all_events_are_dropped_in_time() {
    let mut setup = setup();
    for camera in 0..1000 {
        let mut reporter = setup.reporter(&camera.to_string());
        reporter.live(1);
        reporter.live(2);
    }
    let began = Instant::now();
    let mut open = Mutex::new(VecDeque::new());
    while let Ok(request) = timeout(GIVE_UP_AFTER, setup.requests.recv()).await {
        let open = open.get_mut().expect("a lock");
        // The test does not respond, so the queue closes the request after its time limit.
        open.push_back(request.expect("a queue"));
        open.retain(|request| !request.answer.is_closed());
        assert!(open.len() <= MAX_CONCURRENT, "{} at once", open.len());
    }
    let took = began.elapsed();
    // The loop ends with a wait for a request that does not come.
    assert!(took <= GIVE_UP_AFTER * 2 + RESPOND_WITHIN, "{took:?}");
    assert!(setup.end().await < Duration::from_millis(10), "events are left");
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded() {
    let mut setup = setup();
    let mut reporter = setup.reporter("cam");
    for epoch in 0..MAX_QUEUED as u64 + 500 {
        reporter.live(epoch);
        // Lets the queue run.
        tokio::task::yield_now().await;
    }
    for epoch in 0..MAX_QUEUED as u64 {
        assert_eq!(setup.answer(Outcome::Delivered).await.1, epoch);
    }
    setup.has_no_request().await;
}

#[tokio::test(start_paused = true)]
async fn at_shutdown_every_event_gets_one_more_attempt() {
    let mut setup = setup();
    let mut reporter = setup.reporter("cam");
    reporter.live(1);
    reporter.live(2);
    for _ in 0..5 {
        setup.answer(retry(None)).await;
    }
    // Lets the queue receive the outcome and begin the pause before the next attempt.
    sleep(Duration::from_millis(1)).await;
    let began = Instant::now();
    setup.end.take();
    assert_eq!(setup.answer(retry(None)).await.1, 1);
    assert_eq!(setup.answer(Outcome::Delivered).await.1, 2);
    assert_eq!(setup.end().await, Duration::ZERO);
    assert!(began.elapsed() < Duration::from_millis(10), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_unresponsive_receiver_delays_shutdown_by_a_limited_time() {
    let mut setup = setup();
    for camera in 0..100 {
        setup.reporter(&camera.to_string()).live(1);
    }
    // The queue also delivers events that are published right before the end.
    let took = setup.end().await;
    assert!(took >= DELIVER_AT_END_WITHIN && took < DELIVER_AT_END_WITHIN * 2, "{took:?}");
    assert_eq!(setup.requests.len(), MAX_CONCURRENT);
}
