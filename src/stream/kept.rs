//! The kept streams, which run without viewers: the main streams of cameras with the option `keep: always`, and the
//! streams that are recorded or analysed, except the streams that a client has stopped.
//!
//! Supervisors check at every event whether their stream is kept, so that a change takes effect at once. The lock
//! is held while a kept stream is created. So a client's stop at the same time either prevents the creation, or
//! ends the stream that was created.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use crate::base::lock::lock;
use crate::camera::id::StreamId;

/// The streams that there is a reason to keep, including those that a client has stopped. Clones share the set.
#[derive(Debug, Clone, Default)]
pub(super) struct KeptStreams(Arc<Mutex<HashMap<StreamId, Keeping>>>);

/// A reason to keep a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KeepReason {
    /// The camera has `keep: always`.
    Option,
    /// The stream is recorded.
    Recording,
    /// The stream's pictures are analysed.
    Analysis,
}

#[derive(Debug, Clone, Default)]
struct Keeping {
    reasons: BTreeSet<KeepReason>,
    /// True if a client has stopped the stream. After its next start, it is kept again.
    is_stopped: bool,
}

impl KeptStreams {
    /// Adds a reason to keep a stream. Returns false without a change if the stream already has this reason, even if a
    /// client has stopped it.
    pub(super) fn add(&self, id: &StreamId, reason: KeepReason) -> bool {
        let mut all = lock(&self.0);
        let keeping = all.entry(id.clone()).or_default();
        keeping.reasons.insert(reason) && !keeping.is_stopped
    }

    /// Removes a reason to keep a stream.
    pub(super) fn remove(&self, id: &StreamId, reason: KeepReason) {
        let mut all = lock(&self.0);
        if let Some(keeping) = all.get_mut(id) {
            keeping.reasons.remove(&reason);
            if keeping.reasons.is_empty() {
                all.remove(id);
            }
        }
    }

    /// Notes that a client stops a stream. The stream stays in the set, but is not kept.
    pub(super) fn stop(&self, id: &StreamId) {
        if let Some(keeping) = lock(&self.0).get_mut(id) {
            keeping.is_stopped = true;
        }
    }

    /// Notes that a client starts a stream, and adds a reason to keep it, if there is one. A stream that was stopped is
    /// kept again, if there is a reason to keep it.
    pub(super) fn resume(&self, id: &StreamId, reason: Option<KeepReason>) {
        let mut all = lock(&self.0);
        if let Some(keeping) = all.get_mut(id) {
            keeping.is_stopped = false;
        }
        if let Some(reason) = reason {
            all.entry(id.clone()).or_default().reasons.insert(reason);
        }
    }

    /// Returns whether the stream is kept.
    pub(super) fn is_kept(&self, id: &StreamId) -> bool {
        lock(&self.0).get(id).is_some_and(|keeping| !keeping.is_stopped)
    }

    /// Calls `create` if the stream is kept. Holds the lock during the call.
    pub(super) fn if_kept<T>(&self, id: &StreamId, create: impl FnOnce() -> T) -> Option<T> {
        let all = lock(&self.0);
        all.get(id).is_some_and(|keeping| !keeping.is_stopped).then(create)
    }

    /// Returns the kept streams, sorted by id.
    pub(super) fn all(&self) -> Vec<StreamId> {
        let all = lock(&self.0);
        let running = all.iter().filter(|(_, keeping)| !keeping.is_stopped);
        let mut ids: Vec<_> = running.map(|(id, _)| id.clone()).collect();
        ids.sort_unstable();
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_kept_as_long_as_there_is_a_reason() {
        let (kept, id) = (KeptStreams::default(), StreamId::parse("cam").expect("an id"));
        assert!(kept.add(&id, KeepReason::Recording));
        assert!(!kept.add(&id, KeepReason::Recording));
        assert!(kept.add(&id, KeepReason::Option));
        kept.remove(&id, KeepReason::Recording);
        assert!(kept.is_kept(&id));
        kept.stop(&id);
        assert!(!kept.is_kept(&id) && kept.all().is_empty());
        assert!(!kept.add(&id, KeepReason::Recording), "a stopped stream stays stopped");
        kept.resume(&id, None);
        assert!(kept.is_kept(&id));
        kept.remove(&id, KeepReason::Option);
        kept.remove(&id, KeepReason::Recording);
        assert!(!kept.is_kept(&id));
        kept.resume(&id, None);
        assert!(!kept.is_kept(&id));
        kept.resume(&id, Some(KeepReason::Option));
        assert_eq!(kept.all(), [id]);
    }
}
