//! The log of the service, and the errors of commands.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal as _, Write as _};
use std::panic::{self, PanicHookInfo};
use std::thread;

use tracing::error;
use tracing_subscriber::EnvFilter;

use crate::base::log_writer;
use crate::config::{Config, LogFormat};

/// Writes the log to stderr from now on, including panics. Error: the thread that writes cannot be started.
pub(super) fn start(config: &Config) -> io::Result<()> {
    let writer = log_writer::stderr()?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&config.log_filter))
        .with_writer(move || writer.clone())
        // Otherwise, tracing-subscriber would print errors with `eprintln!`, which panics if stderr fails.
        .log_internal_errors(false)
        .with_target(false);
    match config.log_format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().init(),
    }
    // The default hook writes to stderr directly, so it waits if the reader of stderr stalls.
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Prints a line for people on stderr, after all lines of the log.
pub(super) fn print_error(line: &str) {
    let line = format!("stream-manager: {line}\n");
    // Fails if the reader has closed the pipe, or if a disk is full.
    let _ = match log_writer::stderr() {
        Ok(mut log) => log.write_all(line.as_bytes()),
        // The thread of the log cannot be started, so nothing else writes to stderr.
        Err(_) => io::stderr().write_all(line.as_bytes()),
    };
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let cause = panic.payload_as_str().unwrap_or("unknown");
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let backtrace = Backtrace::capture();
    let has_backtrace = backtrace.status() == BacktraceStatus::Captured;
    let backtrace = has_backtrace.then(|| backtrace.to_string());
    error!(
        cause,
        location,
        thread,
        backtrace,
        "a part of the program panicked, which is a bug of stream-manager"
    );
}
