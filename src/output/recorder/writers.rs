//! The threads that write recorded files. They can wait for a disk, and no other thread does.
//!
//! The files of a directory share a few threads. Each file has a queue. If a queue is full, because the disk is slow, the
//! recorder waits, and the stream's hub keeps the frames in the meantime. If the disk is too slow for too long, the
//! recorder misses frames, which it counts.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::counters::RecordingCounters;
use super::directories::Claimed;
use super::file_writer::FileWriter;
use super::fragmenter::{Init, MadeFragment};
use super::layout::FileName;
use super::open_files::OpenFile;
use crate::base::lock::lock;
use crate::store::db::fragment_list::RecordedFragment;

/// The number of threads for each directory. Two of them write 100 streams of 4 Mbit/s in 3 to 4 % of a core.
const THREADS: usize = 2;
/// The most bytes in a queue: 16 seconds at 8 Mbit/s. A single larger fragment is accepted as well.
const MAX_QUEUED: usize = 16 * 1024 * 1024;

/// The threads of one directory. They end when the last queue and the last clone are dropped. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Writers(Arc<Pool>);

#[derive(Debug)]
struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    ready: Mutex<Ready>,
    wake: Condvar,
    counters: RecordingCounters,
    waits: Mutex<Waits>,
}

/// The times that data waits for the disk.
#[derive(Debug, Default)]
struct Waits {
    /// For each thread, the time from which on the data of its present job waits; `None` without a job.
    since: [Option<Instant>; THREADS],
    /// The longest time of a job that is done.
    longest: Duration,
}

/// The queues with work that no thread has taken yet.
#[derive(Debug, Default)]
struct Ready {
    queues: VecDeque<Arc<Queue>>,
    is_closed: bool,
}

/// The queue of one stream.
#[derive(Debug)]
struct Queue {
    state: Mutex<QueueState>,
    /// Notified when there is space in the queue.
    space: Notify,
    /// Only the thread that has taken the queue locks the worker.
    worker: Mutex<Worker>,
}

#[derive(Debug, Default)]
struct QueueState {
    jobs: VecDeque<Job>,
    bytes: usize,
    /// True while a thread has the queue, or while the queue waits for a thread.
    is_scheduled: bool,
    /// The error of a write that has failed. The jobs of the file are dropped.
    failure: Option<Arc<io::Error>>,
}

/// A step of writing a file.
#[derive(Debug)]
pub(crate) enum Job {
    /// Begins a file.
    Begin {
        /// The directory.
        dir: Claimed,
        /// The file's name.
        name: FileName,
        /// The init segment.
        init: Arc<Init>,
        /// The fragments that were written.
        open: Arc<OpenFile>,
    },
    /// Appends a fragment.
    Append {
        /// The fragment.
        fragment: MadeFragment,
        /// Its beginning in the file, in milliseconds.
        begin_ms: u32,
        /// Its playing time in milliseconds.
        duration_ms: u32,
        /// The time at which the fragment was complete.
        made_at: Instant,
    },
    /// Ends the file.
    End {
        /// Receives the result.
        done: oneshot::Sender<WrittenFile>,
    },
}

/// A file that was closed.
#[derive(Debug)]
pub(crate) struct WrittenFile {
    /// Size in bytes; `None` if the file has no fragment and was deleted, or could not be created.
    pub(crate) bytes: Option<u64>,
    /// The number of frames of video.
    pub(crate) frames: u32,
    /// The fragments.
    pub(crate) fragments: Vec<RecordedFragment>,
}

/// The state of writing one stream.
#[derive(Debug, Default)]
struct Worker {
    file: Option<CurrentFile>,
}

#[derive(Debug)]
struct CurrentFile {
    writer: FileWriter,
    open: Arc<OpenFile>,
    /// True if a write has failed. The file then ends with its last whole fragment.
    has_failed: bool,
}

/// A stream's access to its queue. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct WriteQueue {
    queue: Arc<Queue>,
    pool: Writers,
}

