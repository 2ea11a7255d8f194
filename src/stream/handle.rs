//! What everybody but the supervisor holds of a stream: a cheap handle to ask, touch and command.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::{debug, info};

use super::interest::{Interest, Interests, Purpose};
use super::state::State;
use super::viewers::{Seen, Viewer, Viewers, Visit};
use crate::base::error::{Error, ErrorKind};
use crate::camera::Camera;
use crate::camera::id::StreamId;
use crate::child::log::ProcessLog;
use crate::media::hub::FragmentHub;

/// Commands that may wait for a supervisor. It is never busy for long, so this is plenty.
pub const COMMANDS: usize = 64;

/// When a viewer who found no room may try again.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(10);

/// What callers ask of a supervisor.
#[derive(Debug)]
pub enum Command {
    /// The stream is wanted. The answer comes when it is playable, or with the cause why not;
    /// no answer at all means that the stream has gone meanwhile and has to be asked for again.
    Start(Camera, oneshot::Sender<StartAnswer>),
    /// The stream shall end.
    Stop,
    /// The reaper thinks that nobody watches.
    Idle,
    /// The manager is ending.
    Shutdown,
}

/// Answer to a start.
pub type StartAnswer = Result<Joined, Error>;

/// How a caller came to a playable stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// It was live already.
    Active,
    /// It became live while the caller waited.
    Started,
}

/// A stream's state as the supervisor last told it.
#[derive(Debug, Clone)]
pub struct Status {
    /// State in the table of `crate::stream`.
    pub state: State,
    /// Number of the current or last run of FFmpeg.
    pub generation: u64,
    /// How often FFmpeg was started again after an interruption.
    pub restarts: u64,
    /// When the stream was first wanted.
    pub started_at: SystemTime,
    /// Since when the current generation is live.
    pub live_since: Option<Instant>,
    /// From the start of FFmpeg to playable, of the current generation while it is live.
    pub start_took: Option<Duration>,
    /// The last thing that went wrong, and when.
    pub last_error: Option<(Error, Instant)>,
    /// The camera with its source.
    pub camera: Camera,
}

impl Status {
    /// The status of a stream that starts now with `generation`.
    pub(super) fn starting(camera: Camera, generation: u64) -> Self {
        Self {
            state: State::Starting,
            generation,
            restarts: 0,
            started_at: SystemTime::now(),
            live_since: None,
            start_took: None,
            last_error: None,
            camera,
        }
    }
}

/// What supervisor and handles share.
#[derive(Debug)]
pub struct Shared {
    /// The camera's id.
    pub id: StreamId,
    /// What keeps the stream running.
    pub(super) interests: Arc<Interests>,
    /// Who watches.
    pub viewers: Viewers,
    /// Where the fragments pass.
    pub hub: FragmentHub,
    /// What its FFmpegs said and use.
    pub process_log: Arc<ProcessLog>,
}

impl Shared {
    /// One line in the log for each visit that is over.
    pub(super) fn tell_who_watched(&self, visits: Vec<Visit>) {
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
    /// The camera's id.
    pub fn id(&self) -> &StreamId {
        &self.shared.id
    }

    /// Keeps the stream running until the interest is dropped.
    pub fn interest(&self, purpose: Purpose) -> Interest {
        debug!(camera = %self.id(), ?purpose, "interest");
        self.shared.interests.hold()
    }

    /// Notes an access, which counts as interest until the stream has been idle for too long.
    pub fn touch(&self) {
        self.shared.interests.touch();
    }

    /// Returns for how long nothing has shown interest in the stream.
    pub fn idle_for(&self) -> Duration {
        self.shared.interests.idle_for()
    }

    /// Notes that a viewer still watches. Refuses one too many.
    pub fn touch_as_viewer(&self, viewer: &Viewer) -> Result<(), Error> {
        let seen = self.shared.viewers.saw(viewer);
        if seen == Seen::TooMany {
            let detail = format!("as many watch camera {} already as may", self.id());
            return Err(Error::new(ErrorKind::TooManyViewers, detail).retry_after(RETRY_WHEN_FULL));
        }
        if seen == Seen::New {
            info!(camera = %self.id(), user = viewer.user, address = viewer.address, "watching");
        }
        self.touch();
        Ok(())
    }

    /// Forgets the viewers who left, and has the log tell who watched and how long.
    pub fn forget_viewers(&self) {
        self.shared.tell_who_watched(self.shared.viewers.forget_gone());
    }

    /// What supervisor and handles share.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The state as last told.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// State, and how often FFmpeg was started again, as last told.
    pub fn state_and_restarts(&self) -> (State, u64) {
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

    /// The state alone, which costs no copy of all the rest.
    pub fn state(&self) -> State {
        self.status.borrow().state
    }

    /// Whether both are handles of the same stream, and not of two that had the same id.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Waits until the stream has gone, its directory included.
    pub async fn gone(&self) {
        let mut status = self.status.clone();
        while status.changed().await.is_ok() {}
    }
}
