//! All WebRTC sessions, and their limits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::{oneshot, watch};
use tracing::{info, warn};

use super::offer::{self, Negotiated, Sound};
use super::outcome::SessionEnd;
use super::packets::Packets;
use super::running::{Off, Running, WebRtcSettings};
use super::session::{CONNECT_TIMEOUT, Session};
use crate::base::error::{Error, ErrorKind};
use crate::base::lock::lock;
use crate::base::random;
use crate::camera::id::StreamId;

/// The largest number of sessions at the same time.
const MAX_SESSIONS: usize = 1000;
/// The largest number of sessions that are not connected yet. Each of them ends after [`CONNECT_TIMEOUT`], or earlier if
/// the camera cannot be watched.
const MAX_UNCONNECTED: usize = 300;
/// The largest number of sessions of one stream.
const MAX_PER_STREAM: usize = 300;
/// The largest number of sessions of one viewer.
const MAX_PER_VIEWER: usize = 100;
/// The largest number of sessions of one viewer that are not connected yet. A wall of 36 cameras opens 36 at once.
const MAX_UNCONNECTED_PER_VIEWER: usize = 40;
/// The length of a session's id.
const ID_LENGTH: usize = 24;
/// The largest number of streams whose B-frames are remembered.
const MAX_REMEMBERED: usize = 1000;

/// The WebRTC sessions of all streams. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct WebRtc(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The sockets, or the reason why WebRTC is off.
    running: Result<Running, String>,
    sessions: Mutex<Sessions>,
    /// The number of places, which are released last when a session ends.
    places: watch::Sender<usize>,
    /// The epochs of streams in which a session found B-frames.
    reordered: Mutex<HashMap<StreamId, u64>>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Sessions {
    entries: HashMap<String, Entry>,
    /// True if the manager shuts down.
    is_closing: bool,
}

/// The viewer of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionViewer {
    /// The user who has the permission to watch.
    pub(crate) user: String,
    /// The address from which the session was opened.
    pub(crate) address: String,
}

