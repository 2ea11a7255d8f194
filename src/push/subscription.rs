//! A subscription: who gets notifications, about which events, and at which push server.

use std::fmt;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{GeneralPurposeConfig, URL_SAFE_NO_PAD as BASE64};
use base64::{alphabet, engine::DecodePaddingMode};
use hyper::Uri;
use serde::{Deserialize, Serialize};
use url::Url;
use web_push_native::p256::PublicKey;

use crate::access::rights::Rights;
use crate::access::role::Role;
use crate::access::{Access, Caller};
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::CameraId;
use crate::camera::recording::{Schedule, ScheduleEntry, contain_type};
use crate::events::{Event, kinds};

/// The greatest length of the URL at a push server, in bytes. Those of the usual servers have up to 700 bytes.
const MAX_URL: usize = 2048;
/// The length of a browser's public key: an uncompressed point of the curve P-256.
const PUBLIC_KEY: usize = 65;
/// The length of the secret of a browser.
const AUTH: usize = 16;
/// The most cameras of a subscription.
const MAX_CAMERAS: usize = 100;
/// The most types of events of a subscription.
const MAX_TYPES: usize = 20;
/// The greatest length of a type, in bytes.
const MAX_TYPE: usize = 80;
/// The greatest length of the text for people, in characters.
const MAX_LABEL: usize = 100;
/// The greatest number of notifications of one camera within a minute.
pub(crate) const MAX_PER_MINUTE: u32 = 60;

/// Reads base64url with and without padding, because not all libraries of browsers leave the padding out.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A subscription.
#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    /// The id.
    pub(crate) id: String,
    /// To whom the subscription belongs.
    pub(crate) holder: Holder,
    /// The browser that gets the notifications.
    pub(crate) browser: Browser,
    /// The events that the holder wants to get.
    pub(crate) choice: Choice,
    /// When the subscription was made, in Unix seconds.
    pub(crate) created_at: u64,
    /// When the page was last open in the browser, in Unix seconds.
    pub(crate) opened_at: u64,
}

/// To whom a subscription belongs: an API key, or a user of the back end that has the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    /// The name of the API key, or `anybody` if there were no keys.
    pub(crate) made_by: String,
    /// The role of the key when it made the subscription.
    pub(crate) role: Role,
    /// The rights of the key when it made the subscription.
    pub(crate) rights: Rights,
    /// The user of the back end; `None` if the subscription belongs to the key.
    pub(crate) user: Option<String>,
    /// The owner to whose cameras the subscription is limited; `None` for all cameras that the key can see.
    pub(crate) owner: Option<String>,
}

/// A browser that gets notifications: its URL at a push server, and its keys. `Debug` shows only the server, because
/// everyone who knows the URL and the manager's key can send notifications.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Browser {
    uri: Uri,
    /// The scheme, the host and, unless it is 443, the port of the URL.
    server: String,
    public_key: PublicKey,
    auth: [u8; AUTH],
}

/// The form of a [`Browser`] that is sealed.
#[derive(Serialize, Deserialize)]
struct SealedBrowser {
    endpoint: String,
    p256dh: String,
    auth: String,
}

/// The events that a subscriber wants to get.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Preferences {
    /// Text for people, such as the name of the device.
    pub(crate) label: Option<String>,
    /// The ids of cameras; empty for all cameras that the subscriber can see.
    pub(crate) cameras: Vec<String>,
    /// The types of events, and groups of types.
    pub(crate) types: Vec<String>,
    /// The times at which no notifications are sent.
    pub(crate) quiet_hours: Vec<ScheduleEntry>,
    /// The time zone of the quiet hours; `None` for UTC.
    pub(crate) time_zone: Option<String>,
    /// The largest number of notifications about one camera within a minute.
    pub(crate) per_minute: u32,
}

/// Preferences that can be used.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    preferences: Preferences,
    quiet_hours: Schedule,
}

impl Holder {
    /// Returns whether the API key still exists and permits at least as much as when it made the subscription. A subscription
    /// must not outlive the key.
    pub(crate) fn is_still_permitted(&self, access: &Access) -> bool {
        let is_enough = |caller: &Caller| {
            [self.role, Role::Admin].contains(&caller.role())
                && caller.rights().includes(self.rights)
        };
        access.caller_named(&self.made_by).as_ref().is_some_and(is_enough)
    }
}

