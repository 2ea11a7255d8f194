//! The runtime of a command.

use super::error::CommandError;

/// Runs `work` to its end.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Runtime::new().map_err(CommandError::Runtime)?;
    let output = runtime.block_on(work);
    // A thread that waits for a hanging disk must not keep the process.
    runtime.shutdown_background();
    Ok(output)
}
