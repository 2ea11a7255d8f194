//! The limit for the memory of the frames that all hubs together keep.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A limit for the frames that all hubs keep, in bytes. If a hub publishes frames while the limit is exceeded,
/// the hub drops the frames that it does not need (see [`FrameHub::new`](super::hub::FrameHub::new)). Cheap to
/// clone; all clones share one limit.
#[derive(Debug, Clone)]
pub struct FrameBudget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: u64,
    used: AtomicU64,
}

/// The part of a [`FrameBudget`] that one hub uses. Returned to the budget when the hub and all its readers
/// are dropped.
#[derive(Debug)]
pub(super) struct FrameShare {
    budget: FrameBudget,
    used: u64,
}

impl FrameBudget {
    /// Creates a budget of `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self(Arc::new(Shared { limit, used: AtomicU64::new(0) }))
    }

    /// Returns the size of the frames that all hubs keep, in bytes. A keyframe does not count if the frames after
    /// it are not kept.
    pub(crate) fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Returns the share of a hub that keeps no frames yet.
    pub(super) fn share(&self) -> FrameShare {
        FrameShare { budget: self.clone(), used: 0 }
    }
}

impl FrameShare {
    /// Reports that the hub keeps `bytes` of frames. Returns true if all hubs together keep more than the
    /// limit.
    pub(super) fn set(&mut self, bytes: u64) -> bool {
        let Shared { limit, used } = &*self.budget.0;
        // If the size decreases, the difference wraps around. The addition then wraps around as well, so the sum is
        // correct.
        let change = bytes.wrapping_sub(self.used);
        self.used = bytes;
        used.fetch_add(change, Ordering::Relaxed).wrapping_add(change) > *limit
    }
}

impl Drop for FrameShare {
    fn drop(&mut self) {
        self.set(0);
    }
}
