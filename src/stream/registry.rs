//! The registry of all streams that run or have failed. All streams are started here.
//!
//! The map holds handles only, and none of its locks is held across an await. A stream removes its
//! own name from the map once its process and its output have ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::warn;

use super::active_count::ActiveCount;
use super::handle::{Command, Joined, StartResult, StreamHandle};
use super::interest::{Interest, Purpose};
use super::kept::{Hold, KeptStreams};
use super::limits::Limits;
use super::output::WantedOutput;
use super::resources::StreamResources;
use super::start_queue::{self, Priority};
use super::state::State;
use super::supervisor::spawn;
use super::trial::{self, TrialLimit};
use crate::base::error::{Error, ErrorKind};
use crate::base::lock::lock;
use crate::base::{open_files, proc};
use crate::camera::Camera;
use crate::camera::id::StreamId;
use crate::camera::options::KeepOption;
use crate::camera::plan::Plan;

/// The time after which a client should retry a start that was refused because of `MAX_STREAMS`.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(10);

/// All streams, by name, including streams that are starting or ending and streams that have failed. Cheap to
/// clone.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    streams: Arc<DashMap<StreamId, StreamHandle>>,
    /// Held from the count of the streams until a new stream is in the map, so that simultaneous starts do not exceed
    /// the limit. Locked after the lock of the kept streams, and before an entry of the map.
    creating: Mutex<()>,
    resources: StreamResources,
    active: ActiveCount,
    kept: KeptStreams,
    trials: TrialLimit,
    is_closing: AtomicBool,
}

impl Registry {
    /// Creates an empty registry.
    pub fn new(resources: StreamResources) -> Self {
        Self(Arc::new(Inner {
            streams: Arc::default(),
            creating: Mutex::new(()),
            resources,
            active: ActiveCount::default(),
            kept: KeptStreams::default(),
            trials: TrialLimit::of_all_streams(),
            is_closing: AtomicBool::new(false),
        }))
    }

    /// Returns the stream of this name; `None` if it does not exist.
    pub(crate) fn get(&self, id: &StreamId) -> Option<StreamHandle> {
        self.0.streams.get(id).map(|handle| handle.value().clone())
    }

    /// Returns all streams, including streams that are ending or have failed.
    pub(crate) fn all(&self) -> Vec<StreamHandle> {
        self.0.streams.iter().map(|entry| entry.value().clone()).collect()
    }

    /// Returns the number of active streams, in constant time.
    pub(crate) fn active(&self) -> usize {
        self.0.active.get()
    }

    /// Returns the resources that all streams share.
    pub(crate) fn resources(&self) -> &StreamResources {
        &self.0.resources
    }

