//! Push notifications: messages about events that browsers show although the page is not open (Web Push). The manager sends
//! them to the push server that the browser has chosen, encrypted for the browser.
//!
//! | Module | Owns |
//! |---|---|
//! | [`subscription`] | a subscription: its holder, its browser, and the events that it is for |
//! | [`subscriptions`] | all subscriptions, in memory and in the database |
//! | [`vapid`] | the key by which push servers recognize the manager |
//! | [`networks`] | the addresses at which push servers are permitted |
//! | [`notification`] | the content of a notification |
//! | [`client`] | requests to push servers, and the meaning of their responses |
//! | [`servers`] | the number of requests at the same time |
//! | [`permission`] | the interface of the check which subscribers can see an event |
//! | [`limiter`] | the limit of notifications for each camera and minute |
//! | [`queue`] | the order of notifications, retries, and dropping those that cannot be delivered |
//! | [`deliver`] | turning events into notifications |
//! | [`counters`] | the numbers of subscriptions and notifications |
//!
//! Without subscriptions, there is only a task that waits for one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tracing::warn;

use crate::base::error::{Error, ErrorKind};
use crate::base::lock::lock;
use crate::base::time::SystemClock;
use crate::camera::networks::Networks;
use crate::events::bus::Bus;
use crate::store::db::Database;
use crate::store::db::push_table::PushSecret;
use crate::store::seal::Sealer;
use client::{Outcome, PushClient};
use counters::PushCounters;
use deliver::Delivery;
use limiter::LastMinute;
use networks::PushNetworks;
use permission::Permission;
use servers::Servers;
use subscription::{Browser, Holder, Subscription};
use subscriptions::{Effect, NewSubscription, SubscriptionMap, Subscriptions};
use vapid::VapidKey;

mod client;
pub(crate) mod counters;
mod deliver;
mod limiter;
mod networks;
mod notification;
pub(crate) mod permission;
mod queue;
mod servers;
pub(crate) mod subscription;
pub(crate) mod subscriptions;
#[cfg(test)]
mod testing;
mod vapid;

/// The longest time that a test waits for other requests to the same push server.
const WAIT_FOR_SLOT: Duration = Duration::from_secs(5);
/// The largest number of tests of one subscription within a minute, because each test sends a request to a server that a client
/// has named.
const MAX_TESTS: u32 = 6;

/// The settings of push notifications.
#[derive(Debug, Clone, Default)]
pub(crate) struct PushSettings {
    /// The address at which the operators of push servers can reach the operator of the manager.
    pub(crate) contact: Option<String>,
    /// The networks in which push servers are permitted, in addition to public addresses.
    pub(crate) allow_nets: Networks,
}

/// The reason why push notifications cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PushError {
    /// The database failed.
    #[error("the push subscriptions cannot be read from the database")]
    Database(#[from] sqlx::Error),
    /// No key can be generated.
    #[error(transparent)]
    Key(Error),
}

/// Push notifications. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Push(Arc<Inner>);

struct Inner {
    subscriptions: Arc<Subscriptions>,
    client: Arc<PushClient>,
    servers: Servers,
    /// The tests by the id of the subscription.
    tests: Mutex<LastMinute<String>>,
    counters: PushCounters,
    clock: SystemClock,
}

impl Push {
    /// Reads the key and the subscriptions from the database, in which `sealer` has sealed them. Creates the key at the first
    /// start. Deletes the subscriptions whose holder `is_kept` refuses.
    pub(crate) async fn open(
        database: &Database,
        sealer: &Sealer,
        settings: PushSettings,
        clock: SystemClock,
        is_kept: impl Fn(&Holder) -> bool,
    ) -> Result<Self, PushError> {
        let key = open_key(database, sealer).await?;
        let counters = PushCounters::default();
        let subscriptions = Subscriptions::open(
            database.clone(),
            sealer.clone(),
            Arc::clone(&clock),
            counters.clone(),
            is_kept,
        );
        let networks = PushNetworks::new(settings.allow_nets);
        Ok(Self(Arc::new(Inner {
            subscriptions: Arc::new(subscriptions.await?),
            client: Arc::new(PushClient::new(key, settings.contact, networks, Arc::clone(&clock))),
            servers: Servers::new(),
            tests: Mutex::default(),
            counters,
            clock,
        })))
    }

