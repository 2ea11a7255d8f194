//! The number of requests at the same time. Each push server and each API key has a limit, and slow servers share a small one, so
//! that they delay only notifications to slow servers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::lock::lock;

/// The largest number of requests to one push server at the same time. Most browsers use one of three servers, each of which
/// responds within about 100 ms.
pub(super) const MAX_TO_SERVER: usize = 24;
/// The largest number of requests for the subscriptions of one API key, so that one key cannot use up [`MAX_QUICK`], for
/// example with servers that it invents.
pub(super) const MAX_OF_KEY: usize = 32;
/// The largest number of requests to all push servers that are not slow.
pub(super) const MAX_QUICK: usize = 64;
/// The largest number of requests to all slow push servers.
pub(super) const MAX_SLOW: usize = 8;
/// The number of push servers above which those without requests are forgotten, quick ones first. There are only a few in use,
/// unless clients invent them.
const MAX_REMEMBERED: usize = 1000;
/// A push server is slow after this number of slow requests in a row, so that a pause of the network does not make it slow.
const SLOW_AFTER: u32 = 2;

/// The push servers to which requests were sent. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Servers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    servers: Mutex<HashMap<String, Arc<Server>>>,
    /// The limits by the name of the API key. Only keys that exist make subscriptions.
    keys: Mutex<HashMap<String, Arc<Semaphore>>>,
    quick: Arc<Semaphore>,
    slow: Arc<Semaphore>,
}

#[derive(Debug)]
struct Server {
    requests: Arc<Semaphore>,
    /// The number of slow requests in a row. A new server begins with 1, because it is not known to be quick.
    slow_in_a_row: AtomicU32,
}

impl Server {
    fn is_slow(&self) -> bool {
        self.slow_in_a_row.load(Ordering::Relaxed) >= SLOW_AFTER
    }
}

/// The permission to send one request.
#[derive(Debug)]
pub(super) struct RequestSlot {
    server: Arc<Server>,
    _of_key: Option<OwnedSemaphorePermit>,
    _of_server: Option<OwnedSemaphorePermit>,
    _of_all: Option<OwnedSemaphorePermit>,
}

