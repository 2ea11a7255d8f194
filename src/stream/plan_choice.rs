//! Chooses the plan of each run of a stream's ingest.

use crate::base::error::ErrorKind;
use crate::camera::Camera;
use crate::camera::options::AudioOption;
use crate::camera::plan::{Audio, BUSY_RUNS, Plan};
use crate::ingest::RunOutcome;

/// The choice of the plan.
#[derive(Debug, Default)]
pub(super) struct PlanChoice {
    /// The plan of the current run.
    current: Plan,
    /// The number of runs in a row, up to the last run, that have failed with `source_busy`.
    busy_runs: u32,
    /// True if the current run is without audio only because the camera was busy before.
    is_without_audio: bool,
}

impl PlanChoice {
    /// Returns the plan for the next run, which is usually the learned plan. After [`BUSY_RUNS`] runs that found a
    /// busy camera, one run is without audio, because some cameras refuse only the audio, but report that they are
    /// busy. A stream that was live with audio, or whose option `audio` is not `auto`, keeps its audio.
    pub(super) fn choose(&mut self, camera: &Camera, was_live: bool) -> Plan {
        let learned = camera.learned.get();
        let is_audio_optional = camera.options.audio == AudioOption::Auto
            && (!was_live || camera.learned.is_audio_doubtful());
        self.is_without_audio = self.busy_runs == BUSY_RUNS && is_audio_optional;
        self.current =
            if self.is_without_audio { Plan { audio: Audio::Off, ..learned } } else { learned };
        self.current
    }

    /// Records the outcome of the current run. A refusal may be temporary, so the lessons that led to it are
    /// forgotten.
    pub(super) fn note_outcome(&mut self, outcome: &RunOutcome, camera: &Camera) {
        let is_busy =
            matches!(outcome, RunOutcome::Dropped(error) if error.kind == ErrorKind::SourceBusy);
        self.busy_runs = if is_busy { self.busy_runs + 1 } else { 0 };
        match outcome {
            RunOutcome::Replan(plan) => camera.learned.set(*plan),
            RunOutcome::Refused(_) => camera.learned.revert(),
            RunOutcome::Dropped(_) => {}
        }
    }

    /// Records that the stream is live with the current plan, which becomes the learned plan. If the current plan is
    /// without audio because the camera was busy, it becomes the learned plan only the second time in a row. The
    /// first time, the camera may have been busy for another reason, such as a lost session.
    pub(super) fn note_live(&mut self, camera: &Camera) {
        self.busy_runs = 0;
        if self.is_without_audio && !camera.learned.is_audio_doubtful() {
            camera.learned.doubt_audio();
        } else {
            camera.learned.prove(self.current);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Error;
    use crate::camera::id::StreamId;
    use crate::camera::options::StreamOptions;
    use crate::camera::source::Source;

    fn camera(audio: AudioOption) -> Camera {
        let options = StreamOptions { audio, ..StreamOptions::default() };
        let source = Source::parse("rtsp://cam/").expect("a link");
        Camera::new(StreamId::parse("cam").expect("an id"), source, options)
    }

    fn busy() -> RunOutcome {
        RunOutcome::Dropped(Error::new(ErrorKind::SourceBusy, "too many connections"))
    }

    /// Returns the audio of the plans of runs that all fail because the camera is busy.
    fn audio_of_runs(camera: &Camera, was_live: bool) -> Vec<Audio> {
        let mut choice = PlanChoice::default();
        let mut run = || {
            let plan = choice.choose(camera, was_live);
            choice.note_outcome(&busy(), camera);
            plan.audio
        };
        (0..5).map(|_| run()).collect()
    }

    #[test]
    fn a_busy_camera_is_tried_once_without_audio() {
        let auto = camera(AudioOption::Auto);
        let mut expected = [Audio::Copy; 5];
        assert_eq!(audio_of_runs(&auto, true), expected);
        expected[3] = Audio::Off;
        assert_eq!(audio_of_runs(&auto, false), expected);
        assert_eq!(audio_of_runs(&camera(AudioOption::Aac), false), [Audio::ToAac; 5]);
    }

    /// Makes the camera busy for [`BUSY_RUNS`] runs. The stream is then live with the next plan, which is returned.
    fn live_after_busy_runs(choice: &mut PlanChoice, camera: &Camera, was_live: bool) -> Plan {
        for _ in 0..BUSY_RUNS {
            choice.choose(camera, was_live);
            choice.note_outcome(&busy(), camera);
        }
        let plan = choice.choose(camera, was_live);
        choice.note_live(camera);
        plan
    }

    #[test]
    fn a_plan_without_audio_is_kept_if_a_camera_is_busy_twice_in_a_row() {
        let camera = camera(AudioOption::Auto);
        let without = Plan { audio: Audio::Off, ..Plan::default() };
        for was_live in [false, true] {
            let mut choice = PlanChoice::default();
            // The camera was busy because of a lost session, and later it is not.
            assert_eq!(live_after_busy_runs(&mut choice, &camera, false), without);
            assert_eq!(choice.choose(&camera, was_live), Plan::default());
            choice.note_live(&camera);
            assert_eq!(live_after_busy_runs(&mut choice, &camera, true), Plan::default());
        }
        let mut choice = PlanChoice::default();
        assert_eq!(live_after_busy_runs(&mut choice, &camera, false), without);
        assert_eq!(camera.learned.get(), Plan::default());
        assert_eq!(live_after_busy_runs(&mut choice, &camera, true), without);
        assert_eq!(camera.learned.get(), without);
    }

    #[test]
    fn lessons_that_lead_to_a_refusal_are_forgotten() {
        let camera = camera(AudioOption::Auto);
        let mut choice = PlanChoice::default();
        let without = Plan { audio: Audio::Off, ..Plan::default() };
        choice.note_outcome(&RunOutcome::Replan(without), &camera);
        assert_eq!(choice.choose(&camera, false), without);
        let refusal = RunOutcome::Refused(Error::new(ErrorKind::SourceNotFound, "no stream"));
        choice.note_outcome(&refusal, &camera);
        assert_eq!(choice.choose(&camera, false), Plan::default());
    }
}
