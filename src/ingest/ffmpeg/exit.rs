//! How a run of FFmpeg ended: the evidence, and what follows from it.

use std::process::ExitStatus;
use std::time::Duration;

use crate::base::error::{Error, ErrorKind};
use crate::camera::options::StreamOptions;
use crate::camera::plan::{Hevc, Lesson, Plan};
use crate::ingest::RunOutcome;
use crate::ingest::ffmpeg::stderr::{Tail, Verdict};
use crate::media::fragment::MediaError;

/// Why fragments are no longer read.
#[derive(Debug)]
pub(super) enum Fault {
    /// They cannot be played.
    Media(MediaError),
    /// Another plan can do better.
    Lesson(Lesson),
}

/// What is known of a run that has ended.
pub(super) struct FfmpegExit {
    /// `None` when the system did not report it.
    pub(super) status: Option<ExitStatus>,
    pub(super) fault: Option<Fault>,
    pub(super) tail: Tail,
    pub(super) has_played: bool,
    pub(super) ran_for: Duration,
}

impl FfmpegExit {
    /// Finds the cause, strongest evidence first, and what to do about it.
    pub(super) fn diagnose(
        self,
        plan: Plan,
        options: StreamOptions,
        hevc: Hevc,
        socket_timeout: Duration,
    ) -> RunOutcome {
        if let Some(lesson) = self.lesson() {
            return match plan.after(lesson, options, hevc) {
                Ok(next) => RunOutcome::Replan(next),
                Err(error) => RunOutcome::Refused(error),
            };
        }
        let counts = |verdict: &Verdict| *verdict != Verdict::NothingUnderstood || !self.has_played;
        let verdict = self.tail.verdict().filter(counts);
        if let Some(error) = verdict.and_then(|found| found.error(self.ran_for, socket_timeout)) {
            return RunOutcome::Refused(error);
        }
        match self.fault {
            Some(Fault::Media(error @ MediaError::PictureChanged)) => {
                RunOutcome::Dropped(Error::new(ErrorKind::SourceChanged, error.to_string()))
            }
            // A read error is FFmpeg's end as the pipe shows it, not a cause of its own.
            Some(Fault::Media(MediaError::Read(_)) | Fault::Lesson(_)) | None => {
                RunOutcome::Dropped(self.dropped())
            }
            Some(Fault::Media(error)) => {
                let detail = format!("the camera's video cannot be used: {error}");
                RunOutcome::Refused(Error::new(ErrorKind::SourceUnsupported, detail))
            }
        }
    }

    fn lesson(&self) -> Option<Lesson> {
        match (&self.fault, self.tail.verdict()) {
            (Some(Fault::Lesson(lesson)), _) => Some(*lesson),
            (Some(Fault::Media(MediaError::Hevc)), _) => Some(Lesson::VideoIsHevc),
            (Some(Fault::Media(MediaError::NotPlayable)), _) => Some(Lesson::VideoCannotBeCopied),
            // FFmpeg's messages at its start do not explain the end of a run that played.
            (_, Some(Verdict::Lesson(lesson))) if !self.has_played => Some(lesson),
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
