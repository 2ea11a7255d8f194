//! The analysis of one camera.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::sources::{Next, Sources};
use crate::analysis::pauses::PAUSE;
use crate::analysis::report::MotionReporter;
use crate::analysis::shared::{Analysis, AnalysisStatus};
use crate::analysis::watcher::{Motion, Watcher};
use crate::camera::id::Profile;
use crate::pictures::picture::Picture;
use crate::service::core::Core;
use crate::store::AnalysedCamera;
use crate::stream::kept::Hold;

/// The analysis of a camera with certain options.
struct Task<'a> {
    core: &'a Arc<Core>,
    camera: &'a AnalysedCamera,
    analysis: &'a Analysis,
    reporter: &'a MotionReporter,
    watcher: Watcher,
    /// The stream of the last picture.
    profile: Option<Profile>,
    /// The time of the last picture.
    picture_at: Instant,
}

/// Analyses a camera until the sender of `camera` is dropped. With each change of the camera, the analysis begins again.
pub(super) async fn run(core: Arc<Core>, mut camera: watch::Receiver<Arc<AnalysedCamera>>) {
    let mut holds = Vec::new();
    let id = camera.borrow().id.clone();
    let analysis = core.analyses.begin(&id);
    let unfinished = core.analyses.unfinished();
    let reporter = MotionReporter::start(core.events.clone(), id, unfinished);
    loop {
        let now = Arc::clone(&camera.borrow_and_update());
        // The recording of motion in front of the camera continues.
        analysis.set(|status| {
            *status = AnalysisStatus { moved: status.moved, ..AnalysisStatus::default() };
        });
        let mut task = Task {
            core: &core,
            camera: &now,
            analysis: &analysis,
            reporter: &reporter,
            watcher: Watcher::new(&now.motion),
            profile: None,
            picture_at: Instant::now(),
        };
        let is_over = task.run(&mut camera, &mut holds).await;
        task.finish();
        if is_over {
            return;
        }
    }
}

impl Task<'_> {
    /// Analyses pictures until the camera has changed. Returns true if the analysis is over. `holds` keep the streams from one
    /// analysis of the camera to the next.
    async fn run(
        &mut self,
        camera: &mut watch::Receiver<Arc<AnalysedCamera>>,
        holds: &mut Vec<Hold>,
    ) -> bool {
        let mut sources = Sources::new(self.core, self.camera, std::mem::take(holds));
        loop {
            tokio::select! {
                changed = camera.changed() => {
                    *holds = sources.into_holds();
                    return changed.is_err();
                }
                next = sources.next() => match next {
                    Next::Picture { profile, picture, skipped, rate } => {
                        self.take(profile, &picture, skipped);
                        self.analysis.set(|status| status.rate = Some(rate));
                    }
                    Next::Without(error) => self.analysis.set(|status| {
                        (status.profile, status.rate, status.error) = (None, None, error);
                        status.boxes.clear();
                    }),
                },
                // Motion does not last as long as the camera is away.
                () = sleep_until(self.picture_at + PAUSE), if self.watcher.is_moving() => {
                    self.finish();
                }
            }
        }
    }

    fn take(&mut self, profile: Profile, picture: &Picture, skipped: u64) {
        self.picture_at = Instant::now();
        if self.profile.replace(profile).is_some_and(|last| last != profile) {
            // The pictures of the other stream look different.
            self.finish();
            self.watcher.restart();
        }
        let motion = self.watcher.push(picture);
        self.core.analyses.counters().analysed(picture.age(), skipped);
        self.analysis.set(|status| {
            status.profile = Some(profile);
            status.received_at = Some(picture.received_at);
            status.error = None;
            status.boxes.clear();
            status.boxes.extend_from_slice(self.watcher.boxes());
            if !status.boxes.is_empty() {
                let before = status.moved.map(|(began_at, _)| began_at);
                let new = motion.as_ref().map(|motion| motion.began_at);
                let last = picture.taken_at;
                // The wall clock can jump back.
                let began_at = new.or(before).map_or(last, |began_at| began_at.min(last));
                status.moved = Some((began_at, last));
            }
        });
        self.note(motion);
    }

    /// Ends motion that has not ended.
    fn finish(&mut self) {
        let motion = self.watcher.finish();
        self.note(motion);
    }

    fn note(&mut self, motion: Option<Motion>) {
        let Some(motion) = motion else { return };
        self.analysis.set(|status| status.is_moving = motion.ended_at.is_none());
        self.reporter.report(&self.camera.identity, motion);
    }
}