impl RequestSlot {
    /// Notes whether the push server was quick. Further requests use the limit of quick or of slow servers.
    pub(super) fn set_quick(&self, is_quick: bool) {
        let row = &self.server.slow_in_a_row;
        if is_quick {
            row.store(0, Ordering::Relaxed);
        } else {
            // Other requests may end at the same time. The exact number does not matter.
            row.store(row.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
        }
    }
}

impl Servers {
    /// Creates the limits.
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            servers: Mutex::default(),
            keys: Mutex::default(),
            quick: Arc::new(Semaphore::new(MAX_QUICK)),
            slow: Arc::new(Semaphore::new(MAX_SLOW)),
        }))
    }

    /// Waits until a request to a push server can be sent for a subscription of the API key `key`.
    pub(super) async fn slot(&self, server: &str, key: &str) -> RequestSlot {
        let server = self.server(server);
        // The semaphores are never closed. The limits of the server and of the key come first, so that requests that wait for
        // them do not use up the common limits.
        let of_server = Arc::clone(&server.requests).acquire_owned().await.ok();
        let is_slow = server.is_slow();
        // Slow servers have so few requests that they need no further limit.
        let of_key = if is_slow { None } else { self.key(key).acquire_owned().await.ok() };
        let common = if is_slow { &self.0.slow } else { &self.0.quick };
        let of_all = Arc::clone(common).acquire_owned().await.ok();
        RequestSlot { server, _of_key: of_key, _of_server: of_server, _of_all: of_all }
    }

    fn key(&self, name: &str) -> Arc<Semaphore> {
        let mut keys = lock(&self.0.keys);
        let new = || Arc::new(Semaphore::new(MAX_OF_KEY));
        Arc::clone(keys.entry(name.to_owned()).or_insert_with(new))
    }

    fn server(&self, name: &str) -> Arc<Server> {
        let mut servers = lock(&self.0.servers);
        if let Some(server) = servers.get(name) {
            return Arc::clone(server);
        }
        if servers.len() >= MAX_REMEMBERED {
            servers.retain(|_, server| Arc::strong_count(server) > 1 || server.is_slow());
        }
        if servers.len() >= MAX_REMEMBERED {
            servers.retain(|_, server| Arc::strong_count(server) > 1);
        }
        let requests = Arc::new(Semaphore::new(MAX_TO_SERVER));
        let server = Arc::new(Server { requests, slow_in_a_row: AtomicU32::new(1) });
        servers.insert(name.to_owned(), Arc::clone(&server));
        server
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// Returns a slot for a subscription of a key; `None` if a limit is reached.
    async fn slot_of(servers: &Servers, name: &str, key: &str) -> Option<RequestSlot> {
        timeout(Duration::from_secs(1), servers.slot(name, key)).await.ok()
    }

    /// Returns a slot of another key than all slots before; `None` if a limit is reached.
    async fn slot(servers: &Servers, name: &str) -> Option<RequestSlot> {
        let key = lock(&servers.0.keys).len().to_string();
        slot_of(servers, name, &key).await
    }

    #[tokio::test(start_paused = true)]
    async fn slow_servers_leave_the_other_slots_to_quick_ones() {
        let servers = Servers::new();
        let mut held = Vec::new();
        for _ in 0..MAX_TO_SERVER {
            held.push(slot(&servers, "one").await.expect("a slot"));
        }
        assert!(slot(&servers, "one").await.is_none(), "the limit of one server");
        held.clear();
        let names: Vec<_> = (0..100).map(|number| number.to_string()).collect();
        for name in &names {
            slot(&servers, name).await.expect("a slot").set_quick(false);
        }
        for name in &names {
            held.extend(slot(&servers, name).await);
        }
        assert_eq!(held.len(), MAX_SLOW, "slow servers use their own slots only");
        for number in 0..MAX_QUICK {
            held.push(slot(&servers, &format!("quick-{}", number / 8)).await.expect("a slot"));
        }
        assert!(slot(&servers, "quick").await.is_none(), "the limit of all servers");
        held.first().expect("a slot of a slow server").set_quick(true);
        held.clear();
        for _ in 0..=MAX_TO_SERVER {
            held.extend(slot(&servers, "0").await);
        }
        assert_eq!(held.len(), MAX_TO_SERVER, "a server that responds again is quick");
        held.first().expect("a slot").set_quick(false);
        held.clear();
        for _ in 0..=MAX_SLOW {
            held.extend(slot(&servers, "0").await);
        }
        assert_eq!(held.len(), MAX_SLOW + 1, "one slow request of a quick server does not count");
        held.first().expect("a slot").set_quick(false);
        held.clear();
        for _ in 0..=MAX_SLOW {
            held.extend(slot(&servers, "0").await);
        }
        assert_eq!(held.len(), MAX_SLOW, "two in a row do");
    }

    #[tokio::test(start_paused = true)]
    async fn one_key_leaves_slots_to_others() {
        let servers = Servers::new();
        let mut held = Vec::new();
        for number in 0..100 {
            held.extend(slot_of(&servers, &format!("invented-{number}"), "one").await);
        }
        assert_eq!(held.len(), MAX_OF_KEY);
        held.push(slot_of(&servers, "quick", "other").await.expect("a slot of another key"));
    }

    #[tokio::test]
    async fn the_number_of_remembered_servers_is_limited_and_slow_ones_are_kept() {
        let servers = Servers::new();
        let held = servers.slot("held", "key").await;
        servers.slot("slow", "key").await.set_quick(false);
        for number in 0..2 * MAX_REMEMBERED {
            servers.slot(&number.to_string(), "key").await.set_quick(true);
        }
        {
            let remembered = lock(&servers.0.servers);
            assert!(remembered.len() <= MAX_REMEMBERED + 1 && remembered.contains_key("held"));
            assert!(remembered["slow"].is_slow(), "invented servers do not make it quick");
        }
        for number in 0..2 * MAX_REMEMBERED {
            servers.slot(&number.to_string(), "key").await.set_quick(false);
            servers.slot(&number.to_string(), "key").await.set_quick(false);
        }
        assert!(lock(&servers.0.servers).len() <= MAX_REMEMBERED + 1);
        drop(held);
    }
}
