//! Records one stream while it runs: reads its hub, and begins and ends recordings as demanded.
//!
//! The task takes the frames of about half a second at a time, because waking up for each frame would cost more than
//! recording it. In the meantime, the hub keeps the frames. The task also wakes up when a fragment should be complete, so that
//! a crash costs no more than the fragment that is being collected.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::cutter::Clocks;
use super::layout::RecordingKey;
use super::preroll::PreRoll;
use super::session::Session;
use super::shared::{Recorder, RecordingStatus};
use crate::base::backoff::Exponential;
use crate::base::error::Error;
use crate::camera::identity::Identity;
use crate::events::{Event, EventKind, RecordingEvent, RecordingEventKind, Subject};
use crate::media::frame::Frame;
use crate::media::hub::Gap;
use crate::stream::handle::StreamHandle;
use crate::stream::interest::Purpose;
use crate::stream::playable::PlayableReader;

/// The longest time between two reads of the hub.
const BATCH: Duration = Duration::from_millis(400);
/// The time for which a read of the hub waits for the frame that ends a fragment, because cameras do not send their frames
/// at exactly equal distances.
const FRAME_DELAY: Duration = Duration::from_millis(20);
/// If the camera sends no frame for this time, the file ends, so that it is complete and can be copied.
const IDLE: Duration = Duration::from_secs(10);
/// Frames are kept for this much longer than events need them, because events are reported after they have begun.
pub(crate) const LATE: Duration = Duration::from_secs(2);
/// The most bytes of frames by which the task can be behind the hub. The hub also limits the time to six seconds.
const MAX_BEHIND: usize = 64 * 1024 * 1024;
/// The pauses before a recording that has failed is retried.
const RETRIES: Exponential =
    Exponential { first: Duration::from_secs(5), ceiling: Duration::from_secs(15) };
/// A recording that has run for this long has recovered from earlier failures.
const RECOVERED_AFTER: Duration = Duration::from_mins(1);

/// What is to be recorded of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Nothing is recorded.
    Off,
    /// Nothing is recorded yet, but frames are kept for this time, because an event can need them.
    PreRoll(Duration),
    /// All frames are recorded. The time is the beginning of the recording of an event, if an event is the reason.
    Record(Option<SystemTime>),
}

/// The recording of one stream of a camera.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The profile.
    pub(crate) key: RecordingKey,
    /// Which camera of which owner it is.
    pub(crate) identity: Identity,
}

/// The state while a stream runs.
struct Task<'a> {
    recorder: &'a Recorder,
    target: &'a Target,
    stream: &'a StreamHandle,
    reader: PlayableReader,
    session: Option<Session>,
    /// The time at which the last frame was read.
    frame_at: Instant,
    preroll: PreRoll,
    /// True while frames are being written.
    has_started: bool,
    /// True if the recording continues with the next frame, because the camera has sent nothing for [`IDLE`].
    is_paused: bool,
    /// The number of failures since the recording last ran for [`RECOVERED_AFTER`].
    failures: u32,
    /// The last failure; `None` before the first one.
    failed_at: Option<Instant>,
    /// True if a keyframe was requested and has not arrived yet.
    has_asked: bool,
    /// The time at which a failed recording is retried; `None` if it has not failed.
    retry_at: Option<Instant>,
}

/// Records `stream` as `demand` says, until the stream ends, or nothing is to be recorded any more.
pub(crate) async fn run(
    recorder: &Recorder,
    target: &Target,
    stream: &StreamHandle,
    demand: &mut watch::Receiver<Demand>,
) {
    let (_interest, _active) = (stream.interest(Purpose::Recording), recorder.active());
    let mut task = Task {
        recorder,
        target,
        stream,
        reader: stream.shared().media.read_as_sent(MAX_BEHIND),
        session: None,
        frame_at: Instant::now(),
        has_started: false,
        is_paused: false,
        failures: 0,
        failed_at: None,
        has_asked: false,
        preroll: PreRoll::new(recorder.preroll(), Duration::ZERO),
        retry_at: None,
    };
    let mut read_at = Instant::now();
    loop {
        let is_ending = tokio::select! {
            () = stream.ending() => true,
            changed = demand.changed() => changed.is_err(),
            () = sleep_until(read_at) => false,
        };
        let now = if is_ending { Demand::Off } else { *demand.borrow_and_update() };
        // The frames so far belong to the recording even if it ends now.
        let has_ended = task.read(now).await;
        if now == Demand::Off || has_ended {
            break;
        }
        let fragment_ends_at = task.session.as_ref().and_then(Session::fragment_ends_at);
        read_at = next_read(Instant::now(), fragment_ends_at);
    }
    task.end_session().await;
}

/// Returns the time of the next read of the hub after one at `now`.
fn next_read(now: Instant, fragment_ends_at: Option<Instant>) -> Instant {
    let complete_at = fragment_ends_at.map(|at| at + FRAME_DELAY).filter(|at| *at > now);
    complete_at.map_or(now + BATCH, |at| at.min(now + BATCH))
}