impl Writers {
    /// Starts the threads for the directory with this position in `RECORDINGS_DIRS`.
    pub(crate) fn start(index: usize, counters: RecordingCounters) -> io::Result<Self> {
        let (ready, wake, waits) = (Mutex::default(), Condvar::new(), Mutex::default());
        let shared = Arc::new(Shared { ready, wake, counters, waits });
        let pool = Self(Arc::new(Pool(Arc::clone(&shared))));
        for number in 0..THREADS {
            let shared = Arc::clone(&shared);
            let name = format!("recordings-{index}-{number}");
            thread::Builder::new().name(name).spawn(move || shared.run(number))?;
        }
        Ok(pool)
    }

    /// Returns the longest time that data has waited for the disk since the last call, or waits now.
    pub(crate) fn take_longest_wait(&self) -> Duration {
        let mut waits = lock(&self.0.0.waits);
        let now = waits.since.iter().flatten().map(Instant::elapsed).max().unwrap_or_default();
        std::mem::take(&mut waits.longest).max(now)
    }

    /// Returns a queue for a stream.
    pub(crate) fn queue(&self) -> WriteQueue {
        let (state, space, worker) = (Mutex::default(), Notify::new(), Mutex::default());
        WriteQueue { queue: Arc::new(Queue { state, space, worker }), pool: self.clone() }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.0.ready).is_closed = true;
        self.0.wake.notify_all();
    }
}

impl WriteQueue {
    /// Adds a job. Waits while the queue is full. Can be cancelled; the job is then not added.
    pub(crate) async fn push(&self, job: Job) {
        let size = job.size();
        loop {
            let space = self.queue.space.notified();
            let is_full = {
                let state = lock(&self.queue.state);
                state.bytes > 0 && state.bytes + size > MAX_QUEUED
            };
            if !is_full {
                break;
            }
            space.await;
        }
        self.push_now(job);
    }

    /// Adds a job, even if the queue is full.
    pub(crate) fn push_now(&self, job: Job) {
        let is_idle = {
            let mut state = lock(&self.queue.state);
            state.bytes += job.size();
            state.jobs.push_back(job);
            !std::mem::replace(&mut state.is_scheduled, true)
        };
        if is_idle {
            self.pool.0.0.schedule(&self.queue);
        }
    }

    /// Returns the error of a write that has failed since the last call, if any.
    pub(crate) fn take_failure(&self) -> Option<Arc<io::Error>> {
        lock(&self.queue.state).failure.take()
    }
}

impl Shared {
    fn schedule(&self, queue: &Arc<Queue>) {
        lock(&self.ready).queues.push_back(Arc::clone(queue));
        self.wake.notify_one();
    }

    /// Works until the pool is dropped and no work is left, as the thread with this number.
    fn run(&self, thread: usize) {
        while let Some(queue) = self.next() {
            if queue.work(self, thread) {
                self.schedule(&queue);
            }
        }
    }

    /// Notes from which time on the data of a thread's job waits; `None` if the job is done.
    fn note_wait(&self, thread: usize, since: Option<Instant>) {
        let mut waits = lock(&self.waits);
        if let Some(place) = waits.since.get_mut(thread)
            && let Some(before) = std::mem::replace(place, since)
        {
            waits.longest = waits.longest.max(before.elapsed());
        }
    }

