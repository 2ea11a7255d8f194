//! The states of all cameras. Publishes the events `camera.offline` and `camera.online`.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use tracing::{info, warn};

use super::state::{Reachability, Tracker, Transition};
use crate::base::error::Error;
use crate::base::lock::lock;
use crate::camera::id::CameraId;
use crate::camera::record::Record;
use crate::camera::source::Source;
use crate::events::bus::Bus;
use crate::events::{CameraEvent, CameraEventKind, Event, EventKind, Subject};

/// The reachability of all cameras that have been checked.
#[derive(Debug)]
pub(crate) struct ReachabilityMonitor {
    bus: Bus,
    cameras: Mutex<HashMap<CameraId, Entry>>,
    succeeded: AtomicU64,
    failed: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    /// The host and port to which the results belong.
    target: (String, u16),
    tracker: Tracker,
}

/// The number of cameras by reachability, and the number of checks by result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// The number of reachable cameras.
    pub(crate) reachable: u64,
    /// The number of cameras that count as offline.
    pub(crate) unreachable: u64,
    /// The number of checks that found the camera reachable.
    pub(crate) succeeded: u64,
    /// The number of checks that failed.
    pub(crate) failed: u64,
}

impl ReachabilityMonitor {
    /// Creates a monitor that publishes its events on `bus`.
    pub(crate) fn new(bus: Bus) -> Self {
        let (succeeded, failed) = Default::default();
        Self { bus, cameras: Mutex::default(), succeeded, failed }
    }

    /// Returns what is known about the camera with this source; `None` if the camera has not been checked
    /// at this address.
    pub(crate) fn get(&self, id: &CameraId, source: &Source) -> Option<Reachability> {
        let cameras = lock(&self.cameras);
        let entry = cameras.get(id).filter(|entry| entry.is_about(source))?;
        Some(entry.tracker.known().clone())
    }

    /// Notes the result of a check of the camera's address.
    pub(crate) fn note(&self, camera: &Record, result: Result<(), Error>) {
        let counter = if result.is_ok() { &self.succeeded } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        self.update(camera, |tracker| tracker.add(result, SystemTime::now()));
    }

    /// Notes that the camera streams.
    pub(crate) fn note_streaming(&self, camera: &Record) {
        self.update(camera, |tracker| tracker.add_streaming(SystemTime::now()));
    }

    /// Forgets a camera that was deleted.
    pub(crate) fn forget(&self, id: &CameraId) {
        lock(&self.cameras).remove(id);
    }

    /// Forgets all cameras except these.
    pub(crate) fn retain(&self, ids: &HashSet<CameraId>) {
        lock(&self.cameras).retain(|id, _| ids.contains(id));
    }

    /// Returns the numbers for the metrics.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals {
            succeeded: self.succeeded.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            ..Totals::default()
        };
        for entry in lock(&self.cameras).values() {
            match entry.tracker.known().is_reachable {
                Some(true) => totals.reachable += 1,
                Some(false) => totals.unreachable += 1,
                None => {}
            }
        }
        totals
    }

    /// Updates the state of a camera. If the address differs from the address at the previous check, begins
    /// again with an unknown state.
    fn update(&self, camera: &Record, add: impl FnOnce(&mut Tracker) -> Option<Transition>) {
        let source = camera.spec.first();
        let mut cameras = lock(&self.cameras);
        let entry = cameras.entry(camera.id.clone()).or_insert_with(|| Entry::new(source));
        if !entry.is_about(source) {
            *entry = Entry::new(source);
        }
        let transition = add(&mut entry.tracker);
        let error = entry.tracker.known().last_error.clone().map(|(error, _)| error);
        drop(cameras);
        if let Some(transition) = transition {
            self.report(camera, transition, error);
        }
    }

    fn report(&self, camera: &Record, transition: Transition, error: Option<Error>) {
        let id = &camera.id;
        let (kind, error) = match transition {
            Transition::Offline => (CameraEventKind::Offline, error),
            Transition::Online => (CameraEventKind::Online, None),
        };
        if let Some(error) = &error {
            warn!(camera = %id, %error, "the camera is offline");
        } else {
            info!(camera = %id, "the camera is online again");
        }
        self.bus.publish(Event {
            at: SystemTime::now(),
            subject: Some(Subject::camera(id.clone(), camera.identity())),
            kind: EventKind::Camera(CameraEvent { kind, error }),
        });
    }
}

