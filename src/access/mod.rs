//! Authentication by API keys, and the permissions of their roles.
//!
//! | Role | Permissions |
//! |---|---|
//! | `viewer` | see and watch all cameras, start their streams, create playback sessions for them |
//! | `user` | search for cameras and add them; do everything with the cameras whose owner is the key's name |
//! | `admin` | everything |
//!
//! [`rights`] lists what else a key can permit.
//!
//! The same keys are valid for the API and for media. Without `API_KEYS`, there is one admin key, which the
//! manager has created. With `ALLOW_ANONYMOUS`, there are no keys; the manager then listens on loopback only,
//! and every caller on this machine has all permissions.

use std::time::Duration;

use dashmap::DashMap;
use tokio::time::Instant;
use tracing::warn;

use crate::base::error::{Error, ErrorKind};
use crate::base::host::is_this_machine;
use crate::camera::id::CameraId;
use credentials::Credentials;
use keys::{ApiKey, ApiKeys, ApiKeysError};
use rights::{Right, Rights};
use role::Role;

pub(crate) mod admin_key;
pub(crate) mod credentials;
pub(crate) mod keys;
pub(crate) mod permit;
pub(crate) mod rights;
pub(crate) mod role;

/// The number of wrong keys from one address that are refused with 401 within [`WINDOW`]. Further
/// wrong keys are refused with 429, until that time has passed.
const MAX_FAILURES: u32 = 20;
/// The time over which wrong keys are counted.
const WINDOW: Duration = Duration::from_mins(1);
/// The name of the admin key that the manager creates.
const ADMIN: &str = "admin";
/// The largest number of addresses for which wrong keys are counted. When there are this many addresses, no wrong
/// keys are counted, not even wrong keys from these addresses, until the [`WINDOW`] of one of them has passed.
const MAX_ADDRESSES: usize = 10_000;

/// The caller of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The name of the API key; `None` if there are no keys, or if the endpoint requires no key.
    key: Option<String>,
    role: Role,
    rights: Rights,
}

/// Authenticates callers by their API keys.
#[derive(Debug, Default)]
pub(crate) struct Access {
    keys: ApiKeys,
    /// Whether the manager has created the only key, because `API_KEYS` is unset.
    is_key_created: bool,
    /// For each address, the number of wrong keys, and the time at which the first of them arrived.
    failures: DashMap<String, (u32, Instant)>,
}

impl Access {
    /// Creates authentication by these keys. If there are no keys, every caller on this machine is an
    /// admin.
    pub(crate) fn new(keys: ApiKeys) -> Self {
        Self { keys, is_key_created: false, failures: DashMap::new() }
    }

    /// Creates authentication by the admin key with this secret, which the manager has created.
    pub(crate) fn with_admin_key(secret: &str) -> Result<Self, ApiKeysError> {
        let keys = ApiKeys::parse(&format!("{ADMIN}:admin:{secret}"))?;
        Ok(Self { is_key_created: true, ..Self::new(keys) })
    }

    /// Returns the caller that the API key in these credentials identifies. If the manager has no
    /// keys, returns an admin for requests from this machine and refuses all others.
    pub(crate) fn caller(&self, shown: &Credentials<'_>) -> Result<Caller, Error> {
        if self.keys.is_empty() {
            ensure_local(shown)?;
            return Ok(Caller::without_key(Role::Admin));
        }
        let Some(key) = shown.key() else { return Err(self.no_key()) };
        self.find(key).ok_or_else(|| self.failed(shown.address.unwrap_or_default()))
    }

    /// Returns whether there is a key with this name and this right that can access all cameras of `owner`; all cameras if
    /// `owner` is `None`. Without keys, everyone on this machine has all rights.
    pub(crate) fn has_key_with(&self, name: &str, right: Right, owner: Option<&str>) -> bool {
        self.keys.is_empty()
            || self.keys.named(name).is_some_and(|key| {
                key.rights.has(right) && (key.role != Role::User || owner == Some(name))
            })
    }

