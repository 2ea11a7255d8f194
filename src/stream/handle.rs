//! The handle of a stream, through which all modules but the supervisor read and control the stream.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, info};

use super::background_starts::BackgroundStarts;
use super::interest::{Interest, Interests, Purpose};
use super::output::{OutputState, WantedOutput};
use super::playable::PlayableMedia;
use super::state::{After, State};
use super::status::Status;
use super::trial::TrialLimit;
use super::viewers::{Seen, Viewer, Viewers, Visit};
use crate::base::error::{Error, ErrorKind};
use crate::camera::Camera;
use crate::camera::id::StreamId;
use crate::child::log::ProcessLog;
use crate::media::hub::FrameHub;

/// The largest number of commands that wait for a supervisor. A supervisor is never busy for long.
pub(super) const COMMANDS: usize = 64;

/// The time after which a viewer who was refused should retry.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(10);

/// A command to a supervisor.
#[derive(Debug)]
pub(super) enum Command {
    /// Make the stream playable with this camera and this output. The result is sent when the start has
    /// succeeded, has failed, or is delayed. If the channel closes without a result, the stream has ended, and
    /// the caller has to send the start to the next stream of the same name.
    Start(Camera, WantedOutput, oneshot::Sender<StartResult>),
    /// End the stream, because a client stops it.
    Stop,
    /// End the stream if it is not kept and there has been no interest in it for the idle timeout.
    /// Otherwise, end its output if there has been no interest in the output for the idle timeout.
    Idle,
    /// End the stream, because the manager shuts down.
    Shutdown,
    /// Publish this problem of the live stream as its last error.
    Note(Error),
}

/// The result of a start.
pub(super) type StartResult = Result<Joined, Error>;

/// The state in which a caller joined a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Joined {
    /// The stream was already live.
    Active,
    /// The stream became live while the caller waited.
    Started,
    /// The stream, or the output that the caller wants, is not live yet for this reason, but continues to
    /// start.
    Delayed(Error),
}

/// The data that a stream's supervisor and handles share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The stream's name.
    pub(crate) id: StreamId,
    /// The interest in the stream, which keeps it running.
    pub(super) interests: Arc<Interests>,
    /// The stream's viewers.
    pub(crate) viewers: Viewers,
    /// The hub in which the ingest publishes the camera's frames.
    pub(crate) hub: FrameHub,
    /// The frames that players can play.
    pub(crate) media: PlayableMedia,
    /// The messages and the resource usage of the stream's FFmpeg processes.
    pub(crate) process_log: Arc<ProcessLog>,
    /// Limits the number of links of this stream that are tried at the same time.
    pub(super) trials: TrialLimit,
    /// The tasks that start the stream in the background.
    pub(super) background_starts: BackgroundStarts,
}

impl Shared {
    /// Logs visits that have ended.
    pub(super) fn log_visits(&self, visits: Vec<Visit>) {
        for Visit { user, address, since, last_seen } in visits {
            let seconds = (last_seen - since).as_secs_f64().round();
            info!(camera = %self.id, user, address, seconds, "viewer stopped watching");
        }
    }
}

/// The handle of a stream. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StreamHandle {
    pub(super) shared: Arc<Shared>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) status: watch::Receiver<Status>,
}

impl StreamHandle {
    /// Returns the stream's name.
    pub(crate) fn id(&self) -> &StreamId {
        &self.shared.id
    }

    /// Returns an interest. Until the interest is dropped, the stream and the output that `purpose` wants
    /// keep running.
    pub(crate) fn interest(&self, purpose: Purpose) -> Interest {
        debug!(camera = %self.id(), ?purpose, "interest held");
        self.shared.interests.hold(purpose.wanted_output())
    }

    /// Notes an access. The access counts as interest in the stream until the idle timeout has passed. If the
    /// output is `wanted`, the access counts as interest in the output, too.
    pub(crate) fn touch(&self, wanted: WantedOutput) {
        self.shared.interests.touch(wanted);
    }

