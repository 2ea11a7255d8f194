//! Starts, replaces and ends the decoders of one stream.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tracing::{Instrument as _, debug, warn};

use super::args::Manner;
use super::decoding::{DecodedStream, End};
use super::form::Form;
use super::plan::{Plan, Start};
use crate::base::error::{Error, ErrorKind, chain};

/// The time without readers after which the decoder ends.
const ENDS_AFTER: Duration = Duration::from_secs(5);
/// The time after which a client should repeat a request whose decoder has failed.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// The time after which the supervisor checks whether the decoder is outdated.
const CHECKS_AFTER: Duration = Duration::from_secs(5);

/// A decoder that runs.
struct Running {
    number: u64,
    forms: Vec<Form>,
    /// Dropping it ends the decoder.
    stop: Option<oneshot::Sender<()>>,
}

/// The decoders of one stream.
struct Supervisor<'a> {
    of: &'a DecodedStream,
    plan: Plan,
    tasks: JoinSet<End>,
    running: HashMap<task::Id, Running>,
    first_pictures: mpsc::UnboundedSender<u64>,
}

/// Runs the decoder of a stream until the stream has ended, or until there was no reader for [`ENDS_AFTER`]. Refuses
/// further readers then.
pub(super) async fn run(of: &DecodedStream) {
    let (first_pictures, mut shown) = mpsc::unbounded_channel();
    let mut supervisor = Supervisor {
        of,
        plan: Plan::new(Instant::now()),
        tasks: JoinSet::new(),
        running: HashMap::new(),
        first_pictures,
    };
    let gone = of.stream.gone();
    tokio::pin!(gone);
    let mut unused_since = None;
    loop {
        // Otherwise, the wanted widths would become other sizes with each change of the camera's picture.
        if !supervisor.plan.keeps_size() {
            of.note_full_width();
        }
        let forms = of.board.forms();
        let now = Instant::now();
        if forms.is_empty() {
            let is_over = now >= *unused_since.get_or_insert(now) + ENDS_AFTER;
            // After a failure, the pause also applies to the next readers.
            if is_over && !supervisor.plan.is_pausing(now) && of.board.close_if_unused() {
                break;
            }
        } else {
            unused_since = None;
            supervisor.start(&forms, now);
        }
        let ends_at = unused_since.map(|since| since + ENDS_AFTER).filter(|time| *time > now);
        let times = [ends_at, supervisor.plan.next_check(now), Some(now + CHECKS_AFTER)];
        let wake_at = times.into_iter().flatten().min();
        tokio::select! {
            () = of.board.changed.notified() => {}
            Some(number) = shown.recv() => supervisor.note_pictures(number),
            Some(ended) = supervisor.tasks.join_next_with_id() => supervisor.note_end(ended),
            () = sleep_until(wake_at.unwrap_or(now)) => {}
            () = &mut gone => break,
        }
    }
    of.board.close();
    // Dropping what stops them ends the decoders.
    supervisor.running.clear();
    while supervisor.tasks.join_next().await.is_some() {}
}

impl Supervisor<'_> {
    /// Starts a decoder if the plan says so.
    fn start(&mut self, forms: &[Form], now: Instant) {
        let Some(start) = self.plan.start(forms, self.of.gop(), now) else { return };
        debug!(?start, "a decoder of pictures starts");
        let Start { number, from, forms, skips_loop_filter, keeps_size } = start;
        if number > 1 {
            self.of.counters.picture_decoder_restarted();
        }
        let (stop, stopped) = oneshot::channel();
        let (of, first_pictures) = (self.of.clone(), self.first_pictures.clone());
        let made = forms.clone();
        let decode = async move {
            let on_first = || {
                // Fails if the supervisor has ended.
                let _ = first_pictures.send(number);
            };
            let manner = Manner { skips_loop_filter, keeps_size };
            of.decode(from, made, manner, stopped, on_first).await
        };
        let task = self.tasks.spawn(decode.in_current_span()).id();
        self.running.insert(task, Running { number, forms, stop: Some(stop) });
        self.stop_replaced();
    }

    fn note_pictures(&mut self, number: u64) {
        self.plan.note_pictures(number, Instant::now());
        self.stop_replaced();
    }

    /// Stops the decoders that do not continue.
    fn stop_replaced(&mut self) {
        for running in self.running.values_mut() {
            if !self.plan.continues(running.number) {
                running.stop = None;
            }
        }
    }

    fn note_end(&mut self, ended: Result<(task::Id, End), JoinError>) {
        let task = ended.as_ref().map_or_else(JoinError::id, |(task, _)| *task);
        let Some(running) = self.running.remove(&task) else { return };
        let end = end_of(ended, running.forms);
        if let End::Failed { error, without } = &end {
            self.of.counters.picture_decoder_failed(error.kind);
            let (camera, cause) = (self.of.stream.id(), chain(error));
            warn!(%camera, error = cause, ?without, "a decoder of pictures failed");
        }
        let is_resized = matches!(end, End::Changed { is_resized: true, .. });
        let refusals = self.plan.note_end(running.number, end, Instant::now());
        // It is reported again each time, because the report can be lost.
        if self.plan.keeps_size() && is_resized {
            self.of.stream.note_problem(unsteady());
        }
        for refusal in refusals {
            // The cause was logged, so the readers need not log it.
            let error = Error { source: None, ..refusal.error.retry_after(RETRY_AFTER) };
            self.of.board.fail(refusal.form, &error, refusal.until);
        }
    }
}

/// Returns the problem of a camera that changes the size of its picture again and again.
fn unsteady() -> Error {
    let detail = "the camera changes the size of its picture again and again, so its live pictures keep one size, and other \
                  players may have to begin again each time; set a fixed resolution in the camera";
    Error::new(ErrorKind::SourceUnsupported, detail)
}

/// Returns the end of a decoder with these forms. A decoder whose task has panicked has failed; its FFmpeg was killed
/// with the task.
fn end_of(ended: Result<(task::Id, End), JoinError>, forms: Vec<Form>) -> End {
    ended.map_or_else(
        |panic| {
            let detail = "pictures cannot be decoded: the manager's decoder failed unexpectedly";
            let error = Error::new(ErrorKind::Internal, detail).caused_by(panic);
            End::Failed { error, without: forms }
        },
        |(_, end)| end,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_a_failure() {
        let mut tasks = JoinSet::new();
        let task = tasks.spawn(async { panic!("a fault of the decoder") }).id();
        let ended = tasks.join_next_with_id().await.expect("a task");
        let ended = ended.map(|(task, ())| (task, End::Stopped));
        assert_eq!(ended.as_ref().map_or_else(JoinError::id, |(task, _)| *task), task);
        let End::Failed { error, without } = end_of(ended, vec![Form::Jpeg(None)]) else {
            panic!("no failure")
        };
        assert_eq!((error.kind, without), (ErrorKind::Internal, vec![Form::Jpeg(None)]));
    }
}