impl Task<'_> {
    /// Takes all frames that the hub has. Returns true if the stream has ended.
    async fn read(&mut self, demand: Demand) -> bool {
        self.follow(demand).await;
        while let Some(next) = self.reader.next().now_or_never() {
            self.frame_at = Instant::now();
            match next {
                Ok(Some(frame)) => self.take(frame).await,
                Ok(None) => return true,
                Err(Gap(missed)) => self.miss(missed).await,
            }
        }
        if demand == Demand::Off {
            self.end_session().await;
        }
        if self.frame_at.elapsed() >= IDLE {
            self.wait_for_frames().await;
        }
        false
    }

    /// Completes the file, because the camera sends nothing.
    async fn wait_for_frames(&mut self) {
        let Some(session) = &mut self.session else { return };
        if let Err(error) = session.pause(self.recorder.clocks()).await {
            self.session = None;
            self.fail(error);
        } else if self.has_started && !self.is_paused {
            self.is_paused = true;
            self.set_status(RecordingStatus::NoSignal);
        }
    }

    /// Begins or ends the recording.
    async fn follow(&mut self, demand: Demand) {
        match demand {
            Demand::Off => {}
            Demand::PreRoll(time) => {
                self.preroll.set_keep(time + LATE);
                self.end_session().await;
                self.set_status(RecordingStatus::AwaitingEvent);
                self.retry_at = None;
            }
            Demand::Record(event) => {
                let may_begin = self.retry_at.is_none_or(|at| Instant::now() >= at);
                if self.session.is_none() && may_begin {
                    self.begin_session(event).await;
                }
                if let Some(session) = &mut self.session {
                    session.set_event(event.is_some());
                }
            }
        }
    }

    /// Begins to record, with the frames from `from` on that have been kept, or with all of them.
    async fn begin_session(&mut self, from: Option<SystemTime>) {
        match self.recorder.session(&self.target.key).await {
            Ok(session) => {
                self.session = Some(session);
                if self.retry_at.is_none() {
                    self.set_status(RecordingStatus::Starting);
                }
                let Clocks { system, monotonic } = self.recorder.clocks();
                // The frames may have arrived before the system's clock was set.
                let from = from.map(|from| system.duration_since(from).unwrap_or_default());
                let from = from.and_then(|age| monotonic.checked_sub(age));
                for frame in self.preroll.take(from) {
                    self.take(frame).await;
                }
            }
            Err(error) => self.fail(error),
        }
    }

    async fn end_session(&mut self) {
        let Some(session) = self.session.take() else { return };
        session.finish(self.recorder.clocks()).await;
        self.is_paused = false;
        if std::mem::take(&mut self.has_started) {
            info!(camera = %self.stream.id(), "recording stopped");
            self.publish(RecordingEventKind::Stopped, None);
        }
    }

    async fn take(&mut self, frame: Arc<Frame>) {
        let Some(session) = &mut self.session else {
            if self.retry_at.is_none() {
                let dropped = self.preroll.push(frame);
                self.recorder.counters().preroll_dropped(dropped);
            }
            return;
        };
        match session.push(&frame, self.recorder.clocks()).await {
            Ok(needs_keyframe) => {
                if needs_keyframe && !self.has_asked {
                    self.reader.need_keyframe();
                }
                self.has_asked = needs_keyframe;
                if session.has_written() && !self.has_started {
                    self.note_start();
                } else if std::mem::take(&mut self.is_paused) {
                    self.set_status(RecordingStatus::Recording);
                }
            }
            Err(error) => {
                if let Some(session) = self.session.take() {
                    session.finish(self.recorder.clocks()).await;
                }
                self.fail(error);
            }
        }
    }

    async fn miss(&mut self, missed: u64) {
        self.preroll.clear();
        let Some(session) = &mut self.session else { return };
        self.recorder.counters().missed(missed);
        warn!(camera = %self.stream.id(), missed, "frames are missing in the recording, because the disk is slower than the camera");
        self.recorder.directories().note_slow(session.dir_index());
        if let Err(error) = session.interrupt(self.recorder.clocks()).await {
            self.session = None;
            self.fail(error);
        }
    }

    fn note_start(&mut self) {
        let kind = match self.retry_at.take() {
            Some(_) => RecordingEventKind::Resumed,
            None => RecordingEventKind::Started,
        };
        (self.has_started, self.is_paused) = (true, false);
        info!(camera = %self.stream.id(), "recording");
        self.set_status(RecordingStatus::Recording);
        self.publish(kind, None);
    }

    /// Notes that nothing can be written. The recording is retried.
    fn fail(&mut self, error: Error) {
        let is_new = self.retry_at.is_none();
        let now = Instant::now();
        if self.failed_at.is_some_and(|at| now >= at + RECOVERED_AFTER) {
            self.failures = 0;
        }
        self.failed_at = Some(now);
        self.retry_at = Some(now + RETRIES.delay(self.failures));
        self.failures = self.failures.saturating_add(1);
        (self.has_started, self.is_paused) = (false, false);
        if is_new {
            warn!(camera = %self.stream.id(), %error, cause = ?error.source, "the recording is interrupted");
            self.publish(RecordingEventKind::Interrupted, Some(error.clone()));
        }
        self.set_status(RecordingStatus::Failed(error));
    }

    fn set_status(&self, status: RecordingStatus) {
        self.recorder.set_status(&self.target.key, Some(status));
    }

    fn publish(&self, kind: RecordingEventKind, error: Option<Error>) {
        let subject = Subject::stream(self.stream.id().clone(), self.target.identity.clone());
        let kind = EventKind::Recording(RecordingEvent { kind, error });
        let at = SystemTime::now();
        self.recorder.events().publish(Event { at, subject: Some(subject), kind });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hub_is_read_when_a_fragment_should_be_complete() {
        let began = Instant::now();
        let now = began + Duration::from_secs(5);
        let look_in = |ends_at: Option<u64>| {
            next_read(now, ends_at.map(|at| began + Duration::from_millis(at))) - now
        };
        assert_eq!(look_in(None), BATCH);
        assert_eq!(look_in(Some(5900)), BATCH);
        assert_eq!(look_in(Some(5100)), Duration::from_millis(100) + FRAME_DELAY);
        // The frame that ends the fragment is late.
        assert_eq!(look_in(Some(4900)), BATCH);
    }
}
