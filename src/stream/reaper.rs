//! Proposes that idle streams and unused outputs end, and logs the viewers who have left. A stream's
//! supervisor decides what ends, because a viewer may have returned in the meantime.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::handle::Command;
use super::registry::Registry;

/// Proposes every `period` that idle streams and unused outputs end. Never returns.
pub(crate) async fn run(registry: Registry, period: Duration) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        propose(&registry);
    }
}

/// Proposes that all streams and outputs that are idle now end. Forgets and logs the viewers who have
/// left.
pub fn propose(registry: &Registry) {
    let idle_timeout = registry.limits().idle_timeout;
    registry.for_each(|handle| {
        handle.forget_viewers();
        if handle.idle_for() >= idle_timeout || handle.has_unused_output(idle_timeout) {
            // A supervisor whose queue is full gets the proposal of the next pass.
            let _ = handle.commands.try_send(Command::Idle);
        }
    });
}
