//! What is known of a stream's FFmpegs besides their video: the last lines that they said, over
//! all generations, and what the one that runs uses of the machine.
//!
//! Lines come here without secrets: `stderr.rs` removes them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use crate::base::proc;

/// Lines kept: what FFmpeg says at its start is about 30.
const MAX_LINES: usize = 200;
/// The first look at what a new FFmpeg uses comes after this time, so that its state soon tells.
const FIRST_LOOK: Duration = Duration::from_secs(1);
/// And one more every so often.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// One per stream, for all its generations.
#[derive(Debug, Default)]
pub struct ProcessLog {
    lines: Mutex<VecDeque<Line>>,
    usage: Mutex<Option<Usage>>,
}

/// A line of FFmpeg's stderr, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it was read.
    pub at: SystemTime,
    /// Which run of FFmpeg said it.
    pub generation: u64,
    /// What it says.
    pub text: String,
}

/// What an FFmpeg uses of the machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Processor time since its start.
    pub cpu_time: Duration,
    /// Its share of one processor core over the last seconds; 1 is all of it.
    pub cpu_share: f64,
    /// Bytes of memory that are its own, so without the program and its libraries.
    pub memory: u64,
}

impl ProcessLog {
    /// For what the FFmpeg of `generation` says.
    pub fn writer(self: &Arc<Self>, generation: u64) -> Writer {
        Writer { journal: Arc::clone(self), generation }
    }

    /// The lines that are kept, oldest first.
    pub fn lines(&self) -> Vec<Line> {
        lock(&self.lines).iter().cloned().collect()
    }

    /// What the FFmpeg that runs uses; `None` when none runs, or has only just begun.
    pub fn usage(&self) -> Option<Usage> {
        *lock(&self.usage)
    }

    /// Looks again and again at what the process `pid` uses, until this is dropped.
    pub async fn watch(&self, pid: Pid) -> Infallible {
        // Forgets it, however the watching ends.
        let _watching = Watching(self);
        let (mut looked_at, mut used) = (Instant::now(), Duration::ZERO);
        let mut pause = FIRST_LOOK;
        loop {
            sleep(pause).await;
            pause = LOOK_EVERY;
            let (Some(cpu_time), Some(memory)) = (proc::cpu_time(pid), proc::memory(pid)) else {
                continue;
            };
            let passed = looked_at.elapsed().as_secs_f64();
            let cpu_share = cpu_time.saturating_sub(used).as_secs_f64() / passed.max(0.001);
            (looked_at, used) = (Instant::now(), cpu_time);
            *lock(&self.usage) = Some(Usage { cpu_time, cpu_share, memory: memory.anonymous });
        }
    }
}

struct Watching<'a>(&'a ProcessLog);

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        *lock(&self.0.usage) = None;
    }
}

/// Writes down what one run of FFmpeg says.
#[derive(Debug, Clone)]
pub struct Writer {
    journal: Arc<ProcessLog>,
    generation: u64,
}

impl Writer {
    /// Writes down a line without secrets. The oldest one makes room for it.
    pub fn note(&self, text: &str) {
        let line =
            Line { at: SystemTime::now(), generation: self.generation, text: text.to_owned() };
        let mut lines = lock(&self.journal.lines);
        if lines.len() == MAX_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_all_generations_are_kept() {
        let journal = Arc::new(ProcessLog::default());
        journal.writer(6).note("before");
        let writer = journal.writer(7);
        for number in 1..MAX_LINES {
            writer.note(&number.to_string());
        }
        let lines = journal.lines();
        assert_eq!((lines[0].generation, lines[0].text.as_str()), (6, "before"));
        writer.note("last");
        let lines = journal.lines();
        assert_eq!(lines.len(), MAX_LINES);
        assert_eq!((lines[0].generation, lines[0].text.as_str()), (7, "1"));
        assert_eq!(lines.last().map(|line| line.text.as_str()), Some("last"));
    }

    #[tokio::test]
    async fn what_a_process_uses_is_known_while_it_is_watched() {
        let journal = ProcessLog::default();
        assert_eq!(journal.usage(), None);
        let watching = journal.watch(Pid::this());
        tokio::pin!(watching);
        while journal.usage().is_none() {
            let _ = tokio::time::timeout(Duration::from_millis(10), &mut watching).await;
        }
        let usage = journal.usage().expect("a look");
        assert!(usage.memory > 100_000 && usage.cpu_time > Duration::ZERO, "{usage:?}");
        assert!(usage.cpu_share > 0.0, "{usage:?}");
    }
}