    /// Waits for a queue with work. Returns `None` at the end.
    fn next(&self) -> Option<Arc<Queue>> {
        let mut ready = lock(&self.ready);
        loop {
            if let Some(queue) = ready.queues.pop_front() {
                return Some(queue);
            }
            if ready.is_closed {
                return None;
            }
            ready = self.wake.wait(ready).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Queue {
    /// Does the next job. Returns true if there are more jobs, so that the queue must be scheduled again. A thread takes
    /// one job of a queue at a time, so that no stream delays the others.
    fn work(&self, shared: &Shared, thread: usize) -> bool {
        let job = lock(&self.state).jobs.pop_front();
        let Some(job) = job else { return self.rest(0) };
        let (size, made_at) = (job.size(), job.made_at());
        shared.note_wait(thread, Some(made_at.unwrap_or_else(Instant::now)));
        let done = lock(&self.worker).run(job);
        shared.note_wait(thread, None);
        match (done, made_at) {
            (Ok(()), Some(made_at)) => shared.counters.wrote(made_at.elapsed()),
            (Ok(()), None) => {}
            (Err(error), _) => lock(&self.state).failure = Some(Arc::new(error)),
        }
        self.rest(size)
    }

    fn rest(&self, done: usize) -> bool {
        let mut state = lock(&self.state);
        state.bytes = state.bytes.saturating_sub(done);
        state.is_scheduled = !state.jobs.is_empty();
        let has_more = state.is_scheduled;
        drop(state);
        self.space.notify_waiters();
        has_more
    }
}

impl Job {
    fn size(&self) -> usize {
        match self {
            Self::Append { fragment, .. } => fragment.size(),
            Self::Begin { .. } | Self::End { .. } => 0,
        }
    }

    /// Returns the time at which the fragment of the job was complete.
    fn made_at(&self) -> Option<Instant> {
        match self {
            Self::Append { made_at, .. } => Some(*made_at),
            Self::Begin { .. } | Self::End { .. } => None,
        }
    }
}

impl Worker {
    fn run(&mut self, job: Job) -> io::Result<()> {
        match job {
            Job::Begin { dir, name, init, open } => {
                self.file = None;
                dir.ensure_present()?;
                let writer = FileWriter::create(&dir.path, &name.path(), &init, Arc::clone(&open))?;
                self.file = Some(CurrentFile { writer, open, has_failed: false });
                Ok(())
            }
            Job::Append { fragment, begin_ms, duration_ms, made_at: _ } => {
                let Some(file) = self.file.as_mut().filter(|file| !file.has_failed) else {
                    return Ok(());
                };
                let appended = file.writer.append(&fragment, begin_ms, duration_ms);
                if appended.is_err() {
                    file.has_failed = true;
                    file.writer.cut()?;
                }
                appended
            }
            Job::End { done } => {
                let Some(CurrentFile { writer, open, .. }) = self.file.take() else {
                    return Ok(());
                };
                let (bytes, result) = match writer.close() {
                    Ok(bytes) => (bytes, Ok(())),
                    Err(error) => (None, Err(error)),
                };
                let (frames, fragments) = open.written();
                // The recorder may have ended.
                drop(done.send(WrittenFile { bytes, frames, fragments }));
                result
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::SystemTime;

    use super::*;
    use crate::output::recorder::layout::MARKER;
    use crate::output::recorder::open_files::OpenFiles;
    use crate::output::recorder::testing::{made, open_file, recorded};

    #[tokio::test]
    async fn jobs_are_done_in_order_and_failures_are_reported() {
        let setup = recorded(SystemTime::UNIX_EPOCH).await;
        let recorder = setup.recorder(SystemTime::UNIX_EPOCH).await;
        let dir = recorder.directories().usable().remove(0);
        let (key, init) = ((&setup.stream().await).into(), made(0, 40, true).init);
        let name = FileName { key, start_at: 7, span: 9 };
        let begin = || Job::Begin {
            dir: dir.clone(),
            name: name.clone(),
            init: Arc::clone(&init),
            open: OpenFiles::default().add(open_file(1, 7)),
        };
        let append = || Job::Append {
            fragment: made(0, 40, true),
            begin_ms: 0,
            duration_ms: 40,
            made_at: Instant::now(),
        };
        let writers = Writers::start(0, RecordingCounters::default()).expect("threads");
        let queue = writers.queue();
        let (done, written) = oneshot::channel();
        queue.push_now(begin());
        for _ in 0..100 {
            queue.push(append()).await;
        }
        queue.push_now(Job::End { done });
        let written = written.await.expect("a file");
        let path = dir.path.join(name.path());
        let length = fs::metadata(&path).expect("a file").len();
        assert_eq!((written.bytes, written.fragments.len()), (Some(length), 100));
        assert!(queue.take_failure().is_none());

        fs::remove_file(&path).expect("a file");
        fs::remove_file(dir.path.join(MARKER)).expect("a marker");
        let (done, written) = oneshot::channel();
        for job in [begin(), append(), Job::End { done }] {
            queue.push_now(job);
        }
        written.await.expect_err("no file");
        assert!(queue.take_failure().is_some() && queue.take_failure().is_none());
        assert!(!path.exists(), "something was stored without a marker");
    }
}
