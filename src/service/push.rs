//! Use cases of push notifications: subscribing to them, and which subscribers can see an event.

use std::sync::Arc;
use std::time::SystemTime;

use tracing::info;

use super::core::Core;
use super::permission::{CoveredEvents, events_of};
use super::streams::unknown_camera;
use crate::access::Caller;
use crate::access::permit::Permit;
use crate::access::role::Role;
use crate::base::error::{Error, ErrorKind};
use crate::base::time::unix_millis;
use crate::camera::id::CameraId;
use crate::camera::record::Record;
use crate::camera::recording::RecordingMode;
use crate::events::Event;
use crate::playback::token::{MAX_USER_LENGTH, is_user};
use crate::push::permission::{Permission, Permitted};
use crate::push::subscription::{Browser, Choice, Holder, Preferences, Subscription};
use crate::push::subscriptions::{Effect, NewSubscription};

/// A browser that subscribes to push notifications.
#[derive(Debug)]
pub(crate) struct NewPushSubscription {
    /// The browser.
    pub(crate) browser: Browser,
    /// The events.
    pub(crate) preferences: Preferences,
    /// The user of the back end that sends the request; `None` if the subscription belongs to the API key.
    pub(crate) user: Option<String>,
    /// The owner to whose cameras the subscription is limited.
    pub(crate) owner: Option<String>,
}