    /// Calls `visit` with each stream's handle, without cloning it. A part of the map is locked
    /// during each call, so `visit` must neither block nor use the registry.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&StreamHandle)) {
        self.0.streams.iter().for_each(|entry| visit(entry.value()));
    }

    /// Returns the limits that apply to every stream.
    pub(crate) fn limits(&self) -> Limits {
        self.0.resources.limits
    }

    /// Returns the longest time that [`Registry::start`] waits: for the end of the camera's previous
    /// stream, for a start slot, and for the start itself, plus two seconds of tolerance.
    pub(crate) fn patience(&self) -> Duration {
        let limits = self.limits();
        limits.stop_grace + start_queue::MAX_WAIT + limits.start_timeout + Duration::from_secs(2)
    }

    /// Starts the camera's stream, or joins the existing one, and waits until the stream is playable with the output
    /// that is `wanted`, or its start is delayed. Fails after [`Registry::patience`].
    pub(crate) async fn start(
        &self,
        camera: Camera,
        wanted: WantedOutput,
    ) -> Result<Joined, Error> {
        if self.join_live(&camera, wanted) {
            return Ok(Joined::Active);
        }
        self.resume(&camera);
        self.start_by_supervisor(camera, wanted).await
    }

    /// Joins the camera's stream if it is live with the same source and options, and with the output that
    /// is `wanted`. Returns whether the stream was joined. Does not involve the supervisor, because this case
    /// must be cheap: back ends start a stream with every view of a page, even if the stream is already
    /// running.
    ///
    /// A stream that was idle until now may end at the same moment, even if this function returns true.
    pub(crate) fn join_live(&self, camera: &Camera, wanted: WantedOutput) -> bool {
        // Once `stop` has returned, the stream is no longer live, so that it cannot be joined.
        let joins = |handle: &StreamHandle| {
            // The access is noted before the check, so that the stream does not become idle in between.
            handle.touch(wanted);
            handle.is_live_with(camera, wanted) && !self.0.is_closing.load(Ordering::SeqCst)
        };
        self.0.streams.get(&camera.id).is_some_and(|handle| joins(&handle))
    }

    async fn start_by_supervisor(
        &self,
        camera: Camera,
        wanted: WantedOutput,
    ) -> Result<Joined, Error> {
        let started = timeout(self.patience(), async {
            loop {
                let (result, _interest) = self.send_start(camera.clone(), wanted).await?;
                match result.await {
                    Ok(result) => return result,
                    // The stream ended without a result, so the next round starts another stream.
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        });
        started.await.unwrap_or_else(|_| Err(self.start_took_too_long(&camera.id)))
    }

    /// Tries the source of `camera` if the camera's stream is live with another source, and returns the plan that
    /// works. Returns `None` if no trial is necessary, or if the camera accepts only one connection. If the new source
    /// does not work, returns the error that a start would return, and the stream continues with its current source.
    pub(crate) async fn try_source(&self, camera: &Camera) -> Result<Option<Plan>, Error> {
        let is_needed = |handle: &StreamHandle| {
            handle.is_live(WantedOutput::None) && handle.status().camera.source != camera.source
        };
        let Some(handle) = self.get(&camera.id).filter(is_needed) else { return Ok(None) };
        let (resources, shared) = (self.resources(), handle.shared());
        let tried = async {
            let _place = trial::place(&shared.trials, &self.0.trials).await?;
            // The stream may have ended, or switched to this source, while the trial had to wait.
            if !is_needed(&handle) {
                return Ok(None);
            }
            let current = handle.status().camera;
            let camera = Camera { numbers: current.numbers.clone(), ..camera.clone() };
            trial::run(&camera, &current, resources, &shared.process_log).await
        };
        tried.await.map_err(|mut error: Error| {
            warn!(stream = %camera.id, cause = error.detail, "the new link is not used; the stream continues with the previous link");
            error.detail += "; the stream continues with the previous link";
            resources.counters.refused(error)
        })
    }

    /// Starts the camera's stream with the output that is `wanted`, or joins the existing one, in the background.
    /// Returns the handle at once. Fails if there is no stream and none can be created, or while the registry shuts
    /// down. Aborts an earlier start in the background that wants the same output, so that many requests for a start
    /// do not add tasks.
    pub fn start_soon(&self, camera: Camera, wanted: WantedOutput) -> Result<StreamHandle, Error> {
        self.resume(&camera);
        let handle = self.get_or_spawn(&camera, Priority::Requested, wanted)?;
        let registry = self.clone();
        // The stream's status shows the result. The command is sent even to a live stream, because
        // other properties of the camera, such as its ONVIF address, may have changed.
        let start = tokio::spawn(async move { registry.start_by_supervisor(camera, wanted).await });
        handle.shared.background_starts.replace(wanted, start.abort_handle());
        Ok(handle)
    }

    /// Sends a start to the camera's stream, which is created if necessary. Returns the receiver
    /// of the result, and an interest that keeps the stream running while the caller holds it.
    async fn send_start(
        &self,
        camera: Camera,
        wanted: WantedOutput,
    ) -> Result<(oneshot::Receiver<StartResult>, Interest), Error> {
        loop {
            let handle = self.get_or_spawn(&camera, Priority::Requested, wanted)?;
            let interest = handle.interest(Purpose::Start(wanted));
            let (send, result) = oneshot::channel();
            let start = Command::Start(camera.clone(), wanted, send);
            if handle.commands.send(start).await.is_ok() {
                return Ok((result, interest));
            }
            // The stream ended before the command arrived. A stream removes its own name. If its supervisor
            // has panicked, the name is removed here.
            handle.gone().await;
            remove(&self.0.streams, &handle);
        }
    }

    /// Notes whether a stream's camera has `keep: always`. Returns true if the stream was added to the kept streams, so that
    /// the caller may have to start it. A stream that a client has stopped stays stopped.
    pub(crate) fn set_kept(&self, id: &StreamId, is_kept: bool) -> bool {
        if is_kept {
            return self.0.kept.add(id);
        }
        self.0.kept.remove(id);
        false
    }

    /// Keeps a stream until the returned value is dropped, for example because it is recorded. A stream that a client has
    /// stopped stays stopped.
    pub(crate) fn hold(&self, id: &StreamId) -> Hold {
        self.0.kept.hold(id)
    }

    /// Returns the kept streams, sorted by id.
    pub(crate) fn kept(&self) -> Vec<StreamId> {
        self.0.kept.all()
    }

    /// Returns whether the stream is kept.
    pub(crate) fn is_kept(&self, id: &StreamId) -> bool {
        self.0.kept.is_kept(id)
    }

    /// Starts a kept stream, with low priority. A failed stream starts again as if a caller had requested it.
    /// Does nothing if the stream is running, or is no longer kept.
    pub(crate) fn start_kept(&self, camera: &Camera) -> Result<(), Error> {
        if let Some(handle) = self.get(&camera.id) {
            if handle.commands.is_closed() {
                // The stream's supervisor has panicked, or is about to remove the name itself.
                remove(&self.0.streams, &handle);
            } else if handle.state() == State::Failed {
                // The stream failed before it was kept. Kept streams are always retried. No caller waits for the
                // result. If the supervisor does not accept the command, the next check starts the stream.
                let (result, _) = oneshot::channel();
                let start = Command::Start(camera.clone(), WantedOutput::None, result);
                let _ = self.0.kept.if_kept(&camera.id, || handle.commands.try_send(start).is_ok());
                return Ok(());
            }
        }
        let create = || self.get_or_spawn(camera, Priority::Low, WantedOutput::None);
        self.0.kept.if_kept(&camera.id, create).transpose().map(drop)
    }

    /// Keeps the camera's stream if there is a reason, even if a client has stopped the stream.
    fn resume(&self, camera: &Camera) {
        self.0.kept.resume(&camera.id, camera.keep == KeepOption::Always);
    }

    /// Ends the camera's stream and waits until it is gone, but no longer than the grace period plus two seconds.
    /// Returns false if there was no stream. The stream is not kept until its next start.
    pub(crate) async fn stop(&self, id: &StreamId) -> bool {
        self.0.kept.stop(id);
        let Some(handle) = self.get(id) else { return false };
        // The ingest is killed after the grace period. Ending the output usually takes no time.
        let patience = self.limits().stop_grace + Duration::from_secs(2);
        let ended = timeout(patience, async {
            // A closed channel means that the stream is already ending.
            let _ = handle.commands.send(Command::Stop).await;
            handle.gone().await;
        });
        if ended.await.is_err() {
            warn!(camera = %id, "the stream is taking too long to end; no longer waiting for it");
        }
        true
    }

    /// Returns whether the manager is shutting down, and all streams are ending.
    pub(crate) fn is_closing(&self) -> bool {
        self.0.is_closing.load(Ordering::SeqCst)
    }

    /// Ends all streams, refuses new ones, and waits until all are gone.
    pub(crate) async fn shutdown(&self) {
        self.0.is_closing.store(true, Ordering::SeqCst);
        // A start that read the flag before it was set may still add a stream. So the loop repeats until no
        // stream is left.
        loop {
            let streams = self.all();
            if streams.is_empty() {
                return;
            }
            for stream in &streams {
                // A closed channel means that the stream is already ending.
                let _ = stream.commands.send(Command::Shutdown).await;
            }
            for stream in &streams {
                stream.gone().await;
                remove(&self.0.streams, stream);
            }
        }
    }

    /// Returns the camera's stream. Creates it if necessary. Only this function creates streams, and it holds
    /// the map's lock for the name in the meantime, so that a name never has more than one stream. Fails while the
    /// registry shuts down. The creation also fails if the limit of streams is reached, if the `wanted` output is not
    /// ready, or if the queue of requested starts is full and the priority is not low.
    fn get_or_spawn(
        &self,
        camera: &Camera,
        priority: Priority,
        wanted: WantedOutput,
    ) -> Result<StreamHandle, Error> {
        let (inner, resources) = (&self.0, &self.0.resources);
        let _creating = lock(&inner.creating);
        // The length is read before the entry is locked, because reading it locks all parts of the map.
        let running = inner.streams.len();
        let entry = inner.streams.entry(camera.id.clone());
        // The flag is read under the entry's lock, so that a shutdown that begins after this check finds the entry.
        if inner.is_closing.load(Ordering::SeqCst) {
            return Err(Error::shutting_down());
        }
        match entry {
            Entry::Occupied(entry) => Ok(entry.get().clone()),
            Entry::Vacant(entry) => {
                let has_place = ensure_place(running, resources.max_streams);
                has_place.map_err(|error| resources.counters.refused(error))?;
                let has_capacity = match priority {
                    Priority::Requested => resources.starts.ensure_capacity(),
                    Priority::Low => Ok(()),
                };
                let may_start = has_capacity.and_then(|()| match wanted {
                    WantedOutput::Hls => resources.output.ensure_ready(),
                    WantedOutput::None => Ok(()),
                });
                may_start.map_err(|error| resources.counters.refused(error))?;
                let streams = Arc::clone(&inner.streams);
                let on_gone = move |gone: &StreamHandle| remove(&streams, gone);
                let shares = (inner.active.share(), inner.kept.clone());
                let handle =
                    spawn::spawn(camera.clone(), resources, shares, (priority, wanted), on_gone);
                entry.insert(handle.clone());
                Ok(handle)
            }
        }
    }

    fn start_took_too_long(&self, id: &StreamId) -> Error {
        let last = self.get(id).and_then(|handle| handle.status().last_error);
        match last {
            Some((error, _)) => error,
            None => {
                Error::new(ErrorKind::SourceTimeout, "the stream did not become playable in time")
            }
        }
    }
}

fn remove(streams: &DashMap<StreamId, StreamHandle>, gone: &StreamHandle) {
    streams.remove_if(gone.id(), |_, handle| handle.is_same(gone));
}

/// Fails if no further stream can start in addition to the streams that are `running`.
fn ensure_place(running: usize, max_streams: usize) -> Result<(), Error> {
    let full =
        |detail| Err(Error::new(ErrorKind::TooManyStreams, detail).retry_after(RETRY_WHEN_FULL));
    if running >= max_streams {
        return full(format!(
            "the limit of {max_streams} streams (MAX_STREAMS) has been reached; stop a stream or \
             raise the limit"
        ));
    }
    match proc::max_open_files() {
        Some(allowed) if running >= open_files::streams(allowed) => full(format!(
            "the manager can open only {allowed} files, which is not enough for more than {running} streams; raise \
             the limit of open files (LimitNOFILE, ulimit -n)"
        )),
        _ => Ok(()),
    }
}
