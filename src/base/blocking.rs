//! Work that can wait for a disk.

use std::io;

/// Runs a function that can wait for a disk, on a thread where waiting delays nothing else.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
