//! Waiting for several tasks.

use tokio::task::JoinSet;
use tracing::warn;

/// Waits for all tasks and returns their results in the order in which they ended. A task that
/// panicked is logged and left out.
pub(crate) async fn join_all<T: 'static>(mut tasks: JoinSet<T>) -> Vec<T> {
    let mut results = Vec::with_capacity(tasks.len());
    while let Some(ended) = tasks.join_next().await {
        results.extend(ended.inspect_err(|error| warn!(%error, "a task panicked")));
    }
    results
}
