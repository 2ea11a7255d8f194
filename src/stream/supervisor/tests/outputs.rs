//! Streams whose output runs only while clients use it.

use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{Instant, timeout};

use super::{
    Child, FOREVER, FakeOutput, LIMITS, Setup, camera, ends_slowly, kind, setup,
    setup_with_fake_output,
};
use crate::base::error::{Error, ErrorKind};
use crate::camera::options::KeepOption;
use crate::ingest::Stop;
use crate::stream::handle::Joined;
use crate::stream::interest::{Interest, Purpose};
use crate::stream::output::{OutputControl, OutputState, OutputTask, WantedOutput};
use crate::stream::reaper;
use crate::stream::state::State;

impl Setup {
    fn start_with(&self, wanted: WantedOutput) -> tokio::task::JoinHandle<Result<Joined, Error>> {
        let (registry, camera) = (self.registry.clone(), self.camera.clone());
        tokio::spawn(async move { registry.start(camera, wanted).await })
    }

    /// Makes the stream live without an output, and returns its child.
    async fn live_without_output(&mut self) -> Child {
        let start = self.start_with(WantedOutput::None);
        let child = self.child().await;
        child.send(3);
        assert_eq!(start.await.expect("a task"), Ok(Joined::Started));
        child
    }

    fn hold(&self) -> Interest {
        let handle = self.registry.get(&self.camera.id).expect("a stream");
        handle.interest(Purpose::Snapshot)
    }

    fn output(&self) -> OutputState {
        let handle = self.registry.get(&self.camera.id).expect("a stream");
        handle.status().output.state
    }

    async fn output_is(&self, state: OutputState) {
        let mut status = self.registry.get(&self.camera.id).expect("a stream").status;
        let reached = status.wait_for(|status| status.output.state == state);
        timeout(FOREVER, reached).await.expect("the state in time").expect("a supervisor");
    }

    fn has_files(&self) -> bool {
        self.root.path().join("cam").exists()
    }

    fn runs_reaper(&self) {
        tokio::spawn(reaper::run(self.registry.clone(), Duration::from_secs(10)));
    }

    /// Returns the numbers of the first segment and of the first discontinuity, and the number after the
    /// last segment that the playlist announces.
    fn numbers(&self) -> (u64, u64, u64) {
        let published = self.hls.newest(&self.camera.id).expect("a playlist");
        let playlist = m3u8_rs::parse_media_playlist_res(&published.whole()).expect("valid");
        let next = published.position().sequence + 1;
        (playlist.media_sequence, playlist.discontinuity_sequence, next)
    }
}

/// Sends a keyframe and four other frames every second, for this many seconds.
async fn play_for(child: &Child, seconds: u64) {
    for _ in 0..seconds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        child.send(5);
    }
}

/// Serves an output that is not playable.
fn is_never_playable(control: OutputControl) -> OutputTask {
    Box::pin(async move {
        control.progress.send_modify(|progress| progress.playable = None);
        let _ = control.end.await;
    })
}

#[tokio::test(start_paused = true)]
async fn without_an_output_a_stream_is_live_with_its_first_keyframe() {
    let mut setup = setup();
    let start = setup.start_with(WantedOutput::None);
    let child = setup.child().await;
    assert_eq!(setup.output(), OutputState::Off);
    child.send(1);
    assert_eq!(start.await.expect("a task"), Ok(Joined::Started));
    assert_eq!(setup.state(), Some(State::Live));
    let again = setup.registry.start(setup.camera.clone(), WantedOutput::None).now_or_never();
    assert_eq!(again, Some(Ok(Joined::Active)), "the start waited for the supervisor");
    play_for(&child, 10).await;
    assert!(setup.hls.newest(&setup.camera.id).is_none() && !setup.has_files());

    child.end(ErrorKind::SourceUnreachable);
    let child = setup.child().await;
    assert_eq!(
        setup.state(),
        Some(State::Starting),
        "the hub has only frames of the previous epoch"
    );
    child.send(1);
    setup.reaches(State::Live).await;
    assert_eq!(setup.output(), OutputState::Off);
}

