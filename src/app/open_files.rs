//! The limit of open files.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::warn;

use crate::base::proc;

/// File descriptors of a stream: FFmpeg's pipes, its process, the segment that is being written, and
/// a player that waits for the next part.
const FILES_PER_STREAM: u64 = 6;
/// File descriptors for the database, further players, and FFmpegs that are being started.
const OTHER_FILES: u64 = 256;

/// Raises the limit as far as the system allows, since each stream and each player needs some file
/// descriptors. FFmpeg gets a limit of its own.
pub(super) fn raise_limit(max_streams: usize) {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        warn!(%error, "cannot raise the limit of open files");
    }
    let needed = max_streams as u64 * FILES_PER_STREAM + OTHER_FILES;
    if let Some(allowed) = proc::max_open_files().filter(|allowed| *allowed < needed) {
        let enough_for = allowed.saturating_sub(OTHER_FILES) / FILES_PER_STREAM;
        warn!(
            "MAX_STREAMS={max_streams} needs {needed} open files, but only {allowed} are allowed, \
             enough for {enough_for} streams; raise the limit (LimitNOFILE, ulimit -n)"
        );
    }
}
