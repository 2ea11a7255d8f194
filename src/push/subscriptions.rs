//! All subscriptions: in memory, and in the database, in which their secrets are sealed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tokio::sync::watch;
use tracing::{info, warn};

use super::counters::PushCounters;
use super::subscription::{Browser, Choice, Holder, Preferences, Subscription};
use crate::access::rights::Rights;
use crate::access::role::Role;
use crate::base::error::{Error, ErrorKind};
use crate::base::random;
use crate::base::time::{SystemClock, to_i64};
use crate::store::db::Database;
use crate::store::db::push_table::{PushRow, PushSecret};
use crate::store::error::query_failed;
use crate::store::seal::Sealer;

/// The time after which a subscription ends if the page was not open in the browser.
const LIFETIME: Duration = Duration::from_hours(90 * 24);
/// The largest number of subscriptions. Each event that all subscribers want to get costs about a millisecond of CPU time
/// per subscription.
const MAX_SUBSCRIPTIONS: usize = 2000;
/// The largest number of subscriptions of one API key, so that one key cannot use up [`MAX_SUBSCRIPTIONS`].
const MAX_OF_KEY: usize = 1000;
/// The largest number of subscriptions of one user of an API key, or of the key itself.
const MAX_OF_HOLDER: usize = 20;
/// The length of an id, in characters.
const ID_LENGTH: usize = 24;
/// The precision of the times at which the page was open, which limits the writes to the database.
const OPENED_PRECISION: Duration = Duration::from_hours(1);

/// The subscriptions by id.
pub(crate) type SubscriptionMap = HashMap<String, Arc<Subscription>>;

/// All subscriptions.
pub(super) struct Subscriptions {
    database: Database,
    sealer: Sealer,
    clock: SystemClock,
    all: watch::Sender<Arc<SubscriptionMap>>,
    /// Locked during a change, so that memory and database change in the same order.
    changing: tokio::sync::Mutex<()>,
    counters: PushCounters,
}

/// What a new subscription has.
#[derive(Debug)]
pub(crate) struct NewSubscription {
    /// To whom the subscription belongs.
    pub(crate) holder: Holder,
    /// The browser that gets the notifications.
    pub(crate) browser: Browser,
    /// The events that the holder wants to get.
    pub(crate) choice: Choice,
}

/// The effect of [`Subscriptions::put`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The subscription was added.
    Added,
    /// A subscription of the same browser was replaced.
    Replaced,
}

impl Subscriptions {
    /// Reads the subscriptions from the database. Deletes those whose holder `is_kept` refuses, for example because the API
    /// key no longer exists, and those that have expired or are damaged.
    pub(super) async fn open(
        database: Database,
        sealer: Sealer,
        clock: SystemClock,
        counters: PushCounters,
        is_kept: impl Fn(&Holder) -> bool,
    ) -> Result<Self, sqlx::Error> {
        let mut all = SubscriptionMap::new();
        let mut ended = Vec::new();
        for row in database.push_subscriptions().await? {
            let id = row.id.clone();
            match subscription(row, &sealer) {
                Ok(subscription) if is_kept(&subscription.holder) => {
                    all.insert(id, Arc::new(subscription));
                }
                Ok(Subscription { holder: Holder { made_by, .. }, .. }) => {
                    warn!(subscription = %id, made_by, "a push subscription has ended, because its API key was removed or permits less than before");
                    ended.push(id);
                }
                Err(Unusable::Damaged) => {
                    warn!(subscription = %id, "a push subscription is damaged, and was deleted");
                    ended.push(id);
                }
                // Another version of the manager may be able to read it.
                Err(Unusable::Unknown) => {
                    warn!(subscription = %id, "a push subscription has values that this version does not know, so it gets no notifications");
                }
            }
        }
        database.delete_push_subscriptions(&ended).await?;
        counters.set_subscriptions(all.len());
        let (all, changing) = (watch::Sender::new(Arc::new(all)), tokio::sync::Mutex::new(()));
        let subscriptions = Self { database, sealer, clock, all, changing, counters };
        if let Err(error) = subscriptions.end_expired().await {
            warn!(%error, "cannot delete expired push subscriptions");
        }
        Ok(subscriptions)
    }

