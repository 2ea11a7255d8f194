//! Accepts connections, within limits, and drains them at the end.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::Api;

/// Connections at once: every low-latency player holds one nearly always. More wait in the kernel's
/// queue until one ends.
const MAX_CONNECTIONS: usize = 16_384;
/// A request's head must arrive within this time, on a connection kept alive too. nginx lets go
/// of idle connections earlier, so that none is closed under a request of its.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// Wait after a failed accept: it fails for want of file descriptors, and these come back.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// The listening service.
pub struct Server {
    listener: TcpListener,
    api: Arc<Api>,
    connections: Arc<Semaphore>,
    graceful: GracefulShutdown,
}

impl Server {
    /// A server that listens on `address`.
    pub async fn bind(address: SocketAddr, api: Arc<Api>) -> std::io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(address).await?,
            api,
            connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            graceful: GracefulShutdown::new(),
        })
    }

    /// The address in fact, with the port that port 0 became.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `end` resolves; hands back what is needed to drain.
    pub async fn run(self, end: impl Future<Output = ()>) -> Drain {
        tokio::pin!(end);
        loop {
            tokio::select! {
                (stream, permit) = self.accept() => self.serve(stream, permit),
                () = &mut end => return Drain(self.graceful),
            }
        }
    }

    async fn accept(&self) -> (TcpStream, OwnedSemaphorePermit) {
        let permit = Arc::clone(&self.connections).acquire_owned();
        #[expect(clippy::expect_used, reason = "nobody closes this semaphore")]
        let permit = permit.await.expect("an open semaphore");
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return (stream, permit),
                Err(error) => {
                    warn!(%error, "a connection cannot be accepted");
                    sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, permit: OwnedSemaphorePermit) {
        // Answers are small and whole; waiting to send them in larger packets only delays them.
        let _ = stream.set_nodelay(true);
        let api = Arc::clone(&self.api);
        let service = service_fn(move |request| {
            let api = Arc::clone(&api);
            async move { Ok::<_, Infallible>(super::serve(api, request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        let connection = self.graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "connection ended");
            }
            drop(permit);
        });
    }
}

/// Connections that are still open when no new ones are accepted.
pub struct Drain(GracefulShutdown);

impl Drain {
    /// Lets requests that are under way end, for `deadline` at most.
    pub async fn finish(self, deadline: Duration) {
        if timeout(deadline, self.0.shutdown()).await.is_err() {
            warn!("some connections did not end in time and are cut off");
        }
    }
}
