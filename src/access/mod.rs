//! Who may do what.
//!
//! | Role | May |
//! |---|---|
//! | `viewer` | watch all cameras, see their state, start their streams by watching, hand that on in playback sessions |
//! | `user` | the same and all else with the cameras that have the key's name as their owner |
//! | `admin` | everything |
//!
//! Without any key everybody may everything, and the manager listens on loopback alone. Media is
//! asked for with the same keys as the API.

use std::time::Duration;

use dashmap::DashMap;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HOST};
use tokio::time::Instant;
use tracing::warn;

use crate::base::error::{Error, ErrorKind};
use crate::base::host::is_this_machine;
use crate::camera::record::Record;
use keys::{ApiKeys, Role};

pub mod keys;

/// Wrong keys from one address in [`WINDOW`] that are answered with 401. More get 429.
const MAX_FAILURES: u32 = 20;
const WINDOW: Duration = Duration::from_mins(1);
/// Addresses that are counted at once. More are not, until some of these are forgotten.
const MAX_ADDRESSES: usize = 10_000;
/// The header that some callers prefer to `Authorization`.
const API_KEY: &str = "x-api-key";
/// The header in which browsers say from what site a request comes.
const FETCH_SITE: &str = "sec-fetch-site";
/// The header in which nginx names the caller's address.
const ADDRESS: &str = "x-real-ip";

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name of the API key; none without keys.
    key: Option<String>,
    role: Role,
}

/// Checks callers' keys.
#[derive(Debug, Default)]
pub struct Access {
    keys: ApiKeys,
    failures: DashMap<String, (u32, Instant)>,
}

impl Access {
    /// Access by these keys; with none, for everybody.
    pub fn new(keys: ApiKeys) -> Self {
        Self { keys, failures: DashMap::new() }
    }

    /// Who calls, by the key in the request's headers.
    pub fn caller(&self, headers: &HeaderMap) -> Result<Caller, Error> {
        if self.keys.is_empty() {
            // An nginx that others reach, whatever the settings say.
            if !text(headers, ADDRESS).is_none_or(is_this_machine) {
                let detail = "without API_KEYS the service is for this machine alone";
                return Err(Error::new(ErrorKind::Forbidden, detail));
            }
            return Ok(Caller { key: None, role: Role::Admin });
        }
        let Some(secret) = secret(headers) else {
            let detail = "an API key is needed, as Authorization: Bearer KEY or X-API-Key: KEY";
            return Err(Error::new(ErrorKind::Unauthorized, detail));
        };
        match self.keys.find(secret) {
            Some(key) => Ok(Caller { key: Some(key.name.clone()), role: key.role }),
            None => Err(self.failed(text(headers, ADDRESS).unwrap_or_default())),
        }
    }

    /// Refuses what a page of another site makes a browser ask of a service without keys: on
    /// loopback such a page could use it through whoever looks at it. Browsers name the site where
    /// they trust the address, and else the host, which such a page can have point to loopback.
    pub fn refuse_other_sites(&self, headers: &HeaderMap) -> Result<(), Error> {
        let host = text(headers, HOST.as_str()).map_or("localhost", without_port);
        let is_other = text(headers, FETCH_SITE) == Some("cross-site") || !is_this_machine(host);
        if self.keys.is_empty() && is_other {
            let detail = "without API_KEYS the API is for this machine: its host must be localhost, \
                          and pages of other sites may not use it";
            return Err(Error::new(ErrorKind::Forbidden, detail));
        }
        Ok(())
    }

    /// The same as [`Access::caller`], for callers who may have something else to show: nothing is
    /// said or counted when the key is missing or wrong.
    pub fn known(&self, headers: &HeaderMap) -> Option<Caller> {
        let key = self.keys.find(secret(headers)?)?;
        Some(Caller { key: Some(key.name.clone()), role: key.role })
    }

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
        warn!(address, "a wrong API key");
        Error::new(ErrorKind::Unauthorized, "the API key is wrong")
    }
}

impl Caller {
    /// Of a request that everybody may make.
    pub fn nobody() -> Self {
        Self { key: None, role: Role::Viewer }
    }

    /// The name of the API key; none without keys.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The same for the log.
    pub fn name(&self) -> &str {
        self.key().unwrap_or("anybody")
    }