impl Entry {
    fn new(source: &Source) -> Self {
        let target = (source.host().to_owned(), source.port());
        Self { target, tracker: Tracker::default() }
    }

    /// Returns whether the results belong to the address of this source.
    fn is_about(&self, source: &Source) -> bool {
        (self.target.0.as_str(), self.target.1) == (source.host(), source.port())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::ErrorKind;
    use crate::camera::id::Profile;
    use crate::camera::source_spec::SourceSpec;
    use crate::events::bus::EventReceiver;

    fn next(events: &mut EventReceiver) -> Option<(CameraEventKind, Option<ErrorKind>)> {
        let event = events.try_next().expect("nothing is lost")?;
        let subject = event.subject.as_ref().expect("a camera");
        assert_eq!((subject.stream.as_str(), subject.identity.incarnation), ("cam", 7));
        let EventKind::Camera(camera) = &event.kind else { panic!("{event:?}") };
        Some((camera.kind, camera.error.as_ref().map(|error| error.kind)))
    }

    #[test]
    fn events_are_published_and_the_state_is_unknown_after_a_change_of_address() {
        let bus = Bus::default();
        let mut events = bus.subscribe();
        let monitor = ReachabilityMonitor::new(bus);
        let id = CameraId::parse("cam").expect("an id");
        let source = |link: &str| Source::parse(link).expect(link);
        let camera = |link: &str| {
            let spec = SourceSpec::from_link(Profile::Main, source(link));
            Record { incarnation: 7, ..Record::new(id.clone(), spec) }
        };
        let links = ("rtsp://192.0.2.1/a", "rtsp://192.0.2.2/a");
        let (old, moved) = (source(links.0), source(links.1));
        let (old_camera, moved_camera) = (camera(links.0), camera(links.1));
        let error = || Err(Error::new(ErrorKind::SourceTimeout, "no response"));
        assert!(monitor.get(&id, &old).is_none());

        for _ in 0..3 {
            monitor.note(&old_camera, error());
        }
        let offline = (CameraEventKind::Offline, Some(ErrorKind::SourceTimeout));
        assert_eq!((next(&mut events), next(&mut events)), (Some(offline), None));
        let totals = Totals { unreachable: 1, failed: 3, ..Totals::default() };
        assert_eq!(monitor.totals(), totals);
        // A change of the password or path keeps the state.
        monitor.note_streaming(&camera("rtsp://a:b@192.0.2.1/b"));
        assert_eq!(next(&mut events), Some((CameraEventKind::Online, None)));

        assert!(monitor.get(&id, &source("rtsp://192.0.2.1/b")).is_some());
        assert!(monitor.get(&id, &moved).is_none(), "the new address has not been checked");
        monitor.note(&moved_camera, error());
        assert_eq!(monitor.get(&id, &moved).expect("a check").is_reachable, None);
        monitor.note(&moved_camera, Ok(()));
        assert_eq!(monitor.get(&id, &moved).expect("a check").is_reachable, Some(true));
        assert_eq!(next(&mut events), None);
        // A check of the old address that ends late must not count for the new one.
        monitor.note(&old_camera, error());
        assert!(monitor.get(&id, &moved).is_none());

        monitor.retain(&HashSet::from([id.clone()]));
        assert!(monitor.get(&id, &old).is_some());
        monitor.forget(&id);
        assert!(monitor.get(&id, &old).is_none());
    }
}
