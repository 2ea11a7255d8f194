//! Recently used cameras in memory, so that requests for running streams neither query the database nor
//! unseal anything.
//!
//! The database decides. A change removes the cameras that it concerns, and a look-up adds what it has
//! read, in this order:
//!
//! 1. A look-up without a result notes the version ([`Miss`]), reads the database, and adds what it
//!    has read only if the version is still the same.
//! 2. A change commits, and then raises the version and removes its cameras in one step
//!    ([`Invalidation`]), also if the commit fails, and before the change is reported as done.
//!
//! A look-up that read the database before a commit has noted the version before the change raised it.
//! It either adds the old camera before that step, which removes it, or finds another version and adds
//! nothing. So once a change is done, the old camera is never returned.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex};

use crate::base::lock::lock;
use crate::camera::id::CameraId;
use crate::camera::record::Record;

/// The cache keeps at least this many of the cameras that were used last, and at most twice as many. A
/// camera takes about 2 KiB.
const GENERATION: usize = 5_000;

/// The cache. Clones share it.
#[derive(Clone, Default)]
pub(super) struct RecordCache(Arc<Mutex<Generations>>);

#[derive(Default)]
struct Generations {
    /// The number of changes so far.
    version: u64,
    /// Cameras that were used since the last turn.
    recent: HashMap<CameraId, Arc<Record>>,
    /// Cameras that were used in the time before. The next turn drops them.
    older: HashMap<CameraId, Arc<Record>>,
}

/// A look-up without a result, and the version of the cache at that time.
pub(super) struct Miss {
    version: u64,
}

/// Removes cameras from the cache when it is dropped.
pub(super) struct Invalidation {
    cache: RecordCache,
    ids: Vec<CameraId>,
}

impl RecordCache {
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

    /// Adds a camera that was read from the database after `miss`, unless a change was made since.
    pub(super) fn add(&self, miss: &Miss, record: &Arc<Record>) {
        let mut all = lock(&self.0);
        if all.version == miss.version {
            all.insert(Arc::clone(record));
        }
    }

    /// Prepares the removal of cameras that a change concerns.
    pub(super) fn invalidation(&self, ids: Vec<CameraId>) -> Invalidation {
        Invalidation { cache: self.clone(), ids }
    }
}

impl Generations {
    fn insert(&mut self, record: Arc<Record>) {
        if self.recent.len() >= GENERATION {
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
        cache.get(&id(number)).err().expect("no such camera in the cache")
    }

    #[test]
    fn what_was_read_is_returned_until_it_changes() {
        let cache = RecordCache::default();
        cache.add(&miss(&cache, 1), &record(1));
        assert!(cache.get(&id(1)).is_ok());
        drop(cache.invalidation(vec![id(2)]));
        assert!(cache.get(&id(1)).is_ok());
        drop(cache.invalidation(vec![id(1)]));
        miss(&cache, 1);
    }

    #[test]
    fn what_was_read_before_a_change_is_never_added_after_it() {
        let cache = RecordCache::default();
        let (early, late) = (miss(&cache, 1), miss(&cache, 1));
        // One look-up adds what it has read before the change removes it, the other one after that.
        cache.add(&early, &record(1));
        drop(cache.invalidation(vec![id(1)]));
        miss(&cache, 1);
        cache.add(&late, &record(1));
        miss(&cache, 1);
    }

    #[test]
    fn the_cameras_that_were_used_last_stay() {
        let cache = RecordCache::default();
        cache.add(&miss(&cache, 0), &record(0));
        for number in 1..4 * GENERATION {
            cache.add(&miss(&cache, number), &record(number));
            assert!(cache.get(&id(0)).is_ok(), "after {number}");
        }
        let all = lock(&cache.0);
        assert!((GENERATION..=2 * GENERATION).contains(&(all.recent.len() + all.older.len())));
    }
}
