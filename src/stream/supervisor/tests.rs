//! Tests of the supervisor with a fake ingest, on a paused clock. The tests decide when a child sends frames
//! and ends.

use std::cell::Cell;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::MAX_REPLANS;
use crate::base::counters::Counters;
use crate::base::error::{Error, ErrorKind};
use crate::camera::Camera;
use crate::camera::id::StreamId;
use crate::camera::options::{AudioOption, StreamOptions};
use crate::camera::plan::{Audio, Hevc, Plan};
use crate::camera::source::Source;
use crate::events::bus::{Bus, EventReceiver};
use crate::events::{EventKind, StopReason, StreamEvent, StreamEventKind};
use crate::ingest::rendition::testing::NoTranscoder;
use crate::ingest::{Ingest, IngestRequest, RunOutcome, RunningIngest, Stop, StopRequests};
use crate::media::frame::{Frame, testing};
use crate::media::frame_budget::FrameBudget;
use crate::output::disk_budget::DiskBudget;
use crate::output::hls::cutter::SegmentPolicy;
use crate::output::hls::layout::Layout;
use crate::output::hls::output::Hls;
use crate::stream::handle::Joined;
use crate::stream::interest::Purpose;
use crate::stream::limits::Limits;
use crate::stream::output::{Output, OutputControl, OutputRequest, OutputTask, WantedOutput};
use crate::stream::reaper;
use crate::stream::registry::Registry;
use crate::stream::resources::StreamResources;
use crate::stream::start_queue::{MAX_HELD, Priority, StartQueue};
use crate::stream::state::{After, State};
use crate::stream::threads::Threads;
use crate::stream::viewers::Viewer;

mod kept;
mod outputs;
mod recovery;
mod replay;
mod trials;

const LIMITS: Limits = Limits {
    start_timeout: Duration::from_secs(15),
    stale_timeout: Duration::from_secs(10),
    stalled_after: Duration::from_secs(5),
    idle_timeout: Duration::from_secs(30),
    stop_grace: Duration::from_secs(5),
    max_viewers: None,
};

const SEGMENTS: SegmentPolicy = SegmentPolicy {
    segment_time: Duration::from_secs(2),
    part_time: Duration::from_millis(200),
    list_size: 5,
};

const VIEWER: Viewer<'static> = Viewer { user: "anna", address: "10.0.0.1", player: "hls.js" };

/// A time limit that no step of these tests reaches. On the paused clock, waiting for it takes no real time.
const FOREVER: Duration = Duration::from_mins(10);

/// An ingest that starts no process: it hands each child to the test.
struct FakeIngest(mpsc::UnboundedSender<Child>);

impl Ingest for FakeIngest {
    fn start(&self, request: IngestRequest) -> RunningIngest {
        let (end, ended) = oneshot::channel();
        RunningIngest::spawn(|stops| {
            let child = Child { request, end, stops, sent: Cell::new(0) };
            self.0.send(child).expect("a test that listens");
            // Panics if the test drops the child, as an ingest with a bug would.
            async { ended.await.expect("a child") }
        })
    }
}

/// A child that the test controls.
struct Child {
    request: IngestRequest,
    end: oneshot::Sender<RunOutcome>,
    stops: StopRequests,
    /// The number of frames sent.
    sent: Cell<u64>,
}

impl Child {
    /// Sends `count` frames of 200 ms, the first of them a keyframe.
    fn send(&self, count: u64) {
        let format = testing::format(self.request.epoch);
        let begin = self.sent.replace(self.sent.get() + count);
        let frame = |n| testing::video(&format, n == 0, (begin + n) * 200, 200);
        self.request.hub.publish((0..count).map(frame));
    }

    /// Sends a keyframe that lasts for 5 s.
    fn send_slowly(&self) {
        let format = testing::format(self.request.epoch);
        let number = self.sent.replace(self.sent.get() + 1);
        let frame = testing::video(&format, true, number * 5000, 5000);
        self.request.hub.publish([Frame { received_at: Instant::now(), ..frame }]);
    }

    /// Reports a frame that arrived before the first keyframe.
    fn lead(&self) {
        self.request.hub.note_leading_frame(self.request.epoch);
    }

    /// Ends the child with an error: an interruption if the camera is unreachable or busy, otherwise a refusal.
    fn end(self, kind: ErrorKind) {
        let error = Error::new(kind, "it ended");
        let is_drop = matches!(kind, ErrorKind::SourceUnreachable | ErrorKind::SourceBusy);
        let outcome = if is_drop { RunOutcome::Dropped(error) } else { RunOutcome::Refused(error) };
        self.end.send(outcome).expect("a supervisor");
    }

    /// Waits for the next request to stop that the child receives.
    async fn stop_request(&mut self) -> Stop {
        timeout(FOREVER, self.stops.next()).await.expect("a request in time")
    }
}

/// An output that reports at once that it is playable, and then runs the task `serve`.
struct FakeOutput {
    is_ready: bool,
    serve: fn(OutputControl) -> OutputTask,
}

impl Output for FakeOutput {
    fn ensure_ready(&self) -> Result<(), Error> {
        let full = || Err(Error::new(ErrorKind::StorageFull, "there is no space"));
        if self.is_ready { Ok(()) } else { full() }
    }

    fn serve(&self, request: OutputRequest, control: OutputControl) -> OutputTask {
        let (numbers, serve) = (request.numbers, self.serve);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let playable = numbers.next().epoch.checked_sub(1);
            control.progress.send_modify(|progress| progress.playable = playable);
            serve(control).await;
        })
    }
}

fn setup_with_fake_output(output: FakeOutput) -> Setup {
    setup_with_output(StartQueue::new(100), |_| Arc::new(output))
}

struct Setup {
    root: tempfile::TempDir,
    registry: Registry,
    hls: Hls,
    children: mpsc::UnboundedReceiver<Child>,
    camera: Camera,
    events: EventReceiver,
}

fn setup() -> Setup {
    setup_with(StartQueue::new(100))
}

fn setup_with(starts: StartQueue) -> Setup {
    setup_with_output(starts, |hls| Arc::new(hls))
}

fn setup_with_output(starts: StartQueue, output: impl FnOnce(Hls) -> Arc<dyn Output>) -> Setup {
    setup_with_ingest(starts, |fake| Arc::new(fake), output)
}

