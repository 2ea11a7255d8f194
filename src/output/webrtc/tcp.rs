//! Connections of viewers whose network blocks UDP. Each datagram follows its length in two bytes (RFC 4571).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use socket2::SockRef;
use str0m::net::Protocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::debug;

use super::routes::{Datagram, MAX_DATAGRAM, Path, Routes};
use crate::base::lock::lock;

/// The largest number of connections at the same time.
const MAX_CONNECTIONS: usize = 512;
/// The largest number of connections of one address, or of one IPv6 network. Two viewers behind one router, each with a
/// wall of 16 cameras, need 32.
const MAX_PER_ADDRESS: usize = 64;
/// The time within which a connection must send its first datagram. Until then, anyone can hold the connection.
const FIRST: Duration = Duration::from_secs(3);
/// The time within which a connection must send every further datagram. Browsers send one at least every 5 s.
const IDLE: Duration = Duration::from_secs(15);
/// The time within which a part of a datagram, or of what is sent, must pass.
const STALL: Duration = Duration::from_secs(10);
/// The largest number of datagrams that wait to be sent over one connection. A keyframe of 2 MB has 1800.
pub(super) const OUTBOX: usize = 4096;
/// The size of the system's buffer for what is sent, in bytes; Linux doubles it. A larger buffer would hide that a viewer is
/// behind.
const SEND_BUFFER: usize = 128 * 1024;
/// The number of datagrams that are written at once.
const BATCH: usize = 64;
/// The pause after a failure to accept a connection, for example because too many files are open.
const PAUSE: Duration = Duration::from_millis(100);

/// The places of connections. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// The place of a connection. When it is dropped, the place is free again.
struct Place {
    places: Places,
    network: IpAddr,
}

impl Places {
    /// Returns a place for a connection of this address; `None` if there are too many.
    fn take(&self, address: IpAddr) -> Option<Place> {
        let network = network(address);
        let mut taken = lock(&self.0);
        let total: usize = taken.values().sum();
        let of_network = taken.get(&network).copied().unwrap_or_default();
        if total >= MAX_CONNECTIONS || of_network >= MAX_PER_ADDRESS {
            return None;
        }
        taken.insert(network, of_network + 1);
        Some(Place { places: self.clone(), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.places.0);
        if let Some(count) = taken.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.network);
            }
        }
    }
}

/// Returns the address itself, or the first 64 bits of an IPv6 address. One client can have all addresses with these bits.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

/// Accepts connections. Never returns.
pub(super) async fn accept(listener: &TcpListener, routes: &Routes, places: &Places) {
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
        let Some(place) = places.take(source.ip()) else { continue };
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
    SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER)?;
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
    let mut place = None;
    loop {
        let limit = if place.is_none() { FIRST } else { IDLE };
        let length = usize::from(timeout(limit, reader.read_u16()).await??);
        let Some(buffer) = buffer.get_mut(..length) else {
            return Err(io::Error::other("a datagram is too long"));
        };
        timeout(limit.min(STALL), reader.read_exact(buffer)).await??;
        let Some(route) = routes.find(Protocol::Tcp, source, buffer) else {
            return Err(io::Error::other("a datagram belongs to no session"));
        };
        if place.is_none() {
            let free = Arc::clone(&route.connections).try_acquire_owned();
            place = Some(free.map_err(|_| io::Error::other("the session has enough connections"))?);
        }
        let path = Path::Tcp(local, outbox.clone());
        let bytes = Bytes::copy_from_slice(buffer);
        let _ = route.inbox.try_send(Datagram { source, path, received_at: Instant::now(), bytes });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_places() {
        let places = Places::default();
        let v4 = |number: u8| IpAddr::from([192, 0, 2, number]);
        let mut taken: Vec<_> = (0..100).map_while(|_| places.take(v4(1))).collect();
        assert_eq!(taken.len(), MAX_PER_ADDRESS);
        let v6 = |text: &str| text.parse().expect("an address");
        let of_network = (0..100).map_while(|n| places.take(v6(&format!("2001:db8::{n}"))));
        taken.extend(of_network);
        assert_eq!(taken.len(), 2 * MAX_PER_ADDRESS);
        taken.extend(places.take(v6("2001:db8:0:1::1")));
        assert_eq!(taken.len(), 2 * MAX_PER_ADDRESS + 1, "another network");
        for number in 2..100 {
            taken.extend((0..100).map_while(|_| places.take(v4(number))));
        }
        assert_eq!(taken.len(), MAX_CONNECTIONS);
        taken.clear();
        assert!(lock(&places.0).is_empty());
    }
}
