//! Writes the log to stderr in a separate thread, so that the rest of the program never waits for the program
//! that reads stderr, and never fails because of that program.
//!
//! That program may be slow, or may have closed its end of the pipe. Stderr may also be a file on a full
//! disk. In these cases, lines are lost. Lost lines are counted, and reported in the log as soon as a line
//! has been written again.
//!
//! The crate `tracing-appender` is not used, because it neither counts nor reports lines that could not be
//! written.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tracing::warn;

use super::lock::lock;

/// The largest size of all lines that wait to be written, in bytes. A line has about 200 bytes.
const MAX_WAITING: usize = 1024 * 1024;
/// The pause before the next attempt to write, if stderr is non-blocking and cannot accept more bytes now.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest time for which [`flush`] waits.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

static STDERR: OnceLock<LogWriter> = OnceLock::new();

thread_local! {
    /// True in a thread that writes a log.
    static WRITES_LOG: Cell<bool> = const { Cell::new(false) };
}

/// Returns the writer of stderr. Starts its thread at the first call.
pub(crate) fn stderr() -> io::Result<LogWriter> {
    if let Some(writer) = STDERR.get() {
        return Ok(writer.clone());
    }
    // Writing to a copy of the descriptor does not lock `io::stderr`, and reports all errors.
    let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let writer = LogWriter::start(stderr)?;
    Ok(STDERR.get_or_init(|| writer).clone())
}

/// Waits at most one second until all lines of the log have been written. Returns at once if no log is
/// written.
pub(crate) fn flush() {
    if let Some(writer) = STDERR.get() {
        writer.wait_until_written(FLUSH_WITHIN);
    }
}

/// Returns the counter of lost lines of stderr. If no log is written, returns a counter that stays 0.
pub(crate) fn lost_lines() -> Counter {
    STDERR.get().map(|writer| writer.0.lost.clone()).unwrap_or_default()
}

/// Passes lines to a thread that writes them. Every call of [`Write::write`] must pass one or more whole
/// lines, and always succeeds. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct LogWriter(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Notified when a line arrives, and when all lines have been written.
    changed: Condvar,
    lost: Counter,
}

/// The lines that wait to be written.
#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Box<[u8]>>,
    /// The size of `lines`, in bytes.
    bytes: usize,
    /// True while the thread writes a line, which is no longer in `lines`.
    is_writing: bool,
}

impl LogWriter {
    /// Starts a thread that writes to `output` as long as the program runs.
    fn start(output: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let writer = Self(Arc::clone(&shared));
        thread::Builder::new().name("log".into()).spawn(move || shared.write_lines(output))?;
        Ok(writer)
    }

    /// Waits at most for the time `within` until all lines have been written.
    fn wait_until_written(&self, within: Duration) {
        let waiting = lock(&self.0.waiting);
        let is_busy = |waiting: &mut Waiting| waiting.is_writing || !waiting.lines.is_empty();
        // The result does not matter: if the time has run out, nothing more can be done to write the lines.
        drop(self.0.changed.wait_timeout_while(waiting, within, is_busy));
    }
}

impl Write for LogWriter {
    /// Adds `line` to the lines that wait. If too many lines are waiting, `line` is lost.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn add(&self, line: &[u8]) {
        let mut waiting = lock(&self.waiting);
        // The thread's own reports about lost lines are always accepted, because they are rare.
        if waiting.bytes + line.len() > MAX_WAITING && !WRITES_LOG.get() {
            self.lost.inc();
            return;
        }
        waiting.bytes += line.len();
        waiting.lines.push_back(line.into());
        drop(waiting);
        self.changed.notify_all();
    }

    /// Writes lines for ever.
    fn write_lines(&self, output: impl Write) {
        WRITES_LOG.set(true);
        let mut output = Output { output, is_line_open: false };
        let mut reported = 0;
        loop {
            let is_written = output.write_line(&self.next()).is_ok();
            if !is_written {
                self.lost.inc();
            }
            let total = self.lost.get();
            if is_written && total > reported {
                let lost = total - reported;
                warn!(lost, total, "lines of the log were lost, because stderr was slow or failed");
                reported = total;
            }
            self.finish();
        }
    }

    /// Waits for the next line.
    fn next(&self) -> Box<[u8]> {
        let waiting = lock(&self.waiting);
        let is_empty = |waiting: &mut Waiting| waiting.lines.is_empty();
        let waited = self.changed.wait_while(waiting, is_empty);
        let mut waiting = waited.unwrap_or_else(PoisonError::into_inner);
        let line = waiting.lines.pop_front().unwrap_or_default();
        waiting.bytes -= line.len();
        waiting.is_writing = true;
        line
    }

    fn finish(&self) {
        let mut waiting = lock(&self.waiting);
        waiting.is_writing = false;
        let is_empty = waiting.lines.is_empty();
        drop(waiting);
        if is_empty {
            self.changed.notify_all();
        }
    }
}

