//! A connection that counts towards the limit of open connections until it is closed, even after an
//! upgrade. The connection also limits the time in which a request's head must arrive. hyper has only one limit
//! for idle connections and for heads. This limit is too long for heads. A connection also ends if the client takes
//! nothing of a response for too long, because hyper would wait for ever.

use std::io::{ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use tokio::time::{Sleep, sleep};

/// The time within which a request's head must arrive after the first byte of the head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// The time within which the client must take a part of what is sent. nginx gives its clients 30 s.
const WRITE_TIMEOUT: Duration = Duration::from_mins(1);

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
    /// Makes the server wait for this connection at shutdown, because the server waits until all receivers of
    /// the signal are dropped.
    _open: Closing,
    requests: Arc<Requests>,
    /// The value of `requests.changes` when the first bytes of a head arrived; `None` if no bytes of a head
    /// have arrived since the last request.
    head_since: Option<u64>,
    /// The time by which the rest of that head must arrive; set while the connection waits for the rest.
    head_deadline: Option<Pin<Box<Sleep>>>,
    /// The time by which the client must take something; set while the connection waits for the client.
    write_deadline: Option<Pin<Box<Sleep>>>,
    /// Reports that the first bytes have been read; `None` afterwards.
    first_read: Option<oneshot::Sender<()>>,
}

impl<S> Connection<S> {
    /// `first_read` reports that the first bytes have been read.
    pub(super) fn new(
        stream: S,
        place: OwnedSemaphorePermit,
        open: Closing,
        requests: Arc<Requests>,
        first_read: oneshot::Sender<()>,
    ) -> Self {
        let first_read = Some(first_read);
        let (head_since, head_deadline, write_deadline) = (None, None, None);
        Self {
            stream,
            _place: place,
            _open: open,
            requests,
            head_since,
            head_deadline,
            write_deadline,
            first_read,
        }
    }

    /// Returns an error once a head that has begun to arrive takes too long.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        if self.head_since != Some(self.requests.changes()) {
            (self.head_since, self.head_deadline) = (None, None);
            return Poll::Pending;
        }
        let deadline = self.head_deadline.get_or_insert_with(|| Box::pin(sleep(HEAD_TIMEOUT)));
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }

    /// Returns the result of a write. Returns an error once the client has taken nothing for too long.
    fn limit_write(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<Result<usize>>,
    ) -> Poll<Result<usize>> {
        if written.is_ready() {
            self.write_deadline = None;
            return written;
        }
        let deadline = self.write_deadline.get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT)));
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

/// Counts the requests of a connection.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// The number of calls of `begin` and `end`. It is odd while a request is in progress.
    changes: AtomicU64,
}

impl Requests {
    /// Notes that the head of a request has arrived.
    pub(super) fn begin(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that the response to the request is known.
    pub(super) fn end(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = buffer.filled().len();
        let Poll::Ready(result) = Pin::new(&mut self.stream).poll_read(context, buffer) else {
            return self.poll_deadline(context);
        };
        let has_read = buffer.filled().len() > before;
        if has_read && let Some(first_read) = self.first_read.take() {
            // Fails if the server no longer waits for this report.
            let _ = first_read.send(());
        }
        let changes = self.requests.changes();
        // Bytes that arrive while a request is in progress belong to the request's body.
        let is_in_progress = changes % 2 == 1;
        let is_head = has_read && !is_in_progress;
        if is_head && self.head_since != Some(changes) {
            (self.head_since, self.head_deadline) = (Some(changes), None);
        }
        Poll::Ready(result)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.limit_write(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.limit_write(context, written)
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::sync::Semaphore;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_for_a_minute_is_disconnected() {
        let (stream, mut client) = duplex(1000);
        let place = Arc::new(Semaphore::new(1)).acquire_owned().await.expect("a place");
        let (_closing, open) = watch::channel(());
        let (first_read, _) = oneshot::channel();
        let mut connection = Connection::new(stream, place, open, Arc::default(), first_read);
        // The client takes a little just in time, again and again.
        let reading = async {
            let mut buffer = [0; 100];
            for _ in 0..5 {
                sleep(WRITE_TIMEOUT.saturating_sub(Duration::from_secs(1))).await;
                client.read_exact(&mut buffer).await.expect("bytes");
            }
            Instant::now()
        };
        let writing = async { (connection.write_all(&[0; 2000]).await, Instant::now()) };
        let (last_read, (written, ended)) = tokio::join!(reading, writing);
        assert_eq!(written.expect_err("the client reads too slowly").kind(), ErrorKind::TimedOut);
        assert_eq!(ended.duration_since(last_read), WRITE_TIMEOUT);
    }
}