    /// Returns the caller that the key with this name identifies, for work in the background that the caller has
    /// requested; `None` if no key has the name any more. If the manager has no keys, returns an admin for every name.
    pub(crate) fn caller_named(&self, name: &str) -> Option<Caller> {
        if self.keys.is_empty() {
            return Some(Caller::without_key(Role::Admin));
        }
        self.keys.named(name).map(Caller::of_key)
    }

    /// If the manager has no keys, refuses requests from pages of other sites. The browser of a user on
    /// this machine could send such requests to loopback.
    pub(crate) fn refuse_other_sites(&self, is_other_site: bool) -> Result<(), Error> {
        if self.keys.is_empty() && is_other_site {
            let detail = "ALLOW_ANONYMOUS is true, so requests from pages of other sites are refused; open the page \
                          at localhost or at a loopback address";
            return Err(Error::new(ErrorKind::Forbidden, detail));
        }
        Ok(())
    }

    /// Returns the error for a request without an API key.
    fn no_key(&self) -> Error {
        let detail = "an API key is required: Authorization: Bearer KEY, or X-API-Key: KEY";
        if !self.is_key_created {
            return Error::new(ErrorKind::Unauthorized, detail);
        }
        let ways = "the manager has created a key; at its start, the manager logs the file that contains this key, \
                    and a link that opens the page with this key; to use the service on this machine without a key, \
                    set ALLOW_ANONYMOUS=true";
        Error::new(ErrorKind::Unauthorized, format!("{detail}; {ways}"))
    }

    /// Returns the caller if the credentials contain a valid API key. A string that is not a valid
    /// key is neither logged nor counted as a wrong key, because it may be a playback token.
    pub(crate) fn known(&self, shown: &Credentials<'_>) -> Option<Caller> {
        self.find(shown.key()?)
    }

    fn find(&self, key: &str) -> Option<Caller> {
        self.keys.find(key).map(Caller::of_key)
    }

    /// Counts a wrong key from this address, unless [`MAX_ADDRESSES`] has been reached. Returns the error
    /// for the request.
    fn failed(&self, address: &str) -> Error {
        if self.failures.len() >= MAX_ADDRESSES {
            self.failures.retain(|_, (_, since)| since.elapsed() < WINDOW);
        }
        let mut count = 1;
        if self.failures.len() < MAX_ADDRESSES {
            let mut entry = self.failures.entry(address.to_owned()).or_insert((0, Instant::now()));
            let (failures, since) = entry.value_mut();
            if since.elapsed() >= WINDOW {
                (*failures, *since) = (0, Instant::now());
            }
            *failures = failures.saturating_add(1);
            count = *failures;
        }
        if count > MAX_FAILURES {
            let detail = "too many wrong API keys from this address; try again in a minute";
            return Error::new(ErrorKind::TooManyAttempts, detail).retry_after(WINDOW);
        }
        warn!(address, "wrong API key");
        Error::new(ErrorKind::Unauthorized, "the API key is wrong")
    }
}

impl Caller {
    /// Creates the caller for endpoints that require no API key.
    pub(crate) fn anonymous() -> Self {
        Self::without_key(Role::Viewer)
    }

    fn of_key(key: &ApiKey) -> Self {
        Self { key: Some(key.name.clone()), role: key.role, rights: key.rights }
    }

    fn without_key(role: Role) -> Self {
        Self { key: None, role, rights: Rights::of_role(role) }
    }

    /// Returns the name of the API key; `None` if there are no keys, or if the endpoint requires no
    /// key.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Returns the name of the API key, or `anybody` for a caller without a key. For logs and sessions.
    pub(crate) fn name(&self) -> &str {
        self.key().unwrap_or("anybody")
    }

    /// Returns the caller's role.
    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Returns the caller's rights.
    pub(crate) fn rights(&self) -> Rights {
        self.rights
    }

    /// Fails if the caller does not have a right.
    pub(crate) fn ensure_right(&self, right: Right) -> Result<(), Error> {
        self.rights.ensure(right)
    }