    /// Delivers the events that are published on `bus`. `last` is the number of the last change of a stored event.
    pub(crate) async fn run(
        self,
        permission: impl Permission,
        bus: Bus,
        last: watch::Receiver<i64>,
    ) {
        let Inner { subscriptions, client, servers, counters, clock, .. } = self.0.as_ref();
        let delivery = Delivery {
            subscriptions: Arc::clone(subscriptions),
            sender: Arc::clone(client),
            permission: Arc::new(permission),
            servers: servers.clone(),
            counters: counters.clone(),
            clock: Arc::clone(clock),
            bus,
            last,
        };
        delivery.run().await;
    }

    /// Returns the counters.
    pub(crate) fn counters(&self) -> &PushCounters {
        &self.0.counters
    }

    /// Returns the public key with which browsers subscribe, as base64url.
    pub(crate) fn public_key(&self) -> &str {
        self.0.client.public_key()
    }

    /// Returns whether push servers get the address of the operator, without which some refuse notifications.
    pub(crate) fn has_contact(&self) -> bool {
        self.0.client.has_contact()
    }

    /// Returns all subscriptions.
    pub(crate) fn all(&self) -> Arc<SubscriptionMap> {
        self.0.subscriptions.all()
    }

    /// Returns an error if the push server of a browser has an address that is not permitted.
    pub(crate) async fn ensure_permitted(&self, browser: &Browser) -> Result<(), Error> {
        self.0.client.ensure_permitted(browser).await
    }

    /// Adds a subscription, or replaces the subscription of the same browser.
    pub(crate) async fn put(
        &self,
        new: NewSubscription,
    ) -> Result<(Arc<Subscription>, Effect), Error> {
        let subscriptions = Arc::clone(&self.0.subscriptions);
        completed(async move { subscriptions.put(new).await }).await
    }

    /// Deletes a subscription. Returns whether it existed.
    pub(crate) async fn remove(&self, id: &str) -> Result<bool, Error> {
        let (subscriptions, id) = (Arc::clone(&self.0.subscriptions), id.to_owned());
        completed(async move { subscriptions.remove(&id).await }).await
    }

    /// Notes that the page is open in the browser of a subscription. Returns the subscription; `None` if it does not exist.
    pub(crate) async fn opened(&self, id: &str) -> Result<Option<Arc<Subscription>>, Error> {
        let (subscriptions, id) = (Arc::clone(&self.0.subscriptions), id.to_owned());
        completed(async move { subscriptions.opened(&id).await }).await
    }

    /// Sends a test notification, and waits until the push server has accepted it. If the push server does not know the
    /// subscription any more, deletes the subscription.
    pub(crate) async fn test(&self, to: &Arc<Subscription>) -> Result<(), Error> {
        let Inner { client, servers, counters, clock, tests, .. } = self.0.as_ref();
        let is_admitted = {
            let mut tests = lock(tests);
            tests.forget_old();
            tests.admit(to.id.clone(), MAX_TESTS)
        };
        if !is_admitted {
            let detail = format!(
                "{MAX_TESTS} tests of this subscription were sent within a minute; try again later"
            );
            return Err(Error::new(ErrorKind::Busy, detail).retry_after(Duration::from_mins(1)));
        }
        let server = to.browser.server();
        let slot = timeout(WAIT_FOR_SLOT, servers.slot(server, &to.holder.made_by)).await;
        let slot = slot.map_err(|_| {
            let detail =
                "too many notifications are being sent to this push server; try again later";
            Error::new(ErrorKind::Busy, detail).retry_after(WAIT_FOR_SLOT)
        })?;
        let notification = notification::test(to, clock());
        let outcome = queue::send(Arc::clone(client), Arc::clone(to), notification, slot).await;
        let cause = match outcome {
            Outcome::Delivered => {
                counters.delivered(false);
                return Ok(());
            }
            Outcome::Gone => {
                self.remove(&to.id).await?;
                "the push server does not know the subscription any more, so it was deleted; subscribe again in the browser".to_owned()
            }
            Outcome::Refused(cause) | Outcome::Retry { cause, .. } => cause,
            // The response must not show what is at the address that a client has chosen.
            Outcome::NoResponse(cause) => {
                warn!(server, cause, "a test of push notifications failed");
                "the push server did not respond; the manager's log contains the reason".to_owned()
            }
        };
        counters.dropped(1);
        Err(Error::new(ErrorKind::PushFailed, format!("{server}: {cause}")))
    }
}