    /// Returns all subscriptions.
    pub(super) fn all(&self) -> Arc<SubscriptionMap> {
        Arc::clone(&self.all.borrow())
    }

    /// Returns a receiver that changes with each change of the subscriptions.
    pub(super) fn changes(&self) -> watch::Receiver<Arc<SubscriptionMap>> {
        self.all.subscribe()
    }

    /// Adds a subscription, or replaces the subscription of the same browser. Errors: `TooManySubscriptions`;
    /// `Forbidden` if another holder has a subscription with the URL of the browser, but with other keys.
    pub(super) async fn put(
        &self,
        new: NewSubscription,
    ) -> Result<(Arc<Subscription>, Effect), Error> {
        let _changing = self.changing.lock().await;
        let NewSubscription { holder, browser, choice } = new;
        let all = self.all();
        let known = all.values().find(|known| known.browser.uri() == browser.uri());
        if let Some(known) = known
            && known.holder.made_by != holder.made_by
            && known.browser != browser
        {
            let detail = "another API key has made a subscription with this endpoint";
            return Err(Error::new(ErrorKind::Forbidden, detail));
        }
        ensure_capacity(&all, &holder, known.map(|known| known.id.as_str()))?;
        let now = self.now();
        let (id, created_at) = match known {
            Some(known) => (known.id.clone(), known.created_at),
            None => (random::text(ID_LENGTH)?, now),
        };
        let effect = if known.is_some() { Effect::Replaced } else { Effect::Added };
        let new = Subscription { id, holder, browser, choice, created_at, opened_at: now };
        let row = self.row(&new)?;
        self.database.put_push_subscription(&row).await.map_err(query_failed)?;
        let new = Arc::new(new);
        self.change(|all| drop(all.insert(new.id.clone(), Arc::clone(&new))));
        Ok((new, effect))
    }

    /// Deletes a subscription. Returns whether it existed.
    pub(super) async fn remove(&self, id: &str) -> Result<bool, Error> {
        let _changing = self.changing.lock().await;
        if !self.all.borrow().contains_key(id) {
            return Ok(false);
        }
        self.database.delete_push_subscriptions(&[id.to_owned()]).await.map_err(query_failed)?;
        self.change(|all| drop(all.remove(id)));
        Ok(true)
    }

    /// Notes that the page is open in the browser of a subscription, so that the subscription does not end. Returns the
    /// subscription; `None` if it does not exist.
    pub(super) async fn opened(&self, id: &str) -> Result<Option<Arc<Subscription>>, Error> {
        let _changing = self.changing.lock().await;
        let present = self.all.borrow().get(id).cloned();
        let Some(known) = present else { return Ok(None) };
        let now = self.now();
        if now.abs_diff(known.opened_at) < OPENED_PRECISION.as_secs() {
            return Ok(Some(known));
        }
        self.database.push_page_opened(id, to_i64(now)).await.map_err(query_failed)?;
        let opened = Arc::new(Subscription { opened_at: now, ..known.as_ref().clone() });
        self.change(|all| drop(all.insert(id.to_owned(), Arc::clone(&opened))));
        Ok(Some(opened))
    }

