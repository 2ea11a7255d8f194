//! Keyframes on request. A stream that starts between two of the camera's keyframes has no picture until the next
//! keyframe, unless the camera makes a keyframe at once (ONVIF's `SetSynchronizationPoint`).
//!
//! A start never waits for a request for a keyframe, and never fails because of it. After a failed request,
//! no further keyframe of the same stream is requested for a while, because repeated wrong passwords lock
//! accounts.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, debug, warn};

use super::device;
use super::error::OnvifError;
use super::http::TrustedCertificates;
use super::login::Login;
use super::media::MediaService;
use super::soap::{LoginMethod, OnvifClient, OnvifService};
use crate::base::lock::lock;
use crate::base::url::path_and_query;
use crate::camera::onvif_address::OnvifAddress;
use crate::camera::source::Source;
use crate::camera::zone;

/// The longest time for the requests that prepare a stream's first request for a keyframe.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest time for the request for a keyframe, including repeated logins.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// The time after a failed request in which no further keyframe of the same stream is requested.
const RETRY_DELAY: Duration = Duration::from_mins(10);
/// The largest number of streams that are remembered. For a forgotten stream, the requester finds out
/// again how to request keyframes.
const MAX_REMEMBERED: usize = 10_000;

/// Requests keyframes, and remembers for each stream how to request them. Clones share the memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyframeRequester {
    memory: Arc<Mutex<HashMap<Target, Memory>>>,
}

/// A stream's source, and the ONVIF service of its device.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Target {
    onvif: OnvifAddress,
    source: Source,
}

/// An entry of the memory: how to request keyframes of a target, or when a request failed.
#[derive(Debug, Clone)]
enum Memory {
    /// The device has a profile for the stream. Keyframes are requested with these parameters.
    Supported(KeyframeMethod),
    /// A request failed at this time.
    Failed(Instant),
}

/// The parameters of requests for keyframes of one stream.
#[derive(Debug, Clone)]
struct KeyframeMethod {
    media: MediaService,
    token: String,
    login: LoginMethod,
}

/// A request whose preparation has begun. Dropping it cancels the request.
#[derive(Debug)]
pub(crate) struct PreparedRequest(oneshot::Sender<()>);

impl PreparedRequest {
    /// Sends the request now, or as soon as its preparation has finished.
    pub(crate) fn send(self) {
        // The receiver is dropped if no request can be made.
        let _ = self.0.send(());
    }
}

impl KeyframeRequester {
    /// Prepares a request for a keyframe of `source`, whose host has the address `address`. A task in
    /// the background finds out how to make the request, unless the requester remembers this. The task then
    /// waits for [`PreparedRequest::send`], and sends the request unless `has_played` is true by then.
    ///
    /// Returns `None` if the ONVIF service is on another host than the source, or if a request failed
    /// recently. The request contains a digest of the source's password or, over HTTPS, the password itself if the
    /// device requires that. So the request is sent only to the IP address of the source.
    pub(crate) fn prepare(
        &self,
        onvif: &OnvifAddress,
        source: &Source,
        address: SocketAddr,
        has_played: Arc<AtomicBool>,
    ) -> Option<PreparedRequest> {
        if !zone::is_same_host(&onvif.host, source.host()) {
            debug!(
                "no keyframe is requested, because the ONVIF address and the source have different hosts"
            );
            return None;
        }
        let target = Target { onvif: onvif.clone(), source: source.clone() };
        let remembered = lock(&self.memory).get(&target).cloned();
        let method = match remembered {
            Some(Memory::Failed(since)) if since.elapsed() < RETRY_DELAY => return None,
            Some(Memory::Supported(method)) => Some(method),
            _ => None,
        };
        let login = source.credentials();
        let login = login.map(|(username, password)| Login { username, password });
        let mut service = address;
        service.set_port(onvif.port);
        let mut client = OnvifClient::new(service, login);
        client.trust(TrustedCertificates::from(onvif));
        let (send, signal) = oneshot::channel();
        let this = self.clone();
        let work = async move {
            let result = this.request(client, &target, method, signal, &has_played).await;
            if let Err(failure) = result {
                if failure.certificate().is_some() {
                    warn!(%failure, "cannot request a keyframe from the camera");
                } else {
                    debug!(%failure, "cannot request a keyframe from the camera");
                }
                this.remember(target, Memory::Failed(Instant::now()));
            }
        };
        tokio::spawn(work.in_current_span());
        Some(PreparedRequest(send))
    }

    async fn request(
        &self,
        mut client: OnvifClient,
        target: &Target,
        known: Option<KeyframeMethod>,
        signal: oneshot::Receiver<()>,
        has_played: &AtomicBool,
    ) -> Result<(), OnvifError> {
        let too_slow = |_| OnvifError::Refused("no response in time".to_owned());
        let mut method = if let Some(method) = known {
            client.set_login_method(method.login.clone());
            method
        } else {
            let looked_up = timeout(LOOK_UP_TIMEOUT, look_up(&mut client, target)).await;
            let method = looked_up.map_err(too_slow)??;
            self.remember(target.clone(), Memory::Supported(method.clone()));
            method
        };
        if signal.await.is_err() || has_played.load(Ordering::Relaxed) {
            return Ok(());
        }
        let request = method.media.set_synchronization_point(&mut client, &method.token);
        timeout(REQUEST_TIMEOUT, request).await.map_err(too_slow)??;
        method.login = client.login_method();
        self.remember(target.clone(), Memory::Supported(method));
        debug!("requested a keyframe from the camera");
        Ok(())
    }

