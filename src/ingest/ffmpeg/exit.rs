//! Determines the outcome of a run of FFmpeg from the evidence that it left.

use std::process::ExitStatus;
use std::time::Duration;

use crate::base::error::{Error, ErrorKind};
use crate::camera::options::StreamOptions;
use crate::camera::plan::{Lesson, Plan};
use crate::ingest::RunOutcome;
use crate::ingest::ffmpeg::redirect;
use crate::ingest::ffmpeg::stderr::{self, Tail};
use crate::ingest::ffmpeg::verdict::Verdict;
use crate::media::error::MediaError;

/// The reason why the manager has stopped reading a run's frames.
#[derive(Debug)]
pub(super) enum Fault {
    /// The frames cannot be read or played.
    Media(MediaError),
    /// Another plan may work better.
    Lesson(Lesson),
}

impl From<MediaError> for Fault {
    fn from(error: MediaError) -> Self {
        Self::Media(error)
    }
}

/// The evidence about a run that has ended.
pub(super) struct FfmpegExit {
    /// The exit status; `None` if the system did not report it.
    pub(super) status: Option<ExitStatus>,
    pub(super) fault: Option<Fault>,
    pub(super) tail: Tail,
    /// True if the run was requested to end.
    pub(super) is_stopped: bool,
    pub(super) has_played: bool,
    pub(super) ran_for: Duration,
}

impl FfmpegExit {
    /// Returns the target of the redirect if the run ended because the camera redirected FFmpeg. The target may
    /// contain secrets.
    pub(super) fn redirect(&self) -> Option<&str> {
        self.tail.redirect().filter(|_| !self.is_stopped && !self.has_played)
    }

    /// Returns the outcome of the run. The strongest evidence decides.
    pub(super) fn diagnose(
        self,
        plan: Plan,
        options: StreamOptions,
        socket_timeout: Duration,
    ) -> RunOutcome {
        if self.tail.has_too_many_redirects() {
            return RunOutcome::Refused(redirect::too_many());
        }
        if let Some(lesson) = self.lesson(plan) {
            return match plan.after(lesson, options) {
                Ok(next) => RunOutcome::Replan(next),
                Err(error) => RunOutcome::Refused(error),
            };
        }
        // If the run has played, its first messages do not explain why it was killed.
        let is_killed = stderr::is_killed(self.status);
        let counts = |verdict: &Verdict| {
            !self.has_played || (*verdict != Verdict::NoRtspResponse && !is_killed)
        };
        let verdict = self.tail.verdict().filter(counts);
        if let Some(error) = verdict.and_then(|found| found.error(self.ran_for, socket_timeout)) {
            return match error.kind {
                // A retry may succeed, because the camera accepts a connection as soon as another one has ended.
                ErrorKind::SourceBusy => RunOutcome::Dropped(error),
                _ => RunOutcome::Refused(error),
            };
        }
        match self.fault {
            // A read error only shows that FFmpeg has ended. It does not explain why.
            Some(Fault::Media(MediaError::Read(_)) | Fault::Lesson(_)) | None => {
                RunOutcome::Dropped(self.dropped())
            }
            Some(Fault::Media(error)) => {
                let detail = format!("the camera's video cannot be used: {error}");
                RunOutcome::Refused(Error::new(ErrorKind::SourceUnsupported, detail))
            }
        }
    }

    fn lesson(&self, plan: Plan) -> Option<Lesson> {
        if let Some(lesson) = self.tail.track_lesson(plan).filter(|_| !self.has_played) {
            return Some(lesson);
        }
        match (&self.fault, self.tail.verdict()) {
            (Some(Fault::Lesson(lesson)), _) => Some(*lesson),
            (Some(Fault::Media(MediaError::NotPlayable)), _) => Some(Lesson::VideoCannotBeCopied),
            // If the run has played, its first messages do not explain its end.
            (_, Some(Verdict::Lesson(lesson))) if !self.has_played => {
                Some(self.tail.explain(lesson, plan))
            }
            _ => None,
        }
    }

    fn dropped(&self) -> Error {
        let detail = match self.status {
            Some(status) if status.success() => "the camera ended the stream".to_owned(),
            status => self.tail.end(status),
        };
        Error::new(ErrorKind::SourceUnreachable, detail)
    }
}
