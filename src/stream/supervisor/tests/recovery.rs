//! Retries after the camera was busy, and after an interruption.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_busy_camera_is_retried_within_the_start_and_once_without_audio() {
    let mut setup = setup();
    let began = Instant::now();
    let start = setup.start();
    for _ in 0..3 {
        let child = setup.child().await;
        assert_eq!(child.request.plan.audio, Audio::Copy);
        child.end(ErrorKind::SourceBusy);
    }
    let child = setup.child().await;
    assert!(began.elapsed() <= Duration::from_secs(12), "{:?}", began.elapsed());
    assert_eq!(child.request.plan.audio, Audio::Off);
    child.send(15);
    assert_eq!(start.await.expect("a task"), Ok(Joined::Started));
    // The plan without audio does not become the learned plan yet, because the camera may have been busy for a reason
    // other than the audio.
    assert_eq!(setup.camera.learned.get().audio, Audio::Copy);
}

#[tokio::test(start_paused = true)]
async fn a_busy_camera_is_reported_when_the_start_times_out() {
    let mut setup = setup();
    let start = setup.start();
    let refuse = async {
        while let Some(child) = setup.children.recv().await {
            child.end(ErrorKind::SourceBusy);
        }
    };
    let result = tokio::select! {
        result = start => result.expect("a task"),
        () = refuse => panic!("no more children"),
    };
    assert_eq!(kind(result), ErrorKind::SourceBusy);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_live_is_restored_within_seconds() {
    for (live_for, error) in [
        // A relay that restarts does not know the path at first.
        (Duration::from_secs(6), ErrorKind::SourceNotFound),
        (Duration::from_secs(1), ErrorKind::SourceNotFound),
        (Duration::from_secs(1), ErrorKind::SourceUnreachable),
    ] {
        let mut setup = setup();
        let child = setup.live().await;
        let handle = setup.registry.get(&setup.camera.id).expect("a stream");
        let _viewer = handle.interest(Purpose::Snapshot);
        tokio::time::sleep(live_for).await;
        child.end(ErrorKind::SourceUnreachable);
        for _ in 0..3 {
            let lost_at = Instant::now();
            let child = setup.child().await;
            let took = lost_at.elapsed();
            assert!(took <= Duration::from_secs(2), "{error:?}: {took:?}");
            child.end(error);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_supervisor_panics_is_not_left_behind() {
    let mut setup = setup();
    let child = setup.live().await;
    let handle = setup.registry.get(&setup.camera.id).expect("a stream");
    // Makes the next start of the ingest panic, in the task of the supervisor.
    setup.children.close();
    child.end(ErrorKind::SourceUnreachable);
    timeout(FOREVER, handle.gone()).await.expect("a panic in time");
    assert!(setup.registry.get(&setup.camera.id).is_none(), "the stream is still listed");
    assert_eq!(setup.registry.active(), 0);
}