    fn remember(&self, target: Target, memory: Memory) {
        let mut all = lock(&self.memory);
        if all.len() >= MAX_REMEMBERED && !all.contains_key(&target) {
            let any = all.keys().next().cloned();
            any.and_then(|any| all.remove(&any));
        }
        all.insert(target, memory);
    }
}

/// Finds the profile whose link has the path and query of the source, or else a profile with a similar link.
/// Uses the first of the device's media services that has one of these profiles.
async fn look_up(client: &mut OnvifClient, target: &Target) -> Result<KeyframeMethod, OnvifError> {
    let (service, path) = (OnvifService::from(&target.onvif), target.source.path());
    device::read_clock(client, &service).await?;
    let mut failure = None;
    for media in MediaService::all(client, &service).await? {
        match find_profile(client, &media, &path).await {
            Ok(Some(token)) => {
                return Ok(KeyframeMethod { media, token, login: client.login_method() });
            }
            Ok(None) => {}
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(|| {
        OnvifError::Refused("none of the device's profiles has the link of the stream".into())
    }))
}

/// Returns the token of the profile whose link has this path and query, or else of a profile with a similar
/// link; `None` if no link is the same or similar.
async fn find_profile(
    client: &mut OnvifClient,
    media: &MediaService,
    path: &str,
) -> Result<Option<String>, OnvifError> {
    let mut similar = None;
    for profile in media.profiles(client).await? {
        let link = match media.link(client, &profile.token).await {
            Ok(link) => link,
            Err(OnvifError::Refused(_)) => continue,
            Err(failure) => return Err(failure),
        };
        let (link, _) = zone::cut(link.trim());
        let link = url::Url::parse(&link).map(|url| path_and_query(&url));
        match link.as_deref().map_or(Match::No, |link| compare(link, path)) {
            Match::Same => return Ok(Some(profile.token)),
            Match::Similar => similar = similar.or(Some(profile.token)),
            Match::No => {}
        }
    }
    Ok(similar)
}

/// The result of a comparison of links.
#[derive(Debug, PartialEq, Eq)]
enum Match {
    Same,
    /// One link consists of the other link and additional parameters.
    Similar,
    No,
}

/// Compares the path and query of a device's link with the path and query of a source. Devices often add
/// parameters that are not required.
fn compare(link: &str, source: &str) -> Match {
    let adds_parameters = |rest: &str| rest.starts_with(['?', '&']);
    match (link.strip_prefix(source), source.strip_prefix(link)) {
        (Some(""), _) => Match::Same,
        (Some(rest), _) | (_, Some(rest)) if adds_parameters(rest) => Match::Similar,
        _ => Match::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(onvif: &str, link: &str) -> Target {
        Target {
            onvif: OnvifAddress::parse(onvif).expect(onvif),
            source: Source::parse(link).expect(link),
        }
    }

    #[test]
    fn links_match_sources_with_additional_or_fewer_parameters() {
        let table = [
            ("/s1", "/s1", Match::Same),
            ("/s1?unicast=true", "/s1", Match::Similar),
            ("/cam?channel=1&subtype=0&unicast=true", "/cam?channel=1&subtype=0", Match::Similar),
            ("/cam?channel=1&subtype=1&unicast=true", "/cam?channel=1&subtype=0", Match::No),
            ("/s1", "/s1?unicast=true", Match::Similar),
            ("/s10", "/s1", Match::No),
            ("/s1", "/", Match::No),
        ];
        for (link, source, expected) in table {
            assert_eq!(compare(link, source), expected, "{link} {source}");
        }
    }

    #[tokio::test]
    async fn no_other_host_gets_a_digest_of_the_password() {
        let address = "192.0.2.7:554".parse().expect("an address");
        let table = [
            ("192.0.2.7", "http://192.0.2.8:80/onvif/device_service", false),
            ("192.0.2.7", "http://192.0.2.7:80/onvif/device_service", true),
            ("Camera.LOCAL", "http://camera.local:80/onvif/device_service", true),
            ("[2001:DB8:0::7]", "http://[2001:db8::7]:80/onvif/device_service", true),
        ];
        for (host, onvif, expected) in table {
            let Target { onvif, source } = target(onvif, &format!("rtsp://user:password@{host}/x"));
            // No request is sent, because the test ends before the task runs.
            let requester = KeyframeRequester::default();
            let prepared = requester.prepare(&onvif, &source, address, Arc::default());
            assert_eq!(prepared.is_some(), expected, "{host} {onvif}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_request_is_retried_after_a_while_or_with_another_source() {
        let requester = KeyframeRequester::default();
        let address = "192.0.2.7:554".parse().expect("an address");
        let failed = target("192.0.2.7", "rtsp://user:wrong@192.0.2.7/x");
        let corrected = target("192.0.2.7", "rtsp://user:right@192.0.2.7/x");
        requester.remember(failed.clone(), Memory::Failed(Instant::now()));
        let is_prepared = |Target { onvif, source }: &Target| {
            requester.prepare(onvif, source, address, Arc::default()).is_some()
        };
        assert!(!is_prepared(&failed) && is_prepared(&corrected));
        tokio::time::advance(RETRY_DELAY).await;
        assert!(is_prepared(&failed));
    }

    #[test]
    fn the_memory_is_limited() {
        let requester = KeyframeRequester::default();
        for number in 0..MAX_REMEMBERED + 10 {
            let target = target("192.0.2.7", &format!("rtsp://192.0.2.7/{number}"));
            requester.remember(target, Memory::Failed(Instant::now()));
        }
        assert_eq!(lock(&requester.memory).len(), MAX_REMEMBERED);
    }
}
