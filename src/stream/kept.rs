//! The streams that run without viewers, because their cameras have the option `keep: always`.
//!
//! Supervisors read this set at every event, so that a change takes effect at once. The lock is held
//! while a kept stream is created. So a client's stop at the same time either prevents the creation, or
//! ends the stream that was created.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::base::lock::lock;
use crate::camera::id::StreamId;

/// The streams of cameras with `keep: always`. Clones share the set.
#[derive(Debug, Clone, Default)]
pub(super) struct KeptStreams(Arc<Mutex<HashMap<StreamId, Keeping>>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeping {
    /// The stream is kept: it runs even without viewers.
    Running,
    /// A client has stopped the stream. It is kept again after its next start.
    Stopped,
}

impl KeptStreams {
    /// Adds a stream if the set does not contain it. Returns whether the stream was added.
    pub(super) fn add(&self, id: &StreamId) -> bool {
        let mut all = lock(&self.0);
        let is_new = !all.contains_key(id);
        if is_new {
            all.insert(id.clone(), Keeping::Running);
        }
        is_new
    }

    /// Removes a stream whose camera no longer has the option.
    pub(super) fn remove(&self, id: &StreamId) {
        lock(&self.0).remove(id);
    }

    /// Notes that a client stops a stream.
    pub(super) fn stop(&self, id: &StreamId) {
        if let Some(keeping) = lock(&self.0).get_mut(id) {
            *keeping = Keeping::Stopped;
        }
    }

    /// Adds a stream that a client starts. A stream that was stopped is kept again.
    pub(super) fn resume(&self, id: &StreamId) {
        lock(&self.0).insert(id.clone(), Keeping::Running);
    }

    /// Returns whether the stream is kept and no client has stopped it.
    pub(super) fn contains(&self, id: &StreamId) -> bool {
        lock(&self.0).get(id) == Some(&Keeping::Running)
    }

    /// Calls `create` if the stream is kept and no client has stopped it. Holds the lock during the call.
    pub(super) fn if_kept<T>(&self, id: &StreamId, create: impl FnOnce() -> T) -> Option<T> {
        let all = lock(&self.0);
        (all.get(id) == Some(&Keeping::Running)).then(create)
    }

    /// Returns the kept streams that no client has stopped, sorted by id.
    pub(super) fn all(&self) -> Vec<StreamId> {
        let all = lock(&self.0);
        let running = all.iter().filter(|(_, keeping)| **keeping == Keeping::Running);
        let mut ids: Vec<_> = running.map(|(id, _)| id.clone()).collect();
        ids.sort_unstable();
        ids
    }
}
