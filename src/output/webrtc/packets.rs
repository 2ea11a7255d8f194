//! Sending a session's packets. Packets of the same size that follow each other are sent by one system call.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use str0m::net::Transmit;
use tokio::sync::mpsc;

use super::repeats::{Batch, Repeats};
use super::routes::{Pair, Path, is_stun};
use super::socket::Sockets;

/// The largest number of paths that are remembered.
const MAX_PATHS: usize = 16;
/// The number of bytes that are collected before they are sent.
const MAX_BATCH: usize = 60_000;

/// Sends a session's packets.
#[derive(Debug)]
pub(super) struct Packets {
    sockets: Arc<Sockets>,
    /// The paths over which requests with the session's password arrived. A reply takes the same way.
    paths: Vec<(Pair, Path)>,
    /// The only address to which media is sent: the address with which the encryption was negotiated; `None` before.
    /// Only a viewer who receives packets at this address can complete the negotiation. A request with the right
    /// password is no such proof, because its sender can forge the address.
    viewer: Option<IpAddr>,
    /// The ends of the path over which the last packet of the negotiation or of media was sent.
    media: Option<Pair>,
    batch: Vec<u8>,
    /// The size of all packets in the batch, except for the last one, which may be smaller.
    segment: usize,
    is_last_short: bool,
    destination: Option<Pair>,
    repeats: Repeats,
    /// The number of packets that the session has sent.
    pub(super) sent: u64,
    /// The number of packets that all sessions have sent.
    total: Counter,
}

impl Packets {
    /// Creates a sender that has nothing to send.
    pub(super) fn new(sockets: Arc<Sockets>, total: Counter) -> Self {
        Self {
            sockets,
            paths: Vec::new(),
            viewer: None,
            media: None,
            batch: Vec::new(),
            segment: 0,
            is_last_short: false,
            destination: None,
            repeats: Repeats::default(),
            sent: 0,
            total,
        }
    }

    /// Notes how a request with the session's password arrived. The oldest of too many paths is forgotten.
    pub(super) fn note_path(&mut self, pair: Pair, path: Path) {
        self.paths.retain(|(known, _)| *known != pair);
        if self.paths.len() >= MAX_PATHS {
            self.paths.remove(0);
        }
        self.paths.push((pair, path));
    }

    /// Returns whether a request with the session's password arrived from there.
    pub(super) fn is_known(&self, pair: Pair) -> bool {
        self.path(pair).is_some()
    }

    /// Returns whether media can go to this address.
    pub(super) fn permits(&self, address: IpAddr) -> bool {
        self.viewer.is_none_or(|viewer| viewer == address)
    }

    /// Returns the ends of the path that media takes; `None` before the negotiation of the encryption.
    pub(super) fn media(&self) -> Option<Pair> {
        self.media
    }

    /// Returns the queue of the connection that media takes; `None` if media takes UDP.
    pub(super) fn outbox(&self) -> Option<&mpsc::Sender<Bytes>> {
        match self.path(self.media?)? {
            Path::Tcp(_, outbox) => Some(outbox),
            Path::Udp(_) => None,
        }
    }

    fn path(&self, pair: Pair) -> Option<&Path> {
        self.paths.iter().find(|(known, _)| *known == pair).map(|(_, path)| path)
    }

    /// Sends a packet, now or with the next [`flush`](Self::flush).
    pub(super) async fn send(&mut self, packet: Transmit) {
        let (protocol, remote, local) = (packet.proto, packet.destination, packet.source);
        let pair = Pair { protocol, remote, local };
        if !is_stun(&packet.contents) {
            if *self.viewer.get_or_insert(remote.ip()) != remote.ip() {
                return;
            }
            self.media = Some(pair);
        }
        match self.path(pair) {
            // A connection that is too slow loses packets, like a network does.
            Some(Path::Tcp(_, outbox)) => {
                let _ = outbox.try_send(Bytes::from(Vec::from(packet.contents)));
            }
            Some(Path::Udp(_)) => self.collect(pair, &packet.contents).await,
            // The manager sends only to addresses from which it has received something.
            None => return,
        }
        self.sent += 1;
        self.total.inc();
    }

