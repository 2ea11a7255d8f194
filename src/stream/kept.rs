//! The kept streams, which run without viewers: the main streams of cameras with the option `keep: always`,
//! except the streams that a client has stopped.
//!
//! Supervisors check at every event whether their stream is kept, so that a change takes effect at once. The lock
//! is held while a kept stream is created. So a client's stop at the same time either prevents the creation, or
//! ends the stream that was created.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::base::lock::lock;
use crate::camera::id::StreamId;

/// The main streams of cameras with `keep: always`, including those that a client has stopped. Clones share the set.
#[derive(Debug, Clone, Default)]
pub(super) struct KeptStreams(Arc<Mutex<HashMap<StreamId, Keeping>>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeping {
    /// The stream is kept: it runs even without viewers.
    Running,
    /// The stream is not kept, because a client has stopped it. After its next start, it is kept again.
    Stopped,
}

impl KeptStreams {
    /// Adds a stream, which is then kept. Returns false without a change if the set already contains the stream,
    /// even if a client has stopped it.
    pub(super) fn add(&self, id: &StreamId) -> bool {
        let mut all = lock(&self.0);
        let is_new = !all.contains_key(id);
        if is_new {
            all.insert(id.clone(), Keeping::Running);
        }
        is_new
    }

    /// Removes a stream whose camera no longer has `keep: always`.
    pub(super) fn remove(&self, id: &StreamId) {
        lock(&self.0).remove(id);
    }

    /// Notes that a client stops a stream. The stream stays in the set, but is not kept.
    pub(super) fn stop(&self, id: &StreamId) {
        if let Some(keeping) = lock(&self.0).get_mut(id) {
            *keeping = Keeping::Stopped;
        }
    }

    /// Adds a stream that a client starts. A stream that was stopped is kept again.
    pub(super) fn resume(&self, id: &StreamId) {
        lock(&self.0).insert(id.clone(), Keeping::Running);
    }

    /// Returns whether the stream is kept.
    pub(super) fn is_kept(&self, id: &StreamId) -> bool {
        lock(&self.0).get(id) == Some(&Keeping::Running)
    }

    /// Calls `create` if the stream is kept. Holds the lock during the call.
    pub(super) fn if_kept<T>(&self, id: &StreamId, create: impl FnOnce() -> T) -> Option<T> {
        let all = lock(&self.0);
        (all.get(id) == Some(&Keeping::Running)).then(create)
    }

    /// Returns the kept streams, sorted by id.
    pub(super) fn all(&self) -> Vec<StreamId> {
        let all = lock(&self.0);
        let running = all.iter().filter(|(_, keeping)| **keeping == Keeping::Running);
        let mut ids: Vec<_> = running.map(|(id, _)| id.clone()).collect();
        ids.sort_unstable();
        ids
    }
}
