//! Tries the new link of a camera before the camera's live stream switches to this link, because a wrong link must
//! not end a stream that plays.
//!
//! A trial runs the ingest with a hub of its own until the camera has sent a keyframe or the deadline has passed.
//! In the meantime, the stream continues with the previous link.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tracing::info;

use super::plan_choice::PlanChoice;
use super::resources::StreamResources;
use crate::base::counters::Counters;
use crate::base::error::{Error, ErrorKind};
use crate::camera::plan::{self, Plan};
use crate::camera::{Camera, zone};
use crate::child::log::ProcessLog;
use crate::ingest::{IngestRequest, RunOutcome};
use crate::media::hub::FrameHub;

/// The longest duration of a trial. If `START_TIMEOUT_SECONDS` is shorter, that is the limit.
const MAX_DURATION: Duration = Duration::from_secs(15);
/// The largest number of trials at once, of all streams.
const MAX_TRIALS: usize = 8;
/// The longest time that a trial waits for the end of other trials.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// The time that FFmpeg has to end its session with the camera after a trial.
const END_WITHIN: Duration = Duration::from_secs(1);
/// The largest number of runs of the ingest in one trial. A camera may need several changes of plan.
const MAX_RUNS: u32 = 6;

/// The time after which a client should repeat a start that was refused because of other trials.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(5);

/// Limits the trials. The queue of starts cannot limit them, because a start holds its slot only for a
/// moment.
#[derive(Debug)]
pub(super) struct TrialLimit(Semaphore);

impl TrialLimit {
    /// Creates the limit for all streams.
    pub(super) fn of_all_streams() -> Self {
        Self(Semaphore::new(MAX_TRIALS))
    }

    /// Creates the limit for one stream: one trial, because cameras accept few connections.
    pub(super) fn of_one_stream() -> Self {
        Self(Semaphore::new(1))
    }

    async fn acquire_until(&self, deadline: Instant) -> Option<SemaphorePermit<'_>> {
        timeout_at(deadline, self.0.acquire()).await.ok()?.ok()
    }
}

/// The right to run a trial.
pub(super) struct TrialPlace<'a> {
    _of_stream: SemaphorePermit<'a>,
    _of_all: SemaphorePermit<'a>,
}

/// Waits until neither the limit of the stream nor the limit of all streams prevents another trial. Fails after
/// [`MAX_WAIT`].
pub(super) async fn place<'a>(
    of_stream: &'a TrialLimit,
    of_all: &'a TrialLimit,
) -> Result<TrialPlace<'a>, Error> {
    let deadline = Instant::now() + MAX_WAIT;
    let full = |others: &str| {
        let detail = format!(
            "the new link was not tried, because {others} being tried; try again in a few seconds"
        );
        Error::new(ErrorKind::TooManyStarts, detail).retry_after(RETRY_WHEN_FULL)
    };
    let stream = of_stream.acquire_until(deadline).await;
    let stream = stream.ok_or_else(|| full("another link of this camera is"))?;
    let all = of_all.acquire_until(deadline).await;
    let all = all.ok_or_else(|| full("too many other links are"))?;
    Ok(TrialPlace { _of_stream: stream, _of_all: all })
}

/// The result of a run.
enum Step {
    /// The camera sends video.
    Answers,
    /// Another plan may work better.
    Replan,
}

/// Tries to receive video from `camera`. Returns the plan that works. FFmpeg's messages go to `log`. If the
/// camera's new link has the same host as the link of `current`, and the host refuses a second connection, the new
/// link counts as working, but no plan is known to work, so the function returns `None`. The caller holds a
/// [`TrialPlace`].
///
/// Fails with the same errors as a start.
pub(super) async fn run(
    camera: &Camera,
    current: &Camera,
    resources: &StreamResources,
    log: &Arc<ProcessLog>,
) -> Result<Option<Plan>, Error> {
    info!(source = %camera.source, "trying the new link of a live stream");
    let deadline = Instant::now() + resources.limits.start_timeout.min(MAX_DURATION);
    let is_same_host = zone::is_same_host(camera.source.host(), current.source.host());
    let mut plans = PlanChoice::default();
    for _ in 0..MAX_RUNS {
        let plan = plans.choose(camera, false);
        match run_once(camera, plan, &mut plans, resources, log, deadline).await {
            Ok(Step::Answers) => return Ok(Some(plan)),
            Ok(Step::Replan) => {}
            // The current stream uses the only connection that the camera accepts.
            Err(error) if error.kind == ErrorKind::SourceBusy && is_same_host => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Err(plan::exhausted())
}

async fn run_once(
    camera: &Camera,
    plan: Plan,
    plans: &mut PlanChoice,
    resources: &StreamResources,
    log: &Arc<ProcessLog>,
    deadline: Instant,
) -> Result<Step, Error> {
    let hub = FrameHub::new(&resources.frames);
    let epoch = camera.numbers.next().epoch;
    let mut video = hub.epoch();
    let mut running = resources.ingest.start(IngestRequest {
        source: camera.source.clone(),
        plan,
        options: camera.options,
        onvif: None,
        epoch,
        hub: hub.clone(),
        process_log: Arc::clone(log),
        // The frames of a trial are not counted, because no client gets them.
        counters: Counters::default(),
    });
    let result = tokio::select! {
        outcome = running.outcome() => {
            plans.note_outcome(&outcome, camera);
            return match outcome {
                RunOutcome::Replan(_) => Ok(Step::Replan),
                RunOutcome::Refused(error) | RunOutcome::Dropped(error) => Err(error),
            };
        }
        Ok(()) = video.changed() => Ok(Step::Answers),
        // At the deadline, frames without a keyframe are enough, because the camera's keyframes may be rare.
        () = sleep_until(deadline) => if hub.last_leading_frame(epoch).is_some() {
            Ok(Step::Answers)
        } else {
            let detail = "the camera sent no video over the new link in time";
            Err(Error::new(ErrorKind::SourceTimeout, detail))
        },
    };
    running.stop_gently();
    if timeout(END_WITHIN, running.outcome()).await.is_err() {
        running.stop_now();
        running.outcome().await;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_trials_of_all_streams_are_limited() {
        let all = TrialLimit::of_all_streams();
        let streams: Vec<_> = (0..=MAX_TRIALS).map(|_| TrialLimit::of_one_stream()).collect();
        let (last, others) = streams.split_last().expect("streams");
        let mut places = Vec::new();
        for stream in others {
            places.push(place(stream, &all).await.expect("a place"));
        }
        let began = Instant::now();
        let refused = place(last, &all).await.err().expect("a refusal");
        assert_eq!(refused.kind, ErrorKind::TooManyStarts);
        assert!(refused.detail.contains("too many other links"), "{refused}");
        assert!(began.elapsed() >= MAX_WAIT, "{:?}", began.elapsed());
        places.pop();
        place(last, &all).await.expect("a place");
    }
}
