//! Runs consumers that may block their thread, for example by writing to a disk.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tracing::warn;

use crate::media::fragment::Fragment;
use crate::media::hub::{Gap, HubReader};

/// Calls `take` with `consumer` and each of the `fragments`, until the stream has ended or `end` is
/// sent or dropped. Returns the consumer, or `None` if `take` panics on a blocking thread.
///
/// If the consumer `can_block`, `take` runs on one of tokio's blocking threads, so that a disk that
/// hangs delays this consumer only. Otherwise, for example if the consumer writes to memory, `take`
/// runs on the current thread, which costs less. A consumer that is too slow misses fragments; it never
/// slows the ingest.
pub(crate) async fn run_on_thread<C: Send + 'static>(
    mut consumer: C,
    can_block: bool,
    mut fragments: HubReader,
    mut end: oneshot::Receiver<()>,
    take: fn(&mut C, Result<Arc<Fragment>, Gap>),
) -> Option<C> {
    loop {
        let next = tokio::select! {
            next = fragments.next() => next.transpose(),
            _ = &mut end => None,
        };
        let Some(next) = next else { return Some(consumer) };
        let work = move |mut consumer| {
            take(&mut consumer, next);
            consumer
        };
        consumer = on_thread(consumer, can_block, work).await?;
    }
}

/// Returns the result of `work` with `consumer`. If the work `can_block`, it runs on one of tokio's
/// blocking threads, and `None` is returned if it panics there.
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
