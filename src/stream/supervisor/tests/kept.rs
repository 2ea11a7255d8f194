//! Kept streams, which run even without viewers.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{
    Child, FOREVER, LIMITS, LIVE, STARTED, Setup, kind, named, setup, setup_with, stopped,
};
use crate::base::error::ErrorKind;
use crate::camera::Camera;
use crate::camera::options::KeepOption;
use crate::events::{StopReason, StreamEventKind};
use crate::ingest::Stop;
use crate::stream::handle::Joined;
use crate::stream::output::WantedOutput;
use crate::stream::reaper;
use crate::stream::start_queue::{MAX_HELD, MAX_WAIT, Priority, StartQueue};
use crate::stream::state::State;

/// Returns the setup with a camera that has `keep: always`, and with a running reaper.
fn setup_kept() -> Setup {
    let mut setup = setup();
    setup.camera.keep = KeepOption::Always;
    tokio::spawn(reaper::run(setup.registry.clone(), Duration::from_secs(10)));
    setup
}

impl Setup {
    /// Keeps the stream, and starts it as the manager does.
    fn keep(&self, camera: &Camera) {
        assert!(self.registry.set_kept(&camera.id, true));
        self.registry.start_kept(camera).expect("a place");
    }

    /// Keeps the camera's stream, and makes it live without a caller.
    async fn kept(&mut self) -> Child {
        self.keep(&self.camera);
        let child = self.child().await;
        child.send(3);
        self.reaches(State::Live).await;
        child
    }
}

