//! Tests of the queue with push servers that behave in different ways, on a paused clock.

use std::time::SystemTime;

use tokio::sync::mpsc;

use super::super::notification;
use super::super::servers::{MAX_OF_KEY, MAX_SLOW, MAX_TO_SERVER};
use super::super::subscription::testing::{preferences, subscription};
use super::super::testing::{FAULT, FakePermission, FakePost, Request};
use super::*;
use crate::events::testing::event;

struct Setup {
    queue: Queue<FakePost, FakePermission>,
    permission: FakePermission,
    requests: mpsc::UnboundedReceiver<Request>,
    all: watch::Sender<Arc<SubscriptionMap>>,
}

impl Setup {
    fn new() -> Self {
        let (send, requests) = mpsc::unbounded_channel();
        let (all, permission) = (watch::Sender::default(), FakePermission::default());
        let (sender, shared) = (Arc::new(FakePost(send)), Arc::new(permission.clone()));
        let (counters, clock) = (PushCounters::default(), Arc::new(SystemTime::now));
        let queue = Queue::new(sender, shared, Servers::new(), counters, all.subscribe(), clock);
        Self { queue, permission, requests, all }
    }

    /// Adds a subscription at this push server.
    fn subscribe(&self, id: &str, server: &str) -> Arc<Subscription> {
        let url = format!("https://{server}/{id}");
        self.put(subscription(id, &url, preferences(&["stream"])))
    }

    /// Adds a subscription, or replaces the one with its id.
    fn put(&self, new: Subscription) -> Arc<Subscription> {
        let new = Arc::new(new);
        self.all.send_modify(|all| {
            Arc::make_mut(all).insert(new.id.clone(), Arc::clone(&new));
        });
        new
    }

    fn push(&mut self, to: &Arc<Subscription>, epoch: u64) {
        let event = Arc::new(event(epoch));
        let mut notification = notification::of_event(&event, to, None, true);
        notification.content = format!("{{\"epoch\":{epoch}}}").into();
        self.queue.push(to, event, notification);
    }

    /// Lets the queue work until the next request.
    async fn request(&mut self) -> Request {
        self.next_request().await.expect("a request in time")
    }

    /// Returns the next request within an hour; `None` if nothing is requested. Deletes subscriptions as the queue demands.
    async fn next_request(&mut self) -> Option<Request> {
        let deadline = sleep(Duration::from_hours(1));
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                biased;
                Some(request) = self.requests.recv() => return Some(request),
                Some(attempt) = self.queue.next() => {
                    if let Some(gone) = self.queue.finish(attempt) {
                        self.all.send_modify(|all| drop(Arc::make_mut(all).remove(&gone)));
                    }
                }
                () = &mut deadline => return None,
            }
        }
    }

    /// Responds to the next request. Returns the subscription and the epoch of the request.
    async fn answer(&mut self, outcome: Outcome) -> (String, u64) {
        let request = self.request().await;
        let named = named(&request);
        let _ = request.answer.send(outcome);
        named
    }

    async fn has_no_request(&mut self) {
        assert!(self.next_request().await.is_none(), "another request");
        assert_eq!((self.queue.queued, self.queue.lanes.len()), (0, 0));
    }
}

fn named(request: &Request) -> (String, u64) {
    (request.to.clone(), request.content["epoch"].as_u64().expect("an epoch"))
}

fn retry(after: Option<u64>) -> Outcome {
    Outcome::Retry { cause: "down".into(), after: after.map(Duration::from_secs) }
}

#[tokio::test(start_paused = true)]
async fn notifications_of_one_subscription_are_in_order_and_others_do_not_wait() {
    let mut setup = Setup::new();
    let (one, other) = (setup.subscribe("one", "a.example"), setup.subscribe("other", "a.example"));
    setup.push(&one, 1);
    setup.push(&one, 2);
    let first = setup.request().await;
    assert_eq!(named(&first), ("one".into(), 1));
    setup.push(&other, 7);
    assert_eq!(setup.answer(Outcome::Delivered).await, ("other".into(), 7));
    let _ = first.answer.send(retry(None));
    assert_eq!(setup.answer(Outcome::Delivered).await, ("one".into(), 1));
    assert_eq!(setup.answer(Outcome::Delivered).await, ("one".into(), 2));
    setup.has_no_request().await;
}

