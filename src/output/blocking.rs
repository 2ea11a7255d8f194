//! Consumers that block their thread, as writing to a disk does.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tracing::warn;

use crate::media::fragment::Fragment;
use crate::media::hub::{Gap, HubReader};

/// Feeds `consumer` from `fragments` by way of `take`, until the stream has ended or `end` is sent
/// or dropped. Returns the consumer; `None` after a panic of it.
///
/// A consumer that can block takes each fragment on one of tokio's blocking threads: a disk that
/// hangs holds up this consumer alone. One that cannot, since it writes to memory, takes them here,
/// which costs less than handing the work to another thread. One that is too slow misses fragments
/// and never slows the ingest.
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
    done.inspect_err(|error| warn!(%error, "an output failed")).ok()
}
