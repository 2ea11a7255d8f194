//! Which session gets which datagram. All sessions share the sockets. A session is found by the user name fragment of
//! its ICE credentials, which the viewer learns from the answer, and later by the protocol and the viewer's address.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use str0m::ice::StunMessage;
use str0m::net::Protocol;
use tokio::sync::{Semaphore, mpsc};

use crate::base::lock::lock;

/// The largest number of datagrams that wait for a session. Viewers send few: about ten a second.
const INBOX: usize = 64;
/// The largest number of addresses of one session that are known at the same time.
const MAX_ADDRESSES: usize = 16;
/// The largest number of TCP connections of one session at the same time. A browser opens one for each of its addresses.
const MAX_CONNECTIONS: usize = 4;
/// The longest datagram, in bytes.
pub(super) const MAX_DATAGRAM: usize = 2000;

/// A datagram for a session.
#[derive(Debug)]
pub(super) struct Datagram {
    /// The sender's address.
    pub(super) source: SocketAddr,
    /// How the datagram arrived, which is also the way of the reply.
    pub(super) path: Path,
    /// The time of its arrival.
    pub(super) received_at: Instant,
    /// Its bytes.
    pub(super) bytes: Bytes,
}

/// The way between the manager and an address of a viewer.
#[derive(Debug, Clone)]
pub(super) enum Path {
    /// UDP, with the local address at which the viewer's datagrams arrive; `None` if the system did not report it.
    Udp(Option<IpAddr>),
    /// A TCP connection, by its local address and the queue of what is sent over it.
    Tcp(IpAddr, mpsc::Sender<Bytes>),
}

impl Path {
    /// Returns the protocol.
    pub(super) fn protocol(&self) -> Protocol {
        match self {
            Self::Udp(_) => Protocol::Udp,
            Self::Tcp(..) => Protocol::Tcp,
        }
    }
}

/// The two ends of a path, by which the library names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    /// The protocol.
    pub(super) protocol: Protocol,
    /// The viewer's address.
    pub(super) remote: SocketAddr,
    /// The announced address at which the viewer's datagrams arrive.
    pub(super) local: SocketAddr,
}

/// Returns whether a datagram is a message of ICE, and not of DTLS or RTP (RFC 7983).
pub(super) fn is_stun(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|byte| *byte < 4)
}

/// The route to a session. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Route {
    /// The session's inbox.
    pub(super) inbox: mpsc::Sender<Datagram>,
    /// The session's free TCP connections.
    pub(super) connections: Arc<Semaphore>,
}

/// The routes to all sessions. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Routes(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    by_fragment: HashMap<String, Route>,
    by_address: HashMap<(Protocol, SocketAddr), Route>,
}

/// A session's inbox. While it exists, the session gets its datagrams.
#[derive(Debug)]
pub(super) struct Inbox {
    routes: Routes,
    fragment: String,
    addresses: Vec<(Protocol, SocketAddr)>,
    route: Route,
    datagrams: mpsc::Receiver<Datagram>,
}

impl Routes {
    /// Creates the inbox of the session with this user name fragment.
    pub(super) fn open(&self, fragment: &str) -> Inbox {
        let (inbox, datagrams) = mpsc::channel(INBOX);
        let route = Route { inbox, connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)) };
        let fragment = fragment.to_owned();
        lock(&self.0).by_fragment.insert(fragment.clone(), route.clone());
        Inbox { routes: self.clone(), fragment, addresses: Vec::new(), route, datagrams }
    }

    /// Returns the route of a datagram: for a STUN request, that of the session whose user name fragment the request
    /// contains; otherwise that of the session to which the sender's address belongs with this protocol.
    pub(super) fn find(
        &self,
        protocol: Protocol,
        source: SocketAddr,
        bytes: &[u8],
    ) -> Option<Route> {
        if is_stun(bytes) {
            let message = StunMessage::parse(bytes).ok()?;
            let (fragment, _) = message.split_username()?;
            return lock(&self.0).by_fragment.get(fragment).cloned();
        }
        lock(&self.0).by_address.get(&(protocol, source)).cloned()
    }

    /// Returns the number of user name fragments and of addresses that are known.
    #[cfg(test)]
    pub(super) fn count(&self) -> (usize, usize) {
        let known = lock(&self.0);
        (known.by_fragment.len(), known.by_address.len())
    }
}