    /// What the caller may do.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Refuses callers of less power than `role`.
    pub fn at_least(&self, role: Role) -> Result<(), Error> {
        if self.role >= role {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Forbidden, "the API key's role does not allow this"))
    }

    /// The owner whose cameras alone the caller may see; `None` when all.
    pub fn owner(&self) -> Option<&str> {
        (self.role == Role::User).then_some(self.name())
    }

    /// Refuses cameras that the caller may not see.
    pub fn ensure_can_see(&self, record: &Record) -> Result<(), Error> {
        match self.owner() {
            Some(owner) if record.owner.as_deref() != Some(owner) => {
                let detail = format!("camera {} belongs to somebody else", record.id);
                Err(Error::new(ErrorKind::Forbidden, detail))
            }
            _ => Ok(()),
        }
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn secret(headers: &HeaderMap) -> Option<&str> {
    let bearer = text(headers, AUTHORIZATION.as_str()).and_then(|value| {
        let (scheme, secret) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
    });
    bearer.or_else(|| text(headers, API_KEY))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::id::CameraId;

    const KEYS: &str = "boss:admin:boss-secret-0001,42:user:user-secret-0001,\
                        wall:viewer:wall-secret-0001";

    fn access() -> Access {
        Access::new(ApiKeys::parse(KEYS).expect("keys"))
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect()
    }

    fn kind(result: Result<Caller, Error>) -> ErrorKind {
        result.expect_err("a refusal").kind
    }

    #[test]
    fn a_key_may_come_in_either_header() {
        let access = access();
        for (name, value) in [
            ("authorization", "Bearer user-secret-0001"),
            ("authorization", "bearer  user-secret-0001"),
            ("x-api-key", "user-secret-0001"),
        ] {
            let caller = access.caller(&headers(&[(name, value)])).expect(value);
            assert_eq!((caller.name(), caller.role), ("42", Role::User));
        }
        for (name, value) in [
            ("authorization", "Basic user-secret-0001"),
            ("authorization", "user-secret-0001"),
            ("x-api-key", "wrong-secret-0001"),
            ("x-api-key", ""),
            ("cookie", "user-secret-0001"),
        ] {
            let refused = kind(access.caller(&headers(&[(name, value)])));
            assert_eq!(refused, ErrorKind::Unauthorized, "{value}");
        }
    }

    #[test]
    fn without_keys_everybody_may_everything() {
        let caller = Access::default().caller(&HeaderMap::new()).expect("a caller");
        caller.at_least(Role::Admin).expect("everything");
        for (address, may) in
            [("127.0.0.1", true), ("::1", true), ("192.0.2.1", false), ("x", false)]
        {
            let headers = headers(&[("x-real-ip", address)]);
            assert_eq!(Access::default().caller(&headers).is_ok(), may, "{address}");
        }
    }

    #[test]
    fn pages_of_other_sites_need_a_key() {
        let table =
            [("cross-site", false), ("same-site", true), ("same-origin", true), ("none", true)];
        for (site, may) in table {
            let headers = headers(&[("sec-fetch-site", site)]);
            assert_eq!(Access::default().refuse_other_sites(&headers).is_ok(), may, "{site}");
            access().refuse_other_sites(&headers).expect("keys decide");
        }
        let hosts = [
            ("localhost:8080", true),
            ("127.0.0.1", true),
            ("[::1]:8088", true),
            ("rebound.example", false),
            ("rebound.example:8080", false),
            ("192.0.2.1", false),
        ];
        for (host, may) in hosts {
            let headers = headers(&[("host", host)]);
            assert_eq!(Access::default().refuse_other_sites(&headers).is_ok(), may, "{host}");
        }
        Access::default().refuse_other_sites(&HeaderMap::new()).expect("no browser");
    }

    #[test]
    fn roles_and_owners() {
        let access = access();
        let caller = |secret: &'static str| {
            access.caller(&headers(&[("x-api-key", secret)])).expect("a key")
        };
        let id = CameraId::parse("cam").expect("an id");
        let own = Record { owner: Some("42".into()), ..Record::new(id.clone()) };
        let foreign = Record { owner: Some("43".into()), ..Record::new(id.clone()) };
        let nobodys = Record::new(id);
        let table = [
            ("boss-secret-0001", Role::Admin, [true, true, true]),
            ("user-secret-0001", Role::User, [true, false, false]),
            ("wall-secret-0001", Role::Viewer, [true, true, true]),
        ];
        for (secret, role, seen) in table {
            let caller = caller(secret);
            for wanted in [Role::Viewer, Role::User, Role::Admin] {
                assert_eq!(caller.at_least(wanted).is_ok(), role >= wanted, "{secret} {wanted:?}");
            }
            let sees =
                [&own, &foreign, &nobodys].map(|record| caller.ensure_can_see(record).is_ok());
            assert_eq!(sees, seen, "{secret}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_guesses_is_told_to_wait_and_who_knows_is_not() {
        let access = access();
        let guess = headers(&[("x-api-key", "wrong-secret-0001"), ("x-real-ip", "192.0.2.1")]);
        for _ in 0..MAX_FAILURES {
            assert_eq!(kind(access.caller(&guess)), ErrorKind::Unauthorized);
        }
        let refused = access.caller(&guess).expect_err("a refusal");
        assert_eq!((refused.kind, refused.retry_after), (ErrorKind::TooManyAttempts, Some(WINDOW)));
        let other = headers(&[("x-api-key", "wrong-secret-0001"), ("x-real-ip", "192.0.2.2")]);
        assert_eq!(kind(access.caller(&other)), ErrorKind::Unauthorized);
        let right = headers(&[("x-api-key", "boss-secret-0001"), ("x-real-ip", "192.0.2.1")]);
        access.caller(&right).expect("the key");
        tokio::time::advance(WINDOW).await;
        assert_eq!(kind(access.caller(&guess)), ErrorKind::Unauthorized);
    }

    #[test]
    fn addresses_are_counted_up_to_a_limit() {
        let access = access();
        for number in 0..MAX_ADDRESSES + 100 {
            access.failed(&number.to_string());
        }
        assert!(access.failures.len() <= MAX_ADDRESSES);
    }
}
