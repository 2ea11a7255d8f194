//! The manager's limit of open files.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::warn;

use crate::base::{open_files, proc};

/// Raises the soft limit of open files to the hard limit, because each stream and each player needs file
/// descriptors. Logs a warning if the limit is too low for `max_streams`. FFmpeg processes get a separate
/// limit.
pub(super) fn raise_limit(max_streams: usize) {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        warn!(%error, "cannot raise the limit of open files");
    }
    let needed = open_files::needed(max_streams);
    if let Some(allowed) = proc::max_open_files().filter(|allowed| *allowed < needed) {
        let (streams, connections) =
            (open_files::streams(allowed), open_files::connections(allowed));
        warn!(
            "MAX_STREAMS={max_streams} needs {needed} open files, but only {allowed} are allowed, so at most \
             {streams} streams and {connections} connections are accepted; raise the limit (LimitNOFILE, ulimit -n)"
        );
    }
}
