//! All running streams, and the one place where streams are started.
//!
//! The map holds handles only, and no guard of it is held across an await. A stream removes its own
//! name from the map when everything of it is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::warn;

use super::active_count::ActiveCount;
use super::handle::{Command, Joined, StartAnswer, StreamHandle};
use super::interest::{Interest, Purpose};
use super::limits::Limits;
use super::resources::StreamResources;
use super::start_queue;
use super::supervisor::spawn;
use crate::base::error::{Error, ErrorKind};
use crate::camera::Camera;
use crate::camera::id::StreamId;

/// When a caller who was refused because of `MAX_STREAMS` can try again.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(10);

/// The running streams. Cheap to clone.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    streams: Arc<DashMap<StreamId, StreamHandle>>,
    resources: StreamResources,
    active: ActiveCount,
    is_closing: AtomicBool,
}

impl Registry {
    /// Creates a registry without streams.
    pub fn new(resources: StreamResources) -> Self {
        Self(Arc::new(Inner {
            streams: Arc::default(),
            resources,
            active: ActiveCount::default(),
            is_closing: AtomicBool::new(false),
        }))
    }

    /// Returns a camera's stream, if it runs.
    pub(crate) fn get(&self, id: &StreamId) -> Option<StreamHandle> {
        self.0.streams.get(id).map(|handle| handle.value().clone())
    }

    /// Returns all streams.
    pub(crate) fn all(&self) -> Vec<StreamHandle> {
        self.0.streams.iter().map(|entry| entry.value().clone()).collect()
    }

    /// Returns how many streams are active. Takes the same time with any number of streams.
    pub(crate) fn active(&self) -> usize {
        self.0.active.get()
    }

    /// Returns what streams are made of.
    pub(crate) fn resources(&self) -> &StreamResources {
        &self.0.resources
    }

