//! The pipes of a child: a task of its own reads each to its end, because a child whose pipe is full
//! stops.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;
use tracing::Instrument as _;

/// The pipes of a child that has ended close at once, unless a process outside of its group holds
/// them. After this time what was read so far has to do.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// A task that reads one pipe. Dropping it ends the task.
#[derive(Debug)]
pub(crate) struct PipeReader<T> {
    task: JoinHandle<T>,
    /// What the task returned, once it has ended.
    ended: Option<Result<T, JoinError>>,
}

impl<T: Send + 'static> PipeReader<T> {
    /// Runs `read` in a task, within the caller's span.
    pub(crate) fn spawn(read: impl Future<Output = T> + Send + 'static) -> Self {
        Self { task: tokio::spawn(read.in_current_span()), ended: None }
    }

    /// Whether [`PipeReader::ended`] has seen the end.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Waits until the pipe is read to its end. Returns what the task returned, or `None` when it
    /// panicked. Can be cancelled and called again.
    pub(crate) async fn ended(&mut self) -> Option<&T> {
        if self.ended.is_none() {
            self.ended = Some((&mut self.task).await);
        }
        self.ended.as_ref()?.as_ref().ok()
    }

    /// What the task returned. To be called when the child has ended: `None` when the pipe stays
    /// open nevertheless, or the task panicked.
    pub(crate) async fn finish(mut self) -> Option<T> {
        // A task that hangs ends as this is dropped.
        let _ = timeout(CLOSE_WITHIN, self.ended()).await;
        self.ended.take()?.ok()
    }
}

impl<T> Drop for PipeReader<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Writes all of a child's input, and closes the pipe. `text` must be shorter than what a pipe holds
/// (64 KiB), so that this does not wait.
pub(crate) async fn write_all(mut stdin: ChildStdin, text: String) {
    // A child that has ended already reports why on stderr.
    let _ = stdin.write_all(text.as_bytes()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_read_is_returned_once() {
        let mut reader = PipeReader::spawn(async { "all" });
        assert!(!reader.has_ended());
        assert_eq!(reader.ended().await, Some(&"all"));
        assert_eq!(reader.ended().await, Some(&"all"), "can be called again");
        assert!(reader.has_ended());
        assert_eq!(reader.finish().await, Some("all"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pipe_that_stays_open_is_given_up() {
        let reader = PipeReader::spawn(std::future::pending::<()>());
        assert_eq!(reader.finish().await, None);
    }
}
