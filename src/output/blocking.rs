//! Runs consumers that may block their thread, for example by writing to a disk.

use tokio::task::spawn_blocking;
use tracing::warn;

/// Does `work` with `consumer`, on a thread of its own if that can block. Returns `None` after a
/// panic there.
pub(crate) async fn on_thread<C: Send + 'static, R: Send + 'static>(
    consumer: C,
    can_block: bool,
    work: impl FnOnce(C) -> R + Send + 'static,
) -> Option<R> {
    if !can_block {
        return Some(work(consumer));
    }
    let done = spawn_blocking(move || work(consumer)).await;
    done.inspect_err(|error| warn!(%error, "an output panicked")).ok()
}