#[tokio::test(start_paused = true)]
async fn a_start_of_a_live_stream_waits_for_the_output_that_it_wants() {
    let mut setup = setup();
    let child = setup.live_without_output().await;
    // The output begins with the last keyframe in the hub, so it needs no further frames.
    let start = setup.start();
    assert_eq!(start.await.expect("a task"), Ok(Joined::Started));
    assert_eq!(setup.output(), OutputState::Live);
    assert!(setup.playlist().contains(".m4s"));
    let again = setup.registry.start(setup.camera.clone(), WantedOutput::Hls).now_or_never();
    assert_eq!(again, Some(Ok(Joined::Active)));
    setup.has_no_child();
    drop(child);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_wants_no_output_does_not_wait_for_the_output() {
    let serve = is_never_playable;
    let mut setup = setup_with_fake_output(FakeOutput { is_ready: true, serve });
    let with = setup.start();
    let child = setup.child().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    child.send(3);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(setup.state(), Some(State::Starting), "the only caller wants the output");
    let began = Instant::now();
    let without = setup.start_with(WantedOutput::None);
    assert_eq!(without.await.expect("a task"), Ok(Joined::Started));
    assert_eq!(setup.output(), OutputState::Starting);
    // When the start times out, the other caller gets a result that reports the delay of the output.
    play_for(&child, 14).await;
    assert!(!with.is_finished());
    play_for(&child, 1).await;
    let Ok(Joined::Delayed(reason)) = with.await.expect("a task") else { panic!("no delay") };
    assert_eq!(reason.kind, ErrorKind::AwaitingKeyframe);
    assert_eq!(began.elapsed().as_secs(), LIMITS.start_timeout.as_secs());
    assert_eq!(setup.state(), Some(State::Live));
}

#[tokio::test(start_paused = true)]
async fn an_unused_output_ends_and_continues_its_playlist_when_it_returns() {
    let mut setup = setup();
    setup.runs_reaper();
    let child = setup.live().await;
    let _interest = setup.hold();
    let mut last = None;
    for _ in 0..3 {
        play_for(&child, 3).await;
        let numbers = setup.numbers();
        if let Some((_, discontinuity, next)) = last {
            assert!(numbers.2 > next && numbers.0 < next, "{numbers:?} after {next}");
            assert_eq!(numbers.1, discontinuity, "a discontinuity was added");
        }
        last = Some(numbers);
        let left = Instant::now();
        while setup.output() != OutputState::Off {
            play_for(&child, 1).await;
            last = setup.hls.newest(&setup.camera.id).map(|_| setup.numbers()).or(last);
        }
        let took = left.elapsed().as_secs();
        assert!((27..=42).contains(&took), "it took {took} s");
        assert_eq!(setup.state(), Some(State::Live));
        assert!(setup.hls.newest(&setup.camera.id).is_none());
        let start = setup.start();
        play_for(&child, 2).await;
        start.await.expect("a task").expect("HLS is playable");
    }
    setup.has_no_child();
}

#[tokio::test(start_paused = true)]
async fn an_access_keeps_the_output_and_the_stream_running() {
    let mut setup = setup();
    setup.runs_reaper();
    let mut child = setup.live().await;
    let handle = setup.registry.get(&setup.camera.id).expect("a stream");
    for _ in 0..20 {
        play_for(&child, 9).await;
        handle.touch(WantedOutput::Hls);
    }
    assert_eq!((setup.state(), setup.output()), (Some(State::Live), OutputState::Live));
    // Other interest keeps only the stream.
    for _ in 0..10 {
        play_for(&child, 9).await;
        handle.touch(WantedOutput::None);
    }
    assert_eq!((setup.state(), setup.output()), (Some(State::Live), OutputState::Off));
    play_for(&child, 29).await;
    assert_eq!(child.stop_request().await, Stop::Gently);
    child.end(ErrorKind::SourceUnreachable);
    setup.gone().await;
}

#[tokio::test(start_paused = true)]
async fn an_output_that_is_wanted_again_while_it_ends_starts_again() {
    let mut setup = setup_with_fake_output(FakeOutput { is_ready: true, serve: ends_slowly });
    let child = setup.live().await;
    let _interest = setup.hold();
    play_for(&child, 29).await;
    reaper::propose(&setup.registry);
    play_for(&child, 2).await;
    assert_eq!(setup.output(), OutputState::Live, "the output was not idle for long enough");
    reaper::propose(&setup.registry);
    setup.output_is(OutputState::Off).await;
    let (start, began) = (setup.start(), Instant::now());
    setup.output_is(OutputState::Starting).await;
    assert_eq!(start.await.expect("a task"), Ok(Joined::Started));
    assert_eq!(began.elapsed().as_secs(), 5);
    assert_eq!(setup.output(), OutputState::Live);
}

#[tokio::test(start_paused = true)]
async fn an_output_that_cannot_write_does_not_end_its_stream() {
    let mut setup = setup();
    // This file makes it impossible to create the stream's directory.
    std::fs::write(setup.root.path().join("cam"), "").expect("a file");
    let child = setup.live_without_output().await;
    let _interest = setup.hold();
    let error = setup.start().await.expect("a task").expect_err("no disk");
    assert_eq!(error.kind, ErrorKind::StorageUnavailable);
    assert_eq!((setup.state(), setup.output()), (Some(State::Live), OutputState::Failed));
    let handle = setup.registry.get(&setup.camera.id).expect("a stream");
    let (error, _) = handle.status().output.error.expect("the reason");
    assert_eq!(error.kind, ErrorKind::StorageUnavailable);
    // A further caller gets the result of the next attempt.
    let start = setup.start();
    play_for(&child, 2).await;
    assert_eq!(kind(start.await.expect("a task")), ErrorKind::StorageUnavailable);

    std::fs::remove_file(setup.root.path().join("cam")).expect("a file");
    let start = setup.start();
    play_for(&child, 2).await;
    // The output also retries automatically. If it has already succeeded, the result is `Active` instead of
    // `Started`, so only success is checked.
    start.await.expect("a task").expect("HLS is playable");
    assert_eq!(setup.output(), OutputState::Live);
    assert_eq!(handle.status().output.error, None);
    setup.has_no_child();
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_wanted_without_its_failed_output_becomes_live() {
    let mut setup = setup();
    setup.camera.keep = KeepOption::Always;
    std::fs::write(setup.root.path().join("cam"), "").expect("a file");
    let start = setup.start();
    let child = setup.child().await;
    child.send(3);
    assert_eq!(kind(start.await.expect("a task")), ErrorKind::StorageUnavailable);
    setup.reaches(State::Live).await;
    assert_eq!(setup.output(), OutputState::Failed);
    setup.has_no_child();
}

#[tokio::test(start_paused = true)]
async fn an_output_whose_task_fails_starts_again_when_it_is_wanted() {
    let serve = |control: OutputControl| -> OutputTask {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(control);
        })
    };
    let mut setup = setup_with_fake_output(FakeOutput { is_ready: true, serve });
    let child = setup.live().await;
    let _interest = setup.hold();
    setup.output_is(OutputState::Failed).await;
    play_for(&child, 60).await;
    assert_eq!((setup.state(), setup.output()), (Some(State::Live), OutputState::Failed));
    assert_eq!(setup.start().await.expect("a task"), Ok(Joined::Started));
    assert_eq!(setup.output(), OutputState::Live);
    setup.has_no_child();
}

#[tokio::test(start_paused = true)]
async fn an_output_that_is_not_ready_does_not_affect_its_live_stream() {
    let serve = |_| -> OutputTask { Box::pin(std::future::ready(())) };
    let mut setup = setup_with_fake_output(FakeOutput { is_ready: false, serve });
    let mut child = setup.live_without_output().await;
    assert_eq!(kind(setup.start().await.expect("a task")), ErrorKind::StorageFull);
    assert_eq!((setup.state(), setup.output()), (Some(State::Live), OutputState::Failed));
    // A new source takes effect although the output is not ready.
    setup.camera = camera("rtsp://cam/2");
    assert_eq!(kind(setup.start().await.expect("a task")), ErrorKind::StorageFull);
    assert_eq!(child.stop_request().await, Stop::Gently);
}
