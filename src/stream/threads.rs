//! The threads that streams run on.
//!
//! A stream is a chain of small tasks: bytes come from FFmpeg, become a fragment, are written. On a
//! runtime with several threads each of them wakes another thread, ten times a second for each
//! camera, which costs more than the work. So all tasks of a stream share one thread, with a runtime
//! of its own that never hands work to others. Requests have another runtime: many of them at the
//! same time do not delay the streams.

use std::io;
use std::sync::Arc;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// The threads of all streams. Cheap to clone. They end when the last clone is dropped, and drop the
/// tasks that still run.
#[derive(Debug, Clone)]
pub struct Threads {
    runtimes: Arc<[Handle]>,
    _end: Arc<watch::Sender<()>>,
}

impl Threads {
    /// Starts as many threads as there are processors.
    pub fn start() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let (end, ended) = watch::channel(());
        let runtimes: io::Result<_> = (0..count).map(|_| start_one(ended.clone())).collect();
        Ok(Self { runtimes: runtimes?, _end: Arc::new(end) })
    }

    /// Returns the current runtime, in place of threads.
    #[cfg(test)]
    pub(crate) fn here() -> Self {
        let (end, _) = watch::channel(());
        Self { runtimes: [Handle::current()].into(), _end: Arc::new(end) }
    }

    /// Returns the thread with the fewest tasks, for a new stream.
    ///
    /// # Panics
    ///
    /// Never: there is at least one.
    pub(crate) fn pick(&self) -> &Handle {
        let least = self.runtimes.iter().min_by_key(|runtime| runtime.metrics().num_alive_tasks());
        #[expect(clippy::expect_used, reason = "there is at least one processor")]
        least.expect("at least one thread")
    }
}

fn start_one(mut ended: watch::Receiver<()>) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new().name("streams".into()).spawn(move || {
        // Returns when the last clone of the threads is dropped.
        let _ = runtime.block_on(ended.changed());
        // A disk that hangs must not keep the thread.
        runtime.shutdown_background();
    })?;
    Ok(handle)
}
