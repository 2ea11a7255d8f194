//! The callers who wait for a start.

use tokio::sync::oneshot;

use super::handle::{Joined, StartAnswer};
use crate::base::error::Error;

/// The callers who want to know when the stream is playable. No more than there are connections.
#[derive(Debug, Default)]
pub(super) struct Waiters(Vec<oneshot::Sender<StartAnswer>>);

impl Waiters {
    /// Adds a caller, and forgets those who have left.
    pub(super) fn add(&mut self, caller: oneshot::Sender<StartAnswer>) {
        self.0.retain(|caller| !caller.is_closed());
        self.0.push(caller);
    }

    /// Returns the number of callers who have not been answered.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there were callers, and all of them have left without an answer.
    pub(super) fn have_all_left(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(oneshot::Sender::is_closed)
    }

    /// Answers all callers that the stream is playable.
    pub(super) fn announce(&mut self, joined: Joined) {
        self.answer(&Ok(joined));
    }

    /// Answers all callers with the cause.
    pub(super) fn refuse(&mut self, error: &Error) {
        self.answer(&Err(error.clone()));
    }

    fn answer(&mut self, answer: &StartAnswer) {
        for caller in self.0.drain(..) {
            // A caller who has left needs no answer.
            let _ = caller.send(answer.clone());
        }
    }
}