    /// Deletes the subscriptions for which the page was not open for [`LIFETIME`].
    pub(super) async fn end_expired(&self) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        let now = self.now();
        let has_expired = |it: &&Arc<Subscription>| it.expires_at() <= now;
        let expired: Vec<_> =
            self.all().values().filter(has_expired).map(|it| it.id.clone()).collect();
        if expired.is_empty() {
            return Ok(());
        }
        self.database.delete_push_subscriptions(&expired).await.map_err(query_failed)?;
        self.change(|all| all.retain(|id, _| !expired.contains(id)));
        info!(subscriptions = ?expired, "push subscriptions have ended, because the page was not open for 90 days");
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut SubscriptionMap)) {
        self.all.send_modify(|all| {
            change(Arc::make_mut(all));
            self.counters.set_subscriptions(all.len());
        });
    }

    fn now(&self) -> u64 {
        (self.clock)().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }

    fn row(&self, subscription: &Subscription) -> Result<PushRow, Error> {
        let Subscription { id, holder, browser, choice, created_at, opened_at } = subscription;
        let preferences = serde_json::to_string(choice.preferences()).map_err(|error| {
            Error::new(ErrorKind::Internal, "the preferences cannot be stored").caused_by(error)
        })?;
        Ok(PushRow {
            id: id.clone(),
            sealed: self.sealer.seal(&context(id), &browser.to_bytes()),
            made_by: holder.made_by.clone(),
            role: holder.role.name().to_owned(),
            rights: holder.rights.to_text(),
            user: holder.user.clone(),
            owner: holder.owner.clone(),
            preferences,
            created_at: to_i64(*created_at),
            opened_at: to_i64(*opened_at),
        })
    }
}

impl Subscription {
    /// When the subscription ends, in Unix seconds, unless the page is opened before.
    pub(crate) fn expires_at(&self) -> u64 {
        self.opened_at.saturating_add(LIFETIME.as_secs())
    }
}

/// Returns the context of a subscription's secrets.
fn context(id: &str) -> String {
    PushSecret { subscription: Some(id.to_owned()), sealed: Vec::new() }.context()
}

/// The reason why a row cannot be used.
enum Unusable {
    /// The secrets cannot be read.
    Damaged,
    /// Other values are not known.
    Unknown,
}

/// Converts a row to a subscription.
fn subscription(row: PushRow, sealer: &Sealer) -> Result<Subscription, Unusable> {
    let opened = sealer.open(&context(&row.id), &row.sealed);
    let browser = opened.and_then(|bytes| Browser::from_bytes(&bytes)).ok_or(Unusable::Damaged)?;
    let preferences: Preferences =
        serde_json::from_str(&row.preferences).map_err(|_| Unusable::Unknown)?;
    Ok(Subscription {
        browser,
        choice: Choice::new(preferences).map_err(|_| Unusable::Unknown)?,
        holder: Holder {
            made_by: row.made_by,
            role: Role::parse(&row.role).ok_or(Unusable::Unknown)?,
            rights: Rights::from_text(&row.rights),
            user: row.user,
            owner: row.owner,
        },
        id: row.id,
        created_at: row.created_at.unsigned_abs(),
        opened_at: row.opened_at.unsigned_abs(),
    })
}

