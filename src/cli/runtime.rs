//! The asynchronous runtime of a command.

use super::error::CommandError;

/// Runs `work` in a new runtime, and returns the output.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Runtime::new().map_err(CommandError::Runtime)?;
    let output = runtime.block_on(work);
    // Does not wait for blocked threads, so that the process can end even if a disk hangs.
    runtime.shutdown_background();
    Ok(output)
}
