//! Waiting for several tasks.

use tokio::task::JoinSet;
use tracing::warn;

/// Waits for all tasks and returns the results in the order in which the tasks ended. Logs a task that
/// panicked, and leaves it out.
pub(crate) async fn join_all<T: 'static>(mut tasks: JoinSet<T>) -> Vec<T> {
    let mut results = Vec::with_capacity(tasks.len());
    while let Some(ended) = tasks.join_next().await {
        results.extend(ended.inspect_err(|error| warn!(%error, "a task panicked")));
    }
    results
}
