//! The handle of a stream: how all modules but the supervisor see and command it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, info};

use super::interest::{Interest, Interests, Purpose};
use super::state::State;
use super::status::Status;
use super::viewers::{Seen, Viewer, Viewers, Visit};
use crate::base::error::{Error, ErrorKind};
use crate::camera::Camera;
use crate::camera::id::StreamId;
use crate::child::log::ProcessLog;
use crate::media::hub::FragmentHub;

/// Commands that can wait for a supervisor, which is never busy for long.
pub(super) const COMMANDS: usize = 64;

/// When a viewer who was refused can try again.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(10);

/// A command to a supervisor.
#[derive(Debug)]
pub(super) enum Command {
    /// Make the stream playable with this camera. Answered when it is, or with the cause why it is
    /// not. Without an answer, the stream has ended, and the start has to be sent to another.
    Start(Camera, oneshot::Sender<StartAnswer>),
    /// End: a client stops the stream.
    Stop,
    /// End if nothing shows interest in the stream.
    Idle,
    /// End: the manager ends.
    Shutdown,
}

/// The answer to a start.
pub(super) type StartAnswer = Result<Joined, Error>;

/// How a caller joined a playable stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joined {
    /// The stream was already live.
    Active,
    /// The stream became live while the caller waited.
    Started,
}

/// What the supervisor and the handles share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The stream's name.
    pub(crate) id: StreamId,
    /// What keeps the stream running.
    pub(super) interests: Arc<Interests>,
    /// The stream's viewers.
    pub(crate) viewers: Viewers,
    /// Where the ingest publishes and outputs read.
    pub(crate) hub: FragmentHub,
    /// What the stream's FFmpegs write and use.
    pub(crate) process_log: Arc<ProcessLog>,
}

impl Shared {
    /// Logs the visits that are over.
    pub(super) fn log_visits(&self, visits: Vec<Visit>) {
        for Visit { user, address, since, last_seen } in visits {
            let seconds = (last_seen - since).as_secs_f64().round();
            info!(camera = %self.id, user, address, seconds, "watched");
        }
    }
}

/// Handle of a stream. Cheap to clone.
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

    /// Keeps the stream running until the interest is dropped.
    pub(crate) fn interest(&self, purpose: Purpose) -> Interest {
        debug!(camera = %self.id(), ?purpose, "interest");
        self.shared.interests.hold()
    }

    /// Notes an access, which counts as interest until the stream has been idle for too long.
    pub(crate) fn touch(&self) {
        self.shared.interests.touch();
    }

    /// Returns for how long nothing has shown interest in the stream.
    pub(crate) fn idle_for(&self) -> Duration {
        self.shared.interests.idle_for()
    }

    /// Notes a viewer's access. Refuses new viewers beyond the limit.
    pub(crate) fn touch_as_viewer(&self, viewer: &Viewer) -> Result<(), Error> {
        let seen = self.shared.viewers.saw(viewer);
        if seen == Seen::TooMany {
            let detail = format!("camera {} has reached its viewer limit", self.id());
            return Err(Error::new(ErrorKind::TooManyViewers, detail).retry_after(RETRY_WHEN_FULL));
        }
        if seen == Seen::New {
            info!(camera = %self.id(), user = viewer.user, address = viewer.address, "watching");
        }
        self.touch();
        Ok(())
    }

    /// Forgets and logs the viewers who left.
    pub(crate) fn forget_viewers(&self) {
        self.shared.log_visits(self.shared.viewers.forget_gone());
    }

    /// Returns what the supervisor and the handles share.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Returns the stream's status.
    pub(crate) fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Returns the state, and how often FFmpeg was started again.
    pub(crate) fn state_and_restarts(&self) -> (State, u64) {
        let status = self.status.borrow();
        (status.state, status.restarts)
    }

    /// Returns whether the stream is live, with the source and options that `camera` has.
    pub(super) fn is_live_with(&self, camera: &Camera) -> bool {
        let status = self.status.borrow();
        // A supervisor that has failed leaves its last state behind.
        status.state == State::Live
            && camera.is_same_stream(&status.camera)
            && !self.commands.is_closed()
    }

    /// Returns the state, without cloning the whole status.
    pub(crate) fn state(&self) -> State {
        self.status.borrow().state
    }

    /// Returns whether both are handles of the same stream, rather than of two with the same name.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Waits until everything of the stream is gone.
    pub(crate) async fn gone(&self) {
        let mut status = self.status.clone();
        while status.changed().await.is_ok() {}
    }
}
