//! The signals that the manager handles. SIGTERM and SIGINT shut the manager down. SIGHUP, SIGUSR1 and SIGUSR2 only
//! cause a log line. Operators send these signals to other programs, which then reload their settings or reopen their
//! logs. Without a handler, such a signal would end the manager at once, without a clean shutdown.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::base::log_writer;

/// The signals that the manager ignores, with their names.
const IGNORED: [(SignalKind, &str); 3] = [
    (SignalKind::hangup(), "SIGHUP"),
    (SignalKind::user_defined1(), "SIGUSR1"),
    (SignalKind::user_defined2(), "SIGUSR2"),
];

/// A receiver of SIGTERM and SIGINT.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// The tasks that receive the ignored signals.
    _ignored: JoinSet<()>,
}

impl Signals {
    /// Installs handlers for all handled signals. From then on, the signals no longer end the process.
    pub(super) fn install() -> std::io::Result<Self> {
        let mut ignored = JoinSet::new();
        for (kind, name) in IGNORED {
            let mut received = signal(kind)?;
            ignored.spawn(async move {
                while received.recv().await.is_some() {
                    info!("ignoring {name}; to apply new settings, restart the manager");
                }
            });
        }
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _ignored: ignored,
        })
    }

    /// Waits for the next signal of either kind.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Ends the process with exit code 1 on the next signal. The kernel then kills all FFmpeg processes.
    pub(super) async fn exit_on_next(mut self) {
        self.next().await;
        warn!("received a second signal; exiting before the shutdown is complete");
        log_writer::flush();
        std::process::exit(1);
    }
}
