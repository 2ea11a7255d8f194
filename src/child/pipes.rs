//! The pipes of a child. A separate task reads each pipe to the end, because a child blocks while it
//! writes to a full pipe.

use std::io::Cursor;
use std::time::Duration;

use bytes::Buf as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::ChildStdin;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;
use tracing::Instrument as _;

/// The longest wait for the end of a pipe after the child has ended. Usually the pipe closes at once. It
/// stays open if a process outside of the child's process group still has the writing end open.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Reads a pipe up to its end or up to `max` bytes, and returns the bytes.
pub(crate) async fn read_up_to(pipe: impl AsyncRead + Unpin, max: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // After a read error, the result is the bytes that were read before it.
    let _ = pipe.take(max).read_to_end(&mut bytes).await;
    bytes
}

/// Reads a pipe to its end, and returns the first `max` bytes. The rest is read as well, because a
/// signal would kill FFmpeg if it wrote messages to a closed pipe.
pub(crate) async fn first_of(mut pipe: impl AsyncRead + Unpin, max: u64) -> Vec<u8> {
    let bytes = read_up_to(&mut pipe, max).await;
    // The rest is discarded, so a read error does not matter.
    let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    bytes
}

/// A task that reads one pipe. Dropping the reader ends the task.
#[derive(Debug)]
pub(crate) struct PipeReader<T> {
    task: JoinHandle<T>,
    /// The result of the task; `None` until a call of [`PipeReader::wait`] has completed.
    result: Option<Result<T, JoinError>>,
}

impl<T: Send + 'static> PipeReader<T> {
    /// Runs `read` in a task, within the caller's span.
    pub(crate) fn spawn(read: impl Future<Output = T> + Send + 'static) -> Self {
        Self { task: tokio::spawn(read.in_current_span()), result: None }
    }

    /// Returns whether a call of [`PipeReader::wait`] has completed.
    pub(crate) fn has_ended(&self) -> bool {
        self.result.is_some()
    }

    /// Waits until the task has read the pipe to the end. Returns the output of the task, or `None` if
    /// the task panicked. Can be cancelled and called again.
    pub(crate) async fn wait(&mut self) -> Option<&T> {
        if self.result.is_none() {
            self.result = Some((&mut self.task).await);
        }
        self.result.as_ref()?.as_ref().ok()
    }

    /// Ends the task, which closes the pipe. [`Self::wait`] then returns `None`, unless the task had already
    /// ended.
    pub(crate) fn close(&self) {
        self.task.abort();
    }

    /// Returns the output of the task; `None` if the pipe stays open for another second, or if the task
    /// panicked. Call this after the child has ended.
    pub(crate) async fn finish(mut self) -> Option<T> {
        // If the time runs out, dropping the reader ends the task.
        let _ = timeout(CLOSE_WITHIN, self.wait()).await;
        self.result.take()?.ok()
    }
}

impl<T> Drop for PipeReader<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Writes some of the pending bytes. Drops all of them if the child has closed its input. Can be cancelled without losing
/// bytes.
pub(crate) async fn write_some(stdin: &mut Option<ChildStdin>, pending: &mut Cursor<Vec<u8>>) {
    let is_open = match stdin {
        Some(stdin) => stdin.write_buf(pending).await.is_ok(),
        None => false,
    };
    if !is_open {
        // The child is about to end, which closes its outputs.
        *stdin = None;
        pending.advance(pending.remaining());
    }
}

/// Writes `text` to a child's standard input and closes the pipe. `text` must fit into the buffer of a
/// pipe (64 KiB), so that this function does not wait for the child.
pub(crate) async fn write_all(mut stdin: ChildStdin, text: String) {
    // Fails if the child has already ended. In this case, the child has reported the reason on stderr.
    let _ = stdin.write_all(text.as_bytes()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_output_of_the_task_is_returned() {
        let mut reader = PipeReader::spawn(async { "all" });
        assert!(!reader.has_ended());
        assert_eq!(reader.wait().await, Some(&"all"));
        assert_eq!(reader.wait().await, Some(&"all"), "can be called again");
        assert!(reader.has_ended());
        assert_eq!(reader.finish().await, Some("all"));
    }

    #[tokio::test(start_paused = true)]
    async fn finish_does_not_wait_for_a_pipe_that_stays_open() {
        let reader = PipeReader::spawn(std::future::pending::<()>());
        assert_eq!(reader.finish().await, None);
    }
}