/// A writer of whole lines.
struct Output<W> {
    output: W,
    /// True if the last line was written only in part.
    is_line_open: bool,
}

impl<W: Write> Output<W> {
    /// Writes a line. If only a part of the previous line was written, ends that line first.
    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_line_open {
            self.write_all(b"\n")?;
        }
        self.write_all(line)
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.output.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    bytes = &bytes[count..];
                    self.is_line_open = !bytes.is_empty();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(PAUSE),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, PipeReader, pipe};

    use super::*;

    const LONG_ENOUGH: Duration = Duration::from_secs(30);

    /// An output that fails while the first value is true, and otherwise keeps the text.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(bool, String)>>);

    impl Write for Disk {
        /// Writes at most 4 bytes before it fails.
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut state = lock(&self.0);
            let (fails, text) = &mut *state;
            if *fails && !text.ends_with("part") {
                text.push_str("part");
                return Ok(4);
            }
            if *fails {
                return Err(ErrorKind::StorageFull.into());
            }
            text.push_str(&String::from_utf8_lossy(bytes));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn add(writer: &LogWriter, line: &str) {
        writer.clone().write_all(line.as_bytes()).expect("lines are always accepted");
    }

    /// Fills the pipe and the queue. Returns the number of lines that were added.
    fn fill(writer: &LogWriter) -> u64 {
        let line = "x".repeat(99) + "\n";
        let mut count = 0;
        while writer.0.lost.get() < 10 {
            add(writer, &line);
            count += 1;
        }
        count
    }

    fn read_lines(reader: PipeReader, count: u64) -> Vec<String> {
        let lines = BufReader::new(reader).lines().map(|line| line.expect("a line"));
        lines.take(usize::try_from(count).expect("a length")).collect()
    }

    #[test]
    fn lines_are_written_in_order() {
        let (reader, output) = pipe().expect("a pipe");
        let writer = LogWriter::start(output).expect("a thread");
        add(&writer, "one\n");
        add(&writer, "two\n");
        writer.wait_until_written(LONG_ENOUGH);
        assert!(lock(&writer.0.waiting).lines.is_empty());
        assert_eq!(read_lines(reader, 2), ["one", "two"]);
        assert_eq!(writer.0.lost.get(), 0);
    }

    #[test]
    fn a_reader_that_stalls_delays_neither_writers_nor_a_flush_and_gets_all_accepted_lines() {
        let (reader, output) = pipe().expect("a pipe");
        let writer = LogWriter::start(output).expect("a thread");
        let accepted = fill(&writer) - writer.0.lost.get();
        writer.wait_until_written(Duration::from_millis(1));
        assert!(!lock(&writer.0.waiting).lines.is_empty(), "the reader did not stall");
        let lines = read_lines(reader, accepted);
        assert!(lines.iter().all(|line| line.len() == 99), "a line was cut off");
    }

    #[test]
    fn a_closed_pipe_loses_lines_but_never_fails() {
        let (reader, output) = pipe().expect("a pipe");
        drop(reader);
        let writer = LogWriter::start(output).expect("a thread");
        add(&writer, "one\n");
        add(&writer, "two\n");
        writer.wait_until_written(LONG_ENOUGH);
        assert_eq!(writer.0.lost.get(), 2);
    }

    #[test]
    fn a_disk_that_was_full_is_used_again_and_the_line_that_was_cut_off_is_ended() {
        let disk = Disk(Arc::new(Mutex::new((true, String::new()))));
        let writer = LogWriter::start(disk.clone()).expect("a thread");
        add(&writer, "one line\n");
        add(&writer, "two\n");
        writer.wait_until_written(LONG_ENOUGH);
        assert_eq!(writer.0.lost.get(), 2);
        lock(&disk.0).0 = false;
        add(&writer, "three\n");
        writer.wait_until_written(LONG_ENOUGH);
        assert_eq!(lock(&disk.0).1, "part\nthree\n");
        assert_eq!(writer.0.lost.get(), 2);
    }
}
