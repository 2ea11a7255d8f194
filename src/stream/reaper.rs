//! Proposes the end of streams that are idle, and logs the viewers who left. The supervisor decides:
//! a viewer can come back in the meantime.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::handle::Command;
use super::registry::Registry;

/// Proposes the end of idle streams every `period`, for ever.
pub(crate) async fn run(registry: Registry, period: Duration) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        propose(&registry);
    }
}

/// Proposes the end of all streams that are idle now.
pub fn propose(registry: &Registry) {
    let idle_timeout = registry.limits().idle_timeout;
    registry.for_each(|handle| {
        handle.forget_viewers();
        if handle.idle_for() >= idle_timeout {
            // A supervisor that is too busy gets the next pass's proposal.
            let _ = handle.commands.try_send(Command::Idle);
        }
    });
}
