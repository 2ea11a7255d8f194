//! The callers who wait for the result of a start.

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::handle::{Joined, StartResult};
use super::output::WantedOutput;
use crate::base::error::Error;

/// The callers who wait until the stream, or the output that they want, is playable, or until the start
/// fails or is delayed.
#[derive(Debug, Default)]
pub(super) struct Waiters(Vec<Waiter>);

#[derive(Debug)]
struct Waiter {
    wanted: WantedOutput,
    since: Instant,
    caller: oneshot::Sender<StartResult>,
}

impl Waiters {
    /// Adds a caller who waits for the output `wanted`, or only for the stream. Removes the callers who have left.
    pub(super) fn add(&mut self, wanted: WantedOutput, caller: oneshot::Sender<StartResult>) {
        self.0.retain(|waiter| !waiter.caller.is_closed());
        self.0.push(Waiter { wanted, since: Instant::now(), caller });
    }

    /// Returns the number of callers who wait.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there are callers and all of them have left before the result.
    pub(super) fn have_all_left(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|waiter| waiter.caller.is_closed())
    }

    /// Returns the time at which the first of the callers who wait for the output began to wait; `None` if no
    /// caller waits for the output.
    pub(super) fn output_since(&self) -> Option<Instant> {
        self.0.iter().filter(|waiter| waiter.wanted == WantedOutput::Hls).map(|it| it.since).min()
    }

    /// Sends `joined`, which reports a playable stream, to the callers who want no output. If the output is
    /// playable, also sends it to all other callers.
    pub(super) fn announce(&mut self, joined: &Joined, is_output_playable: bool) {
        let result = Ok(joined.clone());
        self.send(&result, |wanted| wanted == WantedOutput::None || is_output_playable);
    }

    /// Reports a delay of the start to all callers.
    pub(super) fn delay(&mut self, reason: Error) {
        self.send(&Ok(Joined::Delayed(reason)), |_| true);
    }

    /// Reports a delay of the output to the callers who wait for it.
    pub(super) fn delay_output(&mut self, reason: Error) {
        self.send(&Ok(Joined::Delayed(reason)), |wanted| wanted == WantedOutput::Hls);
    }

    /// Reports the error to all callers.
    pub(super) fn refuse(&mut self, error: &Error) {
        self.send(&Err(error.clone()), |_| true);
    }

    /// Reports the error to the callers who wait for the output.
    pub(super) fn refuse_output(&mut self, error: &Error) {
        self.send(&Err(error.clone()), |wanted| wanted == WantedOutput::Hls);
    }

    /// Sends the result to some of the callers: `selects` decides by the output that a caller wants.
    fn send(&mut self, result: &StartResult, selects: impl Fn(WantedOutput) -> bool) {
        for waiter in self.0.extract_if(.., |waiter| selects(waiter.wanted)) {
            // A caller who has left needs no result.
            let _ = waiter.caller.send(result.clone());
        }
    }
}
