//! Analyses the pictures of cameras whose option `motion` has the source `pictures`: keeps a stream of each of these cameras
//! running, and reports what moves as events. `sources` chooses the stream, and `task` is the analysis of one camera.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::warn;

use super::core::Core;
use super::streams::unknown_camera;
use crate::access::Caller;
use crate::analysis::shared::AnalysisStatus;
use crate::base::error::Error;
use crate::camera::id::{CameraId, StreamId};
use crate::camera::motion::MotionSource;
use crate::child::log::{Usage, Work};
use crate::store::AnalysedCamera;

mod sources;
mod task;

/// The time between two checks of whether all analyses run.
const PERIOD: Duration = Duration::from_secs(10);
/// The time after which cameras are read again if the database could not be read.
const RETRY: Duration = Duration::from_secs(5);

/// The analysis of one camera. Dropping the sender ends the task.
struct Job {
    camera: watch::Sender<Arc<AnalysedCamera>>,
    task: JoinHandle<()>,
}

/// What is known about the motion in front of a camera.
pub(crate) struct MotionView {
    /// How motion is detected.
    pub(crate) source: MotionSource,
    /// The state of the analysis; `None` if the camera is not analysed.
    pub(crate) status: Option<AnalysisStatus>,
    /// The decoder of the analysed pictures; `None` if there are no pictures, or if it was not measured yet.
    pub(crate) decoder: Option<DecoderView>,
}

/// A decoder of analysed pictures.
pub(crate) struct DecoderView {
    /// The resources that the decoder uses.
    pub(crate) usage: Usage,
    /// True if the decoder makes live pictures for viewers as well.
    pub(crate) is_shared: bool,
}

/// Analyses cameras until the returned future is dropped. The analyses end then, and report the ends of events.
pub(crate) async fn run(core: Arc<Core>) {
    let mut cameras = core.cameras.changes();
    let (mut wanted, mut jobs) = (Vec::new(), HashMap::new());
    // The cameras are read at once.
    let mut reload_at = Some(Instant::now());
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if reload_at.is_some_and(|at| Instant::now() >= at) {
            reload_at = match core.cameras.analysed().await {
                Ok(analysed) => {
                    wanted = analysed.into_iter().map(Arc::new).collect();
                    None
                }
                Err(error) => {
                    warn!(%error, "cannot read which cameras are analysed; retrying");
                    ticks.reset_after(RETRY);
                    Some(Instant::now() + RETRY)
                }
            };
        }
        follow(&core, &wanted, &mut jobs);
        tokio::select! {
            _ = ticks.tick() => {}
            changed = cameras.changed() => {
                if changed.is_err() {
                    return;
                }
                reload_at = Some(Instant::now());
            }
        }
    }
}

/// Returns what is known about the motion in front of a camera.
pub(crate) async fn status(
    core: &Core,
    caller: &Caller,
    id: &CameraId,
) -> Result<MotionView, Error> {
    let record = core.cameras.get(id).await?.ok_or_else(|| unknown_camera(id))?;
    caller.ensure_owns(record.owner.as_deref(), id)?;
    let status = core.analyses.status(id);
    let profile = status.as_ref().and_then(|status| status.profile);
    let decoder = profile.and_then(|profile| decoder(core, &StreamId::new(id.clone(), profile)));
    Ok(MotionView { source: record.motion.source, status, decoder })
}

/// Returns the decoder of a stream's pictures.
fn decoder(core: &Core, id: &StreamId) -> Option<DecoderView> {
    let usage = core.registry.get(id)?.shared().process_log.usage_for(Work::Pictures)?;
    Some(DecoderView { usage, is_shared: core.pictures.has_jpegs(id) })
}

/// Begins, changes and ends analyses.
fn follow(core: &Arc<Core>, wanted: &[Arc<AnalysedCamera>], jobs: &mut HashMap<CameraId, Job>) {
    jobs.retain(|id, job| {
        let is_wanted = wanted.iter().any(|camera| camera.id == *id);
        is_wanted && !job.task.is_finished()
    });
    for camera in wanted {
        if let Some(job) = jobs.get(&camera.id) {
            job.camera.send_if_modified(|known| {
                let is_changed = **known != **camera;
                if is_changed {
                    *known = Arc::clone(camera);
                }
                is_changed
            });
            continue;
        }
        let (send, receive) = watch::channel(Arc::clone(camera));
        let analysis = task::run(Arc::clone(core), receive);
        let task = core.registry.resources().threads.pick().spawn(analysis);
        jobs.insert(camera.id.clone(), Job { camera: send, task });
    }
}
