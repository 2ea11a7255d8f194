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
}

impl PlanChoice {
    /// Returns the plan for the next run, which is usually the learned plan. After [`BUSY_RUNS`] runs that found a
    /// busy camera, one run is without audio, because some cameras refuse only the audio, but report that they are
    /// busy. A stream that was live, or whose option `audio` is not `auto`, keeps its audio.
    pub(super) fn choose(&mut self, camera: &Camera, was_live: bool) -> Plan {
        let learned = camera.learned.get();
        let is_audio_optional = camera.options.audio == AudioOption::Auto;
        self.current = if self.busy_runs == BUSY_RUNS && is_audio_optional && !was_live {
            Plan { audio: Audio::Off, ..learned }
        } else {
            learned
        };
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

    /// Records that the stream is live with the current plan.
    pub(super) fn note_live(&mut self, camera: &Camera) {
        self.busy_runs = 0;
        camera.learned.prove(self.current);
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

    #[test]
    fn the_plan_with_which_a_stream_is_live_is_kept() {
        let camera = camera(AudioOption::Auto);
        let mut choice = PlanChoice::default();
        for _ in 0..BUSY_RUNS {
            choice.note_outcome(&busy(), &camera);
        }
        let without = choice.choose(&camera, false);
        choice.note_live(&camera);
        assert_eq!((without.audio, camera.learned.get()), (Audio::Off, without));
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
