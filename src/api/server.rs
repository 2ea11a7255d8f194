//! The HTTP server: accepts connections, within a limit, and drains them at shutdown.

use std::convert::Infallible;
use std::fs::Permissions;
use std::future::Future;
use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::UPGRADE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::errno::Errno;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::connection::{Connection, Requests};
use super::router::Router;
use crate::base::{open_files, proc};

#[cfg(test)]
mod tests;

/// The largest number of open connections. Every low-latency player keeps a connection open nearly all the
/// time. If the limit of open files is low, fewer connections are accepted. Further connections wait in the
/// kernel's queue until an open connection is closed.
const MAX_CONNECTIONS: usize = 16_384;
/// The time after which a connection without requests is closed. Clients and load balancers usually close idle
/// connections after at most 60 s. The manager waits longer, so that the client closes the connection. If the
/// manager closed it, a request that the client sends at the same moment would fail.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// The time for which a new connection can wait for its first request when the manager shuts down.
const FIRST_REQUEST: Duration = Duration::from_millis(500);
/// The pause after a failed accept. The usual cause is a lack of file descriptors. Some of them soon
/// become free.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// The most bytes that wait in the kernel to be sent over a TCP connection: 0.25 s at 4 Mbit/s. The kernel would
/// otherwise store several megabytes for a client whose line is slow, and the pictures of a live socket would become old
/// there. Bytes that were sent, but not confirmed, do not count, so connections do not become slower.
const MAX_UNSENT: u32 = 128 * 1024;

/// The time to wait for a connection to an existing socket. After this time, a program is assumed
/// to listen on the socket.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The permissions of the socket. Every program that can access the socket's directory can connect,
/// just as every program can connect to a port on loopback.
const SOCKET_MODE: u32 = 0o666;

/// A server that listens on its addresses.
pub(crate) struct Server {
    tcp: TcpListener,
    unix: Option<UnixListener>,
    router: Arc<Router>,
    places: Arc<Semaphore>,
    closing: watch::Sender<()>,
}

impl Server {
    /// Creates a server that listens on `address`. The address `::` includes all IPv4 addresses. On a system without
    /// IPv6, it means only the IPv4 addresses.
    pub(crate) async fn bind(address: SocketAddr, router: Arc<Router>) -> std::io::Result<Self> {
        let all_ipv4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
        let listener = match TcpListener::bind(address).await {
            Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && has_no_ipv6(&error) => {
                TcpListener::bind(all_ipv4).await
            }
            bound => bound,
        };
        Ok(Self::new(listener?, router))
    }

    /// Creates a server that accepts connections from `listener`, which must be non-blocking.
    pub(crate) fn listening(
        listener: std::net::TcpListener,
        router: Arc<Router>,
    ) -> std::io::Result<Self> {
        Ok(Self::new(TcpListener::from_std(listener)?, router))
    }

    fn new(tcp: TcpListener, router: Arc<Router>) -> Self {
        let allowed = proc::max_open_files().map_or(MAX_CONNECTIONS, open_files::connections);
        Self {
            tcp,
            unix: None,
            router,
            places: Arc::new(Semaphore::new(allowed.min(MAX_CONNECTIONS))),
            closing: watch::Sender::new(()),
        }
    }

    /// Also accepts connections from `listener`, which must be non-blocking.
    pub(crate) fn listen_on(
        &mut self,
        listener: std::os::unix::net::UnixListener,
    ) -> std::io::Result<()> {
        self.unix = Some(UnixListener::from_std(listener)?);
        Ok(())
    }

