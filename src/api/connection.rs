//! A connection that counts towards the limit of open connections until it is closed, even after an
//! upgrade.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

/// The signal that the manager is shutting down. When `changed` of this receiver resolves, upgraded
/// connections must end. Handlers find the signal in the extensions of a request that has an
/// `Upgrade` header.
pub(super) type Closing = watch::Receiver<()>;

/// A connection, and its share of the limit of open connections.
pub(super) struct Connection<S> {
    stream: S,
    /// The permit for an open connection. When the permit is dropped, the server can accept another
    /// connection.
    _place: OwnedSemaphorePermit,
    /// Makes the server wait at shutdown until this connection is closed, because the server waits
    /// until all receivers of the signal are dropped.
    _open: Closing,
    /// Reports that the first bytes have been read; `None` afterwards.
    first_read: Option<oneshot::Sender<()>>,
}

impl<S> Connection<S> {
    /// `first_read` reports that the first bytes have been read.
    pub(super) fn new(
        stream: S,
        place: OwnedSemaphorePermit,
        open: Closing,
        first_read: oneshot::Sender<()>,
    ) -> Self {
        Self { stream, _place: place, _open: open, first_read: Some(first_read) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before
            && let Some(first_read) = self.first_read.take()
        {
            // The server wants to know only while it shuts down.
            let _ = first_read.send(());
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
