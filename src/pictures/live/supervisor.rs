//! Starts, replaces and ends the decoder of one stream.
//!
//! A decoder makes pictures of the sizes that were wanted when it started. If another size is wanted, a second decoder
//! starts, which begins with the frames since the last keyframe. The first decoder continues until the second one has
//! made a picture, so that no reader's pictures stop.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::{Instrument as _, debug, warn};

use super::board::Width;
use super::decoding::{DecodedStream, End};
use crate::base::backoff::Exponential;
use crate::base::error::Error;
use crate::media::hub::ReadFrom;

/// The time without readers after which the decoder ends.
const ENDS_AFTER: Duration = Duration::from_secs(5);
/// The pauses before a decoder starts again after a failure. The first restart is immediate.
const RESTARTS: Exponential =
    Exponential { first: Duration::from_millis(500), ceiling: Duration::from_secs(30) };
/// The number of failures without a picture in between after which readers get the error.
const FAILURES: u32 = 3;
/// The time after which a client should repeat a request whose decoder has failed.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The time after which a decoder is replaced if it should, or should not, use the loop filter.
const OUTDATED_AFTER: Duration = Duration::from_secs(10);
/// The time after which the supervisor checks whether the decoder is outdated.
const CHECKS_AFTER: Duration = Duration::from_secs(5);

/// A decoder that is running or starting.
struct Running {
    number: u64,
    widths: Vec<Width>,
    skips_loop_filter: bool,
    started_at: Instant,
    /// Dropping it ends the decoder.
    _stop: oneshot::Sender<()>,
}

/// The decoders of one stream.
struct Supervisor<'a> {
    of: &'a DecodedStream,
    tasks: JoinSet<(u64, End)>,
    first_pictures: mpsc::UnboundedSender<u64>,
    last_number: u64,
    /// The decoder whose pictures the readers get.
    current: Option<Running>,
    /// The decoder that replaces the current one when it has made a picture.
    next: Option<Running>,
    from: ReadFrom,
    failures: u32,
    /// The time before which no decoder starts.
    starts_at: Instant,
}

/// Runs the decoder of a stream until the stream has ended, or until there was no reader for [`ENDS_AFTER`]. Refuses
/// further readers then.
pub(super) async fn run(of: &DecodedStream) {
    let (first_pictures, mut shown) = mpsc::unbounded_channel();
    let mut supervisor = Supervisor {
        of,
        tasks: JoinSet::new(),
        first_pictures,
        last_number: 0,
        current: None,
        next: None,
        from: ReadFrom::LastKeyframe,
        failures: 0,
        starts_at: Instant::now(),
    };
    let gone = of.stream.gone();
    tokio::pin!(gone);
    let mut unused_since = None;
    loop {
        let widths = of.board.widths();
        if widths.is_empty() {
            let ends_at = *unused_since.get_or_insert_with(Instant::now) + ENDS_AFTER;
            let is_over = Instant::now() >= ends_at.max(supervisor.starts_at);
            if is_over && of.board.close_if_unused() {
                break;
            }
        } else {
            unused_since = None;
            supervisor.ensure(&widths);
        }
        let now = Instant::now();
        let ends_at = unused_since.map(|since| since + ENDS_AFTER);
        let times = [ends_at, Some(supervisor.starts_at), Some(now + CHECKS_AFTER)];
        let wake_at = times.into_iter().flatten().filter(|time| *time > now).min();
        tokio::select! {
            () = of.board.changed.notified() => {}
            Some(number) = shown.recv() => supervisor.note_first_picture(number),
            Some(Ok((number, end))) = supervisor.tasks.join_next() => {
                supervisor.note_end(number, end);
            }
            () = sleep_until(wake_at.unwrap_or(now)) => {}
            () = &mut gone => break,
        }
    }
    of.board.close();
    // Dropping them ends the decoders.
    (supervisor.current, supervisor.next) = (None, None);
    while supervisor.tasks.join_next().await.is_some() {}
}

impl Supervisor<'_> {
    /// Starts a decoder if none makes pictures of all these widths.
    fn ensure(&mut self, widths: &[Width]) {
        let skips_loop_filter = self.of.skips_loop_filter();
        let fits = |running: &Option<Running>| {
            running.as_ref().is_some_and(|it| widths.iter().all(|width| it.widths.contains(width)))
        };
        // The distance of keyframes is known only some time after the start of a stream.
        let is_outdated = self.current.as_ref().is_some_and(|it| {
            it.skips_loop_filter != skips_loop_filter && it.started_at.elapsed() >= OUTDATED_AFTER
        });
        let has_fitting = match &self.next {
            Some(_) => fits(&self.next),
            None => fits(&self.current) && !is_outdated,
        };
        if has_fitting || Instant::now() < self.starts_at {
            return;
        }
        let started = Some(self.start(widths.to_vec(), skips_loop_filter));
        if self.current.is_none() {
            self.current = started;
        } else {
            self.next = started;
        }
    }

    fn start(&mut self, widths: Vec<Width>, skips_loop_filter: bool) -> Running {
        self.last_number += 1;
        let number = self.last_number;
        let (stop, stopped) = oneshot::channel();
        let (of, first_pictures) = (self.of.clone(), self.first_pictures.clone());
        let (from, wanted) = (self.from, widths.clone());
        debug!(number, ?widths, skips_loop_filter, "a decoder of pictures starts");
        let decode = async move {
            let on_first = || {
                // Fails if the supervisor has ended.
                let _ = first_pictures.send(number);
            };
            (number, of.decode(from, wanted, skips_loop_filter, stopped, on_first).await)
        };
        self.tasks.spawn(decode.in_current_span());
        self.from = ReadFrom::LastKeyframe;
        Running { number, widths, skips_loop_filter, started_at: Instant::now(), _stop: stop }
    }

    /// Notes the first picture of a decoder. If it is the next decoder, it replaces the current one.
    fn note_first_picture(&mut self, number: u64) {
        self.failures = 0;
        if self.next.as_ref().is_some_and(|next| next.number == number) {
            self.current = self.next.take();
        }
    }

    fn note_end(&mut self, number: u64, end: End) {
        let has_number = |it: &mut Running| it.number == number;
        let ended = self.next.take_if(has_number).or_else(|| {
            let ended = self.current.take_if(has_number)?;
            // The next decoder does not have to wait for its first picture any more.
            self.current = self.next.take();
            Some(ended)
        });
        // A decoder that was replaced is in neither place.
        if ended.is_none() {
            return;
        }
        match end {
            End::Stopped | End::Changed => {}
            End::AwaitsKeyframe => self.from = ReadFrom::NextKeyframe,
            End::Failed(error) => self.note_failure(error),
        }
    }

    fn note_failure(&mut self, error: Error) {
        self.of.counters.picture_decoder_failed(error.kind);
        warn!(camera = %self.of.stream.id(), failures = self.failures, %error, "a decoder of pictures failed");
        let pause = self.failures.checked_sub(1).map(|earlier| RESTARTS.delay(earlier));
        self.starts_at = Instant::now() + pause.unwrap_or_default();
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            self.of.board.fail(error.retry_after(RETRY_AFTER), self.starts_at);
        }
    }
}