fn setup_with_ingest(
    starts: StartQueue,
    ingest: impl FnOnce(FakeIngest) -> Arc<dyn Ingest>,
    output: impl FnOnce(Hls) -> Arc<dyn Output>,
) -> Setup {
    let root = tempfile::tempdir().expect("a directory");
    let (launched, children) = mpsc::unbounded_channel();
    let bus = Bus::default();
    let events = bus.subscribe();
    let (layout, budget) =
        (Layout::new(root.path().to_owned()), DiskBudget::new(root.path().to_owned(), None));
    let hls = Hls::new(layout, budget, SEGMENTS, Counters::default());
    let registry = Registry::new(StreamResources {
        output: output(hls.clone()),
        threads: Threads::here(),
        limits: LIMITS,
        max_streams: 10,
        starts,
        ingest: ingest(FakeIngest(launched)),
        transcoder: Arc::new(NoTranscoder),
        hevc: Hevc::Copy,
        frames: FrameBudget::new(u64::MAX),
        counters: Counters::default(),
        events: bus,
    });
    Setup { root, registry, hls, children, camera: camera("rtsp://cam/1"), events }
}

fn camera(link: &str) -> Camera {
    named("cam", link)
}

fn named(id: &str, link: &str) -> Camera {
    let source = Source::parse(link).expect("a link");
    Camera::new(StreamId::parse(id).expect("an id"), source, StreamOptions::default())
}

impl Setup {
    fn start(&self) -> tokio::task::JoinHandle<Result<Joined, Error>> {
        self.start_camera(self.camera.clone())
    }

    fn start_camera(&self, camera: Camera) -> tokio::task::JoinHandle<Result<Joined, Error>> {
        let registry = self.registry.clone();
        tokio::spawn(async move { registry.start(camera, WantedOutput::Hls).await })
    }

    fn stop(&self) -> tokio::task::JoinHandle<bool> {
        let (registry, id) = (self.registry.clone(), self.camera.id.clone());
        tokio::spawn(async move { registry.stop(&id).await })
    }

    async fn child(&mut self) -> Child {
        timeout(FOREVER, self.children.recv()).await.expect("a child in time").expect("an ingest")
    }

    /// Makes the stream live, and returns its child.
    async fn live(&mut self) -> Child {
        let start = self.start();
        let child = self.child().await;
        child.send(3);
        assert_eq!(start.await.expect("a task"), Ok(Joined::Started));
        child
    }

    fn state(&self) -> Option<State> {
        self.registry.get(&self.camera.id).map(|handle| handle.status().state)
    }

    fn playlist(&self) -> String {
        let published = self.hls.newest(&self.camera.id).expect("a playlist");
        String::from_utf8(published.whole().into()).expect("a string")
    }

    async fn reaches(&self, state: State) {
        let handle = self.registry.get(&self.camera.id).expect("a stream");
        let mut status = handle.status;
        let reached = status.wait_for(|status| status.state == state);
        timeout(FOREVER, reached).await.expect("the state in time").expect("a supervisor");
    }

    async fn gone(&self) {
        if let Some(handle) = self.registry.get(&self.camera.id) {
            timeout(FOREVER, handle.gone()).await.expect("gone in time");
        }
        assert_eq!(self.state(), None);
        assert!(self.hls.newest(&self.camera.id).is_none(), "the playlist is still there");
    }

    async fn event(&mut self) -> StreamEvent {
        let event = timeout(FOREVER, self.events.next()).await.expect("an event in time");
        let event = event.expect("nothing is lost").expect("a bus");
        let EventKind::Stream(event) = &event.kind else { panic!("{event:?}") };
        event.clone()
    }

    /// Asserts that the next events are these.
    async fn expects_events(&mut self, expected: &[Reported]) {
        for expected in expected {
            let event = self.event().await;
            assert_eq!((event.kind, event.error.map(|error| error.kind), event.reason), *expected);
        }
    }

    /// Asserts that no further child was started.
    fn has_no_child(&mut self) {
        assert!(self.children.try_recv().is_err(), "a further child was started");
    }
}

/// The kind of an event, the code of its error, and its reason.
type Reported = (StreamEventKind, Option<ErrorKind>, Option<StopReason>);

const STARTED: Reported = (StreamEventKind::Started, None, None);
const LIVE: Reported = (StreamEventKind::Live, None, None);

const fn stopped(reason: StopReason, error: Option<ErrorKind>) -> Reported {
    (StreamEventKind::Stopped, error, Some(reason))
}

fn kind(result: Result<Joined, Error>) -> ErrorKind {
    result.expect_err("a failed start").kind
}

#[tokio::test(start_paused = true)]
async fn simultaneous_starts_share_one_child() {
    let mut setup = setup();
    let starts: Vec<_> = (0..50).map(|_| setup.start()).collect();
    let child = setup.child().await;
    child.send(3);
    for start in starts {
        assert_eq!(start.await.expect("a task"), Ok(Joined::Started));
    }
    assert_eq!(setup.start().await.expect("a task"), Ok(Joined::Active));
    setup.has_no_child();
    assert!(setup.playlist().contains(".m4s"));
}

