//! The queue with receivers of all kinds and a clock that jumps.

use std::sync::Mutex;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;
use crate::events::bus::Bus;
use crate::stream::reporter::EventReporter;

/// Asks the test for every answer.
struct Fake(mpsc::UnboundedSender<Request>);

struct Request {
    body: Value,
    answer: oneshot::Sender<Outcome>,
}

impl Post for Fake {
    async fn post(&self, body: Bytes) -> Outcome {
        let (answer, answered) = oneshot::channel();
        let body = serde_json::from_slice(&body).expect("JSON");
        let _ = self.0.send(Request { body, answer });
        match answered.await {
            Ok(Outcome::Refused(cause)) if cause == FAULT => panic!("{FAULT}"),
            Ok(outcome) => outcome,
            // Silence.
            Err(_) => std::future::pending().await,
        }
    }
}

/// What the test answers to see what a fault in the asking does.
const FAULT: &str = "a fault on purpose";

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
    let queue = tokio::spawn(Queue::new(Fake(send), bus.subscribe()).run(ended));
    Setup { bus, requests, end: Some(end), queue }
}

impl Setup {
    fn teller(&self, camera: &str) -> EventReporter {
        EventReporter::new(self.bus.clone(), StreamId::parse(camera).expect("an id"))
    }

    async fn request(&mut self) -> Request {
        let request = timeout(Duration::from_hours(1), self.requests.recv()).await;
        request.expect("a request in time").expect("a queue")
    }

    /// The next request's camera and generation, which is answered with `outcome`.
    async fn answer(&mut self, outcome: Outcome) -> (String, u64) {
        let request = self.request().await;
        let _ = request.answer.send(outcome);
        named(&request.body)
    }

    async fn has_no_request(&mut self) {
        let request = timeout(Duration::from_hours(1), self.requests.recv()).await;
        assert!(request.is_err(), "another request");
    }

    /// Ends the queue; how long that takes.
    async fn end(&mut self) -> Duration {
        let began = Instant::now();
        self.end.take();
        (&mut self.queue).await.expect("a queue that ends");
        began.elapsed()
    }
}

fn named(body: &Value) -> (String, u64) {
    let camera = body["camera"].as_str().expect("a camera");
    (camera.to_owned(), body["generation"].as_u64().expect("a generation"))
}

fn again(after: Option<u64>) -> Outcome {
    Outcome::Again { cause: "down".into(), after: after.map(Duration::from_secs) }
}

#[tokio::test(start_paused = true)]
async fn one_stream_in_order_and_others_beside_it() {
    let mut setup = setup();
    let (mut one, mut other) = (setup.teller("one"), setup.teller("other"));
    one.live(1);
    one.live(2);
    let first = setup.request().await;
    assert_eq!(named(&first.body), ("one".into(), 1));
    other.live(7);
    assert_eq!(setup.answer(Outcome::Delivered).await, ("other".into(), 7));
    let id = first.body["id"].clone();
    let _ = first.answer.send(again(None));
    // The same event again, and only then the next.
    let second = setup.request().await;
    assert_eq!((&second.body["id"], named(&second.body).1), (&id, 1));
    let _ = second.answer.send(Outcome::Delivered);
    let third = setup.request().await;
    assert_eq!(named(&third.body).1, 2);
    assert_ne!(third.body["id"], id);
}

