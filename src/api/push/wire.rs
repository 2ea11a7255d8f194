//! JSON types of push notifications.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::wire::{Link, Password, number};
use crate::base::error::Error;
use crate::base::time::rfc3339;
use crate::camera::recording::ScheduleEntry;
use crate::push::subscription::{Browser, Preferences, Subscription};
use crate::service::push::NewPushSubscription;

/// The key with which browsers subscribe.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PushKeyOutput<'a> {
    /// The public key, which browsers take as `applicationServerKey`: base64url without padding.
    pub(super) public_key: &'a str,
    /// False if push servers do not get an address of the operator, because neither `PUSH_CONTACT` nor an https URL in
    /// `PUBLIC_URL` is set. Some push servers, such as Apple's, then refuse notifications.
    pub(super) has_contact: bool,
}

/// A selection of push subscriptions.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PushSubscriptionsInput {
    /// The user of a back end.
    #[param(nullable = false)]
    user: Option<String>,
}

impl PushSubscriptionsInput {
    /// Returns the user.
    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref().filter(|user| !user.is_empty())
    }
}

/// A new push subscription: the fields of the browser's `PushSubscription`, and further ones.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "endpoint": "https://push.example.com/send/abc",
    "expirationTime": null,
    "keys": {
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    },
    "label": "Anna's phone",
    "types": ["camera", "reported.door"],
    "quiet_hours": [{ "from": "22:00", "to": "07:00" }],
    "time_zone": "Europe/Berlin",
}))]
pub(crate) struct PushSubscriptionInput {
    /// The URL at the push server of the browser.
    endpoint: Link,
    /// Ignored. Push servers report when a subscription has ended.
    #[serde(rename = "expirationTime", default)]
    #[schema(value_type = Option<f64>)]
    _expiration_time: Option<f64>,
    /// The keys that the browser has chosen.
    keys: PushKeysInput,
    /// Text for people, such as the name of the device, of at most 100 characters.
    #[serde(default)]
    #[schema(max_length = 100)]
    label: Option<String>,
    /// The types of events, such as `camera.offline`, or groups of types, such as `reported`.
    #[schema(min_items = 1, max_items = 20)]
    types: Vec<String>,
    /// The ids of cameras. If the list is empty, all cameras that the subscriber can see. Events about the service depend on
    /// `types` only.
    #[serde(default)]
    #[schema(max_items = 100)]
    cameras: Vec<String>,
    /// The times at which no notifications are sent. They are not sent later either.
    #[serde(default)]
    #[schema(max_items = 50)]
    quiet_hours: Vec<ScheduleEntry>,
    /// The IANA time zone of the quiet hours, such as `Europe/Berlin`. The default is UTC.
    #[serde(default)]
    time_zone: Option<String>,
    /// The largest number of notifications about one camera within a minute.
    #[serde(default = "usual_per_minute", deserialize_with = "number")]
    #[schema(minimum = 1, maximum = 60, default = 1)]
    per_minute: u32,
    /// The user of the back end that sends the request. Without a user, the subscription belongs to the API key.
    #[serde(default)]
    #[schema(max_length = 200)]
    user: Option<String>,
    /// The owner of cameras. The subscriber gets only events of this owner's cameras. With an API key of role `user`, the
    /// owner is always the key's name.
    #[serde(default)]
    #[schema(max_length = 200)]
    owner: Option<String>,
}

/// The keys that a browser has chosen.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct PushKeysInput {
    /// The browser's public key, as base64url.
    p256dh: String,
    /// The browser's secret, as base64url.
    auth: Password,
}

fn usual_per_minute() -> u32 {
    1
}

impl PushSubscriptionInput {
    /// Returns the subscription.
    pub(super) fn parse(self) -> Result<NewPushSubscription, Error> {
        let (endpoint, auth) = (self.endpoint.into_secret(), self.keys.auth.into_secret());
        let is_given = |text: &String| !text.is_empty();
        Ok(NewPushSubscription {
            browser: Browser::new(endpoint.expose(), &self.keys.p256dh, auth.expose())?,
            preferences: Preferences {
                label: self.label.filter(is_given),
                cameras: self.cameras,
                types: self.types,
                quiet_hours: self.quiet_hours,
                time_zone: self.time_zone.filter(is_given),
                per_minute: self.per_minute,
            },
            user: self.user.filter(is_given),
            owner: self.owner.filter(is_given),
        })
    }
}

/// A push subscription. The URL and the keys of the browser are not shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PushSubscription)]
pub(crate) struct PushSubscriptionOutput {
    /// The subscription's id.
    id: String,
    /// The push server of the browser.
    server: String,
    /// Text for people; null without a text.
    label: Option<String>,
    /// The types of events, and groups of types.
    types: Vec<String>,
    /// The ids of the cameras; empty for all cameras that the subscriber can see.
    cameras: Vec<String>,
    /// The times at which no notifications are sent.
    quiet_hours: Vec<ScheduleEntry>,
    /// The time zone of the quiet hours; null for UTC.
    time_zone: Option<String>,
    /// The largest number of notifications about one camera within a minute.
    per_minute: u32,
    /// The name of the API key that made the subscription, or `anybody` if the manager had no keys.
    made_by: String,
    /// The user of a back end; null if the subscription belongs to the API key.
    user: Option<String>,
    /// The owner to whose cameras the subscription is limited; null for all cameras that the API key can see.
    owner: Option<String>,
    /// When the subscription was made, RFC 3339.
    #[schema(format = DateTime)]
    created_at: String,
    /// When the page was last open in the browser, RFC 3339. The time can be an hour too early.
    #[schema(format = DateTime)]
    opened_at: String,
    /// When the subscription ends unless the page is opened before, RFC 3339.
    #[schema(format = DateTime)]
    expires_at: String,
}

impl PushSubscriptionOutput {
    /// Creates the output of a subscription.
    pub(super) fn new(subscription: &Subscription) -> Self {
        let Preferences { label, cameras, types, quiet_hours, time_zone, per_minute } =
            subscription.choice.preferences().clone();
        let holder = &subscription.holder;
        Self {
            id: subscription.id.clone(),
            server: subscription.browser.server().to_owned(),
            label,
            types,
            cameras,
            quiet_hours,
            time_zone,
            per_minute,
            made_by: holder.made_by.clone(),
            user: holder.user.clone(),
            owner: holder.owner.clone(),
            created_at: rfc3339(subscription.created_at),
            opened_at: rfc3339(subscription.opened_at),
            expires_at: rfc3339(subscription.expires_at()),
        }
    }
}

/// A list of push subscriptions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PushSubscriptionsOutput {
    /// The subscriptions that the caller can see, the newest first.
    subscriptions: Vec<PushSubscriptionOutput>,
}

impl PushSubscriptionsOutput {
    /// Creates the output of a list.
    pub(super) fn new(subscriptions: &[Arc<Subscription>]) -> Self {
        let outputs = subscriptions.iter().map(|it| PushSubscriptionOutput::new(it));
        Self { subscriptions: outputs.collect() }
    }
}