    /// Listens on a Unix socket at `path` as well. Replaces a socket on which no program listens.
    /// Fails if the socket seems to be in use, or if another file is at `path`.
    pub(crate) async fn bind_socket(&mut self, path: &Path) -> std::io::Result<()> {
        if path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket()) {
            match timeout(CONNECT_TIMEOUT, UnixStream::connect(path)).await {
                Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path)?;
                }
                _ => return Err(Error::new(ErrorKind::AddrInUse, "the socket is in use")),
            }
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))?;
        self.unix = Some(listener);
        Ok(())
    }

    /// Returns the actual address, with the port that the system chose for port 0.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Accepts and serves connections until `end` resolves. Returns the connections that are still
    /// open.
    pub(crate) async fn run(self, end: impl Future<Output = ()>) -> Drain {
        tokio::pin!(end);
        loop {
            let place = tokio::select! {
                place = self.place() => place,
                () = &mut end => break,
            };
            tokio::select! {
                accepted = self.tcp.accept() => match accepted {
                    Ok((stream, address)) => {
                        // Responses are small and complete, so waiting for more data to fill a
                        // packet would only delay them.
                        let _ = stream.set_nodelay(true);
                        let _ = SockRef::from(&stream).set_tcp_notsent_lowat(MAX_UNSENT);
                        // A socket for both protocols reports IPv4 addresses as IPv6 addresses.
                        self.serve(stream, Some(address.ip().to_canonical()), place);
                    }
                    Err(error) => pause_after(&error).await,
                },
                accepted = accept_unix(self.unix.as_ref()) => match accepted {
                    Ok(stream) => self.serve(stream, None, place),
                    Err(error) => pause_after(&error).await,
                },
                () = &mut end => break,
            }
        }
        Drain(self.closing)
    }

    async fn place(&self) -> OwnedSemaphorePermit {
        let place = Arc::clone(&self.places).acquire_owned();
        #[expect(clippy::expect_used, reason = "this semaphore is never closed")]
        place.await.expect("an open semaphore")
    }

    fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        address: Option<IpAddr>,
        place: OwnedSemaphorePermit,
    ) {
        let peer = self.router.peer(address);
        let (router, closing) = (Arc::clone(&self.router), self.closing.subscribe());
        let requests = Arc::<Requests>::default();
        let (first_read, has_read) = oneshot::channel();
        let stream =
            Connection::new(stream, place, closing.clone(), Arc::clone(&requests), first_read);
        let mut end = closing.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            let is_upgrade = request.headers().contains_key(UPGRADE);
            if is_upgrade {
                request.extensions_mut().insert(closing.clone());
            }
            let (router, peer) = (Arc::clone(&router), Arc::clone(&peer));
            let requests = Arc::clone(&requests);
            async move {
                requests.begin();
                let reply = router.answer(request, &peer).await;
                // An upgraded connection has no further requests.
                if !is_upgrade {
                    requests.end();
                }
                Ok::<_, Infallible>(reply)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::spawn(async move {
            tokio::pin!(connection);
            // At shutdown, hyper closes a connection from which it has read nothing, even if a request has
            // arrived or is about to arrive. So a new connection gets some time for its first request.
            let is_closing = async {
                let _ = end.changed().await;
                let _ = timeout(FIRST_REQUEST, has_read).await;
            };
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = is_closing => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                debug!(%error, "a connection ended with an error");
            }
        });
    }
}

/// Returns whether `error` means that the system has no IPv6.
fn has_no_ipv6(error: &std::io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL))
}

async fn accept_unix(listener: Option<&UnixListener>) -> std::io::Result<UnixStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => std::future::pending().await,
    }
}

async fn pause_after(error: &Error) {
    warn!(%error, "cannot accept a connection; retrying");
    sleep(ACCEPT_BACKOFF).await;
}

/// The connections that are still open after the server has stopped accepting new ones.
pub(crate) struct Drain(watch::Sender<()>);

impl Drain {
    /// Waits at most `deadline` for requests in progress to finish and for upgraded connections to
    /// close.
    pub(crate) async fn finish(self, deadline: Duration) {
        self.0.send_replace(());
        if timeout(deadline, self.0.closed()).await.is_err() {
            warn!("some connections did not close in time; aborting them");
        }
    }
}