#[tokio::test(start_paused = true)]
async fn a_start_joins_a_live_stream_at_once_and_keeps_it_running() {
    let mut setup = setup();
    let _child = setup.live().await;
    let handle = setup.registry.get(&setup.camera.id).expect("a stream");
    tokio::time::advance(Duration::from_secs(5)).await;
    let joined = setup.registry.start(camera("rtsp://cam/1"), WantedOutput::Hls).now_or_never();
    assert_eq!(joined, Some(Ok(Joined::Active)), "the start waited for the supervisor");
    assert_eq!(handle.idle_for(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_stopped_or_replaced_is_not_joined() {
    let mut setup = setup();
    let child = setup.live().await;
    let options = StreamOptions { audio: AudioOption::Off, ..StreamOptions::default() };
    let other_options = Camera { options, ..setup.camera.clone() };
    for other in [camera("rtsp://cam/2"), other_options] {
        let joined = setup.registry.start(other, WantedOutput::Hls).now_or_never();
        assert_eq!(
            joined, None,
            "a stream with another source or other options must not be joined"
        );
    }
    setup.reaches(State::Stopping(After::Replace)).await;
    let joined = setup.registry.start(setup.camera.clone(), WantedOutput::Hls).now_or_never();
    assert_eq!(joined, None, "a stream that is being replaced must not be joined");
    // On the paused clock, this waits until the supervisor has taken all commands.
    tokio::time::sleep(Duration::from_millis(1)).await;
    child.end(ErrorKind::SourceUnreachable);
    // The last of these starts decides. It requested the first source again.
    let child = setup.child().await;
    assert_eq!(child.request.source, setup.camera.source);
    child.send(3);
    setup.reaches(State::Live).await;

    let stop = setup.stop();
    setup.reaches(State::Stopping(After::End)).await;
    let joined = setup.registry.start(setup.camera.clone(), WantedOutput::Hls).now_or_never();
    assert_eq!(joined, None, "a stream that is being stopped must not be joined");
    child.end(ErrorKind::SourceUnreachable);
    assert!(stop.await.expect("a task"));
    let joined = setup.registry.start(setup.camera.clone(), WantedOutput::Hls).now_or_never();
    assert_eq!(joined, None, "a stream that was stopped must not be joined");
}

#[tokio::test(start_paused = true)]
async fn all_waiting_callers_get_a_refusal_and_the_next_start_tries_again() {
    let mut setup = setup();
    let starts: Vec<_> = (0..3).map(|_| setup.start()).collect();
    setup.child().await.end(ErrorKind::SourceUnauthorized);
    for start in starts {
        assert_eq!(kind(start.await.expect("a task")), ErrorKind::SourceUnauthorized);
    }
    setup.reaches(State::Failed).await;
    setup.has_no_child();
    setup.live().await;
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_start_is_retried_while_a_caller_waits() {
    let mut setup = setup();
    let start = setup.start();
    setup.child().await.end(ErrorKind::SourceUnreachable);
    let child = setup.child().await;
    child.send(3);
    assert_eq!(start.await.expect("a task"), Ok(Joined::Started));
}

#[tokio::test(start_paused = true)]
async fn the_start_of_a_camera_that_never_plays_fails_after_the_start_timeout() {
    let mut setup = setup();
    let began = Instant::now();
    let start = setup.start();
    let mut child = setup.child().await;
    assert_eq!(kind(start.await.expect("a task")), ErrorKind::SourceTimeout);
    assert_eq!(began.elapsed().as_secs(), 15);
    assert_eq!(child.stop_request().await, Stop::Gently);
    assert_eq!(child.stop_request().await, Stop::Now);
    assert_eq!(began.elapsed().as_secs(), 20);
    child.end(ErrorKind::SourceUnreachable);
    setup.reaches(State::Failed).await;
}

/// Reports every second, for this many seconds, that a frame has arrived before the first keyframe.
async fn lead_for(child: &Child, seconds: u64) {
    for _ in 0..seconds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        child.lead();
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_keyframe_delays_the_start_without_failing_it() {
    let mut setup = setup();
    let began = Instant::now();
    let start = setup.start();
    let child = setup.child().await;
    lead_for(&child, 16).await;
    let joined = start.await.expect("a task").expect("no failure");
    let Joined::Delayed(reason) = joined else { panic!("{joined:?}") };
    assert_eq!(reason.kind, ErrorKind::AwaitingKeyframe);
    assert_eq!(setup.state(), Some(State::Starting));
    let status = setup.registry.get(&setup.camera.id).expect("a stream").status();
    assert_eq!(status.last_error.expect("a reason").0.kind, ErrorKind::AwaitingKeyframe);

    // A later caller waits for the keyframe, and gets the result as soon as the keyframe has arrived.
    let start = setup.start();
    lead_for(&child, 22).await;
    assert!(start.is_finished(), "the second caller waits for ever");
    let start = setup.start();
    lead_for(&child, 2).await;
    assert_eq!(began.elapsed().as_secs(), 40);
    child.send(3);
    assert_eq!(start.await.expect("a task"), Ok(Joined::Started));
    setup.has_no_child();
    setup.expects_events(&[STARTED, LIVE]).await;
}

#[tokio::test(start_paused = true)]
async fn a_late_keyframe_extends_the_start_so_that_the_stream_can_become_playable() {
    let mut setup = setup();
    let start = setup.start();
    let child = setup.child().await;
    lead_for(&child, 29).await;
    start.await.expect("a task").expect("no failure");
    // The keyframe alone is not enough for a playlist.
    child.send(1);
    tokio::time::sleep(Duration::from_secs(5)).await;
    child.send(3);
    setup.reaches(State::Live).await;
}

#[tokio::test(start_paused = true)]
async fn a_camera_that_stops_sending_before_its_first_keyframe_fails() {
    let mut setup = setup();
    let start = setup.start();
    let mut child = setup.child().await;
    lead_for(&child, 4).await;
    // The last frame is more than `stale_timeout` old when the start times out.
    assert_eq!(kind(start.await.expect("a task")), ErrorKind::SourceTimeout);
    assert_eq!(child.stop_request().await, Stop::Gently);
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_keyframe_never_comes_ends_without_viewers() {
    let mut setup = setup();
    tokio::spawn(reaper::run(setup.registry.clone(), Duration::from_secs(10)));
    let start = setup.start();
    let mut child = setup.child().await;
    // The caller got a result after 15 s, and the stream has been idle since then.
    lead_for(&child, 44).await;
    start.await.expect("a task").expect("no failure");
    assert_eq!(child.stop_request().await, Stop::Gently);
    child.end(ErrorKind::SourceUnreachable);
    setup.gone().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_viewers_waits_for_the_late_keyframe_of_a_restart() {
    let mut setup = setup();
    setup.live().await.end(ErrorKind::SourceUnreachable);
    let child = setup.child().await;
    lead_for(&child, 40).await;
    child.send(3);
    setup.reaches(State::Live).await;
    setup.has_no_child();
}

#[tokio::test(start_paused = true)]
async fn interrupted_attempts_share_one_start_timeout() {
    let mut setup = setup();
    let began = Instant::now();
    let start = setup.start();
    while !start.is_finished() {
        match timeout(Duration::from_millis(100), setup.children.recv()).await {
            Ok(Some(child)) => child.end(ErrorKind::SourceUnreachable),
            Ok(None) => panic!("no ingest"),
            Err(_) => {}
        }
    }
    let error = start.await.expect("a task").expect_err("a camera that never plays");
    assert_eq!(error.kind, ErrorKind::SourceUnreachable, "the cause of each attempt");
    assert_eq!(began.elapsed().as_secs(), 15);
    setup.reaches(State::Failed).await;
}

/// Checks that all media of a playlist has one init segment and one time line.
fn assert_continuous(playlist: &str) {
    assert_eq!(playlist.matches("#EXT-X-MAP:").count(), 1, "{playlist}");
    assert!(!playlist.contains("#EXT-X-DISCONTINUITY\n"), "{playlist}");
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_stream_is_restarted_while_it_has_viewers() {
    let mut setup = setup();
    let child = setup.live().await;
    let first = child.request.epoch;
    child.end(ErrorKind::SourceUnreachable);
    setup.reaches(State::Backoff).await;
    let child = setup.child().await;
    assert_eq!(child.request.epoch, first + 1);
    child.send(3);
    setup.reaches(State::Live).await;
    let status = setup.registry.get(&setup.camera.id).expect("a stream").status();
    assert_eq!(status.restarts, 1);
    assert_continuous(&setup.playlist());
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_viewers_is_retried_after_a_refusal_and_callers_get_the_cause() {
    let mut setup = setup();
    setup.live().await.end(ErrorKind::SourceUnreachable);
    let child = setup.child().await;
    let start = setup.start();
    // After this time, the supervisor has received the start, so that the caller waits for the result.
    tokio::time::sleep(Duration::from_millis(1)).await;
    child.end(ErrorKind::SourceUnsupported);
    assert_eq!(kind(start.await.expect("a task")), ErrorKind::SourceUnsupported);
    assert_eq!(setup.state(), Some(State::Backoff));
    setup.registry.get(&setup.camera.id).expect("a stream").touch(WantedOutput::Hls);
    let waited = Instant::now();
    let child = setup.child().await;
    child.send(3);
    // The delay is long, because an unsupported format is a permanent error.
    assert!(waited.elapsed() >= Duration::from_secs(30), "{:?}", waited.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_camera_that_fails_for_an_hour_is_retried_rarely_and_recovers() {
    for (kind, attempts) in
        [(ErrorKind::SourceUnauthorized, 60..=125), (ErrorKind::SourceUnreachable, 240..=490)]
    {
        let mut setup = setup();
        setup.live().await.end(ErrorKind::SourceUnreachable);
        let handle = setup.registry.get(&setup.camera.id).expect("a stream");
        // The viewers keep watching.
        let watching = tokio::spawn({
            let handle = handle.clone();
            async move {
                loop {
                    handle.touch(WantedOutput::Hls);
                    tokio::time::sleep(Duration::from_secs(2)).await;
                }
            }
        });
        let (began, mut count) = (Instant::now(), 0);
        while began.elapsed() < Duration::from_hours(1) {
            setup.child().await.end(kind);
            count += 1;
        }
        assert!(attempts.contains(&count), "{count} attempts after {kind:?}");
        let child = setup.child().await;
        child.send(3);
        setup.reaches(State::Live).await;
        watching.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_ends_the_backoff_of_a_stream_that_was_live() {
    let mut setup = setup();
    setup.live().await.end(ErrorKind::SourceUnreachable);
    setup.reaches(State::Backoff).await;
    let start = setup.start();
    let requested = Instant::now();
    let child = setup.child().await;
    child.send(3);
    assert!(requested.elapsed() < Duration::from_millis(100), "{:?}", requested.elapsed());
    assert_eq!(start.await.expect("a task"), Ok(Joined::Started));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_stalls_is_restarted() {
    let mut setup = setup();
    let mut child = setup.live().await;
    let stalled = Instant::now();
    assert_eq!(child.stop_request().await, Stop::Gently);
    assert_eq!(stalled.elapsed().as_secs(), 10);
    child.end(ErrorKind::SourceUnreachable);
    let second = setup.child().await;
    second.send(3);
    setup.reaches(State::Live).await;
    // The stream stays live while frames arrive.
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_secs(9)).await;
        second.send(1);
    }
    assert_eq!(setup.state(), Some(State::Live));
    setup.has_no_child();
}

/// While the manager is suspended, for example with SIGSTOP, it reads no frames, although the camera sends
/// them.
#[tokio::test(start_paused = true)]
async fn a_healthy_stream_is_not_restarted_after_a_suspension_of_the_manager() {
    let mut setup = setup();
    let mut child = setup.live().await;
    tokio::time::advance(Duration::from_secs(20)).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    child.send(50);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(setup.state(), Some(State::Live));
    setup.has_no_child();
    // If the camera sends nothing after the manager has continued, FFmpeg is restarted.
    tokio::time::advance(Duration::from_secs(20)).await;
    let continued = Instant::now();
    assert_eq!(child.stop_request().await, Stop::Gently);
    assert_eq!(continued.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn the_reaper_ends_streams_without_viewers_and_no_others() {
    let mut setup = setup();
    tokio::spawn(reaper::run(setup.registry.clone(), Duration::from_secs(10)));
    let mut child = setup.live().await;
    let handle = setup.registry.get(&setup.camera.id).expect("a stream");
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(9)).await;
        child.send(1);
        handle.touch_as_viewer(&VIEWER).expect("a place");
    }
    assert_eq!(setup.state(), Some(State::Live));
    let left = Instant::now();
    let frames = tokio::spawn({
        let (hub, epoch) = (child.request.hub.clone(), child.request.epoch);
        async move {
            let format = testing::format(epoch);
            for second in 1.. {
                tokio::time::sleep(Duration::from_secs(1)).await;
                hub.publish([testing::video(&format, true, second * 1000, 1000)]);
            }
        }
    });
    assert_eq!(child.stop_request().await, Stop::Gently);
    assert!((30..=40).contains(&left.elapsed().as_secs()), "{:?}", left.elapsed());
    frames.abort();
    child.end(ErrorKind::SourceUnreachable);
    setup.gone().await;
}

#[tokio::test(start_paused = true)]
async fn the_idle_timeout_begins_when_a_held_interest_is_dropped() {
    let mut setup = setup();
    tokio::spawn(reaper::run(setup.registry.clone(), Duration::from_secs(10)));
    let mut child = setup.live().await;
    let interest =
        setup.registry.get(&setup.camera.id).expect("a stream").interest(Purpose::Snapshot);
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_secs(9)).await;
        child.send(1);
    }
    assert_eq!(setup.state(), Some(State::Live));
    drop(interest);
    let left = Instant::now();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(9)).await;
        child.send(1);
    }
    assert_eq!(setup.state(), Some(State::Live));
    assert_eq!(child.stop_request().await, Stop::Gently);
    assert!((30..=40).contains(&left.elapsed().as_secs()), "{:?}", left.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stop_during_a_start_is_reported_to_the_waiting_caller() {
    let mut setup = setup();
    let start = setup.start();
    let mut child = setup.child().await;
    let stop = setup.stop();
    assert_eq!(kind(start.await.expect("a task")), ErrorKind::Stopped);
    assert_eq!(child.stop_request().await, Stop::Gently);
    assert!(!stop.is_finished(), "stop did not wait for the child");
    child.end(ErrorKind::SourceUnreachable);
    assert!(stop.await.expect("a task"));
    setup.gone().await;
    assert!(!setup.registry.stop(&setup.camera.id).await, "there was nothing to stop");
}

#[tokio::test(start_paused = true)]
async fn a_start_during_a_stop_waits_and_starts_another_stream() {
    let mut setup = setup();
    let mut child = setup.live().await;
    let stop = setup.stop();
    assert_eq!(child.stop_request().await, Stop::Gently);
    let start = setup.start();
    tokio::time::sleep(Duration::from_millis(500)).await;
    setup.has_no_child();
    child.end(ErrorKind::SourceUnreachable);
    let next = setup.child().await;
    assert!(stop.await.expect("a task"));
    next.send(3);
    assert_eq!(start.await.expect("a task"), Ok(Joined::Started));
}

#[tokio::test(start_paused = true)]
async fn another_link_replaces_the_source() {
    let mut setup = setup();
    let mut child = setup.live().await;
    let start = setup.start_camera(camera("rtsp://cam/2"));
    assert_eq!(child.stop_request().await, Stop::Gently);
    setup.has_no_child();
    child.end(ErrorKind::SourceUnreachable);
    let next = setup.child().await;
    assert_eq!(next.request.source, Source::parse("rtsp://cam/2").expect("a link"));
    next.end(ErrorKind::SourceNotFound);
    assert_eq!(kind(start.await.expect("a task")), ErrorKind::SourceNotFound);
    // Viewers of the old source are still there.
    setup.reaches(State::Backoff).await;
}

#[tokio::test(start_paused = true)]
async fn starts_do_not_shorten_the_backoff_of_a_stream_that_was_never_live() {
    let mut setup = setup();
    let first = setup.start();
    setup.child().await.end(ErrorKind::SourceUnreachable);
    setup.reaches(State::Backoff).await;
    let more: Vec<_> = (0..10).map(|_| setup.start()).collect();
    tokio::time::sleep(Duration::from_millis(400)).await;
    setup.has_no_child();
    let child = setup.child().await;
    child.send(3);
    for start in more.into_iter().chain([first]) {
        assert_eq!(start.await.expect("a task"), Ok(Joined::Started));
    }
}

#[tokio::test(start_paused = true)]
async fn a_background_start_during_a_stop_starts_another_stream() {
    let mut setup = setup();
    let mut child = setup.live().await;
    let stop = setup.stop();
    assert_eq!(child.stop_request().await, Stop::Gently);
    setup.registry.start_soon(setup.camera.clone(), WantedOutput::Hls).expect("a place");
    tokio::time::sleep(Duration::from_millis(1)).await;
    let ended = child.request.epoch;
    child.end(ErrorKind::SourceUnreachable);
    let next = setup.child().await;
    assert!(next.request.epoch > ended, "the number of an epoch was used twice");
    assert!(stop.await.expect("a task"));
}

#[tokio::test(start_paused = true)]
async fn the_start_of_a_camera_with_a_frame_every_few_seconds_is_extended() {
    let mut setup = setup();
    let start = setup.start();
    let child = setup.child().await;
    tokio::time::sleep(Duration::from_secs(13)).await;
    child.send_slowly();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!start.is_finished() && setup.state() == Some(State::Starting));
    child.send_slowly();
    assert_eq!(start.await.expect("a task"), Ok(Joined::Started));
}

#[tokio::test(start_paused = true)]
async fn a_start_is_not_extended_if_the_camera_has_stopped_after_a_few_frames() {
    let mut setup = setup();
    let start = setup.start();
    let child = setup.child().await;
    child.send(1);
    let error = start.await.expect("a task").expect_err("a timeout");
    assert_eq!(error.kind, ErrorKind::SourceTimeout);
}

#[tokio::test(start_paused = true)]
async fn a_camera_with_a_frame_every_few_seconds_can_miss_two_frames() {
    let mut setup = setup();
    let start = setup.start();
    let mut child = setup.child().await;
    for _ in 0..3 {
        child.send_slowly();
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert_eq!(start.await.expect("a task"), Ok(Joined::Started));
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(setup.state(), Some(State::Live), "14 s after the last frame");
    assert_eq!(child.stop_request().await, Stop::Gently);
    let status = setup.registry.get(&setup.camera.id).expect("a stream").status();
    let (error, _) = status.last_error.expect("an error");
    assert!(error.detail.contains("15 s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn many_starts_in_the_background_share_one_task_for_each_wanted_output() {
    let mut setup = setup();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let (registry, camera) = (setup.registry.clone(), setup.camera.clone());
    let start = |wanted| {
        registry.start_soon(camera.clone(), wanted).expect("a place");
    };
    start(WantedOutput::Hls);
    let child = setup.child().await;
    let before = tasks();
    for _ in 0..100 {
        start(WantedOutput::Hls);
        start(WantedOutput::None);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(tasks(), before + 1, "one start waits for HLS, and one for the stream");
    child.send(3);
    setup.reaches(State::Live).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_start_counts_as_interest_until_it_ends() {
    let mut setup = setup();
    setup.live().await.end(ErrorKind::SourceUnreachable);
    setup.reaches(State::Backoff).await;
    let start = setup.start();
    let child = setup.child().await;
    tokio::time::sleep(Duration::from_secs(14)).await;
    child.send(3);
    assert_eq!(start.await.expect("a task"), Ok(Joined::Started));
    let handle = setup.registry.get(&setup.camera.id).expect("a stream");
    assert!(handle.idle_for() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_second_start_on_an_unwritable_disk_fails_with_the_same_cause() {
    let mut setup = setup();
    std::fs::write(setup.root.path().join("cam"), "").expect("a file");
    for _ in 0..2 {
        let start = setup.start();
        let child = setup.child().await;
        child.send(3);
        assert_eq!(kind(start.await.expect("a task")), ErrorKind::StorageUnavailable);
        child.end(ErrorKind::SourceUnreachable);
        setup.reaches(State::Failed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_plan_after_a_failed_run_is_used_at_once_and_kept() {
    let mut setup = setup();
    let start = setup.start();
    let child = setup.child().await;
    let plan = Plan { audio: Audio::ToAac, ..Plan::default() };
    let began = Instant::now();
    child.end.send(RunOutcome::Replan(plan)).expect("a supervisor");
    let second = setup.child().await;
    assert_eq!(second.request.plan, plan);
    assert_eq!(began.elapsed(), Duration::ZERO);
    second.send(3);
    assert_eq!(start.await.expect("a task"), Ok(Joined::Started));
    assert_eq!(setup.camera.learned.get(), plan);
}

#[tokio::test(start_paused = true)]
async fn streams_beyond_the_limit_are_refused_and_running_ones_can_be_joined() {
    let mut setup = setup();
    let _live = setup.live().await;
    for number in 1..10 {
        let id = StreamId::parse(&number.to_string()).expect("an id");
        let camera = Camera::new(id, setup.camera.source.clone(), StreamOptions::default());
        setup.registry.start_soon(camera, WantedOutput::Hls).expect("a place");
    }
    let one_too_many = Camera { id: StreamId::parse("x").expect("an id"), ..setup.camera.clone() };
    let error = setup.registry.start(one_too_many, WantedOutput::Hls).await.expect_err("the limit");
    assert_eq!(error.kind, ErrorKind::TooManyStreams);
    assert!(error.retry_after.is_some());
    assert_eq!(setup.start().await.expect("a task"), Ok(Joined::Active));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simultaneous_starts_do_not_exceed_the_limit() {
    const STARTS: usize = 32;
    for _ in 0..20 {
        // No start gets a slot, so that no child starts.
        let starts = StartQueue::new(1);
        let _slot = starts.try_slot(Priority::Requested).expect("a slot");
        let setup = setup_with(starts);
        let (runtime, barrier) = (Handle::current(), Barrier::new(STARTS));
        let start = |number: usize| {
            let _runtime = runtime.enter();
            let camera = named(&number.to_string(), "rtsp://cam/1");
            barrier.wait();
            setup.registry.start_soon(camera, WantedOutput::None).is_ok()
        };
        let started = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..STARTS).map(|number| scope.spawn(move || start(number))).collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).filter(|ok| *ok).count()
        });
        assert_eq!((started, setup.registry.all().len()), (10, 10));
        setup.registry.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_all_streams_and_refuses_new_ones() {
    let mut setup = setup();
    let start = setup.start();
    let mut child = setup.child().await;
    let shutdown = tokio::spawn({
        let registry = setup.registry.clone();
        async move { registry.shutdown().await }
    });
    assert_eq!(kind(start.await.expect("a task")), ErrorKind::ShuttingDown);
    assert_eq!(kind(setup.start().await.expect("a task")), ErrorKind::ShuttingDown);
    assert_eq!(child.stop_request().await, Stop::Gently);
    assert_eq!(child.stop_request().await, Stop::Now);
    child.end(ErrorKind::SourceUnreachable);
    shutdown.await.expect("a task");
    setup.gone().await;
}

#[tokio::test(start_paused = true)]
async fn a_start_on_a_disk_that_cannot_be_written_fails_with_the_reason() {
    let mut setup = setup();
    // This file makes it impossible to create the stream's directory.
    std::fs::write(setup.root.path().join("cam"), "").expect("a file");
    let start = setup.start();
    let mut child = setup.child().await;
    child.send(3);
    let error = start.await.expect("a task").expect_err("no disk");
    assert_eq!(error.kind, ErrorKind::StorageUnavailable);
    assert_eq!(child.stop_request().await, Stop::Gently);
}

#[tokio::test(start_paused = true)]
async fn events_of_a_watched_stream_are_published() {
    let unreachable = Some(ErrorKind::SourceUnreachable);
    let mut setup = setup();
    let mut child = setup.live().await;
    let first = child.request.epoch;
    setup.expects_events(&[STARTED, LIVE]).await;
    assert_eq!(child.stop_request().await, Stop::Gently);
    setup.expects_events(&[(StreamEventKind::Stalled, Some(ErrorKind::SourceTimeout), None)]).await;
    child.end(ErrorKind::SourceUnreachable);
    let child = setup.child().await;
    child.send(3);
    let live = setup.event().await;
    assert_eq!((live.kind, live.epoch, live.error), (StreamEventKind::Live, first + 1, None));
    let stop = setup.stop();
    // The child ends at the same time, but the stream ends because of the stop.
    tokio::time::sleep(Duration::from_millis(1)).await;
    child.end(ErrorKind::SourceUnreachable);
    assert!(stop.await.expect("a task"));
    setup.expects_events(&[stopped(StopReason::Stop, None)]).await;

    setup.live().await.end(ErrorKind::SourceUnreachable);
    setup.expects_events(&[STARTED, LIVE, (StreamEventKind::Interrupted, unreachable, None)]).await;
    // Further attempts fail for the same reason, which is not reported again.
    for _ in 0..3 {
        setup.child().await.end(ErrorKind::SourceUnreachable);
        setup.registry.get(&setup.camera.id).expect("a stream").touch(WantedOutput::Hls);
    }
    setup.child().await.end(ErrorKind::SourceUnauthorized);
    let unauthorized = Some(ErrorKind::SourceUnauthorized);
    setup.expects_events(&[(StreamEventKind::Interrupted, unauthorized, None)]).await;
    setup.registry.shutdown().await;
    setup.expects_events(&[stopped(StopReason::Shutdown, None)]).await;
}

#[tokio::test(start_paused = true)]
async fn events_of_a_camera_that_refuses_are_published() {
    let unauthorized = Some(ErrorKind::SourceUnauthorized);
    let failed = (StreamEventKind::Failed, unauthorized, None);
    let mut setup = setup();
    for _ in 0..2 {
        let start = setup.start();
        setup.child().await.end(ErrorKind::SourceUnauthorized);
        start.await.expect("a task").expect_err("a refusal");
        setup.expects_events(&[STARTED, failed]).await;
    }
    tokio::spawn(reaper::run(setup.registry.clone(), Duration::from_secs(10)));
    setup.expects_events(&[stopped(StopReason::Failed, unauthorized)]).await;

    let start = setup.start();
    let mut child = setup.child().await;
    start.await.expect("a task").expect_err("a time-out");
    setup
        .expects_events(&[STARTED, (StreamEventKind::Failed, Some(ErrorKind::SourceTimeout), None)])
        .await;
    assert_eq!(child.stop_request().await, Stop::Gently);
}

#[tokio::test(start_paused = true)]
async fn events_of_a_stream_without_viewers_are_published() {
    let mut setup = setup();
    let reaper = tokio::spawn(reaper::run(setup.registry.clone(), Duration::from_secs(10)));
    let mut child = setup.live().await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_secs(8)).await;
        child.send(1);
    }
    assert_eq!(child.stop_request().await, Stop::Gently);
    child.end(ErrorKind::SourceUnreachable);
    setup.expects_events(&[STARTED, LIVE, stopped(StopReason::Idle, None)]).await;
    reaper.abort();

    // The stream is interrupted while it has no viewers, and is not retried.
    let child = setup.live().await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_secs(8)).await;
        child.send(1);
    }
    child.end(ErrorKind::SourceUnreachable);
    let error = Some(ErrorKind::SourceUnreachable);
    setup.expects_events(&[STARTED, LIVE, stopped(StopReason::Failed, error)]).await;
}

#[tokio::test(start_paused = true)]
async fn the_time_in_the_queue_does_not_count_towards_the_start_timeout() {
    let mut setup = setup_with(StartQueue::new(1));
    let began = Instant::now();
    let mut starts = Vec::new();
    for number in 0..8 {
        starts.push(setup.start_camera(named(&number.to_string(), "rtsp://cam/1")));
        // Each start enters the queue before the next one.
        tokio::task::yield_now().await;
    }
    let mut children = Vec::new();
    for number in 0..8 {
        let child = setup.child().await;
        assert_eq!(child.request.source.to_string(), "rtsp://cam/1");
        // A camera that does not respond delays the next start by `MAX_HELD` only.
        assert_eq!(began.elapsed().as_secs(), MAX_HELD.as_secs() * number);
        children.push(child);
    }
    // Each stream becomes playable just before its start times out, counted from its start slot.
    for (number, child) in children.iter().enumerate() {
        let turn = MAX_HELD * u32::try_from(number).expect("few");
        let moment = turn + LIMITS.start_timeout * 99 / 100;
        tokio::time::sleep_until(began + moment).await;
        child.send(3);
    }
    for start in starts {
        assert_eq!(start.await.expect("a task"), Ok(Joined::Started));
    }
}

#[tokio::test(start_paused = true)]
async fn a_playable_stream_gives_its_slot_to_the_next_start_at_once() {
    let mut setup = setup_with(StartQueue::new(1));
    let first = setup.start_camera(named("first", "rtsp://cam/1"));
    let child = setup.child().await;
    let second = setup.start_camera(named("second", "rtsp://cam/2"));
    tokio::time::sleep(MAX_HELD / 10).await;
    child.send(3);
    let began = Instant::now();
    let next = setup.child().await;
    assert!(began.elapsed() < MAX_HELD / 10);
    next.send(3);
    for start in [first, second] {
        assert_eq!(start.await.expect("a task"), Ok(Joined::Started));
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_with_another_plan_needs_no_further_slot() {
    let mut setup = setup_with(StartQueue::new(1));
    let first = setup.start_camera(named("first", "rtsp://cam/1"));
    let mut child = setup.child().await;
    let second = setup.start_camera(named("second", "rtsp://cam/2"));
    // The plan changes once while the first start holds the slot, and once while the second start holds it.
    let mut others = Vec::new();
    for time in [MAX_HELD / 2, MAX_HELD * 2] {
        tokio::time::sleep(time).await;
        let began = Instant::now();
        let plan = Plan { audio: Audio::ToAac, ..child.request.plan };
        let source = child.request.source.to_string();
        child.end.send(RunOutcome::Replan(plan)).expect("a supervisor");
        child = setup.child().await;
        if child.request.source.to_string() != source {
            // The second start has been granted its slot.
            child.send(3);
            others.push(std::mem::replace(&mut child, setup.child().await));
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
    child.send(3);
    for start in [first, second] {
        assert_eq!(start.await.expect("a task"), Ok(Joined::Started));
    }
}

#[tokio::test(start_paused = true)]
async fn starts_that_leave_the_queue_start_no_child() {
    let mut setup = setup_with(StartQueue::new(1));
    let first = setup.start_camera(named("first", "rtsp://cam/1"));
    let _child = setup.child().await;
    let [left, stopped] = ["left", "stopped"].map(|id| named(id, "rtsp://cam/2"));
    let ids = [left.id.clone(), stopped.id.clone()];
    let leaves = setup.start_camera(left);
    let stops = setup.start_camera(stopped);
    tokio::time::sleep(MAX_HELD / 10).await;
    leaves.abort();
    assert!(setup.registry.stop(&ids[1]).await);
    assert_eq!(stops.await.expect("a task").expect_err("stopped").kind, ErrorKind::Stopped);
    tokio::time::sleep(MAX_HELD * 2).await;
    assert!(ids.iter().all(|id| setup.registry.get(id).is_none()));
    setup.has_no_child();
    assert!(!first.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_start_that_waits_too_long_for_a_slot_is_refused() {
    // The only slot is never released.
    let starts = StartQueue::new(1);
    let _slot = starts.try_slot(Priority::Requested).expect("a slot");
    let setup = setup_with(starts);
    let error = setup.start().await.expect("a task").expect_err("no slot");
    assert_eq!(error.kind, ErrorKind::TooManyStarts);
    assert!(error.retry_after.is_some());
}

/// Serves nothing, and needs five seconds to end.
fn ends_slowly(control: OutputControl) -> OutputTask {
    Box::pin(async move {
        let OutputControl { progress: _progress, end } = control;
        let _ = end.await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    })
}

#[tokio::test(start_paused = true)]
async fn the_name_of_a_stream_is_free_only_when_its_output_has_ended() {
    let mut setup = setup_with_fake_output(FakeOutput { is_ready: true, serve: ends_slowly });
    let mut child = setup.live().await;
    let stop = setup.stop();
    assert_eq!(child.stop_request().await, Stop::Gently);
    let start = setup.start();
    let ended = Instant::now();
    child.end(ErrorKind::SourceUnreachable);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(setup.state(), Some(State::Gone));
    assert!(!stop.is_finished() && !start.is_finished());
    let _next = setup.child().await;
    assert_eq!(ended.elapsed().as_secs(), 5);
    assert!(stop.await.expect("a task"));
    assert_eq!(start.await.expect("a task"), Ok(Joined::Started));
}

#[tokio::test(start_paused = true)]
async fn an_output_that_hangs_does_not_block_the_name_of_its_stream_for_ever() {
    let serve = |control: OutputControl| -> OutputTask {
        Box::pin(async move {
            let _control = control;
            std::future::pending::<()>().await;
        })
    };
    let mut setup = setup_with_fake_output(FakeOutput { is_ready: true, serve });
    let mut child = setup.live().await;
    let _stop = setup.stop();
    assert_eq!(child.stop_request().await, Stop::Gently);
    let ended = Instant::now();
    child.end(ErrorKind::SourceUnreachable);
    setup.gone().await;
    assert_eq!(ended.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_wanted_only_with_its_output_ends_when_the_outputs_task_fails() {
    let serve = |control: OutputControl| -> OutputTask {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(control);
        })
    };
    let mut setup = setup_with_fake_output(FakeOutput { is_ready: true, serve });
    let mut child = setup.live().await;
    assert_eq!(child.stop_request().await, Stop::Gently);
    let status = setup.registry.get(&setup.camera.id).expect("a stream").status();
    assert_eq!(status.last_error.expect("an error").0.kind, ErrorKind::Internal);
    child.end(ErrorKind::SourceUnreachable);
    setup.gone().await;
    setup.live().await;
}

#[tokio::test(start_paused = true)]
async fn an_output_that_is_not_ready_refuses_new_streams() {
    let serve = |_| -> OutputTask { Box::pin(std::future::ready(())) };
    let mut setup = setup_with_fake_output(FakeOutput { is_ready: false, serve });
    assert_eq!(kind(setup.start().await.expect("a task")), ErrorKind::StorageFull);
    assert_eq!(setup.state(), None);
    setup.has_no_child();
}

#[tokio::test(start_paused = true)]
async fn a_camera_that_contradicts_itself_is_not_retried_for_ever() {
    let mut setup = setup();
    let start = setup.start();
    for attempt in 0..=MAX_REPLANS {
        let audio = if attempt % 2 == 0 { Audio::ToAac } else { Audio::Copy };
        let plan = Plan { audio, ..Plan::default() };
        setup.child().await.end.send(RunOutcome::Replan(plan)).expect("a supervisor");
    }
    assert_eq!(kind(start.await.expect("a task")), ErrorKind::SourceUnsupported);
    setup.reaches(State::Failed).await;
    setup.has_no_child();
}

/// Counts the active streams one by one, to compare with [`Registry::active`].
fn counted(registry: &Registry) -> usize {
    let mut count = 0;
    registry.for_each(|handle| count += usize::from(handle.state().is_active()));
    count
}

#[tokio::test(start_paused = true)]
async fn the_count_of_active_streams_stays_right_during_random_events() {
    let mut setup = setup();
    tokio::spawn(reaper::run(setup.registry.clone(), Duration::from_secs(10)));
    let (mut random, mut children) = (fastrand::Rng::with_seed(7), Vec::<Child>::new());
    let mut seen = std::collections::HashSet::new();
    for _ in 0..3000 {
        // There are more cameras than the limit of streams.
        let id = random.u32(0..14).to_string();
        match random.u32(0..10) {
            0..=3 => {
                let link = format!("rtsp://cam/{}", random.u32(0..2));
                drop(setup.start_camera(named(&id, &link)));
            }
            4 => {
                let (registry, id) = (setup.registry.clone(), StreamId::parse(&id).expect("an id"));
                tokio::spawn(async move { registry.stop(&id).await });
            }
            5..=6 => children.iter().for_each(|child| child.send(3)),
            7..=8 if !children.is_empty() => {
                let child = children.swap_remove(random.usize(0..children.len()));
                child.end(if random.bool() {
                    ErrorKind::SourceUnreachable
                } else {
                    ErrorKind::SourceUnauthorized
                });
            }
            _ => tokio::time::sleep(Duration::from_secs(random.u64(1..20))).await,
        }
        // On the paused clock, this waits until all tasks are idle.
        tokio::time::sleep(Duration::from_millis(1)).await;
        while let Ok(child) = setup.children.try_recv() {
            children.push(child);
        }
        assert_eq!(setup.registry.active(), counted(&setup.registry));
        seen.insert(setup.registry.active());
    }
    assert!(seen.len() > 5, "{seen:?}");
    drop(children);
    let shutdown = tokio::spawn({
        let registry = setup.registry.clone();
        async move { registry.shutdown().await }
    });
    while !shutdown.is_finished() {
        // Dropping a child ends it.
        drop(timeout(Duration::from_secs(1), setup.children.recv()).await);
    }
    assert_eq!(setup.registry.active(), 0);
}