    async fn collect(&mut self, destination: Pair, packet: &[u8]) {
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
            self.send_batch(to, &self.batch, self.segment).await;
            if self.media == Some(to) {
                let batch =
                    || Batch { destination: to, bytes: self.batch.clone(), segment: self.segment };
                self.repeats.note(Instant::now(), batch);
            }
        }
        self.batch.clear();
        self.is_last_short = false;
        self.destination = None;
    }

    async fn send_batch(&self, to: Pair, bytes: &[u8], segment: usize) {
        let from = match self.path(to) {
            Some(Path::Udp(local)) => *local,
            _ => None,
        };
        self.sockets.send(from, to.remote, bytes, segment).await;
    }

    /// Chooses whether the packets over UDP that are sent from now on are sent twice.
    pub(super) fn set_repeats(&mut self, is_on: bool) {
        self.repeats.is_on = is_on;
    }

    /// Returns the time at which packets are to be sent again.
    pub(super) fn repeat_at(&self) -> Option<Instant> {
        self.repeats.deadline()
    }

    /// Sends the packets again whose second copy is due.
    pub(super) async fn repeat_due(&mut self) {
        while let Some(batch) = self.repeats.take_due(Instant::now()) {
            self.send_batch(batch.destination, &batch.bytes, batch.segment).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use str0m::net::Protocol;

    use super::*;

    fn pair(protocol: Protocol, remote: &str) -> Pair {
        let (remote, local) = (remote.parse(), "192.0.2.1:8189".parse());
        Pair { protocol, remote: remote.expect("an address"), local: local.expect("an address") }
    }

    fn packet(pair: Pair, bytes: &[u8]) -> Transmit {
        let Pair { protocol: proto, remote: destination, local: source } = pair;
        Transmit { proto, source, destination, contents: bytes.to_vec().into() }
    }

    fn tcp() -> (Path, mpsc::Receiver<Bytes>) {
        let (outbox, sent) = mpsc::channel(8);
        (Path::Tcp("192.0.2.1".parse().expect("an address"), outbox), sent)
    }

    #[tokio::test]
    async fn media_goes_only_to_the_address_with_which_the_encryption_was_negotiated() {
        let sockets = Arc::new(Sockets::bind(0).expect("a port"));
        let mut packets = Packets::new(sockets, Counter::default());
        let viewer = pair(Protocol::Tcp, "198.51.100.1:5000");
        let victim = pair(Protocol::Tcp, "198.51.100.2:5000");
        let ((to_viewer, mut viewers), (to_victim, mut victims)) = (tcp(), tcp());
        packets.note_path(viewer, to_viewer);
        packets.note_path(victim, to_victim);
        packets.send(packet(victim, &[1, 1])).await;
        assert!(victims.try_recv().is_ok(), "replies go to all who know the password");
        assert_eq!(packets.media(), None);
        for first_byte in [22, 128] {
            packets.send(packet(viewer, &[first_byte])).await;
            assert!(viewers.try_recv().is_ok());
            packets.send(packet(victim, &[first_byte])).await;
            assert!(victims.try_recv().is_err(), "{first_byte}");
        }
        assert_eq!(packets.media(), Some(viewer));
        assert!(packets.permits(viewer.remote.ip()) && !packets.permits(victim.remote.ip()));
        assert_eq!(packets.sent, 3);
    }

    #[tokio::test]
    async fn a_path_is_found_by_protocol_and_both_addresses() {
        let sockets = Arc::new(Sockets::bind(0).expect("a port"));
        let mut packets = Packets::new(sockets, Counter::default());
        let (over_tcp, over_udp) =
            (pair(Protocol::Tcp, "198.51.100.1:5000"), pair(Protocol::Udp, "198.51.100.1:5000"));
        let (path, mut sent) = tcp();
        packets.note_path(over_tcp, path);
        packets.note_path(over_udp, Path::Udp(None));
        packets.send(packet(over_tcp, &[128])).await;
        assert!(sent.try_recv().is_ok(), "the path over UDP does not replace the connection");
        assert!(packets.outbox().is_some());
        packets.send(packet(over_udp, &[128])).await;
        assert!(sent.try_recv().is_err() && packets.outbox().is_none());
        for port in 1..100 {
            packets
                .note_path(pair(Protocol::Udp, &format!("198.51.100.1:{port}")), Path::Udp(None));
        }
        assert!(!packets.is_known(over_tcp) && packets.paths.len() == MAX_PATHS);
    }
}
