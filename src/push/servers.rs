//! The number of requests at the same time. Each push server has a limit, and slow servers share a small one, so that they delay
//! only notifications to slow servers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::lock::lock;

/// The largest number of requests to one push server at the same time.
pub(super) const MAX_TO_SERVER: usize = 8;
/// The largest number of requests to all push servers that are not slow.
pub(super) const MAX_QUICK: usize = 64;
/// The largest number of requests to all slow push servers.
pub(super) const MAX_SLOW: usize = 8;
/// The number of push servers above which those without requests are forgotten. There are only a few in use, unless clients
/// invent them.
const MAX_REMEMBERED: usize = 1000;

/// The push servers to which requests were sent. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Servers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    servers: Mutex<HashMap<String, Arc<Server>>>,
    quick: Arc<Semaphore>,
    slow: Arc<Semaphore>,
}

#[derive(Debug)]
struct Server {
    requests: Arc<Semaphore>,
    is_slow: AtomicBool,
}

/// The permission to send one request.
#[derive(Debug)]
pub(super) struct RequestSlot {
    server: Arc<Server>,
    _of_server: Option<OwnedSemaphorePermit>,
    _of_all: Option<OwnedSemaphorePermit>,
}

impl RequestSlot {
    /// Notes whether the push server was quick. Further requests use the limit of quick or of slow servers.
    pub(super) fn set_quick(&self, is_quick: bool) {
        self.server.is_slow.store(!is_quick, Ordering::Relaxed);
    }
}

impl Servers {
    /// Creates the limits.
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            servers: Mutex::default(),
            quick: Arc::new(Semaphore::new(MAX_QUICK)),
            slow: Arc::new(Semaphore::new(MAX_SLOW)),
        }))
    }

    /// Waits until a request to a push server can be sent.
    pub(super) async fn slot(&self, server: &str) -> RequestSlot {
        let server = self.server(server);
        // The semaphores are never closed. The server's own limit comes first, so that requests that wait for it do not use
        // up the common limits.
        let of_server = Arc::clone(&server.requests).acquire_owned().await.ok();
        let is_slow = server.is_slow.load(Ordering::Relaxed);
        let common = if is_slow { &self.0.slow } else { &self.0.quick };
        let of_all = Arc::clone(common).acquire_owned().await.ok();
        RequestSlot { server, _of_server: of_server, _of_all: of_all }
    }

    fn server(&self, name: &str) -> Arc<Server> {
        let mut servers = lock(&self.0.servers);
        if let Some(server) = servers.get(name) {
            return Arc::clone(server);
        }
        if servers.len() >= MAX_REMEMBERED {
            servers.retain(|_, server| Arc::strong_count(server) > 1);
        }
        let requests = Arc::new(Semaphore::new(MAX_TO_SERVER));
        let server = Arc::new(Server { requests, is_slow: AtomicBool::new(false) });
        servers.insert(name.to_owned(), Arc::clone(&server));
        server
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// Returns a slot; `None` if the limit is reached.
    async fn slot(servers: &Servers, name: &str) -> Option<RequestSlot> {
        timeout(Duration::from_secs(1), servers.slot(name)).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn slow_servers_leave_the_other_slots_to_quick_ones() {
        let servers = Servers::new();
        let mut held = Vec::new();
        for _ in 0..MAX_TO_SERVER {
            held.push(slot(&servers, "one").await.expect("a slot"));
        }
        assert!(slot(&servers, "one").await.is_none(), "the limit of one server");
        held.first().expect("a slot").set_quick(false);
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
        for _ in 0..=MAX_SLOW {
            held.extend(slot(&servers, "0").await);
        }
        assert_eq!(held.len(), MAX_TO_SERVER, "a server that responds again is quick");
    }

    #[tokio::test]
    async fn the_number_of_remembered_servers_is_limited() {
        let servers = Servers::new();
        let held = servers.slot("held").await;
        for number in 0..2 * MAX_REMEMBERED {
            servers.slot(&number.to_string()).await.set_quick(true);
        }
        let remembered = lock(&servers.0.servers);
        assert!(remembered.len() <= MAX_REMEMBERED + 1 && remembered.contains_key("held"));
        drop(held);
    }
}