/// Returns an error if `holder` cannot have another subscription. The subscription with the id `replaced` does not count.
fn ensure_capacity(
    all: &SubscriptionMap,
    holder: &Holder,
    replaced: Option<&str>,
) -> Result<(), Error> {
    let others = || all.values().filter(|it| Some(it.id.as_str()) != replaced);
    let of_key = || others().filter(|it| it.holder.made_by == holder.made_by);
    let of_holder = of_key().filter(|it| it.holder.user == holder.user).count();
    let detail = if of_holder >= MAX_OF_HOLDER {
        format!(
            "this user has {MAX_OF_HOLDER} push subscriptions, which is the limit; delete subscriptions that are no longer needed"
        )
    } else if of_key().count() >= MAX_OF_KEY {
        format!(
            "this API key has {MAX_OF_KEY} push subscriptions, which is the limit; delete subscriptions that are no longer needed"
        )
    } else if others().count() >= MAX_SUBSCRIPTIONS {
        format!(
            "the manager has {MAX_SUBSCRIPTIONS} push subscriptions, which is the limit; delete subscriptions that are no longer needed"
        )
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::TooManySubscriptions, detail).retry_after(Duration::from_mins(1)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tempfile::TempDir;

    use super::super::subscription::testing::{admin, browser, preferences};
    use super::*;
    use crate::store::Cameras;

    struct Setup {
        _dir: TempDir,
        cameras: Cameras,
        seconds: Arc<AtomicU64>,
    }

    impl Setup {
        async fn new() -> Self {
            let dir = TempDir::new().expect("a directory");
            let url = format!("sqlite:{}", dir.path().join("cameras.db").display());
            let cameras = Cameras::open(&url, None).await.expect("a store");
            Self { _dir: dir, cameras, seconds: Arc::new(AtomicU64::new(1_000_000)) }
        }

        async fn open(&self, is_kept: impl Fn(&Holder) -> bool) -> Subscriptions {
            let (database, sealer) =
                (self.cameras.database().clone(), self.cameras.sealer().clone());
            let seconds = Arc::clone(&self.seconds);
            let clock: SystemClock =
                Arc::new(move || UNIX_EPOCH + Duration::from_secs(seconds.load(Ordering::Relaxed)));
            let opened =
                Subscriptions::open(database, sealer, clock, PushCounters::default(), is_kept);
            opened.await.expect("subscriptions")
        }
    }

    fn new(url: &str, holder: Holder) -> NewSubscription {
        let choice = Choice::new(preferences(&["camera"])).expect("preferences");
        NewSubscription { holder, browser: browser(url), choice }
    }

    fn of(key: &str, user: Option<&str>) -> Holder {
        Holder { made_by: key.to_owned(), user: user.map(str::to_owned), ..admin() }
    }

    fn url(number: usize) -> String {
        format!("https://push.example.com/{number}")
    }

    #[tokio::test]
    async fn subscriptions_survive_a_restart_and_their_urls_are_not_in_the_database() {
        let setup = Setup::new().await;
        let subscriptions = setup.open(|_| true).await;
        let holder = Holder { owner: Some("42".to_owned()), ..of("boss", Some("anna")) };
        let secret = "https://push.example.com/very-secret-url";
        let (added, effect) = subscriptions.put(new(secret, holder.clone())).await.expect("added");
        assert_eq!(effect, Effect::Added);
        let again = setup.open(|_| true).await.all();
        let read = again.get(&added.id).expect("the subscription");
        assert_eq!((&read.holder, &read.browser), (&holder, &added.browser));
        assert_eq!(read.choice.preferences(), added.choice.preferences());
        assert_eq!((read.created_at, read.opened_at), (1_000_000, 1_000_000));
        setup.cameras.database().checkpoint().await.expect("a checkpoint");
        let file = std::fs::read(setup.cameras.database().path()).expect("a file");
        assert!(!file.windows(11).any(|bytes| bytes == b"very-secret"));
        let ended = setup.open(|holder| holder.made_by != "boss").await.all();
        assert!(ended.is_empty(), "{ended:?}");
        assert!(setup.open(|_| true).await.all().is_empty(), "it was deleted");
    }

    #[tokio::test]
    async fn a_browser_has_one_subscription_which_others_cannot_take_over() {
        let setup = Setup::new().await;
        let subscriptions = setup.open(|_| true).await;
        let (first, _) = subscriptions.put(new(&url(1), of("boss", None))).await.expect("added");
        setup.seconds.fetch_add(10, Ordering::Relaxed);
        let (second, effect) =
            subscriptions.put(new(&url(1), of("boss", Some("anna")))).await.expect("replaced");
        assert_eq!((&second.id, effect), (&first.id, Effect::Replaced));
        assert_eq!((second.created_at, second.opened_at), (1_000_000, 1_000_010));
        let other_keys = Browser::new(
            &url(1),
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
            "BTBZMqHH6r4Tts7J_aSIgg",
        );
        let foreign = NewSubscription {
            browser: other_keys.expect("a browser"),
            ..new(&url(1), of("other", None))
        };
        let refused = subscriptions.put(foreign).await.expect_err("a refusal");
        assert_eq!(refused.kind, ErrorKind::Forbidden);
        // The same browser, in which the user has entered another API key.
        let (third, _) =
            subscriptions.put(new(&url(1), of("other", None))).await.expect("replaced");
        assert_eq!((&third.id, third.holder.made_by.as_str()), (&first.id, "other"));
        assert_eq!(subscriptions.all().len(), 1);
        assert!(subscriptions.remove(&first.id).await.expect("removed"));
        assert!(!subscriptions.remove(&first.id).await.expect("nothing to remove"));
        assert!(setup.open(|_| true).await.all().is_empty());
    }

    #[tokio::test]
    async fn the_numbers_of_subscriptions_are_limited() {
        let setup = Setup::new().await;
        let subscriptions = setup.open(|_| true).await;
        for number in 0..MAX_OF_HOLDER {
            subscriptions.put(new(&url(number), of("boss", Some("anna")))).await.expect("added");
        }
        let refused = subscriptions.put(new(&url(99), of("boss", Some("anna")))).await;
        assert_eq!(refused.expect_err("a refusal").kind, ErrorKind::TooManySubscriptions);
        subscriptions.put(new(&url(0), of("boss", Some("anna")))).await.expect("replaced");
        subscriptions.put(new(&url(99), of("boss", None))).await.expect("another holder");
        let mut all = SubscriptionMap::clone(&subscriptions.all());
        let one = Arc::clone(all.values().next().expect("a subscription"));
        let mut fill = |key: &str, count: usize| {
            for number in 0..count {
                let id = format!("{key}-{number}");
                let holder = of(key, Some(&id));
                let filled = Subscription { id: id.clone(), holder, ..one.as_ref().clone() };
                all.insert(id, Arc::new(filled));
            }
            all.clone()
        };
        let all = fill("full", MAX_OF_KEY);
        let kind = |all: &SubscriptionMap, holder: Holder| {
            ensure_capacity(all, &holder, None).err().map(|error| error.kind)
        };
        let too_many = Some(ErrorKind::TooManySubscriptions);
        assert_eq!(kind(&all, of("full", Some("new"))), too_many);
        assert_eq!(kind(&all, of("other", None)), None);
        let all = fill("more", MAX_SUBSCRIPTIONS - MAX_OF_KEY);
        assert_eq!(kind(&all, of("other", None)), too_many);
    }

    #[tokio::test]
    async fn a_subscription_ends_90_days_after_the_page_was_last_open() {
        let setup = Setup::new().await;
        let subscriptions = setup.open(|_| true).await;
        let (kept, _) = subscriptions.put(new(&url(1), of("boss", None))).await.expect("added");
        let (left, _) = subscriptions.put(new(&url(2), of("boss", None))).await.expect("added");
        setup.seconds.fetch_add(89 * 86_400, Ordering::Relaxed);
        let opened = subscriptions.opened(&kept.id).await.expect("noted").expect("it exists");
        assert_eq!(opened.opened_at, 1_000_000 + 89 * 86_400);
        assert!(subscriptions.opened("unknown").await.expect("a look-up").is_none());
        subscriptions.end_expired().await.expect("a check");
        assert_eq!(subscriptions.all().len(), 2);
        setup.seconds.fetch_add(86_400, Ordering::Relaxed);
        subscriptions.end_expired().await.expect("a check");
        let ids = |all: &SubscriptionMap| all.keys().cloned().collect::<Vec<_>>();
        assert_eq!(ids(&subscriptions.all()), [kept.id.as_str()]);
        assert_eq!(
            ids(&setup.open(|_| true).await.all()),
            [kept.id.as_str()],
            "{} is left",
            left.id
        );
    }

    #[tokio::test]
    async fn damaged_subscriptions_are_deleted_and_unknown_values_are_kept() {
        let setup = Setup::new().await;
        let subscriptions = setup.open(|_| true).await;
        let (added, _) = subscriptions.put(new(&url(1), of("boss", None))).await.expect("added");
        let row = subscriptions.row(&added).expect("a row");
        for damaged in [
            PushRow { sealed: b"x".to_vec(), ..row.clone() },
            PushRow { role: "king".to_owned(), ..row.clone() },
            PushRow { preferences: "{}".to_owned(), ..row.clone() },
        ] {
            setup.cameras.database().put_push_subscription(&damaged).await.expect("a write");
            assert!(setup.open(|_| true).await.all().is_empty(), "{damaged:?}");
            let rows = setup.cameras.database().push_subscriptions().await.expect("the rows");
            let is_unreadable = damaged.sealed != row.sealed;
            assert_eq!(rows.is_empty(), is_unreadable, "another version may know {damaged:?}");
        }
    }
}