/// Adds a subscription, or replaces the subscription of the same browser.
pub(crate) async fn subscribe(
    core: &Core,
    caller: &Caller,
    new: NewPushSubscription,
) -> Result<(Arc<Subscription>, Effect), Error> {
    let NewPushSubscription { browser, preferences, user, owner } = new;
    let choice = Choice::new(preferences)?;
    for (field, text) in [("user", &user), ("owner", &owner)] {
        if text.as_ref().is_some_and(|text| !is_user(text)) {
            let detail = format!(
                "{field} must be 1 to {MAX_USER_LENGTH} characters without control characters"
            );
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
    }
    let owner = limited_owner(caller, owner)?;
    for camera in &choice.preferences().cameras {
        let id = CameraId::parse(camera)?;
        let record = core.cameras.get(&id).await?.ok_or_else(|| unknown_camera(&id))?;
        if owner.is_some() && record.owner != owner {
            let detail = format!("camera {id} does not belong to the owner of the subscription");
            return Err(Error::new(ErrorKind::Forbidden, detail));
        }
    }
    core.push.ensure_permitted(&browser).await?;
    let (made_by, role) = (caller.name().to_owned(), caller.role());
    let holder = Holder { made_by, role, rights: caller.rights(), user, owner };
    let (subscription, effect) = core.push.put(NewSubscription { holder, browser, choice }).await?;
    let (id, server) = (&subscription.id, subscription.browser.server());
    info!(by = caller.name(), subscription = %id, server, ?effect, "push subscription");
    Ok((subscription, effect))
}

/// Returns the subscriptions that the caller can see, the newest first. If `user` is given, only those of this user.
pub(crate) fn list(core: &Core, caller: &Caller, user: Option<&str>) -> Vec<Arc<Subscription>> {
    let all = core.push.all();
    let is_listed = |it: &&Arc<Subscription>| {
        can_access(caller, it) && (user.is_none() || it.holder.user.as_deref() == user)
    };
    let mut listed: Vec<_> = all.values().filter(is_listed).cloned().collect();
    listed.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
    listed
}

/// Returns a subscription. If the caller has made it, notes that the page is open in its browser.
pub(crate) async fn open(
    core: &Core,
    caller: &Caller,
    id: &str,
) -> Result<Arc<Subscription>, Error> {
    let found = find(core, caller, id)?;
    if found.holder.made_by != caller.name() {
        return Ok(found);
    }
    core.push.opened(id).await?.ok_or_else(unknown)
}

/// Deletes a subscription.
pub(crate) async fn unsubscribe(core: &Core, caller: &Caller, id: &str) -> Result<(), Error> {
    find(core, caller, id)?;
    core.push.remove(id).await?;
    info!(by = caller.name(), subscription = id, "push subscription deleted");
    Ok(())
}

/// Sends a test notification, and waits until the push server has accepted it.
pub(crate) async fn test(core: &Core, caller: &Caller, id: &str) -> Result<(), Error> {
    let subscription = find(core, caller, id)?;
    core.push.test(&subscription).await
}

fn find(core: &Core, caller: &Caller, id: &str) -> Result<Arc<Subscription>, Error> {
    let known = core.push.all().get(id).cloned();
    known.filter(|known| can_access(caller, known)).ok_or_else(unknown)
}

fn unknown() -> Error {
    let detail = "no push subscription has this id, or another API key made it";
    Error::new(ErrorKind::UnknownSubscription, detail)
}

/// Admins can access all subscriptions, other callers those that their API key has made.
fn can_access(caller: &Caller, subscription: &Subscription) -> bool {
    caller.ensure_role(Role::Admin).is_ok() || subscription.holder.made_by == caller.name()
}

/// Returns the owner to whose cameras a subscription of the caller is limited.
fn limited_owner(caller: &Caller, requested: Option<String>) -> Result<Option<String>, Error> {
    match (caller.owner(), requested) {
        (Some(own), Some(other)) if own != other => {
            let detail = "an API key of role user can subscribe to events of its own cameras only; leave out owner";
            Err(Error::new(ErrorKind::Forbidden, detail))
        }
        (Some(own), _) => Ok(Some(own.to_owned())),
        (None, requested) => Ok(requested),
    }
}

/// Decides which subscribers can see an event, by the same rules as for the list of events.
pub(crate) struct Subscribers(pub(crate) Arc<Core>);

impl Permission for Subscribers {
    async fn permitted(
        &self,
        event: &Event,
        subscriptions: Vec<Arc<Subscription>>,
    ) -> Result<Permitted, Error> {
        let core = &self.0;
        let record = match event.camera() {
            Some(id) => core.cameras.get(id).await?,
            None => None,
        };
        let incarnation = record.as_ref().map(|record| record.incarnation);
        // Events are visible only as long as their camera exists. Another camera can have the same id.
        if event.subject.as_ref().map(|subject| subject.identity.incarnation) != incarnation {
            return Ok(Permitted::default());
        }
        let now = SystemTime::now();
        let is_recorded = core.recorder.is_some()
            && record.as_ref().is_some_and(|record| record.recording.mode != RecordingMode::Off);
        let check = |it: Arc<Subscription>| {
            let caller = core.access.caller_named(&it.holder.made_by)?;
            let permit = Permit::of_caller(&caller).limited_to_owner(it.holder.owner.clone());
            let can_replay = is_recorded && permit.covers_all_recordings();
            covers(&events_of(&permit, now), event, record.as_deref()).then_some((it, can_replay))
        };
        Ok(Permitted {
            subscriptions: subscriptions.into_iter().filter_map(check).collect(),
            camera_name: record.as_ref().map(|record| record.name.clone()),
        })
    }
}

/// Returns whether an event is among the covered ones. `record` is its camera as it is now.
fn covers(covered: &CoveredEvents, event: &Event, record: Option<&Record>) -> bool {
    let at = unix_millis(event.at);
    let is_of_owner = |owner: &str| {
        let then = event.subject.as_ref().and_then(|subject| subject.identity.owner.as_deref());
        let now = record.and_then(|record| record.owner.as_deref());
        then == Some(owner) && now == Some(owner)
    };
    covered.owner.as_deref().is_none_or(is_of_owner)
        && covered.from.is_none_or(|from| at >= from)
        && covered.to.is_none_or(|to| at < to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::id::Profile;
    use crate::camera::identity::Identity;
    use crate::camera::source::Source;
    use crate::camera::source_spec::SourceSpec;
    use crate::events::{
        CameraEvent, CameraEventKind, EventKind, StorageEvent, StorageEventKind, Subject,
    };
    use crate::service::testing::Setup;

    const KEYS: &str = "boss:admin:admin-secret-000001,42:user:user-secret-0000001,\
                        43:user+recordings:other-secret-000001,wall:viewer:viewer-secret-00001";

    fn caller(core: &Core, name: &str) -> Caller {
        core.access.caller_named(name).expect("a key")
    }

    /// Adds a camera, and returns its identity.
    async fn add(core: &Core, id: &str, owner: Option<&str>) -> Identity {
        let id = CameraId::parse(id).expect("an id");
        let source = Source::parse("rtsp://192.0.2.1/x").expect("a link");
        let record = Record {
            owner: owner.map(str::to_owned),
            ..Record::new(id.clone(), SourceSpec::from_link(Profile::Main, source))
        };
        core.cameras.change(&id, |_| Ok(record)).await.expect("a change").0.identity()
    }

    fn new(number: u32, owner: Option<&str>, cameras: &[&str]) -> NewPushSubscription {
        let browser = Browser::new(
            &format!("https://8.8.8.8/{number}"),
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
            "BTBZMqHH6r4Tts7J_aSIgg",
        );
        let preferences = Preferences {
            cameras: cameras.iter().map(|id| (*id).to_owned()).collect(),
            types: vec!["camera".to_owned(), "storage".to_owned()],
            per_minute: 1,
            ..Preferences::default()
        };
        let browser = browser.expect("a browser");
        NewPushSubscription { browser, preferences, user: None, owner: owner.map(str::to_owned) }
    }

    fn offline(camera: &str, identity: &Identity) -> Event {
        let kind = EventKind::Camera(CameraEvent { kind: CameraEventKind::Offline, error: None });
        let id = CameraId::parse(camera).expect("an id");
        Event { at: SystemTime::now(), subject: Some(Subject::camera(id, identity.clone())), kind }
    }

    /// Returns the names of the keys whose subscriptions can see an event, sorted.
    async fn seen_by(core: &Arc<Core>, event: &Event) -> Vec<String> {
        let all = core.push.all().values().cloned().collect();
        let permitted = Subscribers(Arc::clone(core)).permitted(event, all).await;
        let permitted = permitted.expect("a check").subscriptions;
        let mut names: Vec<_> = permitted.iter().map(|(it, _)| it.holder.made_by.clone()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn subscribers_get_the_events_that_they_can_list() {
        let (core, _dir) = Setup::new(KEYS).await.into_parts();
        let own = add(&core, "own", Some("42")).await;
        let foreign = add(&core, "foreign", Some("43")).await;
        for (number, name) in (0..).zip(["boss", "42", "43", "wall"]) {
            subscribe(&core, &caller(&core, name), new(number, None, &[])).await.expect(name);
        }
        assert_eq!(seen_by(&core, &offline("own", &own)).await, ["42", "boss", "wall"]);
        assert_eq!(seen_by(&core, &offline("foreign", &foreign)).await, ["43", "boss", "wall"]);
        let (kind, directory) = (StorageEventKind::Full, "/recordings".to_owned());
        let storage = EventKind::Storage(StorageEvent { kind, directory, error: None });
        let full = Event { at: SystemTime::now(), subject: None, kind: storage };
        assert_eq!(seen_by(&core, &full).await, ["boss", "wall"]);
        // The camera gets another owner. Neither of them sees what happened before.
        let sold = add(&core, "own", Some("43")).await;
        assert_eq!(seen_by(&core, &offline("own", &own)).await, ["boss", "wall"]);
        assert_eq!(seen_by(&core, &offline("own", &sold)).await, ["43", "boss", "wall"]);
        let id = CameraId::parse("own").expect("an id");
        core.cameras.delete(&id, |_| Ok(())).await.expect("a deletion");
        let no_subscriptions: [&str; 0] = [];
        assert_eq!(seen_by(&core, &offline("own", &sold)).await, no_subscriptions);
        let again = add(&core, "own", Some("43")).await;
        assert_eq!(
            seen_by(&core, &offline("own", &sold)).await,
            no_subscriptions,
            "an earlier camera"
        );
        assert_eq!(seen_by(&core, &offline("own", &again)).await, ["43", "boss", "wall"]);
    }

    #[tokio::test]
    async fn subscriptions_are_limited_to_an_owner() {
        let (core, _dir) = Setup::new(KEYS).await.into_parts();
        let own = add(&core, "own", Some("42")).await;
        let foreign = add(&core, "foreign", Some("43")).await;
        let kind = |result: Result<(Arc<Subscription>, Effect), Error>| {
            result.expect_err("a refusal").kind
        };
        let (boss, user) = (caller(&core, "boss"), caller(&core, "42"));
        let refused = subscribe(&core, &user, new(1, Some("43"), &[])).await;
        assert_eq!(kind(refused), ErrorKind::Forbidden);
        for (caller, owner) in [(&user, None), (&boss, Some("42"))] {
            let refused = subscribe(&core, caller, new(1, owner, &["own", "foreign"])).await;
            assert_eq!(kind(refused), ErrorKind::Forbidden);
        }
        let refused = subscribe(&core, &boss, new(1, None, &["unknown"])).await;
        assert_eq!(kind(refused), ErrorKind::UnknownCamera);
        assert!(core.push.all().is_empty(), "a refused request changes nothing");
        subscribe(&core, &boss, new(1, Some("42"), &["own"])).await.expect("a subscription");
        assert_eq!(seen_by(&core, &offline("own", &own)).await, ["boss"]);
        let no_subscriptions: [&str; 0] = [];
        assert_eq!(seen_by(&core, &offline("foreign", &foreign)).await, no_subscriptions);
    }

    #[tokio::test]
    async fn callers_access_the_subscriptions_of_their_key_and_admins_all() {
        let (core, _dir) = Setup::new(KEYS).await.into_parts();
        let (boss, user, wall) =
            (caller(&core, "boss"), caller(&core, "42"), caller(&core, "wall"));
        let anna = NewPushSubscription { user: Some("anna".to_owned()), ..new(1, None, &[]) };
        let (of_anna, _) = subscribe(&core, &wall, anna).await.expect("a subscription");
        let (of_user, _) = subscribe(&core, &user, new(2, None, &[])).await.expect("another");
        assert_eq!(of_user.holder.owner.as_deref(), Some("42"));
        let count = |caller: &Caller, user: Option<&str>| list(&core, caller, user).len();
        assert_eq!([count(&boss, None), count(&user, None), count(&wall, None)], [2, 1, 1]);
        assert_eq!([count(&boss, Some("anna")), count(&wall, Some("otto"))], [1, 0]);
        for refused in [
            open(&core, &user, &of_anna.id).await.map(drop),
            unsubscribe(&core, &user, &of_anna.id).await,
            test(&core, &user, &of_anna.id).await,
            open(&core, &boss, "unknown").await.map(drop),
        ] {
            assert_eq!(refused.expect_err("a refusal").kind, ErrorKind::UnknownSubscription);
        }
        unsubscribe(&core, &boss, &of_anna.id).await.expect("an admin can delete it");
        assert_eq!(count(&boss, None), 1);
    }
}
