//! All WebRTC sessions, and their limits.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::addresses;
use super::offer::{self, Local, Negotiated};
use super::outcome::SessionEnd;
use super::routes::Routes;
use super::session::{CONNECT_TIMEOUT, Session};
use super::socket::Sockets;
use crate::base::error::{Error, ErrorKind};
use crate::base::lock::lock;
use crate::camera::id::StreamId;

/// The largest number of sessions at the same time.
const MAX_SESSIONS: usize = 1000;
/// The largest number of sessions that are not connected yet. Each of them ends after [`CONNECT_TIMEOUT`].
const MAX_UNCONNECTED: usize = 100;
/// The length of a session's id. With 62 characters, 24 of them cannot be guessed.
const ID_LENGTH: usize = 24;
/// The largest number of streams whose B-frames are remembered.
const MAX_REMEMBERED: usize = 1000;

/// The settings of the WebRTC output.
#[derive(Debug, Clone)]
pub(crate) struct WebRtcSettings {
    /// The port for UDP and TCP; `None` if WebRTC is off.
    pub(crate) port: Option<u16>,
    /// The addresses to announce; the addresses of the machine if there are none.
    pub(crate) addresses: Vec<IpAddr>,
}

/// The WebRTC output. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct WebRtc(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The sockets, or the reason why WebRTC is off.
    running: Result<Running, String>,
    sessions: Mutex<HashMap<String, Entry>>,
    /// The epochs of streams in which a session found B-frames.
    reordered: Mutex<HashMap<StreamId, u64>>,
    metrics: Metrics,
}

#[derive(Debug)]
struct Running {
    sockets: Arc<Sockets>,
    routes: Routes,
    local: Local,
    /// True if the addresses are those of the machine, which can change.
    is_automatic: bool,
}

/// A session, as others see it.
#[derive(Debug)]
struct Entry {
    stream: StreamId,
    is_connected: Arc<AtomicBool>,
    /// Ends the session when it is dropped.
    _end: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
struct Metrics {
    sessions: Gauge,
    ended: Family<EndLabels, Counter>,
    packets: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    reason: &'static str,
}

/// The place of a session among all sessions. When it is dropped, the place is free again.
#[derive(Debug)]
pub(crate) struct Place {
    server: WebRtc,
    id: String,
    is_connected: Arc<AtomicBool>,
    left: oneshot::Receiver<()>,
}

impl WebRtc {
    /// Listens on the port. If that is not possible, WebRTC is off, and the reason is logged and reported, because all
    /// other outputs work without it.
    pub(crate) fn start(settings: &WebRtcSettings) -> Self {
        let running = Running::start(settings);
        match &running {
            Ok(running) => info!(port = running.sockets.port(), "listening for WebRTC"),
            Err(Off::Disabled(reason)) => info!(%reason, "WebRTC is off"),
            Err(Off::Failed(reason)) => warn!(%reason, "WebRTC is off"),
        }
        let running = running.map_err(|off| match off {
            Off::Disabled(reason) | Off::Failed(reason) => reason,
        });
        let (sessions, reordered) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { running, sessions, reordered, metrics: Metrics::default() }))
    }

    /// Creates an output that is off, for tests.
    #[cfg(test)]
    pub(crate) fn off() -> Self {
        Self::start(&WebRtcSettings { port: None, addresses: Vec::new() })
    }

    /// Returns the port, or the reason why WebRTC is off.
    pub(crate) fn port(&self) -> Result<u16, &str> {
        self.0.running.as_ref().map(|it| it.sockets.port()).map_err(String::as_str)
    }

    /// Receives the datagrams of all sessions. Never returns; `None` if WebRTC is off.
    pub(crate) fn serve(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let running = self.0.running.as_ref().ok()?;
        Some(Arc::clone(&running.sockets).serve(running.routes.clone()))
    }

    /// Adds the metrics of WebRTC.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let metrics = &self.0.metrics;
        let help = "WebRTC sessions, including those that are not connected yet";
        registry.register("webrtc_sessions", help, metrics.sessions.clone());
        let help = "WebRTC sessions that have ended, by reason";
        registry.register("webrtc_sessions_ended", help, metrics.ended.clone());
        let help = "Packets that were sent to WebRTC viewers";
        registry.register("webrtc_packets", help, metrics.packets.clone());
    }

    /// Checks an offer, and answers it. Fails if WebRTC is off, or if the offer cannot be used.
    pub(crate) fn negotiate(&self, offer: &str) -> Result<Negotiated, Error> {
        let running = self.running()?;
        offer::negotiate(offer, &running.current()?)
    }

    /// Creates the session of an offer that was answered, and returns its place. Fails if there are too many sessions.
    pub(crate) fn open(
        &self,
        stream: &StreamId,
        negotiated: Negotiated,
    ) -> Result<(Session, Place), Error> {
        let running = self.running()?;
        let id: String = (0..ID_LENGTH).map(|_| fastrand::alphanumeric()).collect();
        let is_connected = Arc::new(AtomicBool::new(false));
        let (end, left) = oneshot::channel();
        {
            let mut sessions = lock(&self.0.sessions);
            let is_waiting = |it: &&Entry| !it.is_connected.load(Ordering::Relaxed);
            let waiting = sessions.values().filter(is_waiting).count();
            if sessions.len() >= MAX_SESSIONS || waiting >= MAX_UNCONNECTED {
                return Err(too_many());
            }
            let (stream, is_connected) = (stream.clone(), Arc::clone(&is_connected));
            sessions.insert(id.clone(), Entry { stream, is_connected, _end: end });
            self.0.metrics.sessions.set(sessions.len().try_into().unwrap_or(i64::MAX));
        }
        let inbox = running.routes.open(negotiated.fragment());
        let sockets = Arc::clone(&running.sockets);
        let session = Session::new(negotiated, inbox, sockets, Arc::clone(&is_connected));
        Ok((session, Place { server: self.clone(), id, is_connected, left }))
    }

    /// Ends a session of a stream. Returns false if there is no such session.
    pub(crate) fn close(&self, stream: &StreamId, id: &str) -> bool {
        let mut sessions = lock(&self.0.sessions);
        if sessions.get(id).is_none_or(|entry| entry.stream != *stream) {
            return false;
        }
        // The session notices that the sender is gone.
        sessions.remove(id);
        self.0.metrics.sessions.set(sessions.len().try_into().unwrap_or(i64::MAX));
        true
    }

    /// Returns whether a stream has this session.
    pub(crate) fn has(&self, stream: &StreamId, id: &str) -> bool {
        lock(&self.0.sessions).get(id).is_some_and(|entry| entry.stream == *stream)
    }

    /// Notes that the video of an epoch has B-frames.
    pub(crate) fn note_reordering(&self, stream: &StreamId, epoch: u64) {
        let mut reordered = lock(&self.0.reordered);
        if reordered.len() >= MAX_REMEMBERED {
            reordered.clear();
        }
        reordered.insert(stream.clone(), epoch);
    }

    /// Returns whether a session found B-frames in an epoch.
    pub(crate) fn has_reordering(&self, stream: &StreamId, epoch: u64) -> bool {
        lock(&self.0.reordered).get(stream) == Some(&epoch)
    }

    fn running(&self) -> Result<&Running, Error> {
        self.0.running.as_ref().map_err(|reason| {
            Error::new(ErrorKind::WebrtcUnavailable, format!("WebRTC is off: {reason}"))
        })
    }
}

