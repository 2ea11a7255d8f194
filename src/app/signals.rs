//! SIGTERM and SIGINT, which end the manager.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::warn;

/// Both signals. They do not end the process from now on.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn install() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Ends the process on the next signal. The kernel then kills every FFmpeg.
    pub(super) async fn exit_on_next(mut self) {
        self.next().await;
        warn!("ended by a second signal");
        std::process::exit(1);
    }
}
