//! A connection that notes whether the client takes what is sent.
//!
//! The kernel takes data at once while its buffers have room, even if the client is gone. So only a write that had to
//! wait shows that the client takes data.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use crate::base::lock::lock;

/// The time after which a client that takes nothing, although data waits for it, counts as gone.
pub(super) const STALLED: Duration = Duration::from_secs(30);

/// A connection that notes its progress.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    /// True if the last write had to wait.
    is_blocked: bool,
    progress: Progress,
}

/// The progress of a connection's writes. Cheap to clone; clones share the progress.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<Mutex<Writes>>);

#[derive(Debug, Default)]
struct Writes {
    /// Since when a write waits; `None` if no write waits.
    blocked_since: Option<Instant>,
    /// When a write that had to wait was continued last.
    taken_at: Option<Instant>,
}

impl<S> Watched<S> {
    /// Also returns the progress of the connection.
    pub(super) fn new(stream: S) -> (Self, Progress) {
        let progress = Progress::default();
        (Self { stream, is_blocked: false, progress: progress.clone() }, progress)
    }

    fn note(&mut self, written: &Poll<Result<usize>>) {
        match written {
            Poll::Pending if !self.is_blocked => {
                self.is_blocked = true;
                self.progress.block();
            }
            Poll::Ready(Ok(_)) if self.is_blocked => {
                self.is_blocked = false;
                self.progress.unblock();
            }
            _ => {}
        }
    }
}

impl Progress {
    fn block(&self) {
        lock(&self.0).blocked_since = Some(Instant::now());
    }

    fn unblock(&self) {
        *lock(&self.0) = Writes { blocked_since: None, taken_at: Some(Instant::now()) };
    }

    fn blocked_since(&self) -> Option<Instant> {
        lock(&self.0).blocked_since
    }

    /// Returns when the client took data last for which it had let the manager wait; `None` if never.
    pub(super) fn taken_at(&self) -> Option<Instant> {
        lock(&self.0).taken_at
    }

    /// Waits until a write has waited for [`STALLED`].
    pub(super) async fn stalled(&self) {
        loop {
            let blocked = self.blocked_since();
            sleep_until(blocked.unwrap_or_else(Instant::now) + STALLED).await;
            if blocked.is_some() && self.blocked_since() == blocked {
                return;
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note(&written);
        written
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
