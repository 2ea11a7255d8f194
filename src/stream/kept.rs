//! The kept streams, which run without viewers: the main streams of cameras with the option `keep: always`, and the
//! streams that are recorded or analysed, except the streams that a client has stopped.
//!
//! Supervisors check at every event whether their stream is kept, so that a change takes effect at once. The lock
//! is held while a kept stream is created. So a client's stop at the same time either prevents the creation, or
//! ends the stream that was created.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::base::lock::lock;
use crate::camera::id::StreamId;

/// The streams that there is a reason to keep, including those that a client has stopped. Clones share the set.
#[derive(Debug, Clone, Default)]
pub(super) struct KeptStreams(Arc<Mutex<HashMap<StreamId, Keeping>>>);

#[derive(Debug, Clone, Default)]
struct Keeping {
    /// True if the camera has `keep: always`.
    has_option: bool,
    /// The number of holds. A recording and an analysis can hold the same stream, and so can the search for pictures of
    /// another analysis.
    holds: u32,
    /// True if a client has stopped the stream. After its next start, it is kept again.
    is_stopped: bool,
}

/// A reason to keep a stream, until this value is dropped. A stream that a client has stopped stays stopped as long as there
/// is any reason to keep it.
#[derive(Debug)]
pub(crate) struct Hold {
    of: KeptStreams,
    id: StreamId,
}

impl KeptStreams {
    /// Notes that the stream's camera has `keep: always`. Returns false without a change if this is known, or if a client has
    /// stopped the stream.
    pub(super) fn add(&self, id: &StreamId) -> bool {
        let mut all = lock(&self.0);
        let keeping = all.entry(id.clone()).or_default();
        !std::mem::replace(&mut keeping.has_option, true) && !keeping.is_stopped
    }

    /// Notes that the stream's camera does not have `keep: always` any more.
    pub(super) fn remove(&self, id: &StreamId) {
        self.change(id, |keeping| keeping.has_option = false);
    }

    /// Returns a further reason to keep a stream.
    pub(super) fn hold(&self, id: &StreamId) -> Hold {
        lock(&self.0).entry(id.clone()).or_default().holds += 1;
        Hold { of: self.clone(), id: id.clone() }
    }

    /// Changes the reasons to keep a stream. Forgets the stream if there are none any more.
    fn change(&self, id: &StreamId, change: impl FnOnce(&mut Keeping)) {
        let mut all = lock(&self.0);
        if let Some(keeping) = all.get_mut(id) {
            change(keeping);
            if !keeping.has_option && keeping.holds == 0 {
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

    /// Notes that a client starts a stream, whose camera can have `keep: always`. A stream that was stopped is kept again, if
    /// there is a reason to keep it.
    pub(super) fn resume(&self, id: &StreamId, has_option: bool) {
        let mut all = lock(&self.0);
        if let Some(keeping) = all.get_mut(id) {
            keeping.is_stopped = false;
        }
        if has_option {
            all.entry(id.clone()).or_default().has_option = true;
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

impl Hold {
    /// Returns the stream.
    pub(crate) fn id(&self) -> &StreamId {
        &self.id
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.of.change(&self.id, |keeping| keeping.holds -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_kept_as_long_as_there_is_a_reason() {
        let (kept, id) = (KeptStreams::default(), StreamId::parse("cam").expect("an id"));
        let recording = kept.hold(&id);
        assert!(kept.add(&id));
        assert!(!kept.add(&id));
        drop(recording);
        assert!(kept.is_kept(&id));
        kept.stop(&id);
        assert!(!kept.is_kept(&id) && kept.all().is_empty());
        let recording = kept.hold(&id);
        assert!(!kept.is_kept(&id), "a stopped stream stays stopped");
        kept.resume(&id, false);
        assert!(kept.is_kept(&id));
        kept.remove(&id);
        drop(recording);
        assert!(!kept.is_kept(&id));
        kept.resume(&id, false);
        assert!(!kept.is_kept(&id));
        kept.resume(&id, true);
        assert_eq!(kept.all(), [id]);
    }

    #[test]
    fn one_hold_does_not_end_another_one() {
        let (kept, id) = (KeptStreams::default(), StreamId::parse("cam").expect("an id"));
        let (one, other) = (kept.hold(&id), kept.hold(&id));
        drop(one);
        assert!(kept.is_kept(&id));
        kept.stop(&id);
        let third = kept.hold(&id);
        drop(other);
        assert!(!kept.is_kept(&id), "a stopped stream stays stopped");
        kept.resume(&id, false);
        assert!(kept.is_kept(&id));
        drop(third);
        assert!(!kept.is_kept(&id) && lock(&kept.0).is_empty());
    }
}
