//! A keyframe on request: who joins a camera between two keyframes has to wait for the next one,
//! unless the camera makes one at once (ONVIF's `SetSynchronizationPoint`).
//!
//! It is a help and no more: a start never waits for it and never fails for it. A device that does
//! not help is left alone for a while, because wrong passwords lock accounts.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, debug};

use super::device::{self, Media, parse_address};
use super::soap::{Client, Clock, Failure, Login, Service};
use crate::base::lock::lock;
use crate::base::url::path_and_query;
use crate::camera::source::Source;

/// To find out how to ask.
const LOOK_UP_WITHIN: Duration = Duration::from_secs(10);
/// To ask.
const ASK_WITHIN: Duration = Duration::from_secs(3);
/// How long a device that does not help is left alone.
const LEFT_ALONE: Duration = Duration::from_mins(10);

/// How one stream of a camera is asked for keyframes. Clones share what was learned.
#[derive(Debug, Clone)]
pub struct Keyframes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// URL of the device service.
    onvif: String,
    known: Mutex<Known>,
}

#[derive(Debug, Clone, Default)]
enum Known {
    #[default]
    Nothing,
    /// How to ask.
    Way(Way),
    /// It did not help at this time.
    Helpless(Instant),
}

#[derive(Debug, Clone)]
struct Way {
    media: Media,
    token: String,
    clock: Clock,
}

/// A request that waits for its moment. When it is dropped nothing is asked.
#[derive(Debug)]
pub struct Prepared(oneshot::Sender<()>);

impl Prepared {
    /// Asks now.
    pub fn ask(self) {
        // Nobody listens when it turned out that there is no way.
        let _ = self.0.send(());
    }
}

impl Keyframes {
    /// By the device service at the URL `onvif`.
    pub fn new(onvif: &str) -> Self {
        Self(Arc::new(Inner { onvif: onvif.to_owned(), known: Mutex::default() }))
    }

    /// Whether both are asked at the same place.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.onvif == other.0.onvif
    }

    /// Finds out how to ask for a keyframe of `source`, whose host is at `address`, unless that is
    /// known, and then waits for the moment. Nothing is asked when a picture `has_played` by then.
    ///
    /// The device is asked at that address alone, since it gets a digest of the source's password.
    pub fn prepare(
        &self,
        source: &Source,
        address: SocketAddr,
        has_played: Arc<AtomicBool>,
    ) -> Option<Prepared> {
        let (host, service) = parse_address(&self.0.onvif)?;
        if !host.eq_ignore_ascii_case(source.host()) {
            debug!("no keyframe is asked for: the camera's onvif names another host");
            return None;
        }
        if let Known::Helpless(since) = self.known()
            && since.elapsed() < LEFT_ALONE
        {
            return None;
        }
        let login = source.credentials();
        let login = login.map(|(username, password)| Login { username, password });
        let client = Client::new(SocketAddr::new(address.ip(), service.port), login);
        let (ask, moment) = oneshot::channel();
        let (this, path) = (self.clone(), source.path());
        let work = async move {
            match this.ask(client, &service, &path, moment, &has_played).await {
                Ok(()) => {}
                Err(failure) => {
                    debug!(%failure, "the camera makes no keyframe on request");
                    this.learn(Known::Helpless(Instant::now()));
                }
            }
        };
        tokio::spawn(work.in_current_span());
        Some(Prepared(ask))
    }

    async fn ask(
        &self,
        mut client: Client,
        service: &Service,
        path: &str,
        moment: oneshot::Receiver<()>,
        has_played: &AtomicBool,
    ) -> Result<(), Failure> {
        let too_slow = |_| Failure::Refused("it does not answer in time".to_owned());
        let way = if let Known::Way(way) = self.known() {
            client.set(way.clock);
            way
        } else {
            let looked_up = timeout(LOOK_UP_WITHIN, look_up(&mut client, service, path)).await;
            let way = looked_up.map_err(too_slow)??;
            self.learn(Known::Way(way.clone()));
            way
        };
        if moment.await.is_err() || has_played.load(Ordering::Relaxed) {
            return Ok(());
        }
        let asking = way.media.set_synchronization_point(&client, &way.token);
        timeout(ASK_WITHIN, asking).await.map_err(too_slow)??;
        debug!("the camera was asked for a keyframe");
        Ok(())
    }

    fn known(&self) -> Known {
        lock(&self.0.known).clone()
    }

    fn learn(&self, known: Known) {
        *lock(&self.0.known) = known;
    }
}

