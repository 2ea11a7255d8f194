//! The number of active streams, for those who ask often.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many streams are active. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct ActiveCount(Arc<AtomicUsize>);

/// One stream's share in the count, given back when dropped.
#[derive(Debug)]
pub(super) struct ActiveShare {
    count: ActiveCount,
    is_active: bool,
}

impl ActiveCount {
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns the share of a stream, which is active from now on.
    pub(super) fn share(&self) -> ActiveShare {
        let mut share = ActiveShare { count: self.clone(), is_active: false };
        share.set(true);
        share
    }
}

impl ActiveShare {
    /// Notes whether the stream is active.
    pub(super) fn set(&mut self, is_active: bool) {
        match (std::mem::replace(&mut self.is_active, is_active), is_active) {
            (false, true) => self.count.0.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.count.0.fetch_sub(1, Ordering::Relaxed),
            _ => return,
        };
    }
}

impl Drop for ActiveShare {
    fn drop(&mut self) {
        self.set(false);
    }
}
