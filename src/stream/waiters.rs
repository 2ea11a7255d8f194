//! The callers who wait for the result of a start.

use tokio::sync::oneshot;

use super::handle::{Joined, StartResult};
use crate::base::error::Error;

/// The callers who wait until the stream is playable, or its start is delayed.
#[derive(Debug, Default)]
pub(super) struct Waiters(Vec<oneshot::Sender<StartResult>>);

impl Waiters {
    /// Adds a caller, and removes callers who have left.
    pub(super) fn add(&mut self, caller: oneshot::Sender<StartResult>) {
        self.0.retain(|caller| !caller.is_closed());
        self.0.push(caller);
    }

    /// Returns the number of callers who wait.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there are callers and all of them have left before the result.
    pub(super) fn have_all_left(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(oneshot::Sender::is_closed)
    }

    /// Reports the state of the stream to all callers.
    pub(super) fn announce(&mut self, joined: &Joined) {
        self.send(&Ok(joined.clone()));
    }

    /// Reports the error to all callers.
    pub(super) fn refuse(&mut self, error: &Error) {
        self.send(&Err(error.clone()));
    }

    fn send(&mut self, result: &StartResult) {
        for caller in self.0.drain(..) {
            // A caller who has left needs no result.
            let _ = caller.send(result.clone());
        }
    }
}