/// A session, as others see it.
#[derive(Debug)]
struct Entry {
    stream: StreamId,
    viewer: SessionViewer,
    /// The user name fragment of the manager's ICE credentials; `None` before the answer.
    fragment: Option<String>,
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
        Self(Arc::new(Inner {
            running,
            sessions: Mutex::default(),
            places: watch::Sender::new(0),
            reordered: Mutex::default(),
            metrics: Metrics::default(),
        }))
    }

    /// Creates an output that is off, for tests.
    #[cfg(test)]
    pub(crate) fn off() -> Self {
        Self::start(&WebRtcSettings { port: None, addresses: Vec::new() })
    }

    /// Returns the port, or the reason why players cannot use WebRTC now.
    pub(crate) fn port(&self) -> Result<u16, String> {
        let running = self.0.running.as_ref().map_err(Clone::clone)?;
        running.current().map(|local| local.port)
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
        for reason in SessionEnd::LABELS {
            drop(metrics.ended.get_or_create(&EndLabels { reason }));
        }
        let help = "WebRTC sessions that have ended, by reason: the player ended it (left), did not connect in time \
                    (never_connected), is gone (vanished) or has another address (moved); the video cannot be sent \
                    (unsupported); the stream or the permission ended (ended); a protocol was violated (failed)";
        registry.register("webrtc_sessions_ended", help, metrics.ended.clone());
        let help = "Packets that were sent to WebRTC viewers, without second copies for networks that lose packets";
        registry.register("webrtc_packets", help, metrics.packets.clone());
    }

    /// Reserves a place for a session. Fails if WebRTC is off, or if the viewer, the stream or the manager has too many
    /// sessions.
    pub(crate) fn reserve(&self, stream: &StreamId, viewer: SessionViewer) -> Result<Place, Error> {
        self.running()?;
        let id = random::text(ID_LENGTH)?;
        let is_connected = Arc::new(AtomicBool::new(false));
        let (end, left) = oneshot::channel();
        let mut sessions = lock(&self.0.sessions);
        sessions.ensure_capacity(stream, &viewer)?;
        let entry = Entry {
            stream: stream.clone(),
            viewer,
            fragment: None,
            is_connected: Arc::clone(&is_connected),
            _end: end,
        };
        sessions.entries.insert(id.clone(), entry);
        self.0.metrics.sessions.set(sessions.count());
        self.0.places.send_modify(|count| *count += 1);
        Ok(Place { server: self.clone(), id, is_connected, left })
    }

    /// Checks an offer, and answers it. Fails if WebRTC is off, or if the offer cannot be used.
    pub(crate) fn negotiate(&self, offer: &str, sound: Sound) -> Result<Negotiated, Error> {
        let local = self.running()?.current().map_err(|reason| off(&reason))?;
        offer::negotiate(offer, sound, &local)
    }

    /// Creates the session of an offer that was answered, at a place that was reserved.
    pub(crate) fn open(&self, negotiated: Negotiated, place: &Place) -> Result<Session, Error> {
        let running = self.running()?;
        if let Some(entry) = lock(&self.0.sessions).entries.get_mut(&place.id) {
            entry.fragment = Some(negotiated.fragment().to_owned());
        }
        let inbox = running.routes.open(negotiated.fragment());
        let total = self.0.metrics.packets.clone();
        let packets = Packets::new(Arc::clone(&running.sockets), total);
        Ok(Session::new(negotiated, inbox, packets, Arc::clone(&place.is_connected)))
    }

    /// Ends a session of a stream. Returns false if this user has no such session.
    pub(crate) fn close(&self, stream: &StreamId, id: &str, user: &str) -> bool {
        let mut sessions = lock(&self.0.sessions);
        if sessions.find(stream, id, user).is_none() {
            return false;
        }
        // The session notices that the sender is gone.
        sessions.entries.remove(id);
        self.0.metrics.sessions.set(sessions.count());
        true
    }

    /// Returns the user name fragment of a session's ICE credentials; `None` if this user has no such session.
    pub(crate) fn fragment(&self, stream: &StreamId, id: &str, user: &str) -> Option<String> {
        lock(&self.0.sessions).find(stream, id, user)?.fragment.clone()
    }

    /// Ends all sessions, and waits for a limited time until their viewers have been told. No session can be opened after
    /// this.
    pub(crate) async fn shutdown(&self) {
        const LIMIT: Duration = Duration::from_secs(1);
        let mut places = self.0.places.subscribe();
        {
            let mut sessions = lock(&self.0.sessions);
            sessions.is_closing = true;
            sessions.entries.clear();
        }
        let _ = tokio::time::timeout(LIMIT, places.wait_for(|count| *count == 0)).await;
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
        self.0.running.as_ref().map_err(|reason| off(reason))
    }
}

impl Sessions {
    /// Fails if there is no place for another session.
    fn ensure_capacity(&self, stream: &StreamId, viewer: &SessionViewer) -> Result<(), Error> {
        if self.is_closing {
            return Err(Error::shutting_down());
        }
        let entries = || self.entries.values();
        let is_waiting = |it: &&Entry| !it.is_connected.load(Ordering::Relaxed);
        let of_viewer = || entries().filter(|it| it.viewer == *viewer);
        let is_full = self.entries.len() >= MAX_SESSIONS
            || entries().filter(is_waiting).count() >= MAX_UNCONNECTED
            || entries().filter(|it| it.stream == *stream).count() >= MAX_PER_STREAM
            || of_viewer().count() >= MAX_PER_VIEWER
            || of_viewer().filter(is_waiting).count() >= MAX_UNCONNECTED_PER_VIEWER;
        if is_full { Err(too_many()) } else { Ok(()) }
    }

    fn find(&self, stream: &StreamId, id: &str, user: &str) -> Option<&Entry> {
        let found = self.entries.get(id);
        found.filter(|entry| entry.stream == *stream && entry.viewer.user == user)
    }