/// Sends a frame every second, for this many seconds.
async fn play_for(child: &Child, seconds: u64) {
    for _ in 0..seconds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        child.send(1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_kept_stream_runs_without_viewers_until_the_option_is_switched_off() {
    let mut setup = setup_kept();
    let mut child = setup.kept().await;
    play_for(&child, 600).await;
    setup.expects_events(&[STARTED, LIVE]).await;
    setup.registry.start_kept(&setup.camera).expect("a running stream");
    setup.has_no_child();

    setup.registry.set_kept(&setup.camera.id, false);
    assert_eq!(child.stop_request().await, Stop::Gently);
    child.end(ErrorKind::SourceUnreachable);
    setup.gone().await;
    setup.expects_events(&[stopped(StopReason::Idle, None)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_camera_that_refuses_is_retried_once_or_twice_a_minute_although_it_was_never_live() {
    let mut setup = setup_kept();
    setup.keep(&setup.camera);
    let (began, mut attempts) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_hours(1) {
        setup.child().await.end(ErrorKind::SourceUnauthorized);
        attempts += 1;
    }
    assert!((60..=125).contains(&attempts), "{attempts} attempts");
    let child = setup.child().await;
    child.send(3);
    setup.reaches(State::Live).await;
    // The refusal is reported once.
    let unauthorized = Some(ErrorKind::SourceUnauthorized);
    let interrupted = (StreamEventKind::Interrupted, unauthorized, None);
    setup.expects_events(&[STARTED, interrupted, LIVE]).await;
}

#[tokio::test(start_paused = true)]
async fn a_camera_that_never_plays_is_retried() {
    let mut setup = setup_kept();
    setup.keep(&setup.camera);
    for _ in 0..3 {
        let mut child = setup.child().await;
        let launched = Instant::now();
        assert_eq!(child.stop_request().await, Stop::Gently);
        assert_eq!(launched.elapsed(), LIMITS.start_timeout);
        child.end(ErrorKind::SourceUnreachable);
        setup.reaches(State::Backoff).await;
    }
    let child = setup.child().await;
    child.send(3);
    setup.reaches(State::Live).await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_gets_the_cause_of_a_refusal_and_can_start_a_kept_stream_in_a_back_off() {
    let mut setup = setup_kept();
    setup.keep(&setup.camera);
    setup.child().await.end(ErrorKind::SourceUnauthorized);
    setup.reaches(State::Backoff).await;
    let (start, requested) = (setup.start(), Instant::now());
    setup.child().await.end(ErrorKind::SourceUnauthorized);
    assert_eq!(requested.elapsed(), Duration::ZERO);
    assert_eq!(kind(start.await.expect("a task")), ErrorKind::SourceUnauthorized);
    setup.reaches(State::Backoff).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_holds_until_the_next_start() {
    let mut setup = setup_kept();
    let child = setup.kept().await;
    let stop = setup.stop();
    tokio::time::sleep(Duration::from_millis(1)).await;
    child.end(ErrorKind::SourceUnreachable);
    assert!(stop.await.expect("a task"));
    setup.gone().await;
    assert!(
        !setup.registry.set_kept(&setup.camera.id, true),
        "the stream was added although the option was already on"
    );
    setup.registry.start_kept(&setup.camera).expect("nothing to do");
    assert!(setup.registry.kept().is_empty());
    setup.has_no_child();

    let child = setup.live().await;
    play_for(&child, 120).await;
    assert_eq!(setup.state(), Some(State::Live), "the stream must be kept again");
}

#[tokio::test(start_paused = true)]
async fn a_stop_holds_although_the_task_of_an_earlier_start_runs_later() {
    let mut setup = setup_kept();
    let (registry, id) = (setup.registry.clone(), setup.camera.id.clone());
    registry.start_soon(setup.camera.clone(), WantedOutput::None).expect("a place");
    assert!(registry.is_kept(&id));
    // The stop is noted before the task of the start runs for the first time.
    let end = async { setup.child().await.end(ErrorKind::SourceUnreachable) };
    let (was_running, ()) = tokio::join!(registry.stop(&id), end);
    assert!(was_running && !registry.is_kept(&id));
}

#[tokio::test(start_paused = true)]
async fn a_kept_stream_that_ended_without_a_stop_is_started_again() {
    let mut setup = setup_kept();
    let child = setup.kept().await;
    let handle = setup.registry.get(&setup.camera.id).expect("a stream");
    // To end the stream without a stop, the test makes it idle while it is not kept.
    let idle = setup.registry.clone();
    idle.set_kept(&setup.camera.id, false);
    tokio::time::advance(LIMITS.idle_timeout).await;
    reaper::propose(&idle);
    tokio::time::sleep(Duration::from_millis(1)).await;
    child.end(ErrorKind::SourceUnreachable);
    timeout(FOREVER, handle.gone()).await.expect("gone in time");
    setup.kept().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_failed_before_it_was_kept_is_started() {
    let mut setup = setup_kept();
    setup.camera.keep = KeepOption::OnDemand;
    let start = setup.start();
    setup.child().await.end(ErrorKind::SourceUnauthorized);
    start.await.expect("a task").expect_err("a refusal");
    setup.reaches(State::Failed).await;
    setup.camera.keep = KeepOption::Always;
    setup.keep(&setup.camera);
    setup.child().await.end(ErrorKind::SourceUnauthorized);
    setup.reaches(State::Backoff).await;
}

#[tokio::test(start_paused = true)]
async fn kept_streams_wait_with_low_priority_and_for_as_long_as_needed() {
    let mut setup = setup_with(StartQueue::new(1));
    let cameras: Vec<_> = ["a", "b", "c", "d"].map(|id| named(id, "rtsp://cam/kept")).into();
    for camera in &cameras {
        setup.keep(camera);
        // Each start enters the queue before the next one.
        tokio::task::yield_now().await;
    }
    let mut children = vec![setup.child().await];
    let requested = setup.start_camera(named("requested", "rtsp://cam/requested"));
    let child = setup.child().await;
    assert_eq!(
        child.request.source.to_string(),
        "rtsp://cam/requested",
        "the requested start waited for kept streams"
    );
    child.send(3);
    assert_eq!(requested.await.expect("a task"), Ok(Joined::Started));
    // A caller's request turns a queued start into a requested one, which does not wait for the other kept streams.
    let promoted = setup.start_camera(cameras[3].clone());
    let child = setup.child().await;
    child.send(3);
    assert_eq!(promoted.await.expect("a task"), Ok(Joined::Started));
    for _ in 0..2 {
        children.push(timeout(MAX_HELD * 2, setup.child()).await.expect("its turn"));
    }
    setup.has_no_child();
}

#[tokio::test(start_paused = true)]
async fn a_kept_stream_that_waits_for_a_slot_does_not_time_out() {
    let starts = StartQueue::new(1);
    let slot = starts.try_slot(Priority::Low).expect("a slot");
    let mut setup = setup_with(starts);
    setup.keep(&setup.camera);
    tokio::time::sleep(MAX_WAIT * 10).await;
    assert_eq!(setup.state(), Some(State::Starting));
    drop(slot);
    let child = setup.child().await;
    child.send(3);
    setup.reaches(State::Live).await;
}

#[tokio::test(start_paused = true)]
async fn kept_streams_count_towards_the_limit() {
    let setup = setup();
    for number in 0..10 {
        setup.keep(&named(&number.to_string(), "rtsp://cam/1"));
    }
    let camera = named("more", "rtsp://cam/1");
    assert!(setup.registry.set_kept(&camera.id, true));
    let error = setup.registry.start_kept(&camera).expect_err("the limit");
    assert_eq!(error.kind, ErrorKind::TooManyStreams);
    assert_eq!(kind(setup.start().await.expect("a task")), ErrorKind::TooManyStreams);
}
