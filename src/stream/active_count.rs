//! The number of active streams, kept up to date so that reading it costs little.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of streams whose state [is active](super::state::State::is_active). Clones share the number.
#[derive(Debug, Clone, Default)]
pub(super) struct ActiveCount(Arc<AtomicUsize>);

/// One stream's contribution to the count: one while the stream is active. Removed when dropped.
#[derive(Debug)]
pub(super) struct ActiveShare {
    count: ActiveCount,
    is_active: bool,
}

impl ActiveCount {
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns the share of a new stream, and counts the stream as active.
    pub(super) fn share(&self) -> ActiveShare {
        let mut share = ActiveShare { count: self.clone(), is_active: false };
        share.set(true);
        share
    }
}

impl ActiveShare {
    /// Sets whether the stream is active, and updates the count.
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
