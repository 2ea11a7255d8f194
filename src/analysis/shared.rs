//! What is known about the analysed cameras.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::counters::{AnalysisCounters, CountedCamera};
use crate::base::error::Error;
use crate::base::lock::lock;
use crate::camera::id::{CameraId, Profile};
use crate::motion::boxes::MotionBox;

/// The longest time that the end of the manager waits for the ends of events.
const ENDS_WITHIN: Duration = Duration::from_secs(4);

/// The analysed cameras. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Analyses(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    cameras: Mutex<HashMap<CameraId, Status>>,
    counters: AnalysisCounters,
    /// The number of analyses, and of tasks that store motion.
    unfinished: watch::Sender<usize>,
}

/// The state of a camera's analysis, which the analysis changes.
type Status = Arc<Mutex<AnalysisStatus>>;

/// The state of a camera's analysis.
#[derive(Debug, Clone, Default)]
pub(crate) struct AnalysisStatus {
    /// The stream whose pictures are analysed; `None` while there are no pictures.
    pub(crate) profile: Option<Profile>,
    /// The largest number of pictures per second that are analysed; `None` while there are no pictures. It is lower while the
    /// machine is too busy.
    pub(crate) rate: Option<f64>,
    /// True while fewer pictures than usual are analysed, because the machine is too busy.
    pub(crate) is_reduced: bool,
    /// The time at which the frame of the last analysed picture arrived.
    pub(crate) received_at: Option<Instant>,
    /// The boxes in the last picture.
    pub(crate) boxes: Vec<MotionBox>,
    /// True while motion continues.
    pub(crate) is_moving: bool,
    /// The times of the first and the last picture of the last motion; `None` if nothing has moved since the analysis began.
    pub(crate) moved: Option<(SystemTime, SystemTime)>,
    /// The reason why there are no pictures.
    pub(crate) error: Option<Error>,
}

/// An analysis that has not ended, or a task that stores its motion. The end of the manager waits until this value is dropped.
#[derive(Debug)]
pub(crate) struct Unfinished(Analyses);

/// A camera that is analysed until this value is dropped.
#[derive(Debug)]
pub(crate) struct Analysis {
    of: Analyses,
    camera: CameraId,
    status: Status,
    _counted: CountedCamera,
    _unfinished: Unfinished,
}

impl Analyses {
    /// Returns the counters.
    pub(crate) fn counters(&self) -> &AnalysisCounters {
        &self.0.counters
    }

    /// Notes that a camera is analysed. Replaces the state of an analysis that is ending.
    pub(crate) fn begin(&self, camera: &CameraId) -> Analysis {
        let status = Status::default();
        lock(&self.0.cameras).insert(camera.clone(), Arc::clone(&status));
        let (camera, counted) = (camera.clone(), self.0.counters.camera());
        let unfinished = self.unfinished();
        Analysis { of: self.clone(), camera, status, _counted: counted, _unfinished: unfinished }
    }

    /// Returns a value for which the end of the manager waits.
    pub(crate) fn unfinished(&self) -> Unfinished {
        self.0.unfinished.send_modify(|count| *count += 1);
        Unfinished(self.clone())
    }

    /// Returns the state of a camera's analysis; `None` if the camera is not analysed.
    pub(crate) fn status(&self, camera: &CameraId) -> Option<AnalysisStatus> {
        self.with(camera, AnalysisStatus::clone)
    }

    /// Returns the times of the first and the last picture of the last motion in front of a camera; `None` if nothing has
    /// moved since the analysis began.
    pub(crate) fn moved(&self, camera: &CameraId) -> Option<(SystemTime, SystemTime)> {
        self.with(camera, |status| status.moved)?
    }

    fn with<T>(&self, camera: &CameraId, read: impl FnOnce(&AnalysisStatus) -> T) -> Option<T> {
        let status = lock(&self.0.cameras).get(camera).cloned()?;
        let status = lock(&status);
        Some(read(&status))
    }

    /// Waits until all analyses have ended and their motion is stored, for a limited time. The caller must have ended the
    /// analyses.
    pub(crate) async fn finish(&self) {
        let mut unfinished = self.0.unfinished.subscribe();
        if timeout(ENDS_WITHIN, unfinished.wait_for(|count| *count == 0)).await.is_err() {
            warn!("some events about motion have no end; the next start of the manager ends them");
        }
    }
}

impl Analysis {
    /// Changes the state.
    pub(crate) fn set(&self, change: impl FnOnce(&mut AnalysisStatus)) {
        change(&mut lock(&self.status));
    }
}

impl Drop for Analysis {
    fn drop(&mut self) {
        let mut cameras = lock(&self.of.0.cameras);
        // Another analysis of the camera may have begun.
        if cameras.get(&self.camera).is_some_and(|status| Arc::ptr_eq(status, &self.status)) {
            cameras.remove(&self.camera);
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.0.unfinished.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_camera_is_known_as_long_as_it_is_analysed() {
        let (analyses, id) = (Analyses::default(), CameraId::parse("cam").expect("an id"));
        let camera = analyses.begin(&id);
        assert_eq!(analyses.moved(&id), None);
        let times = (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + ENDS_WITHIN);
        camera.set(|status| status.moved = Some(times));
        assert_eq!(analyses.moved(&id), Some(times));
        drop(camera);
        assert!(analyses.moved(&id).is_none() && analyses.status(&id).is_none());
        analyses.finish().await;
    }

    #[tokio::test]
    async fn the_end_of_an_analysis_does_not_remove_the_state_of_the_next_one() {
        let (analyses, id) = (Analyses::default(), CameraId::parse("cam").expect("an id"));
        let (old, new) = (analyses.begin(&id), analyses.begin(&id));
        new.set(|status| status.is_moving = true);
        old.set(|status| status.is_moving = false);
        drop(old);
        assert!(analyses.status(&id).is_some_and(|status| status.is_moving));
        drop(new);
        assert!(analyses.status(&id).is_none());
    }
}
