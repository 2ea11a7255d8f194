//! Tests of the trials of changed links.

use super::*;

type Trial = tokio::task::JoinHandle<Result<Option<Plan>, Error>>;

impl Setup {
    /// Makes the stream live, and keeps it live.
    async fn stay_live(&mut self) {
        let child = self.live().await;
        tokio::spawn(async move {
            loop {
                child.send(5);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
    }

    fn try_link(&self, link: &str) -> Trial {
        let (registry, camera) = (self.registry.clone(), camera(link));
        tokio::spawn(async move { registry.try_source(&camera).await })
    }

    /// Waits for the child of a trial of this link.
    async fn trial_of(&mut self, link: &str) -> Child {
        let child = self.child().await;
        assert_eq!(child.request.source, camera(link).source);
        child
    }
}

/// Returns the result of a trial.
async fn result_of(trial: Trial) -> Result<Option<Plan>, Error> {
    timeout(FOREVER, trial).await.expect("a result in time").expect("a task")
}

/// Lets a trial succeed.
async fn succeed(mut child: Child, trial: Trial) {
    child.send(1);
    assert_eq!(child.stop_request().await, Stop::Gently);
    child.end(ErrorKind::SourceUnreachable);
    result_of(trial).await.expect("no failure").expect("a plan");
}

#[tokio::test(start_paused = true)]
async fn one_link_of_a_stream_is_tried_at_a_time() {
    let mut setup = setup();
    setup.stay_live().await;
    let first = setup.try_link("rtsp://cam/2");
    let child = setup.trial_of("rtsp://cam/2").await;
    let second = setup.try_link("rtsp://cam/3");
    let refused = result_of(second).await.expect_err("a refusal");
    assert_eq!(refused.kind, ErrorKind::TooManyStarts);
    assert!(refused.detail.contains("another link of this camera"), "{refused}");
    assert!(refused.retry_after.is_some());
    setup.has_no_child();

    // A trial that waits begins when the first one has ended, and its time limit starts only then.
    let third = setup.try_link("rtsp://cam/4");
    tokio::time::sleep(Duration::from_secs(1)).await;
    setup.has_no_child();
    succeed(child, first).await;
    let child = setup.trial_of("rtsp://cam/4").await;
    tokio::time::sleep(Duration::from_secs(14)).await;
    succeed(child, third).await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_was_refused_because_the_camera_is_busy_does_not_count_as_working() {
    let mut setup = setup();
    setup.stay_live().await;
    let trial = setup.try_link("rtsp://cam/2");
    let plan = Plan { audio: Audio::ToAac, ..Plan::default() };
    let first = setup.trial_of("rtsp://cam/2").await;
    first.end.send(RunOutcome::Replan(plan)).expect("a trial");
    let second = setup.trial_of("rtsp://cam/2").await;
    assert_eq!(second.request.plan, plan);
    second.end(ErrorKind::SourceBusy);
    assert_eq!(result_of(trial).await, Ok(None));
    setup.has_no_child();

    // On another host, a busy camera is an error.
    let trial = setup.try_link("rtsp://other/2");
    setup.trial_of("rtsp://other/2").await.end(ErrorKind::SourceBusy);
    assert_eq!(result_of(trial).await.expect_err("a busy camera").kind, ErrorKind::SourceBusy);
}
