//! Runs work that may block its thread, for example by writing to a disk.

use tokio::task::spawn_blocking;
use tracing::warn;

/// Runs `work` on `consumer`, and returns the result. If `can_block` is true, the work is done on a thread
/// for blocking work. Returns `None` if the work panics on that thread.
pub(crate) async fn on_thread<C: Send + 'static, R: Send + 'static>(
    consumer: C,
    can_block: bool,
    work: impl FnOnce(C) -> R + Send + 'static,
) -> Option<R> {
    if !can_block {
        return Some(work(consumer));
    }
    let done = spawn_blocking(move || work(consumer)).await;
    done.inspect_err(|error| warn!(%error, "the stream's output has panicked")).ok()
}