#[tokio::test(start_paused = true)]
async fn retries_are_bounded_and_wait_longer_and_longer() {
    let mut setup = setup();
    let mut teller = setup.teller("cam");
    let began = Instant::now();
    teller.live(1);
    teller.live(2);
    let mut last = Instant::now();
    let mut pauses = Vec::new();
    for _ in 0..MAX_ATTEMPTS {
        assert_eq!(setup.answer(again(None)).await.1, 1);
        pauses.push(last.elapsed());
        last = Instant::now();
    }
    assert!(began.elapsed() < GIVE_UP_AFTER, "{:?}", began.elapsed());
    assert!(pauses[1] >= BASE / 2 && pauses[1] <= BASE + BASE / 100, "{pauses:?}");
    assert!(pauses[11] >= CEILING / 2, "{pauses:?}");
    assert_eq!(setup.answer(Outcome::Delivered).await.1, 2);
    setup.has_no_request().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_says_when_is_asked_then() {
    let mut setup = setup();
    setup.teller("cam").live(1);
    setup.answer(again(Some(20))).await;
    let answered = Instant::now();
    setup.answer(again(Some(1_000_000))).await;
    assert_eq!(answered.elapsed().as_secs(), 20);
    let answered = Instant::now();
    setup.answer(Outcome::Delivered).await;
    assert_eq!(answered.elapsed().as_secs(), CEILING.as_secs());
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_not_tried_again() {
    let mut setup = setup();
    let mut teller = setup.teller("cam");
    teller.live(1);
    teller.live(2);
    assert_eq!(setup.answer(Outcome::Refused("404".into())).await.1, 1);
    assert_eq!(setup.answer(Outcome::Delivered).await.1, 2);
    setup.has_no_request().await;
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_an_attempt_that_failed_and_holds_up_nothing() {
    let mut setup = setup();
    let mut teller = setup.teller("cam");
    teller.live(1);
    teller.live(2);
    for _ in 0..MAX_ATTEMPTS {
        assert_eq!(setup.answer(Outcome::Refused(FAULT.into())).await.1, 1);
    }
    assert_eq!(setup.answer(Outcome::Delivered).await.1, 2);
    setup.has_no_request().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_receiver_gets_few_requests_at_once_and_everything_is_given_up_in_time() {
    let mut setup = setup();
    for camera in 0..1000 {
        let mut teller = setup.teller(&camera.to_string());
        teller.live(1);
        teller.live(2);
    }
    let began = Instant::now();
    let mut open = Mutex::new(VecDeque::new());
    while let Ok(request) = timeout(GIVE_UP_AFTER, setup.requests.recv()).await {
        let open = open.get_mut().expect("a lock");
        // Answered by nobody; given up by the other side after a while.
        open.push_back(request.expect("a queue"));
        open.retain(|request| !request.answer.is_closed());
        assert!(open.len() <= MAX_AT_ONCE, "{} at once", open.len());
    }
    let took = began.elapsed();
    // The last wait is for a request that does not come.
    assert!(took <= GIVE_UP_AFTER * 2 + ANSWER_WITHIN, "{took:?}");
    assert!(setup.end().await < Duration::from_millis(10), "something is left");
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded() {
    let mut setup = setup();
    let mut teller = setup.teller("cam");
    for generation in 0..MAX_QUEUED as u64 + 500 {
        teller.live(generation);
        // The queue's turn.
        tokio::task::yield_now().await;
    }
    for generation in 0..MAX_QUEUED as u64 {
        assert_eq!(setup.answer(Outcome::Delivered).await.1, generation);
    }
    setup.has_no_request().await;
}

#[tokio::test(start_paused = true)]
async fn at_the_end_all_is_tried_once_more() {
    let mut setup = setup();
    let mut teller = setup.teller("cam");
    teller.live(1);
    teller.live(2);
    for _ in 0..5 {
        setup.answer(again(None)).await;
    }
    // On the paused clock: when the queue has heard the answer, and waits.
    sleep(Duration::from_millis(1)).await;
    let began = Instant::now();
    setup.end.take();
    assert_eq!(setup.answer(again(None)).await.1, 1);
    assert_eq!(setup.answer(Outcome::Delivered).await.1, 2);
    assert_eq!(setup.end().await, Duration::ZERO);
    assert!(began.elapsed() < Duration::from_millis(10), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_silent_receiver_does_not_keep_the_manager_from_ending() {
    let mut setup = setup();
    for camera in 0..100 {
        setup.teller(&camera.to_string()).live(1);
    }
    // What is told right before the end counts as well.
    let took = setup.end().await;
    assert!(took >= LAST_WORDS && took < LAST_WORDS * 2, "{took:?}");
    assert_eq!(setup.requests.len(), MAX_AT_ONCE);
}