/// Runs a change of the subscriptions to its end although the caller may stop waiting, because memory and database must change
/// together.
async fn completed<T: Send + 'static>(
    change: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(change).await.unwrap_or_else(|error| {
        let detail = "the change of a push subscription failed";
        Err(Error::new(ErrorKind::Internal, detail).caused_by(error))
    })
}

/// Returns the key in the database. If the database has no key, or a key that cannot be used, creates one and deletes all
/// subscriptions, because they belong to another key.
async fn open_key(database: &Database, sealer: &Sealer) -> Result<VapidKey, PushError> {
    let context = PushSecret { subscription: None, sealed: Vec::new() }.context();
    let stored = database.push_key().await?;
    if let Some(stored) = &stored {
        let key = sealer.open(&context, stored).and_then(|bytes| VapidKey::from_bytes(&bytes));
        if let Some(key) = key {
            return Ok(key);
        }
        warn!(
            "the key of push notifications is damaged; all push subscriptions end, and a new key is created"
        );
    }
    let key = VapidKey::generate().map_err(PushError::Key)?;
    database.begin_with_push_key(&sealer.seal(&context, &key.to_bytes())).await?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tempfile::TempDir;

    use super::subscription::Choice;
    use super::subscription::testing::{admin, browser, preferences};
    use super::*;
    use crate::store::{Cameras, rotate_key};

    async fn open(cameras: &Cameras) -> Push {
        let (database, sealer) = (cameras.database(), cameras.sealer());
        let (settings, clock) = (PushSettings::default(), Arc::new(SystemTime::now));
        Push::open(database, sealer, settings, clock, |_| true).await.expect("push notifications")
    }

    async fn put(push: &Push) -> Arc<Subscription> {
        let choice = Choice::new(preferences(&["camera"])).expect("preferences");
        let browser = browser("https://push.example.com/1");
        push.put(NewSubscription { holder: admin(), browser, choice }).await.expect("added").0
    }

    #[tokio::test]
    async fn the_key_and_the_subscriptions_survive_a_restart_and_another_database_key() {
        let dir = TempDir::new().expect("a directory");
        let url = format!("sqlite:{}", dir.path().join("cameras.db").display());
        let cameras = Cameras::open(&url, None).await.expect("a store");
        let push = open(&cameras).await;
        let (public, added) = (push.public_key().to_owned(), put(&push).await);
        assert_eq!(open(&cameras).await.public_key(), public);
        drop((push, cameras));
        rotate_key(&url, None, None).await.expect("a rotation");
        let cameras = Cameras::open(&url, None).await.expect("a store");
        let push = open(&cameras).await;
        assert_eq!(push.public_key(), public);
        assert_eq!(push.all().get(&added.id).expect("it is kept").browser, added.browser);
    }

    #[tokio::test]
    async fn a_damaged_key_is_replaced_and_the_subscriptions_end() {
        let dir = TempDir::new().expect("a directory");
        let url = format!("sqlite:{}", dir.path().join("cameras.db").display());
        let cameras = Cameras::open(&url, None).await.expect("a store");
        let push = open(&cameras).await;
        put(&push).await;
        let mut write = cameras.database().write().await.expect("a transaction");
        let damaged = PushSecret { subscription: None, sealed: b"x".to_vec() };
        write.set_push_secret(&damaged).await.expect("a write");
        write.commit().await.expect("a commit");
        let again = open(&cameras).await;
        assert_ne!(again.public_key(), push.public_key());
        assert!(again.all().is_empty());
    }
}