    /// Calls `visit` with all streams, without cloning their handles. A part of the map is locked
    /// during each call, so `visit` must neither wait nor use the registry.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&StreamHandle)) {
        self.0.streams.iter().for_each(|entry| visit(entry.value()));
    }

    /// Returns the limits that streams live by.
    pub(crate) fn limits(&self) -> Limits {
        self.0.resources.limits
    }

    /// Returns the longest time that a start can take: the end of the camera's previous stream, the
    /// wait for its turn, a whole start, and a little for the machine.
    pub(crate) fn patience(&self) -> Duration {
        let limits = self.limits();
        limits.stop_grace + start_queue::PATIENCE + limits.start_timeout + Duration::from_secs(2)
    }

    /// Starts the camera's stream, or joins it, and waits until it is playable.
    pub(crate) async fn start(&self, camera: Camera) -> Result<Joined, Error> {
        if self.join_live(&camera) {
            return Ok(Joined::Active);
        }
        self.start_by_supervisor(camera).await
    }

    /// Joins the camera's stream without asking its supervisor, if that would answer at once: the
    /// stream is live, with the same source and options. Back ends start streams that run already
    /// with every view of a page.
    ///
    /// The stream can end in the same moment because it was idle until now, as it can for a player.
    pub(crate) fn join_live(&self, camera: &Camera) -> bool {
        // Once `stop` has returned, the stream is gone or at least no longer live.
        let joins = |handle: &StreamHandle| {
            // First, so that the stream does not become idle in between.
            handle.touch();
            handle.is_live_with(camera) && !self.0.is_closing.load(Ordering::SeqCst)
        };
        self.0.streams.get(&camera.id).is_some_and(|handle| joins(&handle))
    }

    async fn start_by_supervisor(&self, camera: Camera) -> Result<Joined, Error> {
        let waited = timeout(self.patience(), async {
            loop {
                let (answer, _interest) = self.begin(camera.clone()).await?;
                match answer.await {
                    Ok(answer) => return answer,
                    // The stream was ending and is gone: the next round starts another.
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        });
        waited.await.unwrap_or_else(|_| Err(self.start_took_too_long(&camera.id)))
    }

    /// Starts the camera's stream, or joins it, in the background.
    pub fn start_soon(&self, camera: Camera) -> Result<StreamHandle, Error> {
        let handle = self.get_or_spawn(&camera)?;
        let registry = self.clone();
        // The stream's state shows the result. The supervisor gets the camera in any case: what it
        // knows besides source and options can be out of date.
        tokio::spawn(async move { registry.start_by_supervisor(camera).await });
        Ok(handle)
    }

    /// Sends a start to the camera's stream, which is made if there is none. The stream keeps running
    /// for as long as the caller holds the interest.
    async fn begin(
        &self,
        camera: Camera,
    ) -> Result<(oneshot::Receiver<StartAnswer>, Interest), Error> {
        loop {
            let handle = self.get_or_spawn(&camera)?;
            let interest = handle.interest(Purpose::Start);
            let (send, answer) = oneshot::channel();
            if handle.commands.send(Command::Start(camera.clone(), send)).await.is_ok() {
                return Ok((answer, interest));
            }
            // It ended before the command arrived, and removes its name. If its supervisor has
            // failed, the name is removed here.
            handle.gone().await;
            remove(&self.0.streams, &handle);
        }
    }

    /// Ends the camera's stream and waits until it is gone. Returns false when there was none.
    pub(crate) async fn stop(&self, id: &StreamId) -> bool {
        let Some(handle) = self.get(id) else { return false };
        // Closed: it is ending already.
        let _ = handle.commands.send(Command::Stop).await;
        // The ingest is killed when the grace period is over; everything else takes no time.
        let patience = self.limits().stop_grace + Duration::from_secs(2);
        if timeout(patience, handle.gone()).await.is_err() {
            warn!(camera = %id, "the stream takes long to end");
        }
        true
    }

    /// Ends all streams, refuses new ones, and waits until all are gone.
    pub(crate) async fn shutdown(&self) {
        self.0.is_closing.store(true, Ordering::SeqCst);
        // A start that read the flag before can still add a stream.
        loop {
            let streams = self.all();
            if streams.is_empty() {
                return;
            }
            for stream in &streams {
                // Closed: it is ending already.
                let _ = stream.commands.send(Command::Shutdown).await;
            }
            for stream in &streams {
                stream.gone().await;
                remove(&self.0.streams, stream);
            }
        }
    }

    /// The one place where streams are made: under the map's lock for the name, so that there is
    /// never more than one.
    fn get_or_spawn(&self, camera: &Camera) -> Result<StreamHandle, Error> {
        let (inner, resources) = (&self.0, &self.0.resources);
        // Read before the entry is locked: the length needs all parts of the map.
        let is_full = inner.streams.len() >= resources.max_streams;
        let entry = inner.streams.entry(camera.id.clone());
        // Read under the entry's lock: a shutdown that is not seen here sees this entry.
        if inner.is_closing.load(Ordering::SeqCst) {
            return Err(Error::shutting_down());
        }
        match entry {
            Entry::Occupied(entry) => Ok(entry.get().clone()),
            Entry::Vacant(_) if is_full => {
                let max = resources.max_streams;
                let detail = format!("{max} streams are running, which is the limit");
                let error = Error::new(ErrorKind::TooManyStreams, detail);
                Err(resources.counters.refused(error.retry_after(RETRY_WHEN_FULL)))
            }
            Entry::Vacant(entry) => {
                let may_start = resources
                    .starts
                    .ensure_capacity()
                    .and_then(|()| resources.output.ensure_ready());
                may_start.map_err(|error| resources.counters.refused(error))?;
                let streams = Arc::clone(&inner.streams);
                let on_gone = move |gone: &StreamHandle| remove(&streams, gone);
                let handle = spawn::spawn(camera.clone(), resources, inner.active.share(), on_gone);
                entry.insert(handle.clone());
                Ok(handle)
            }
        }
    }

    fn start_took_too_long(&self, id: &StreamId) -> Error {
        let last = self.get(id).and_then(|handle| handle.status().last_error);
        match last {
            Some((error, _)) => error,
            None => Error::new(ErrorKind::SourceTimeout, "the stream was not playable in time"),
        }
    }
}

fn remove(streams: &DashMap<StreamId, StreamHandle>, gone: &StreamHandle) {
    streams.remove_if(gone.id(), |_, handle| handle.is_same(gone));
}
