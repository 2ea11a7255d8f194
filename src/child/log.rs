//! The most recent lines that a stream's child processes printed on stderr, in this epoch and earlier ones, and
//! the resource usage of the children that are running.
//!
//! Callers must remove secrets from lines before adding them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use crate::base::lock::lock;
use crate::base::proc;

/// The largest number of lines that are kept. FFmpeg prints about 30 when it starts.
const MAX_LINES: usize = 200;
/// The time from the start of a child to the first measurement of the child's usage.
const FIRST_SAMPLE_AFTER: Duration = Duration::from_secs(1);
/// The time between later measurements.
const SAMPLE_EVERY: Duration = Duration::from_secs(5);

/// The log and the resource usage of one stream's children, for all its epochs.
#[derive(Debug, Default)]
pub struct ProcessLog {
    lines: Mutex<VecDeque<Line>>,
    /// The last measurement of each child that is watched.
    usage: Mutex<Vec<Measured>>,
}

/// What a child does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// It reads the camera, or converts video or sound.
    Stream,
    /// It decodes pictures, for viewers and for the analysis.
    Pictures,
}

/// The last measurement of a child.
#[derive(Debug)]
struct Measured {
    pid: Pid,
    work: Work,
    usage: Usage,
}

/// A line of a child's stderr, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The time at which the manager read the line.
    pub at: SystemTime,
    /// The number of the epoch whose child printed the line.
    pub epoch: u64,
    /// The text.
    pub text: String,
}

/// The resources that a child uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// CPU time since the child started.
    pub cpu_time: Duration,
    /// Average CPU use since the previous measurement, in cores: 1 is one whole core.
    pub cpu_share: f64,
    /// Anonymous memory in bytes, which excludes the code of the program and its libraries.
    pub memory: u64,
}

impl ProcessLog {
    /// Returns a writer for the child of `epoch`.
    pub fn writer(self: &Arc<Self>, epoch: u64) -> Writer {
        Writer { log: Arc::clone(self), epoch }
    }

    /// Returns the kept lines, oldest first.
    pub fn lines(&self) -> Vec<Line> {
        lock(&self.lines).iter().cloned().collect()
    }

    /// Returns the sum of the most recently measured usage of all running children; `None` if no child is
    /// running, or if no running child has been measured yet.
    pub fn usage(&self) -> Option<Usage> {
        sum(lock(&self.usage).iter())
    }

    /// Returns the same for the running children that do this work.
    pub fn usage_for(&self, work: Work) -> Option<Usage> {
        sum(lock(&self.usage).iter().filter(|measured| measured.work == work))
    }

    /// Measures the usage of the process `pid`, which does this work, at intervals, until the future is dropped. Dropping
    /// the future also removes the measurement.
    pub async fn watch(&self, pid: Pid, work: Work) -> Infallible {
        let watching = Watching { log: self, pid, work };
        let (mut measured_at, mut used) = (Instant::now(), Duration::ZERO);
        let mut pause = FIRST_SAMPLE_AFTER;
        loop {
            sleep(pause).await;
            pause = SAMPLE_EVERY;
            let (Some(cpu_time), Some(memory)) = (proc::cpu_time(pid), proc::memory(pid)) else {
                continue;
            };
            let passed = measured_at.elapsed().as_secs_f64();
            let cpu_share = cpu_time.saturating_sub(used).as_secs_f64() / passed.max(0.001);
            (measured_at, used) = (Instant::now(), cpu_time);
            watching.note(Usage { cpu_time, cpu_share, memory: memory.anonymous });
        }
    }
}

/// Returns the sum of measurements; `None` if there are none.
fn sum<'a>(measured: impl Iterator<Item = &'a Measured>) -> Option<Usage> {
    measured.map(|one| one.usage).reduce(|a, b| Usage {
        cpu_time: a.cpu_time + b.cpu_time,
        cpu_share: a.cpu_share + b.cpu_share,
        memory: a.memory + b.memory,
    })
}

/// A child that is watched. Removes the child's measurement when dropped.
struct Watching<'a> {
    log: &'a ProcessLog,
    pid: Pid,
    work: Work,
}

impl Watching<'_> {
    fn note(&self, measured: Usage) {
        let mut usage = lock(&self.log.usage);
        match usage.iter_mut().find(|one| one.pid == self.pid) {
            Some(one) => one.usage = measured,
            None => usage.push(Measured { pid: self.pid, work: self.work, usage: measured }),
        }
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        lock(&self.log.usage).retain(|one| one.pid != self.pid);
    }
}

/// A writer that adds the lines of one epoch to the log.
#[derive(Debug, Clone)]
pub struct Writer {
    log: Arc<ProcessLog>,
    epoch: u64,
}

impl Writer {
    /// Adds a line, which must not contain secrets. Removes the oldest line if the log is full.
    pub fn note(&self, text: &str) {
        let line = Line { at: SystemTime::now(), epoch: self.epoch, text: text.to_owned() };
        let mut lines = lock(&self.log.lines);
        if lines.len() == MAX_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_keeps_the_last_lines_across_epochs() {
        let log = Arc::new(ProcessLog::default());
        log.writer(6).note("before");
        let writer = log.writer(7);
        for number in 1..MAX_LINES {
            writer.note(&number.to_string());
        }
        let lines = log.lines();
        assert_eq!((lines[0].epoch, lines[0].text.as_str()), (6, "before"));
        writer.note("last");
        let lines = log.lines();
        assert_eq!(lines.len(), MAX_LINES);
        assert_eq!((lines[0].epoch, lines[0].text.as_str()), (7, "1"));
        assert_eq!(lines.last().map(|line| line.text.as_str()), Some("last"));
    }

    #[tokio::test]
    async fn the_usage_of_a_process_is_known_while_it_is_watched() {
        let log = ProcessLog::default();
        assert_eq!(log.usage(), None);
        let watching = log.watch(Pid::this(), Work::Pictures);
        tokio::pin!(watching);
        while log.usage().is_none() {
            let _ = tokio::time::timeout(Duration::from_millis(10), &mut watching).await;
        }
        let usage = log.usage().expect("a measurement");
        assert!(usage.memory > 100_000 && usage.cpu_time > Duration::ZERO, "{usage:?}");
        assert!(usage.cpu_share > 0.0, "{usage:?}");
        assert_eq!(log.usage_for(Work::Pictures), Some(usage));
        assert_eq!(log.usage_for(Work::Stream), None);
    }
}