    /// Fails if the caller's role has fewer permissions than `role`.
    pub(crate) fn ensure_role(&self, role: Role) -> Result<(), Error> {
        if self.role >= role {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Forbidden,
            "the role of the API key does not permit this request; use an API key with a higher role",
        ))
    }

    /// Returns the owner to whose cameras the caller is limited; `None` if the caller can access
    /// all cameras.
    pub(crate) fn owner(&self) -> Option<&str> {
        (self.role == Role::User).then_some(self.name())
    }

    /// Fails if the caller's key has the role `user`, and the key's name is not the `owner` of
    /// camera `id`.
    pub(crate) fn ensure_owns(&self, owner: Option<&str>, id: &CameraId) -> Result<(), Error> {
        match self.owner() {
            Some(caller) if owner != Some(caller) => {
                let detail = format!("camera {id} does not belong to the user of this API key");
                Err(Error::new(ErrorKind::Forbidden, detail))
            }
            _ => Ok(()),
        }
    }
}

/// Refuses requests from other machines to a manager without keys. Other machines cannot reach this manager
/// directly, but may reach a proxy in front of it.
///
/// If the host in a request is a name other than `localhost`, the request is refused, because another site may have
/// pointed this name to loopback (DNS rebinding). Requests without a host do not come from browsers, and are accepted.
fn ensure_local(shown: &Credentials<'_>) -> Result<(), Error> {
    let reason = if shown.is_forwarded {
        "a proxy has forwarded this request"
    } else if shown.is_peer_remote || !shown.address.is_none_or(is_this_machine) {
        "this request comes from another machine"
    } else if !shown.host.is_none_or(|host| is_this_machine(without_port(host))) {
        "the host in this request is neither localhost nor a loopback address"
    } else {
        return Ok(());
    };
    let detail = format!(
        "ALLOW_ANONYMOUS is true, so only direct requests from the machine on which the manager runs are \
         permitted, but {reason}; for other requests, set ALLOW_ANONYMOUS=false and use an API key"
    );
    Err(Error::new(ErrorKind::Forbidden, detail))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &str = "boss:admin:boss-secret-0001,42:user:user-secret-0001,\
                        wall:viewer:wall-secret-0001";

    fn access() -> Access {
        Access::new(ApiKeys::parse(KEYS).expect("keys"))
    }

    fn with_key(key: &str) -> Credentials<'_> {
        Credentials { api_key: Some(key), ..Credentials::default() }
    }

    fn guess(address: &str) -> Credentials<'_> {
        Credentials { address: Some(address), ..with_key("wrong-secret-0001") }
    }

    fn kind(result: Result<Caller, Error>) -> ErrorKind {
        result.expect_err("a refusal").kind
    }

    #[test]
    fn a_key_covers_a_share_of_an_owners_cameras_only_if_it_can_access_them() {
        let keys = "wall:viewer+recordings:wall-secret-0001,42:user+recordings:user-secret-0001,\
                    43:user:user-secret-0002";
        let access = Access::new(ApiKeys::parse(keys).expect("keys"));
        for (name, owner, expected) in [
            ("wall", None, true),
            ("42", Some("42"), true),
            ("42", None, false),
            ("43", Some("43"), false),
            ("gone", None, false),
        ] {
            let has_key = access.has_key_with(name, Right::Recordings, owner);
            assert_eq!(has_key, expected, "{name} {owner:?}");
        }
        assert!(Access::default().has_key_with("gone", Right::Recordings, None));
    }

    #[test]
    fn without_keys_every_caller_is_an_admin() {
        let caller = Access::default().caller(&Credentials::default()).expect("a caller");
        caller.ensure_role(Role::Admin).expect("everything");
    }

    #[test]
    fn the_created_key_has_role_admin_and_the_error_without_a_key_contains_instructions() {
        let secret = "c2VjcmV0LXRoYXQtaXMtbG9uZy1lbm91Z2g=";
        let access = Access::with_admin_key(secret).expect("a key");
        let caller = access.caller(&with_key(secret)).expect("a caller");
        assert_eq!((caller.name(), caller.role()), (ADMIN, Role::Admin));
        let refused = access.caller(&Credentials::default()).expect_err("a refusal");
        assert_eq!(refused.kind, ErrorKind::Unauthorized);
        assert!(refused.detail.contains("link") && refused.detail.contains("ALLOW_ANONYMOUS=true"));
    }

    #[test]
    fn without_keys_only_direct_requests_from_this_machine_are_accepted() {
        let is_allowed = |shown: Credentials<'_>| Access::default().caller(&shown).is_ok();
        let from = |address| Credentials { address: Some(address), ..Credentials::default() };
        let to = |host| Credentials { host: Some(host), ..Credentials::default() };
        for (address, expected) in
            [("127.0.0.1", true), ("::1", true), ("192.0.2.1", false), ("x", false)]
        {
            assert_eq!(is_allowed(from(address)), expected, "{address}");
        }
        let hosts = [
            ("localhost:8080", true),
            ("127.0.0.1", true),
            ("[::1]:8088", true),
            ("rebound.example", false),
            ("rebound.example:8080", false),
            ("192.0.2.1", false),
        ];
        for (host, expected) in hosts {
            assert_eq!(is_allowed(to(host)), expected, "{host}");
        }
        assert!(!is_allowed(Credentials { is_forwarded: true, ..from("127.0.0.1") }));
        let forwarded = Credentials { is_forwarded: true, ..with_key("user-secret-0001") };
        access().caller(&forwarded).expect("with a key, forwarded requests are accepted");
    }

    #[test]
    fn known_does_not_count_wrong_keys() {
        let access = access();
        let caller = access.known(&with_key("user-secret-0001")).expect("a key");
        assert_eq!(caller.name(), "42");
        for _ in 0..=MAX_FAILURES {
            assert_eq!(access.known(&guess("192.0.2.1")), None);
        }
        // None of the wrong keys were counted, so the limit has not been reached.
        assert_eq!(kind(access.caller(&guess("192.0.2.1"))), ErrorKind::Unauthorized);
    }

    #[test]
    fn the_caller_of_a_name_has_the_role_of_the_key() {
        let access = access();
        let caller = access.caller_named("42").expect("a key");
        assert_eq!(Some(caller), access.known(&with_key("user-secret-0001")));
        assert_eq!(access.caller_named("43"), None);
        let caller = Access::default().caller_named("42").expect("a caller");
        assert_eq!((caller.role(), caller.key()), (Role::Admin, None));
    }

    #[test]
    fn roles_are_compared_and_users_are_limited_to_their_own_cameras() {
        let access = access();
        let caller = |key: &'static str| access.caller(&with_key(key)).expect("a key");
        let id = CameraId::parse("cam").expect("an id");
        let table = [
            ("boss-secret-0001", Role::Admin, [true, true, true]),
            ("user-secret-0001", Role::User, [true, false, false]),
            ("wall-secret-0001", Role::Viewer, [true, true, true]),
        ];
        for (secret, role, permitted) in table {
            let caller = caller(secret);
            for wanted in [Role::Viewer, Role::User, Role::Admin] {
                assert_eq!(
                    caller.ensure_role(wanted).is_ok(),
                    role >= wanted,
                    "{secret} {wanted:?}"
                );
            }
            let owners = [Some("42"), Some("43"), None];
            let access = owners.map(|owner| caller.ensure_owns(owner, &id).is_ok());
            assert_eq!(access, permitted, "{secret}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_keys_from_an_address_are_limited_and_valid_keys_are_not() {
        let access = access();
        for _ in 0..MAX_FAILURES {
            assert_eq!(kind(access.caller(&guess("192.0.2.1"))), ErrorKind::Unauthorized);
        }
        let refused = access.caller(&guess("192.0.2.1")).expect_err("a refusal");
        assert_eq!((refused.kind, refused.retry_after), (ErrorKind::TooManyAttempts, Some(WINDOW)));
        assert_eq!(kind(access.caller(&guess("192.0.2.2"))), ErrorKind::Unauthorized);
        let right = Credentials { api_key: Some("boss-secret-0001"), ..guess("192.0.2.1") };
        access.caller(&right).expect("the key");
        tokio::time::advance(WINDOW).await;
        assert_eq!(kind(access.caller(&guess("192.0.2.1"))), ErrorKind::Unauthorized);
    }

    #[test]
    fn wrong_keys_are_counted_for_a_limited_number_of_addresses() {
        let access = access();
        for number in 0..MAX_ADDRESSES + 100 {
            access.failed(&number.to_string());
        }
        assert!(access.failures.len() <= MAX_ADDRESSES);
    }
}
