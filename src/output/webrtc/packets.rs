//! Sending a session's packets. Packets of the same size that follow each other are sent by one system call.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use str0m::net::Transmit;
use tokio::sync::mpsc;

use super::routes::Path;
use super::socket::Sockets;
use super::tcp::OUTBOX;

/// The largest number of addresses of a viewer for which the path is remembered.
const MAX_PATHS: usize = 16;
/// The number of bytes that are collected before they are sent.
const MAX_BATCH: usize = 60_000;

/// Sends a session's packets.
#[derive(Debug)]
pub(super) struct Packets {
    sockets: Arc<Sockets>,
    /// How datagrams of the viewer arrived, by the viewer's address. A reply takes the same way.
    paths: HashMap<SocketAddr, Path>,
    batch: Vec<u8>,
    /// The size of all packets in the batch, except for the last one, which may be smaller.
    segment: usize,
    is_last_short: bool,
    destination: Option<SocketAddr>,
    /// The number of packets that the session has sent.
    pub(super) sent: u64,
}

impl Packets {
    /// Creates a sender that has nothing to send.
    pub(super) fn new(sockets: Arc<Sockets>) -> Self {
        Self {
            sockets,
            paths: HashMap::new(),
            batch: Vec::new(),
            segment: 0,
            is_last_short: false,
            destination: None,
            sent: 0,
        }
    }

    /// Notes how a datagram of this address arrived. Returns false if there are too many addresses.
    pub(super) fn note_path(&mut self, source: SocketAddr, path: Path) -> bool {
        if self.paths.len() >= MAX_PATHS && !self.paths.contains_key(&source) {
            return false;
        }
        self.paths.insert(source, path);
        true
    }

    /// Returns true if so many packets wait to be sent to this address that the viewer would see old pictures.
    pub(super) fn is_congested(&self, address: SocketAddr) -> bool {
        matches!(self.paths.get(&address), Some(Path::Tcp(_, outbox)) if outbox.capacity() < OUTBOX / 2)
    }

    /// Returns true if hardly anything waits to be sent to this address.
    pub(super) fn is_free(&self, address: SocketAddr) -> bool {
        let is_busy = |outbox: &mpsc::Sender<Bytes>| outbox.capacity() < OUTBOX - OUTBOX / 16;
        !matches!(self.paths.get(&address), Some(Path::Tcp(_, outbox)) if is_busy(outbox))
    }

    /// Sends a packet, now or with the next [`flush`](Self::flush).
    pub(super) async fn send(&mut self, packet: Transmit) {
        self.sent += 1;
        let destination = packet.destination;
        match self.paths.get(&destination) {
            // A connection that is too slow loses packets, like a network does.
            Some(Path::Tcp(_, outbox)) => {
                let _ = outbox.try_send(Bytes::from(Vec::from(packet.contents)));
            }
            Some(Path::Udp(_)) => self.collect(destination, &packet.contents).await,
            // The manager sends only to addresses from which it has received something.
            None => {}
        }
    }

    async fn collect(&mut self, destination: SocketAddr, packet: &[u8]) {
        let fits = self.destination == Some(destination)
            && !self.is_last_short
            && packet.len() <= self.segment
            && self.batch.len() + packet.len() <= MAX_BATCH;
        if !fits {
            self.flush().await;
            (self.destination, self.segment) = (Some(destination), packet.len());
        }
        self.batch.extend_from_slice(packet);
        self.is_last_short = packet.len() < self.segment;
    }

    /// Sends the packets that have been collected.
    pub(super) async fn flush(&mut self) {
        if let (Some(to), false) = (self.destination, self.batch.is_empty()) {
            let from = match self.paths.get(&to) {
                Some(Path::Udp(local)) => *local,
                _ => None,
            };
            self.sockets.send(from, to, &self.batch, self.segment).await;
        }
        self.batch.clear();
        self.is_last_short = false;
        self.destination = None;
    }
}
