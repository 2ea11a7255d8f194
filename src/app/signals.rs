//! SIGTERM and SIGINT, which shut down the manager.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::warn;

/// A receiver of SIGTERM and SIGINT.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Installs handlers for both signals. From then on, the signals no longer end the process.
    pub(super) fn install() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
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
        warn!("received a second signal: ending before the shutdown is complete");
        std::process::exit(1);
    }
}