/// The profile whose link is the source's.
async fn look_up(client: &mut Client, service: &Service, path: &str) -> Result<Way, Failure> {
    let clock = device::set_clock(client, service).await?;
    let media = Media::of(client, service).await?;
    let mut fitting = None;
    for profile in media.profiles(client).await? {
        let link = match media.link(client, &profile.token).await {
            Ok(link) => link,
            Err(Failure::Refused(_)) => continue,
            Err(failure) => return Err(failure),
        };
        let link = url::Url::parse(link.trim()).map(|url| path_and_query(&url));
        match link.as_deref().map_or(Fit::No, |link| fit(link, path)) {
            Fit::Same => return Ok(Way { media, token: profile.token, clock }),
            Fit::Alike => fitting = fitting.or(Some(profile.token)),
            Fit::No => {}
        }
    }
    let token =
        fitting.ok_or_else(|| Failure::Refused("no profile has the camera's link".into()))?;
    Ok(Way { media, token, clock })
}

#[derive(Debug, PartialEq, Eq)]
enum Fit {
    Same,
    Alike,
    No,
}

/// Whether a device's link, by path and query, is that of a source. Devices add parameters that work
/// as well without.
fn fit(link: &str, source: &str) -> Fit {
    let goes_on = |rest: &str| rest.starts_with(['?', '&']);
    match (link.strip_prefix(source), source.strip_prefix(link)) {
        (Some(""), _) => Fit::Same,
        (Some(rest), _) | (_, Some(rest)) if goes_on(rest) => Fit::Alike,
        _ => Fit::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_devices_and_those_that_people_give() {
        let table = [
            ("/s1", "/s1", Fit::Same),
            ("/s1?unicast=true", "/s1", Fit::Alike),
            ("/cam?channel=1&subtype=0&unicast=true", "/cam?channel=1&subtype=0", Fit::Alike),
            ("/cam?channel=1&subtype=1&unicast=true", "/cam?channel=1&subtype=0", Fit::No),
            ("/s1", "/s1?unicast=true", Fit::Alike),
            ("/s10", "/s1", Fit::No),
            ("/s1", "/", Fit::No),
        ];
        for (link, source, expected) in table {
            assert_eq!(fit(link, source), expected, "{link} {source}");
        }
    }

    #[tokio::test]
    async fn nobody_else_gets_a_digest_of_the_password() {
        let address = "192.0.2.7:554".parse().expect("an address");
        let table = [
            ("192.0.2.7", "http://192.0.2.8:80/onvif/device_service", false),
            ("192.0.2.7", "garbage://", false),
            ("192.0.2.7", "http://192.0.2.7:80/onvif/device_service", true),
            ("Camera.LOCAL", "http://camera.local:80/onvif/device_service", true),
            ("[2001:DB8:0::7]", "http://[2001:db8::7]:80/onvif/device_service", true),
        ];
        for (host, onvif, expected) in table {
            let link = format!("rtsp://user:password@{host}/x");
            let source = Source::parse(&link).expect("a link");
            // Nothing is asked: the test ends before anything else has its turn.
            let prepared = Keyframes::new(onvif).prepare(&source, address, Arc::default());
            assert_eq!(prepared.is_some(), expected, "{host} {onvif}");
        }
    }
}
