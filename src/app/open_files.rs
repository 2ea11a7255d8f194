//! The limit of open files of the manager.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::warn;

use crate::base::proc;

/// File descriptors for each stream: the pipes and the process of FFmpeg, the segment that is being
/// written, and one player that waits for the next part.
const FILES_PER_STREAM: u64 = 6;
/// File descriptors for the database, further players, and FFmpeg processes that are being started.
const OTHER_FILES: u64 = 256;

/// Raises the limit to the hard limit of the process, because each stream and each player needs file
/// descriptors. Logs a warning if the limit is too low for `max_streams`. FFmpeg processes get a separate
/// limit.
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
             which is enough for {enough_for} streams; raise the limit (LimitNOFILE, ulimit -n)"
        );
    }
}
