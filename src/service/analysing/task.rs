//! The analysis of one camera.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::sources::{Next, SPEC, Sources};
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
    /// True if fewer pictures than usual were analysed when there was the last picture, because the machine was too busy.
    is_reduced: bool,
}

/// Analyses a camera until the sender of `camera` is dropped. With each change of the camera, the analysis begins again.
pub(super) async fn run(core: Arc<Core>, mut camera: watch::Receiver<Arc<AnalysedCamera>>) {
    let mut holds = Vec::new();
    let id = camera.borrow().id.clone();
    let analysis = core.analyses.begin(&id);
    let unfinished = core.analyses.unfinished();
    let reporter = MotionReporter::start(core.events.clone(), id, unfinished);
    let mut is_reduced = false;
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
            is_reduced,
        };
        let is_over = task.run(&mut camera, &mut holds).await;
        task.finish();
        is_reduced = task.is_reduced;
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
                        self.note_rate(rate);
                    }
                    Next::Without(error) => self.analysis.set(|status| {
                        (status.profile, status.rate, status.error) = (None, None, error);
                        status.is_reduced = false;
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

    /// Notes the largest number of pictures per second at the moment.
    fn note_rate(&mut self, rate: f64) {
        let is_reduced = rate < SPEC.rate;
        self.analysis.set(|status| (status.rate, status.is_reduced) = (Some(rate), is_reduced));
        let before = std::mem::replace(&mut self.is_reduced, is_reduced);
        let camera = &self.camera.id;
        if is_reduced && !before {
            warn!(%camera, "the machine is too busy, so fewer pictures are analysed, and short motion is missed");
        } else if before && !is_reduced {
            info!(%camera, "all pictures are analysed again");
        }
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
