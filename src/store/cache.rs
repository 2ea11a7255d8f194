//! A cache of recently used cameras, so that requests for running streams neither query the database
//! nor open sealed sources.
//!
//! The database is authoritative. The cache never returns a camera that is older than the last change
//! that was reported as done. Two rules ensure this:
//!
//! 1. A look-up that finds nothing in the cache notes the version of the cache ([`Miss`]), and then reads
//!    the database. It adds the camera that it has read only if the version is still the same.
//! 2. When the commit of a change has succeeded or failed, the change raises the version and removes the
//!    changed cameras from the cache, both in one step, the *invalidation* ([`Invalidation`]). The change is
//!    reported as done only after its invalidation.
//!
//! Suppose that a look-up reads the old camera before the commit. It noted the version before the invalidation
//! raised the version. If the look-up adds the camera before the invalidation, the invalidation removes the camera.
//! If the look-up tries to add the camera afterwards, the version is higher, and it adds nothing.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex};

use crate::base::lock::lock;
use crate::camera::id::CameraId;
use crate::camera::record::Record;

/// The cache keeps at least this many of the most recently used cameras, and at most twice as many. A
/// camera takes about 2 KiB.
const MIN_KEPT: usize = 5_000;

/// The cache. Clones share it.
#[derive(Clone, Default)]
pub(super) struct RecordCache(Arc<Mutex<Entries>>);

/// The cached cameras. When `recent` is full, it replaces `older`, and a new `recent` begins.
#[derive(Default)]
struct Entries {
    /// The number of changes so far.
    version: u64,
    /// Cameras that were used since `recent` was last empty.
    recent: HashMap<CameraId, Arc<Record>>,
    /// The previous content of `recent`, without the cameras that have been used since then.
    older: HashMap<CameraId, Arc<Record>>,
}

/// The version of the cache at a look-up that found nothing.
pub(super) struct Miss {
    version: u64,
}

/// A pending removal of cameras from the cache. They are removed when this value is dropped.
pub(super) struct Invalidation {
    cache: RecordCache,
    ids: Vec<CameraId>,
}

impl RecordCache {
    /// Returns a camera, or a [`Miss`] if the camera is not in the cache.
    pub(super) fn get(&self, id: &CameraId) -> Result<Arc<Record>, Miss> {
        let mut all = lock(&self.0);
        if let Some(record) = all.recent.get(id) {
            return Ok(Arc::clone(record));
        }
        match all.older.remove(id) {
            Some(record) => {
                all.insert(Arc::clone(&record));
                Ok(record)
            }
            None => Err(Miss { version: all.version }),
        }
    }

    /// Adds a camera that was read from the database after `miss`, unless any camera has changed since.
    pub(super) fn add(&self, miss: &Miss, record: &Arc<Record>) {
        let mut all = lock(&self.0);
        if all.version == miss.version {
            all.insert(Arc::clone(record));
        }
    }

    /// Prepares the removal of the cameras that a change affects.
    pub(super) fn invalidation(&self, ids: Vec<CameraId>) -> Invalidation {
        Invalidation { cache: self.clone(), ids }
    }
}

impl Entries {
    fn insert(&mut self, record: Arc<Record>) {
        if self.recent.len() >= MIN_KEPT {
            self.older = mem::take(&mut self.recent);
        }
        self.recent.insert(record.id.clone(), record);
    }
}

impl Drop for Invalidation {
    fn drop(&mut self) {
        let mut all = lock(&self.cache.0);
        all.version += 1;
        for id in &self.ids {
            all.recent.remove(id);
            all.older.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::id::Profile;
    use crate::camera::source::Source;
    use crate::camera::source_spec::SourceSpec;

    fn id(number: usize) -> CameraId {
        CameraId::parse(&number.to_string()).expect("an id")
    }

    fn record(number: usize) -> Arc<Record> {
        let source = Source::parse("rtsp://cam/x").expect("a link");
        Arc::new(Record::new(id(number), SourceSpec::from_link(Profile::Main, source)))
    }

    fn miss(cache: &RecordCache, number: usize) -> Miss {
        cache.get(&id(number)).err().expect("the camera is not in the cache")
    }

    #[test]
    fn a_camera_is_returned_until_it_changes() {
        let cache = RecordCache::default();
        cache.add(&miss(&cache, 1), &record(1));
        assert!(cache.get(&id(1)).is_ok());
        drop(cache.invalidation(vec![id(2)]));
        assert!(cache.get(&id(1)).is_ok());
        drop(cache.invalidation(vec![id(1)]));
        miss(&cache, 1);
    }

    #[test]
    fn a_camera_that_was_read_before_a_change_is_not_added_after_it() {
        let cache = RecordCache::default();
        let (early, late) = (miss(&cache, 1), miss(&cache, 1));
        // Both look-ups have read the old camera. `early` adds it before the change, `late` after the change.
        cache.add(&early, &record(1));
        drop(cache.invalidation(vec![id(1)]));
        miss(&cache, 1);
        cache.add(&late, &record(1));
        miss(&cache, 1);
    }

    #[test]
    fn the_most_recently_used_cameras_are_kept() {
        let cache = RecordCache::default();
        cache.add(&miss(&cache, 0), &record(0));
        for number in 1..4 * MIN_KEPT {
            cache.add(&miss(&cache, number), &record(number));
            assert!(cache.get(&id(0)).is_ok(), "after {number}");
        }
        let all = lock(&cache.0);
        assert!((MIN_KEPT..=2 * MIN_KEPT).contains(&(all.recent.len() + all.older.len())));
    }
}