    fn count(&self) -> i64 {
        self.entries.len().try_into().unwrap_or(i64::MAX)
    }
}

fn off(reason: &str) -> Error {
    Error::new(ErrorKind::WebrtcUnavailable, format!("WebRTC is off: {reason}"))
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
    pub(crate) fn note_end(&self, end: &SessionEnd) {
        let ended = &self.server.0.metrics.ended;
        ended.get_or_create(&EndLabels { reason: end.label() }).inc();
    }

    /// Returns whether the viewer has connected.
    pub(crate) fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut sessions = lock(&self.server.0.sessions);
        sessions.entries.remove(&self.id);
        self.server.0.metrics.sessions.set(sessions.count());
        self.server.0.places.send_modify(|count| *count -= 1);
    }
}

fn too_many() -> Error {
    /// Half of the time after which sessions that do not connect end.
    const RETRY_AFTER: Duration = Duration::from_secs(CONNECT_TIMEOUT.as_secs() / 2);
    let detail = "too many WebRTC sessions are open or wait for their viewers; try again later";
    Error::new(ErrorKind::Busy, detail).retry_after(RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> WebRtc {
        let addresses = vec!["127.0.0.1".parse().expect("an address")];
        WebRtc::start(&WebRtcSettings { port: Some(0), addresses })
    }

    fn viewer(user: &str, address: &str) -> SessionViewer {
        SessionViewer { user: user.to_owned(), address: address.to_owned() }
    }

    fn stream(id: &str) -> StreamId {
        StreamId::parse(id).expect("an id")
    }

    #[tokio::test]
    async fn one_viewer_cannot_take_all_places() {
        let (server, camera) = (server(), stream("cam"));
        let reserve = |user: &str, address: &str| server.reserve(&camera, viewer(user, address));
        let mut places: Vec<_> = (0..1000).map_while(|_| reserve("eve", "a").ok()).collect();
        assert_eq!(places.len(), MAX_UNCONNECTED_PER_VIEWER);
        places.push(reserve("anna", "a").expect("a place"));
        for place in &places {
            place.is_connected.store(true, Ordering::Relaxed);
        }
        places.extend((0..1000).map_while(|_| reserve("eve", "a").ok()));
        for place in &places {
            place.is_connected.store(true, Ordering::Relaxed);
        }
        places.extend((0..1000).map_while(|_| reserve("eve", "a").ok()));
        assert_eq!(places.len(), 1 + MAX_PER_VIEWER);
        for number in 0..100 {
            let address = number.to_string();
            places.extend((0..1000).map_while(|_| reserve("eve", &address).ok()));
        }
        assert_eq!(places.len(), MAX_PER_STREAM);
        let other = server.reserve(&stream("other"), viewer("anna", "a")).expect("another stream");
        drop((places, other));
        assert!(lock(&server.0.sessions).entries.is_empty() && *server.0.places.borrow() == 0);
    }

    #[tokio::test]
    async fn only_the_user_who_opened_a_session_can_end_it() {
        let (server, camera) = (server(), stream("cam"));
        let mut place = server.reserve(&camera, viewer("anna", "a")).expect("a place");
        assert!(!server.close(&camera, place.id(), "eve"));
        assert!(!server.close(&stream("other"), place.id(), "anna"));
        assert!(server.close(&camera, place.id(), "anna"));
        place.left().await;
    }

    #[tokio::test]
    async fn the_shutdown_ends_all_sessions_and_waits_for_them() {
        let (server, camera) = (server(), stream("cam"));
        let mut place = server.reserve(&camera, viewer("anna", "a")).expect("a place");
        let ended = tokio::spawn(async move {
            place.left().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        });
        server.shutdown().await;
        assert!(*server.0.places.borrow() == 0);
        ended.await.expect("a task");
        let refused = server.reserve(&camera, viewer("anna", "a")).expect_err("closing");
        assert_eq!(refused.kind, ErrorKind::ShuttingDown);
    }
}