/// Why WebRTC is off.
enum Off {
    /// The settings say so.
    Disabled(String),
    /// WebRTC cannot run.
    Failed(String),
}

impl Running {
    fn start(settings: &WebRtcSettings) -> Result<Self, Off> {
        let Some(port) = settings.port else {
            return Err(Off::Disabled("WEBRTC_PORT is off".to_owned()));
        };
        let is_automatic = settings.addresses.is_empty();
        if is_automatic && addresses::is_container() {
            let reason = "the manager runs in a container, whose addresses viewers usually cannot reach; set \
                          WEBRTC_ADDRESSES to the addresses at which viewers reach this machine, and publish \
                          WEBRTC_PORT for UDP and TCP";
            return Err(Off::Disabled(reason.to_owned()));
        }
        let sockets = Sockets::bind(port).map_err(|error| {
            Off::Failed(format!(
                "cannot listen on port {port} with UDP and TCP (WEBRTC_PORT): {error}"
            ))
        })?;
        let crypto = str0m::crypto::from_feature_flags();
        let certificate = crypto.dtls_provider.generate_certificate();
        let certificate = certificate
            .ok_or_else(|| Off::Failed("cannot create a certificate for WebRTC".to_owned()))?;
        let local = Local {
            crypto: Arc::new(crypto),
            certificate,
            addresses: settings.addresses.clone(),
            port: sockets.port(),
        };
        Ok(Self { sockets: Arc::new(sockets), routes: Routes::default(), local, is_automatic })
    }

    /// Returns the identity with the addresses that can be announced now.
    fn current(&self) -> Result<Local, Error> {
        let mut local = self.local.clone();
        if self.is_automatic {
            local.addresses = addresses::local();
        }
        local.addresses.retain(|address| self.sockets.supports(*address));
        if local.addresses.is_empty() {
            let detail =
                "WebRTC is off: the machine has no address to announce; set WEBRTC_ADDRESSES";
            return Err(Error::new(ErrorKind::WebrtcUnavailable, detail));
        }
        Ok(local)
    }
}

impl Place {
    /// Returns the session's id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Waits until the viewer ends the session by a request.
    pub(crate) async fn left(&mut self) {
        // Either result means the end.
        let _ = (&mut self.left).await;
    }

    /// Counts the end of the session.
    pub(crate) fn note_end(&self, end: &SessionEnd, packets: u64) {
        let metrics = &self.server.0.metrics;
        metrics.ended.get_or_create(&EndLabels { reason: end.label() }).inc();
        metrics.packets.inc_by(packets);
    }

    /// Returns whether the viewer has connected.
    pub(crate) fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut sessions = lock(&self.server.0.sessions);
        sessions.remove(&self.id);
        self.server.0.metrics.sessions.set(sessions.len().try_into().unwrap_or(i64::MAX));
    }
}

fn too_many() -> Error {
    /// Half of the time after which sessions that do not connect end.
    const RETRY_AFTER: Duration = Duration::from_secs(CONNECT_TIMEOUT.as_secs() / 2);
    let detail = "too many WebRTC sessions are open or wait for their viewers; try again later";
    Error::new(ErrorKind::Busy, detail).retry_after(RETRY_AFTER)
}