#[tokio::test(start_paused = true)]
async fn retries_are_bounded_and_their_pauses_grow() {
    let mut setup = Setup::new();
    let to = setup.subscribe("one", "a.example");
    setup.push(&to, 1);
    setup.push(&to, 2);
    let (began, mut last, mut pauses) = (Instant::now(), Instant::now(), Vec::new());
    for _ in 0..MAX_ATTEMPTS {
        assert_eq!(setup.answer(retry(None)).await.1, 1);
        pauses.push(last.elapsed());
        last = Instant::now();
    }
    assert!(began.elapsed() < GIVE_UP_AFTER, "{:?}", began.elapsed());
    let first = PAUSES.first;
    assert!(pauses[1] >= first / 2 && pauses[1] <= first + first / 100, "{pauses:?}");
    assert!(pauses[7] >= PAUSES.ceiling / 2, "{pauses:?}");
    assert_eq!(setup.answer(Outcome::Delivered).await.1, 2);
    setup.has_no_request().await;
}

#[tokio::test(start_paused = true)]
async fn a_requested_pause_is_kept_unless_it_is_too_long() {
    let mut setup = Setup::new();
    let to = setup.subscribe("one", "a.example");
    setup.push(&to, 1);
    setup.push(&to, 2);
    setup.answer(retry(Some(100))).await;
    let answered = Instant::now();
    assert_eq!(setup.answer(retry(Some(1_000_000))).await.1, 1);
    assert_eq!(answered.elapsed().as_secs(), 100);
    assert_eq!(setup.answer(Outcome::Delivered).await.1, 2, "the first one is given up");
    assert_eq!(answered.elapsed().as_secs(), 100);
    setup.has_no_request().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_notification_is_not_sent_again_and_a_panic_blocks_nothing() {
    let mut setup = Setup::new();
    let to = setup.subscribe("one", "a.example");
    (1..=3).for_each(|epoch| setup.push(&to, epoch));
    assert_eq!(setup.answer(Outcome::Refused("400".into())).await.1, 1);
    for _ in 0..MAX_ATTEMPTS {
        assert_eq!(setup.answer(Outcome::Refused(FAULT.into())).await.1, 2);
    }
    assert_eq!(setup.answer(Outcome::Delivered).await.1, 3);
    setup.has_no_request().await;
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_the_push_server_does_not_know_is_deleted() {
    let mut setup = Setup::new();
    let (gone, kept) = (setup.subscribe("gone", "a.example"), setup.subscribe("kept", "a.example"));
    (1..=3).for_each(|epoch| setup.push(&gone, epoch));
    assert_eq!(setup.answer(Outcome::Gone).await, ("gone".into(), 1));
    setup.push(&kept, 9);
    assert_eq!(setup.answer(Outcome::Delivered).await, ("kept".into(), 9));
    setup.has_no_request().await;
    assert!(setup.all.borrow().keys().eq(["kept"]));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_to_deleted_subscriptions_or_to_holders_without_permission() {
    let mut setup = Setup::new();
    let (one, two) = (setup.subscribe("one", "a.example"), setup.subscribe("two", "a.example"));
    for to in [&one, &two] {
        setup.push(to, 1);
        setup.push(to, 2);
        setup.answer(retry(Some(5))).await;
    }
    assert_eq!(setup.permission.checks(), 0, "the caller has just checked the permission");
    setup.all.send_modify(|all| drop(Arc::make_mut(all).remove("one")));
    setup.permission.forbid("two");
    setup.has_no_request().await;
    assert_eq!(setup.permission.checks(), 2, "one for each notification");
    setup.push(&setup.subscribe("three", "a.example"), 1);
    setup.answer(retry(None)).await;
    setup.permission.set_failing(true);
    setup.has_no_request().await;
}

#[tokio::test(start_paused = true)]
async fn a_notification_is_not_sent_if_its_subscription_no_longer_wants_it_or_has_another_holder() {
    let mut setup = Setup::new();
    for id in ["type", "holder", "browser", "opened"] {
        let to = setup.subscribe(id, "a.example");
        setup.push(&to, 1);
        let request = setup.request().await;
        let known = to.as_ref().clone();
        let other = subscription(id, "https://a.example/other", preferences(&["camera"]));
        let mut holder = known.holder.clone();
        holder.made_by = "other".to_owned();
        setup.put(match id {
            "type" => Subscription { choice: other.choice, ..known },
            "holder" => Subscription { holder, ..known },
            "browser" => Subscription { browser: other.browser, ..known },
            _ => Subscription { opened_at: 1, ..known },
        });
        let _ = request.answer.send(retry(None));
    }
    assert_eq!(setup.answer(Outcome::Delivered).await.0, "opened");
    setup.has_no_request().await;
    // The database fails for a moment.
    let to = setup.subscribe("late", "a.example");
    setup.push(&to, 1);
    setup.answer(retry(None)).await;
    setup.permission.set_failing(true);
    let failing = timeout(Duration::from_secs(10), setup.next_request()).await;
    assert!(failing.is_err(), "a request without a check");
    setup.permission.set_failing(false);
    assert_eq!(setup.answer(Outcome::Delivered).await.0, "late");
    setup.has_no_request().await;
}

#[tokio::test(start_paused = true)]
async fn a_hanging_push_server_delays_no_other_server() {
    let mut setup = Setup::new();
    for number in 0..1000 {
        let to = setup.subscribe(&format!("hanging-{number}"), "hanging.example");
        setup.push(&to, 1);
    }
    let mut open = Vec::new();
    for _ in 0..MAX_TO_SERVER {
        open.push(setup.request().await);
    }
    for number in 0..100 {
        let began = Instant::now();
        let to = setup.subscribe(&number.to_string(), "quick.example");
        setup.push(&to, 2);
        assert_eq!(setup.answer(Outcome::Delivered).await, (number.to_string(), 2));
        assert!(began.elapsed() < Duration::from_millis(10), "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn many_hanging_push_servers_delay_others_of_their_key_at_most_once() {
    let mut setup = Setup::new();
    for number in 0..500 {
        let to = setup.subscribe(&format!("hanging-{number}"), &format!("{number}.example"));
        setup.push(&to, 1);
        setup.push(&to, 2);
    }
    let mut open = Vec::new();
    for _ in 0..MAX_OF_KEY {
        open.push(setup.request().await);
    }
    // The subscription of another key does not wait at all.
    let mut other = subscription("other", "https://quick.example/2", preferences(&["stream"]));
    other.holder.made_by = "other".to_owned();
    let (began, other) = (Instant::now(), setup.put(other));
    setup.push(&other, 9);
    assert_eq!(setup.answer(Outcome::Delivered).await.0, "other");
    assert!(began.elapsed() < Duration::from_millis(10), "{:?}", began.elapsed());
    // These are the first requests to all of these servers, which then count as slow, and some repeated ones.
    for _ in 0..590 {
        open.push(setup.request().await);
        open.retain(|request| !request.answer.is_closed());
        assert!(open.len() <= MAX_OF_KEY + MAX_SLOW, "{} at once", open.len());
    }
    sleep(RESPOND_WITHIN).await;
    let (began, to) = (Instant::now(), setup.subscribe("quick", "quick.example"));
    setup.push(&to, 9);
    loop {
        let request = setup.request().await;
        if request.to == "quick" {
            break;
        }
        open.push(request);
    }
    assert!(began.elapsed() < Duration::from_millis(10), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded() {
    let mut setup = Setup::new();
    let to = setup.subscribe("one", "a.example");
    for epoch in 0..100 {
        setup.push(&to, epoch);
    }
    assert_eq!(setup.queue.queued, MAX_WAITING + 1);
    assert_eq!(setup.answer(Outcome::Delivered).await.1, 0);
    for epoch in 100 - MAX_WAITING as u64..100 {
        assert_eq!(setup.answer(Outcome::Delivered).await.1, epoch, "the newest are kept");
    }
    setup.has_no_request().await;
    let many: Vec<_> = (0..600).map(|it| setup.subscribe(&it.to_string(), "a.example")).collect();
    for to in &many {
        (0..30).for_each(|epoch| setup.push(to, epoch));
    }
    assert_eq!(setup.queue.queued, MAX_QUEUED);
    let longest = |setup: &Setup| setup.queue.lanes.values().map(VecDeque::len).max();
    assert!(longest(&setup).is_some_and(|length| length < MAX_WAITING), "all have some space");
    let victim = setup.subscribe("victim", "b.example");
    setup.push(&victim, 7);
    let request = loop {
        let request = setup.request().await;
        if request.to == "victim" {
            break request;
        }
    };
    assert_eq!(named(&request).1, 7);
    let _ = request.answer.send(Outcome::Delivered);
    // The push server does not respond, so all notifications are dropped in time.
    let began = Instant::now();
    while let Ok(Some(_)) = timeout(Duration::from_mins(2), setup.next_request()).await {}
    assert_eq!((setup.queue.queued, setup.queue.lanes.len()), (0, 0), "{:?}", began.elapsed());
}
