//! Accepts connections, within limits, and drains them at the end.

use std::convert::Infallible;
use std::fs::Permissions;
use std::future::Future;
use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::router::Router;

/// Connections at once: every low-latency player holds one nearly always. More wait in the kernel's
/// queue until one ends.
const MAX_CONNECTIONS: usize = 16_384;
/// A request's head must arrive within this time, on a connection kept alive too. nginx lets go
/// of idle connections earlier, so that none is closed under a request of its.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// Wait after a failed accept: it fails for want of file descriptors, and these come back.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Whoever listens on a socket takes a connection at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Who reaches the socket's directory may connect, as whoever is on this machine may to a port of
/// loopback.
const SOCKET_MODE: u32 = 0o666;

/// The listening service.
pub struct Server {
    tcp: TcpListener,
    unix: Option<UnixListener>,
    router: Arc<Router>,
    connections: Arc<Semaphore>,
    graceful: GracefulShutdown,
}

impl Server {
    /// A server that listens on `address`.
    pub async fn bind(address: SocketAddr, router: Arc<Router>) -> std::io::Result<Self> {
        Ok(Self {
            tcp: TcpListener::bind(address).await?,
            unix: None,
            router,
            connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            graceful: GracefulShutdown::new(),
        })
    }

    /// Listens on a Unix socket at `path` as well. Takes the place of a socket that nobody listens
    /// on any more; the one of somebody who does, and other files, are left alone.
    pub async fn bind_socket(&mut self, path: &Path) -> std::io::Result<()> {
        if path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket()) {
            match timeout(CONNECT_TIMEOUT, UnixStream::connect(path)).await {
                Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path)?;
                }
                _ => return Err(Error::new(ErrorKind::AddrInUse, "somebody listens on it")),
            }
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))?;
        self.unix = Some(listener);
        Ok(())
    }

    /// The address in fact, with the port that port 0 became.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves until `end` resolves; hands back what is needed to drain.
    pub async fn run(self, end: impl Future<Output = ()>) -> Drain {
        tokio::pin!(end);
        loop {
            let permit = tokio::select! {
                permit = self.permit() => permit,
                () = &mut end => return Drain(self.graceful),
            };
            tokio::select! {
                accepted = self.tcp.accept() => match accepted {
                    Ok((stream, _)) => {
                        // Answers are small and whole; waiting to send them in larger packets only
                        // delays them.
                        let _ = stream.set_nodelay(true);
                        self.serve(stream, permit);
                    }
                    Err(error) => refused(&error).await,
                },
                accepted = accept_unix(self.unix.as_ref()) => match accepted {
                    Ok(stream) => self.serve(stream, permit),
                    Err(error) => refused(&error).await,
                },
                () = &mut end => return Drain(self.graceful),
            }
        }
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        let permit = Arc::clone(&self.connections).acquire_owned();
        #[expect(clippy::expect_used, reason = "nobody closes this semaphore")]
        permit.await.expect("an open semaphore")
    }

    fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        permit: OwnedSemaphorePermit,
    ) {
        let router = Arc::clone(&self.router);
        let service = service_fn(move |request| {
            let router = Arc::clone(&router);
            async move { Ok::<_, Infallible>(router.answer(request).await) }
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

async fn accept_unix(listener: Option<&UnixListener>) -> std::io::Result<UnixStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => std::future::pending().await,
    }
}

async fn refused(error: &Error) {
    warn!(%error, "a connection cannot be accepted");
    sleep(ACCEPT_BACKOFF).await;
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
