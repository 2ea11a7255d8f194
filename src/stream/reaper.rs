//! Looks for streams that nobody watches, and proposes their end. The supervisor decides: a
//! viewer may have come back meanwhile. Says in the log who has left.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::handle::Command;
use super::registry::Registry;

/// Proposes an end to idle streams, every `period`, for ever.
pub async fn run(registry: Registry, period: Duration) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        propose(&registry);
    }
}

/// One pass: proposes an end to every stream that is idle now.
pub fn propose(registry: &Registry) {
    let idle_timeout = registry.limits().idle_timeout;
    registry.for_each(|handle| {
        handle.forget_viewers();
        if handle.idle_for() >= idle_timeout {
            // A supervisor too busy to take it is asked again next time.
            let _ = handle.commands.try_send(Command::Idle);
        }
    });
}
