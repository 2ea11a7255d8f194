//! The threads that streams run on.
//!
//! A stream is a chain of small tasks. One task reads FFmpeg's output and publishes frames. If HLS runs, another
//! task makes segments from the frames and writes the segments to files. On a runtime with several threads, each
//! task would wake another thread for each frame of each camera, which would cost more than the work itself. So
//! all tasks of a stream share one thread, whose runtime never hands work to other threads. Requests run on
//! another runtime, so that many simultaneous requests do not delay the streams.
//!
//! A thread with many streams rests between two wake-ups, so that each wake-up serves the frames of
//! several streams. FFmpeg also benefits, because writing to a pipe costs less if the write wakes no thread.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// The threads of all streams. Cheap to clone. When the last clone is dropped, the threads end and drop
/// the tasks that still run.
#[derive(Debug, Clone)]
pub struct Threads {
    runtimes: Arc<[Handle]>,
    _end: Arc<watch::Sender<()>>,
}

impl Threads {
    /// Starts one thread per processor, or a single thread if the number of processors is unknown.
    pub fn start() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let (end, ended) = watch::channel(());
        let runtimes: io::Result<_> = (0..count).map(|_| start_one(ended.clone())).collect();
        Ok(Self { runtimes: runtimes?, _end: Arc::new(end) })
    }

    /// Creates a pool that consists of the current runtime and starts no threads.
    #[cfg(test)]
    pub(crate) fn here() -> Self {
        let (end, _) = watch::channel(());
        Self { runtimes: [Handle::current()].into(), _end: Arc::new(end) }
    }

    /// Returns the thread with the fewest tasks, for a new stream.
    ///
    /// # Panics
    ///
    /// Never panics, because there is at least one thread.
    pub(crate) fn pick(&self) -> &Handle {
        let least = self.runtimes.iter().min_by_key(|runtime| runtime.metrics().num_alive_tasks());
        #[expect(clippy::expect_used, reason = "there is at least one processor")]
        least.expect("at least one thread")
    }
}

fn start_one(mut ended: watch::Receiver<()>) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .on_thread_park(rest)
        .on_thread_unpark(note_wake_up)
        .build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new().name("streams".into()).spawn(move || {
        // Returns when the last clone of the threads is dropped.
        let _ = runtime.block_on(ended.changed());
        // Unlike a drop of the runtime, this does not wait for a write to a disk that hangs. So the thread can end.
        runtime.shutdown_background();
    })?;
    Ok(handle)
}

/// The time from one wake-up of a busy thread to the next. On average, a frame waits for half this time.
const WAKE_UP_INTERVAL: Duration = Duration::from_millis(6);

thread_local! {
    /// The last two wake-ups of this thread, the older one first.
    static WAKE_UPS: Cell<[Option<Instant>; 2]> = const { Cell::new([None, None]) };
}

fn note_wake_up() {
    WAKE_UPS.set([WAKE_UPS.get()[1], Some(Instant::now())]);
}

/// Sleeps before the thread waits for events, if the thread was woken up twice within little more than
/// [`WAKE_UP_INTERVAL`]. A thread with few streams does not sleep, so events wake it up at once.
fn rest() {
    let [Some(before), Some(last)] = WAKE_UPS.get() else { return };
    let is_busy = last.duration_since(before) < WAKE_UP_INTERVAL + WAKE_UP_INTERVAL / 2;
    let left = WAKE_UP_INTERVAL.saturating_sub(last.elapsed());
    if is_busy && !left.is_zero() {
        thread::sleep(left);
    }
}