impl Choice {
    /// Checks preferences.
    pub(crate) fn new(preferences: Preferences) -> Result<Self, Error> {
        let Preferences { label, cameras, types, per_minute, .. } = &preferences;
        let invalid = |detail: String| Err(Error::new(ErrorKind::InvalidRequest, detail));
        let is_label = |label: &String| {
            label.chars().count() <= MAX_LABEL && !label.chars().any(char::is_control)
        };
        if label.as_ref().is_some_and(|label| !is_label(label)) {
            return invalid(format!("label must be at most {MAX_LABEL} characters in one line"));
        }
        if cameras.len() > MAX_CAMERAS {
            return invalid(format!("cameras must be at most {MAX_CAMERAS} ids"));
        }
        for camera in cameras {
            CameraId::parse(camera)?;
        }
        if !(1..=MAX_TYPES).contains(&types.len()) {
            return invalid(format!("types must have 1 to {MAX_TYPES} types of events"));
        }
        let is_line = |kind: &String| kind.chars().all(|c| c.is_ascii_graphic());
        let is_usable =
            |kind: &String| kind.len() <= MAX_TYPE && is_line(kind) && kinds::is_known(kind);
        if let Some(unknown) = types.iter().find(|kind| !is_usable(kind)) {
            let unknown: String = unknown.chars().take(MAX_TYPE).collect();
            return invalid(format!(
                "types contains an unknown type of events: {unknown:?}; use a type such as `camera.offline`, or a group such as `camera`"
            ));
        }
        if !(1..=MAX_PER_MINUTE).contains(per_minute) {
            return invalid(format!("per_minute must be 1 to {MAX_PER_MINUTE}"));
        }
        let (names, zone) = (("quiet_hours", "time_zone"), preferences.time_zone.as_deref());
        let quiet_hours = Schedule::new(names, &preferences.quiet_hours, zone)?;
        Ok(Self { preferences, quiet_hours })
    }

    /// Returns the preferences.
    pub(crate) fn preferences(&self) -> &Preferences {
        &self.preferences
    }

    /// Returns whether the subscriber wants to get this event at this time.
    pub(super) fn contains(&self, event: &Event, now: SystemTime) -> bool {
        let Preferences { cameras, types, .. } = &self.preferences;
        let is_chosen = |camera: &CameraId| cameras.iter().any(|id| id == camera.as_str());
        contain_type(types, event.kind.name())
            && (cameras.is_empty() || event.camera().is_none_or(is_chosen))
            && !self.quiet_hours.contains(now)
    }
}

impl Browser {
    /// Reads the fields of a browser's `PushSubscription`: its URL at a push server, and its keys as base64url.
    pub(crate) fn new(endpoint: &str, p256dh: &str, auth: &str) -> Result<Self, Error> {
        let invalid = |detail: &str| Error::new(ErrorKind::InvalidRequest, detail);
        let (uri, server) = parse(endpoint).ok_or_else(|| {
            invalid("endpoint must be an https URL of at most 2048 characters, without a user name and without #")
        })?;
        let point = LENIENT.decode(p256dh).ok().filter(|point| point.len() == PUBLIC_KEY);
        let public_key = point.and_then(|point| PublicKey::from_sec1_bytes(&point).ok());
        let auth = LENIENT.decode(auth).ok().and_then(|auth| auth.try_into().ok());
        Ok(Self {
            uri,
            server,
            public_key: public_key.ok_or_else(|| {
                invalid("keys.p256dh must be a public key of the curve P-256 as base64url")
            })?,
            auth: auth.ok_or_else(|| invalid("keys.auth must be 16 bytes as base64url"))?,
        })
    }

    /// Reads the form that is sealed; `None` if it is damaged.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let SealedBrowser { endpoint, p256dh, auth } = serde_json::from_slice(bytes).ok()?;
        Self::new(&endpoint, &p256dh, &auth).ok()
    }

    /// Returns the form that is sealed.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let browser = SealedBrowser {
            endpoint: self.uri.to_string(),
            p256dh: BASE64.encode(self.public_key.to_sec1_bytes()),
            auth: BASE64.encode(self.auth),
        };
        // Strings can always be serialized.
        serde_json::to_vec(&browser).unwrap_or_default()
    }

    /// Returns the URL at the push server.
    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Returns the host and the port of the push server.
    pub(super) fn host(&self) -> (&str, u16) {
        (self.uri.host().unwrap_or_default(), self.uri.port_u16().unwrap_or(443))
    }

    /// Returns the push server, such as `https://push.example.com`.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// Returns the browser's public key.
    pub(super) fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Returns the browser's secret.
    pub(super) fn auth(&self) -> [u8; AUTH] {
        self.auth
    }
}

impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Browser({}/***)", self.server)
    }
}

/// Parses the URL of a browser. Returns it with the push server; `None` if the URL cannot be used.
fn parse(endpoint: &str) -> Option<(Uri, String)> {
    let url = Url::parse(endpoint).ok().filter(|url| url.as_str().len() <= MAX_URL)?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    let is_usable = url.scheme() == "https" && !has_user && url.fragment().is_none();
    // The host of the parsed URL is in its usual form: `https://0x7f.1/` becomes `https://127.0.0.1/`.
    let uri = url.as_str().parse::<Uri>().ok();
    let uri = uri.filter(|uri| is_usable && uri.host().is_some())?;
    Some((uri, url.origin().ascii_serialization()))
}

#[cfg(test)]
pub(super) mod testing {
    use web_push_native::p256::SecretKey;

    use super::*;

    /// The private key of the browser in tests.
    pub(crate) fn private_key() -> SecretKey {
        SecretKey::from_slice(&[7; 32]).expect("a key")
    }

    /// Returns a browser with this URL.
    pub(crate) fn browser(endpoint: &str) -> Browser {
        let point = LENIENT.encode(private_key().public_key().to_sec1_bytes());
        Browser::new(endpoint, &point, &BASE64.encode([9; AUTH])).expect("a browser")
    }

    /// Returns preferences for events of these types.
    pub(crate) fn preferences(types: &[&str]) -> Preferences {
        let types = types.iter().map(|kind| (*kind).to_owned()).collect();
        Preferences { types, per_minute: 1, ..Preferences::default() }
    }

    /// Returns the holder of a subscription of an admin's key.
    pub(crate) fn admin() -> Holder {
        let (role, rights) = (Role::Admin, Rights::of_role(Role::Admin));
        Holder { made_by: "boss".to_owned(), role, rights, user: None, owner: None }
    }

    /// Returns a subscription.
    pub(crate) fn subscription(id: &str, endpoint: &str, preferences: Preferences) -> Subscription {
        Subscription {
            id: id.to_owned(),
            holder: admin(),
            browser: browser(endpoint),
            choice: Choice::new(preferences).expect("preferences"),
            created_at: 0,
            opened_at: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{browser, preferences};
    use super::*;
    use crate::access::keys::ApiKeys;
    use crate::events::testing::event;
    use crate::events::{EventKind, StorageEvent, StorageEventKind};

    const P256DH: &str =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const SECRET: &str = "BTBZMqHH6r4Tts7J_aSIgg";

    fn at(text: &str) -> SystemTime {
        humantime::parse_rfc3339(text).expect(text)
    }

    #[test]
    fn the_fields_of_a_browser_are_checked() {
        let url = "https://push.example.com/send/abc?x=1";
        let read = Browser::new(url, P256DH, SECRET).expect("a browser");
        assert_eq!(
            (read.server(), read.host()),
            ("https://push.example.com", ("push.example.com", 443))
        );
        assert_eq!(Browser::from_bytes(&read.to_bytes()), Some(read.clone()));
        assert_eq!(
            Browser::new(url, &format!("{P256DH}="), &format!("{SECRET}==")).ok(),
            Some(read.clone())
        );
        assert!(!format!("{read:?}").contains("abc"), "{read:?}");
        let bad_urls = [
            "http://push.example.com/",
            "https://",
            "push.example.com",
            "",
            "https://u:p@push.example.com/",
            "https://push.example.com/#x",
            "ftp://push.example.com/",
            "javascript:alert(1)",
            "https://a b/",
            "https://push.example.com:99999/",
            "https://[::1/",
        ];
        for bad in bad_urls {
            Browser::new(bad, P256DH, SECRET).expect_err(bad);
        }
        Browser::new(&format!("https://a.example/{}", "x".repeat(2048)), P256DH, SECRET)
            .expect_err("too long");
        let compressed = BASE64.encode([[2].as_slice(), &[1; 32]].concat());
        let off_curve = BASE64.encode([[4].as_slice(), &[1; 64]].concat());
        for bad in ["", "x", compressed.as_str(), off_curve.as_str(), &P256DH[1..], "BCVx+r7N/eNg"]
        {
            Browser::new(url, bad, SECRET).expect_err(bad);
            Browser::new(url, P256DH, bad).expect_err(bad);
        }
    }

    #[test]
    fn unusual_forms_of_addresses_are_read_as_browsers_read_them() {
        for (url, server) in [
            ("https://0x7f.1/x", "https://127.0.0.1"),
            ("https://2130706433:8443/", "https://127.0.0.1:8443"),
            ("https://0177.0.0.1/", "https://127.0.0.1"),
            ("https://[::FFFF:7f00:1]/", "https://[::ffff:7f00:1]"),
            ("https://PUSH.example.com:443/", "https://push.example.com"),
        ] {
            assert_eq!(browser(url).server(), server, "{url}");
        }
    }

    #[test]
    fn a_subscription_ends_with_its_key_and_if_the_key_permits_less() {
        let holder = |key: &str| {
            let access = Access::new(ApiKeys::parse(key).expect("a key"));
            let caller = access.caller_named("anna").expect("a caller");
            let (role, rights) = (caller.role(), caller.rights());
            Holder { made_by: "anna".to_owned(), role, rights, user: None, owner: None }
        };
        let table = [
            ("anna:viewer:0123456789abcdef", "anna:viewer:another-secret-01", true),
            ("anna:viewer:0123456789abcdef", "anna:admin:0123456789abcdef", true),
            ("anna:viewer:0123456789abcdef", "anna:viewer+recordings:0123456789abcdef", true),
            ("anna:viewer:0123456789abcdef", "", true),
            ("anna:viewer:0123456789abcdef", "anna:user:0123456789abcdef", false),
            ("anna:viewer:0123456789abcdef", "otto:viewer:0123456789abcdef", false),
            ("anna:admin:0123456789abcdef", "anna:viewer+recordings:0123456789abcdef", false),
            ("anna:user+recordings:0123456789abcdef", "anna:user:0123456789abcdef", false),
        ];
        for (before, after, expected) in table {
            let access = Access::new(ApiKeys::parse(after).expect("keys"));
            assert_eq!(holder(before).is_still_permitted(&access), expected, "{before} {after}");
        }
    }

    #[test]
    fn preferences_are_checked() {
        let good = preferences(&["camera.offline", "reported", "reported.door"]);
        Choice::new(good.clone()).expect("preferences");
        let with = |change: fn(&mut Preferences)| {
            let mut preferences = good.clone();
            change(&mut preferences);
            Choice::new(preferences).expect_err("a refusal").detail
        };
        assert!(with(|it| it.types.clear()).contains("types"));
        assert!(with(|it| it.types = vec!["camera.gone".into()]).contains("camera.gone"));
        assert!(with(|it| it.types = vec!["reported. door".into()]).contains("types"));
        assert!(
            with(|it| it.types = vec![format!("reported.{}", "x".repeat(80))]).contains("types")
        );
        assert!(with(|it| it.types = vec!["camera".into(); 21]).contains("types"));
        assert!(with(|it| it.cameras = vec!["a/b".into()]).contains("a camera's id"));
        assert!(with(|it| it.cameras = vec!["a".into(); 101]).contains("cameras"));
        assert!(with(|it| it.per_minute = 0).contains("per_minute"));
        assert!(with(|it| it.per_minute = 61).contains("per_minute"));
        assert!(with(|it| it.label = Some("a\nb".into())).contains("label"));
        assert!(with(|it| it.label = Some("x".repeat(101))).contains("label"));
        assert!(with(|it| it.time_zone = Some("Berlin".into())).contains("time_zone"));
        let wrong = |it: &mut Preferences| {
            let (from, to) = ("8:00".to_owned(), "10:00".to_owned());
            it.quiet_hours = vec![ScheduleEntry { days: Vec::new(), from, to }];
        };
        assert!(with(wrong).contains("quiet_hours"));
    }

    #[test]
    fn events_are_chosen_by_type_camera_and_time() {
        let now = at("2026-11-30T21:30:00Z");
        let contains = |preferences: Preferences, event: &Event, now| {
            Choice::new(preferences).expect("preferences").contains(event, now)
        };
        // The event `stream.live` of the camera `cam`.
        let live = event(1);
        for (types, expected) in [
            (&["stream"][..], true),
            (&["stream.live"], true),
            (&["camera", "stream.live"], true),
            (&["stream.stopped"], false),
            (&["camera"], false),
        ] {
            assert_eq!(contains(preferences(types), &live, now), expected, "{types:?}");
        }
        let of = |cameras: &[&str]| Preferences {
            cameras: cameras.iter().map(|id| (*id).to_owned()).collect(),
            ..preferences(&["stream", "storage"])
        };
        assert!(contains(of(&["other", "cam"]), &live, now));
        assert!(!contains(of(&["other"]), &live, now));
        let (kind, directory) = (StorageEventKind::Full, "/recordings".to_owned());
        let storage = EventKind::Storage(StorageEvent { kind, directory, error: None });
        let full = Event { at: now, subject: None, kind: storage };
        assert!(contains(of(&["other"]), &full, now), "events about the service have no camera");
        let entry = ScheduleEntry { days: Vec::new(), from: "22:00".into(), to: "07:00".into() };
        let quiet = Preferences {
            quiet_hours: vec![entry],
            time_zone: Some("Europe/Berlin".into()),
            ..preferences(&["stream"])
        };
        for (time, expected) in [
            ("2026-11-30T20:59:59Z", true),
            ("2026-11-30T21:00:00Z", false),
            ("2026-12-01T05:59:59Z", false),
            ("2026-12-01T06:00:00Z", true),
        ] {
            assert_eq!(contains(quiet.clone(), &live, at(time)), expected, "{time}");
        }
    }
}
