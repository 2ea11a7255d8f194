//! The sockets of all sessions: one UDP port for IPv4 and IPv6, and TCP on the same number.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};
use str0m::net::Protocol as IceProtocol;
use tokio::io::Interest;
use tokio::net::{TcpListener, UdpSocket};
use tracing::debug;

use super::routes::{Datagram, MAX_DATAGRAM, Path, Routes};
use super::tcp::{self, Places};

/// The sizes of the socket's buffers in bytes, if the system permits them. Every viewer who joins gets the frames since
/// the last keyframe at once.
const BUFFER: usize = 2 * 1024 * 1024;
/// The number of buffers that one system call fills.
const BATCH: usize = 8;
/// The size of each of these buffers. The system puts several datagrams of one sender into one buffer (GRO).
const RECEIVE_BUFFER: usize = 64 * 1024;
/// The number of connections that wait to be accepted.
const BACKLOG: i32 = 128;
/// The pause after a failure to receive, so that a permanent failure does not use a whole core.
const PAUSE: Duration = Duration::from_millis(100);
/// The number of free ports that are tried until one is free for UDP and for TCP.
const ATTEMPTS: usize = 16;

/// The sockets.
#[derive(Debug)]
pub(super) struct Sockets {
    /// One socket for IPv4, and one for IPv6 if the system has it.
    udp: Vec<Udp>,
    tcp: Vec<TcpListener>,
    port: u16,
}

#[derive(Debug)]
struct Udp {
    socket: UdpSocket,
    state: UdpSocketState,
    is_v6: bool,
}

impl Sockets {
    /// Listens on a port of all addresses, with UDP and TCP. Port 0 selects a port that is free.
    pub(super) fn bind(port: u16) -> io::Result<Self> {
        let mut attempts = if port == 0 { ATTEMPTS } else { 1 };
        loop {
            attempts -= 1;
            match Self::bind_once(port) {
                Err(_) if attempts > 0 => {}
                result => return result,
            }
        }
    }

    fn bind_once(port: u16) -> io::Result<Self> {
        let v4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let first = Udp::bind(SocketAddr::new(v4, port))?;
        let port = first.socket.local_addr()?.port();
        let mut sockets =
            Self { udp: vec![first], tcp: vec![listen(SocketAddr::new(v4, port))?], port };
        let v6 = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
        match Udp::bind(v6).and_then(|udp| Ok((udp, listen(v6)?))) {
            Ok((udp, tcp)) => {
                sockets.udp.push(udp);
                sockets.tcp.push(tcp);
            }
            Err(error) => debug!(%error, "WebRTC does not use IPv6"),
        }
        Ok(sockets)
    }

    /// Returns the port.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Returns whether the sockets can send to an address of this family.
    pub(super) fn supports(&self, address: IpAddr) -> bool {
        self.udp.iter().any(|udp| udp.is_v6 == address.is_ipv6())
    }

    /// Receives datagrams and connections, and passes them on to the sessions. Never returns.
    pub(super) async fn serve(self: Arc<Self>, routes: Routes) {
        let mut tasks = tokio::task::JoinSet::new();
        for index in 0..self.udp.len() {
            let (this, routes) = (Arc::clone(&self), routes.clone());
            tasks.spawn(async move { this.receive(index, &routes).await });
        }
        let places = Places::default();
        for index in 0..self.tcp.len() {
            let (this, routes, places) = (Arc::clone(&self), routes.clone(), places.clone());
            tasks.spawn(async move {
                if let Some(listener) = this.tcp.get(index) {
                    tcp::accept(listener, &routes, &places).await;
                }
            });
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn receive(&self, index: usize, routes: &Routes) {
        let Some(udp) = self.udp.get(index) else { return };
        let mut buffer = vec![0; BATCH * RECEIVE_BUFFER];
        loop {
            if let Err(error) = udp.receive(&mut buffer, routes).await {
                debug!(%error, "cannot receive WebRTC datagrams");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Sends `bytes` as datagrams of `segment` bytes each; the last one can be shorter. Waits for a moment if the
    /// system's buffer is full, and then gives up, like a network that loses datagrams.
    pub(super) async fn send(
        &self,
        from: Option<IpAddr>,
        to: SocketAddr,
        bytes: &[u8],
        segment: usize,
    ) {
        let Some(udp) = self.udp.iter().find(|udp| udp.is_v6 == to.is_ipv6()) else { return };
        let src_ip = from.filter(|from| from.is_ipv6() == to.is_ipv6());
        let mut rest = bytes;
        while !rest.is_empty() {
            // The kernel's limit is 64 kB including headers.
            let limit = segment * udp.state.max_gso_segments().clamp(1, 60_000 / segment.max(1));
            let (now, later) = rest.split_at(limit.clamp(1, rest.len()));
            let transmit = Transmit {
                destination: to,
                ecn: None,
                contents: now,
                segment_size: (now.len() > segment).then_some(segment),
                src_ip,
            };
            udp.send(&transmit).await;
            rest = later;
        }
    }
}

impl Udp {
    fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = open(address, Type::DGRAM, Protocol::UDP)?;
        socket.bind(&address.into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        let state = UdpSocketState::new((&socket).into())?;
        // Smaller buffers work, too.
        let _ = state.set_send_buffer_size((&socket).into(), BUFFER);
        let _ = state.set_recv_buffer_size((&socket).into(), BUFFER);
        Ok(Self { socket, state, is_v6: address.is_ipv6() })
    }

    async fn receive(&self, buffer: &mut [u8], routes: &Routes) -> io::Result<()> {
        self.socket.readable().await?;
        let mut metas = [RecvMeta::default(); BATCH];
        let mut buffers: Vec<_> = buffer.chunks_mut(RECEIVE_BUFFER).map(IoSliceMut::new).collect();
        let received = self.socket.try_io(Interest::READABLE, || {
            self.state.recv((&self.socket).into(), &mut buffers, &mut metas)
        });
        let count = match received {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let received_at = Instant::now();
        for (meta, buffer) in metas.iter().zip(buffer.chunks(RECEIVE_BUFFER)).take(count) {
            let bytes = buffer.get(..meta.len).unwrap_or_default();
            for bytes in bytes.chunks(meta.stride.max(1)).filter(|it| it.len() <= MAX_DATAGRAM) {
                let Some(route) = routes.find(IceProtocol::Udp, meta.addr, bytes) else { continue };
                let bytes = Bytes::copy_from_slice(bytes);
                let path = Path::Udp(meta.dst_ip);
                // A full inbox loses datagrams, like a network does.
                let _ =
                    route.inbox.try_send(Datagram { source: meta.addr, path, received_at, bytes });
            }
        }
        Ok(())
    }

    async fn send(&self, transmit: &Transmit<'_>) {
        /// The longest time to wait for space in the system's buffer.
        const MAX_WAIT: Duration = Duration::from_millis(20);
        let until = tokio::time::Instant::now() + MAX_WAIT;
        loop {
            let sent = self.socket.try_io(Interest::WRITABLE, || {
                self.state.try_send((&self.socket).into(), transmit)
            });
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    debug!(%error, "cannot send a WebRTC datagram");
                    return;
                }
                Ok(()) => return,
            }
            if tokio::time::timeout_at(until, self.socket.writable()).await.is_err() {
                return;
            }
        }
    }
}

/// Opens a socket that is non-blocking and, for IPv6, does not accept IPv4.
fn open(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = open(address, Type::STREAM, Protocol::TCP)?;
    // Otherwise, a restarted manager could not listen while old connections time out.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
