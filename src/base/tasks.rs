//! Waiting for several tasks, and noticing that long-lived tasks have ended.

use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;
use tracing::warn;

use super::lock::lock;

/// Waits for all tasks and returns the results in the order in which the tasks ended. A task that panicked or
/// was aborted has no result, and is logged.
pub(crate) async fn join_all<T: 'static>(mut tasks: JoinSet<T>) -> Vec<T> {
    let mut results = Vec::with_capacity(tasks.len());
    while let Some(ended) = tasks.join_next().await {
        results.extend(ended.inspect_err(|error| warn!(%error, "a task ended without a result")));
    }
    results
}

/// The names of the long-lived tasks that have ended. Cheap to clone; clones share the names.
#[derive(Debug, Clone, Default)]
pub(crate) struct EndedTasks(Arc<Mutex<Vec<&'static str>>>);

impl EndedTasks {
    /// Returns a future that runs `task`. When `task` ends, panics or is aborted, its `name` is added to the
    /// names of the tasks that have ended.
    pub(crate) fn watch<T, F: Future<Output = T>>(
        &self,
        name: &'static str,
        task: F,
    ) -> impl Future<Output = T> + use<T, F> {
        let end = End { name, ended: self.clone() };
        async move {
            let _end = end;
            task.await
        }
    }

    /// Returns the names of the tasks that have ended, in the order in which they ended.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        lock(&self.0).clone()
    }
}

/// When dropped, adds the name of a task to the names of the tasks that have ended.
struct End {
    name: &'static str,
    ended: EndedTasks,
}

impl Drop for End {
    fn drop(&mut self) {
        lock(&self.ended.0).push(self.name);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn, ready};
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn a_long_lived_task_is_listed_after_it_ends_panics_or_is_aborted() {
        let ended = EndedTasks::default();
        let running = tokio::spawn(ended.watch("running", pending::<()>()));
        let aborted = tokio::spawn(ended.watch("aborted", pending::<()>()));
        assert_eq!(tokio::spawn(ended.watch("returned", ready(1))).await.expect("a result"), 1);
        let panics = poll_fn(|_| -> Poll<()> { panic!("the task panics") });
        tokio::spawn(ended.watch("panicked", panics)).await.expect_err("a panic");
        assert_eq!(ended.names(), ["returned", "panicked"]);
        aborted.abort();
        aborted.await.expect_err("an abort");
        assert_eq!(ended.names(), ["returned", "panicked", "aborted"]);
        running.abort();
    }
}
