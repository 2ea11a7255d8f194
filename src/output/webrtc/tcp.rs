//! Connections of viewers whose network blocks UDP. Each datagram follows its length in two bytes (RFC 4571).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::debug;

use super::routes::{Datagram, MAX_DATAGRAM, Path, Routes};

/// The largest number of connections at the same time.
const MAX_CONNECTIONS: usize = 512;
/// The time within which a connection must send its first datagram, and every further one. Browsers send one at least
/// every 5 s.
const IDLE: Duration = Duration::from_secs(15);
/// The time within which a part of a datagram, or of what is sent, must pass.
const STALL: Duration = Duration::from_secs(10);
/// The largest number of datagrams that wait to be sent over one connection.
pub(super) const OUTBOX: usize = 2048;
/// The number of datagrams that are written at once.
const BATCH: usize = 64;
/// The pause after a failure to accept a connection, for example because too many files are open.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections. Never returns.
pub(super) async fn accept(listener: &TcpListener, routes: &Routes) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, source) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                debug!(%error, "cannot accept a WebRTC connection");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Without a place, the connection is closed.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let routes = routes.clone();
        connections.spawn(async move {
            if let Err(error) = serve(stream, source, &routes).await {
                debug!(%error, %source, "a WebRTC connection has ended");
            }
            drop(place);
        });
    }
}

async fn serve(stream: TcpStream, source: SocketAddr, routes: &Routes) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?.ip();
    let (reader, writer) = stream.into_split();
    let (outbox, datagrams) = mpsc::channel(OUTBOX);
    tokio::select! {
        result = receive(reader, source, local, outbox, routes) => result,
        result = send(writer, datagrams) => result,
    }
}

/// Passes datagrams on to their session, until the connection breaks a rule or its session has ended.
async fn receive(
    reader: OwnedReadHalf,
    source: SocketAddr,
    local: IpAddr,
    outbox: mpsc::Sender<Bytes>,
    routes: &Routes,
) -> io::Result<()> {
    let mut reader = BufReader::new(reader);
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        let length = usize::from(timeout(IDLE, reader.read_u16()).await??);
        let Some(buffer) = buffer.get_mut(..length) else {
            return Err(io::Error::other("a datagram is too long"));
        };
        timeout(STALL, reader.read_exact(buffer)).await??;
        let Some(session) = routes.find(source, buffer) else {
            return Err(io::Error::other("a datagram belongs to no session"));
        };
        let path = Path::Tcp(local, outbox.clone());
        let bytes = Bytes::copy_from_slice(buffer);
        let _ = session.try_send(Datagram { source, path, received_at: Instant::now(), bytes });
    }
}

/// Sends what a session puts into the outbox.
async fn send(mut writer: OwnedWriteHalf, mut outbox: mpsc::Receiver<Bytes>) -> io::Result<()> {
    let (mut datagrams, mut buffer) = (Vec::with_capacity(BATCH), Vec::new());
    while outbox.recv_many(&mut datagrams, BATCH).await > 0 {
        buffer.clear();
        for datagram in datagrams.drain(..) {
            let Ok(length) = u16::try_from(datagram.len()) else { continue };
            buffer.extend_from_slice(&length.to_be_bytes());
            buffer.extend_from_slice(&datagram);
        }
        timeout(STALL, writer.write_all(&buffer)).await??;
    }
    Ok(())
}