impl Inbox {
    /// Waits for the next datagram.
    pub(super) async fn next(&mut self) -> Datagram {
        // The inbox holds a sender, so the channel never closes.
        match self.datagrams.recv().await {
            Some(datagram) => datagram,
            None => std::future::pending().await,
        }
    }

    /// Returns the next datagram if it has arrived.
    pub(super) fn try_next(&mut self) -> Option<Datagram> {
        self.datagrams.try_recv().ok()
    }

    /// From now on, the session gets everything from this address, because a request with the session's password came from
    /// it. The oldest of too many addresses is forgotten.
    pub(super) fn admit(&mut self, protocol: Protocol, address: SocketAddr) {
        let address = (protocol, address);
        let mut known = lock(&self.routes.0);
        if !self.addresses.contains(&address) {
            if self.addresses.len() >= MAX_ADDRESSES {
                let oldest = self.addresses.remove(0);
                known.forget(oldest, &self.route);
            }
            self.addresses.push(address);
        }
        // Another session's viewer can have forged this address.
        known.by_address.insert(address, self.route.clone());
    }
}

impl Known {
    /// Removes the route of an address, unless the address belongs to another session by now.
    fn forget(&mut self, address: (Protocol, SocketAddr), route: &Route) {
        if self.by_address.get(&address).is_some_and(|it| it.inbox.same_channel(&route.inbox)) {
            self.by_address.remove(&address);
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let mut known = lock(&self.routes.0);
        known.by_fragment.remove(&self.fragment);
        for address in &self.addresses {
            known.forget(*address, &self.route);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DTLS: &[u8] = &[22, 254, 253, 0];

    #[test]
    fn a_datagram_goes_to_the_session_to_which_its_address_belongs() {
        let routes = Routes::default();
        let (mut first, mut second) = (routes.open("aaaa"), routes.open("bbbb"));
        let address = "192.0.2.1:5000".parse().expect("an address");
        let is_found = |protocol, inbox: &Inbox| {
            let found = routes.find(protocol, address, DTLS);
            found.is_some_and(|route| route.inbox.same_channel(&inbox.route.inbox))
        };
        assert!(routes.find(Protocol::Udp, address, DTLS).is_none(), "unknown");
        first.admit(Protocol::Udp, address);
        assert!(is_found(Protocol::Udp, &first));
        second.admit(Protocol::Tcp, address);
        assert!(is_found(Protocol::Udp, &first) && is_found(Protocol::Tcp, &second));
        second.admit(Protocol::Udp, address);
        first.admit(Protocol::Udp, address);
        assert!(is_found(Protocol::Udp, &first), "the session takes its address back");
        second.admit(Protocol::Udp, address);
        drop(first);
        assert!(is_found(Protocol::Udp, &second));
        drop(second);
        assert_eq!(routes.count(), (0, 0));
    }

    #[test]
    fn a_session_has_a_limited_number_of_addresses() {
        let routes = Routes::default();
        let mut inbox = routes.open("aaaa");
        for port in 1..1000 {
            inbox.admit(Protocol::Udp, SocketAddr::from(([192, 0, 2, 1], port)));
        }
        assert_eq!(routes.count(), (1, MAX_ADDRESSES));
    }

    #[test]
    fn damaged_stun_goes_nowhere() {
        let routes = Routes::default();
        let _inbox = routes.open("aaaa");
        let source = "192.0.2.1:5000".parse().expect("an address");
        for length in 0..40 {
            assert!(routes.find(Protocol::Udp, source, &vec![0; length]).is_none());
        }
    }
}