    /// Returns whether the output is on or has failed, and there has been no interest in the output for
    /// `timeout`.
    pub(crate) fn has_unused_output(&self, timeout: Duration) -> bool {
        self.shared.interests.output_idle_for() >= timeout
            && self.status.borrow().output.state != OutputState::Off
    }

    /// Returns how long there has been no interest in the stream.
    pub(crate) fn idle_for(&self) -> Duration {
        self.shared.interests.idle_for()
    }

    /// Notes a viewer's access. Refuses a new viewer if the stream has reached its limit.
    pub(crate) fn touch_as_viewer(&self, viewer: &Viewer) -> Result<(), Error> {
        self.note_viewer(viewer)?;
        self.touch(WantedOutput::Hls);
        Ok(())
    }

    /// Notes that a viewer is present whose held interest keeps the stream running. Refuses a new viewer if the stream
    /// has reached its limit.
    pub(crate) fn note_viewer(&self, viewer: &Viewer) -> Result<(), Error> {
        let seen = self.shared.viewers.note_request(viewer);
        if seen == Seen::TooMany {
            let detail = format!("stream {} has reached its viewer limit", self.id());
            return Err(Error::new(ErrorKind::TooManyViewers, detail).retry_after(RETRY_WHEN_FULL));
        }
        if seen == Seen::New {
            info!(camera = %self.id(), user = viewer.user, address = viewer.address, "viewer started watching");
        }
        Ok(())
    }

    /// Reports a problem that does not interrupt the stream. The status shows it as the last error. It is logged unless it is
    /// the last error already.
    pub(crate) fn note_problem(&self, problem: Error) {
        // If the supervisor is so busy that its queue is full, the problem is reported when it is found again.
        let _ = self.commands.try_send(Command::Note(problem));
    }

    /// Forgets and logs the viewers who left.
    pub(crate) fn forget_viewers(&self) {
        self.shared.log_visits(self.shared.viewers.forget_gone());
    }

    /// Returns the data that the supervisor and the handles share.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Returns the stream's status.
    pub(crate) fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Returns the state, and how often FFmpeg was started again after an interruption.
    pub(crate) fn state_and_restarts(&self) -> (State, u64) {
        let status = self.status.borrow();
        (status.state, status.restarts)
    }

    /// Returns whether the stream is live with the source and options of `camera`. If the output is `wanted`,
    /// the output must be live, too.
    pub(super) fn is_live_with(&self, camera: &Camera, wanted: WantedOutput) -> bool {
        let status = self.status.borrow();
        // A supervisor that has panicked leaves its last state behind, but its channel is closed.
        status.is_live(wanted)
            && camera.is_same_stream(&status.camera)
            && !self.commands.is_closed()
    }

    /// Returns whether the stream is live. If the output is `wanted`, the output must be live, too.
    pub(crate) fn is_live(&self, wanted: WantedOutput) -> bool {
        self.status.borrow().is_live(wanted)
    }

    /// Returns the state, without cloning the whole status.
    pub(crate) fn state(&self) -> State {
        self.status.borrow().state
    }

    /// Returns whether both are handles of the same stream. Successive streams may share a name.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Returns a receiver of the stream's status. It closes when the stream is gone.
    pub(crate) fn status_changes(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Returns whether the end of the stream has begun.
    pub(crate) fn is_ending(&self) -> bool {
        matches!(self.state(), State::Stopping(After::End) | State::Gone)
    }

    /// Waits until the end of the stream has begun. A consumer must then drop its readers, because the stream is gone
    /// only when the transcoder has ended, and the transcoder runs as long as it has readers.
    pub(crate) async fn ending(&self) {
        let mut status = self.status.clone();
        let is_ending =
            |status: &Status| matches!(status.state, State::Stopping(After::End) | State::Gone);
        // The channel is closed when the stream is gone.
        drop(status.wait_for(is_ending).await);
    }

    /// Waits until the stream's process and its output have ended. Files with which the playlist can continue may be
    /// left.
    pub(crate) async fn gone(&self) {
        let mut status = self.status.clone();
        while status.changed().await.is_ok() {}
    }
}
