//! Records cameras: decides at every moment which streams are recorded, keeps these streams running, and deletes old
//! recordings. Runs only if `RECORDINGS_DIRS` is set.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tracing::{debug, warn};

use super::core::Core;
use super::event_times::{EventTime, EventTimes};
use super::keeping;
use crate::analysis::shared::Analyses;
use crate::base::age_clock::AgeClock;
use crate::base::error::{Error, ErrorKind};
use crate::base::time::from_unix_millis;
use crate::camera::id::{Profile, StreamId};
use crate::camera::identity_tag::IdentityTag;
use crate::camera::recording::{RecordingMode, RecordingOptions, Schedule};
use crate::events::bus::EventReceiver;
use crate::events::kinds::MOTION;
use crate::events::{Event, EventKind, StorageEvent, StorageEventKind};
use crate::output::recorder::cutter::{Clocks, unix_ms};
use crate::output::recorder::directories::Problem;
use crate::output::recorder::layout::RecordingKey;
use crate::output::recorder::recovery::{self, CameraEvents, RecordedId};
use crate::output::recorder::retention::{self, AllLimits, Limits};
use crate::output::recorder::shared::{Recorder, RecordingStatus};
use crate::output::recorder::stream_task::{self, Demand, Target};
use crate::store::RecordedCamera;

/// The time between two decisions about what is recorded.
const PERIOD: Duration = Duration::from_secs(1);
/// The time between two checks of the directories and of the limits.
const UPKEEP: Duration = Duration::from_secs(10);
/// The time after which cameras are read again if the database could not be read.
const RETRY: Duration = Duration::from_secs(5);
/// The largest number of events of a camera whose recordings continue after a restart.
const MAX_RESUMED: u32 = 1000;
/// The time between two attempts to start a stream.
const START_INTERVAL: Duration = Duration::from_secs(2);

/// The least time after a picture with motion for which a camera is recorded, so that the recording does not end between two
/// pictures.
const AFTER_MOTION: Duration = Duration::from_secs(2);

/// The recording of one stream.
struct Job {
    demand: watch::Sender<Demand>,
    task: JoinHandle<()>,
}

/// A camera with a recording, and what is known about it.
struct Watched {
    camera: RecordedCamera,
    schedule: Schedule,
}

/// Records cameras until the returned future is dropped.
pub(crate) async fn run(core: Arc<Core>, recorder: Recorder) {
    let mut cameras = core.cameras.changes();
    let mut events = core.events.bus().subscribe();
    let mut watched = Vec::new();
    let mut jobs = HashMap::new();
    let (mut times, mut are_resumed) = (EventTimes::default(), false);
    // The cameras are read at once.
    let mut reload_at = Some(Instant::now());
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            changed = cameras.changed() => {
                if changed.is_err() {
                    return;
                }
                reload_at = Some(Instant::now());
            }
            event = next_event(&mut events) => note_event(&recorder, &watched, &mut times, &event).await,
        }
        if reload_at.is_some_and(|at| Instant::now() >= at) {
            let loaded = async {
                watched = load(&core).await?;
                if !are_resumed {
                    let now = recorder.clocks().system;
                    resume_events(&core, &watched, &mut times, now).await?;
                    are_resumed = true;
                }
                Ok::<_, Error>(())
            };
            reload_at = match loaded.await {
                Ok(()) => None,
                Err(error) => {
                    warn!(%error, "cannot read which cameras are recorded; retrying");
                    Some(Instant::now() + RETRY)
                }
            };
        }
        let now = recorder.clocks().system;
        times.forget_ended(now);
        follow(&core, &recorder, &watched, &times, now, &mut jobs);
    }
}

/// Checks the directories and reports their problems, until the returned future is dropped.
pub(crate) async fn watch_disks(core: Arc<Core>, recorder: Recorder) {
    let mut problems = Vec::new();
    let mut ticks = interval(UPKEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        recorder.check_disks();
        if let Err(error) = recorder.directories().check(recorder.database()).await {
            warn!(%error, "cannot check the directories for recordings");
            continue;
        }
        let now = recorder.directories().problems();
        report(&core, &problems, &now);
        problems = now;
    }
}

/// Brings the index in line with the files of each directory when it becomes usable, and deletes old recordings, until the
/// returned future is dropped. In the meantime, cameras are recorded. A disk that hangs delays neither of these on other disks.
pub(crate) async fn upkeep(core: Arc<Core>, recorder: Recorder, all: Limits) {
    let count = recorder.directories().paths().len();
    let recoveries = join_all((0..count).map(|index| recover(&core, &recorder, index)));
    tokio::join!(recoveries, add_tables(&recorder), retain(&core, &recorder, all));
}

/// Brings the index in line with the files of the directory with this position in `RECORDINGS_DIRS`, each time when it
/// becomes usable. Never returns.
async fn recover(core: &Core, recorder: &Recorder, index: usize) {
    let (mut recovered, mut ticks) = (None, upkeep_ticks());
    loop {
        ticks.tick().await;
        let present = recorder.directories().present();
        let Some(dir) = present.into_iter().find(|dir| dir.index == index) else { continue };
        let now = Some((dir.id, recorder.directories().arrivals(&dir)));
        if recovered == now {
            continue;
        }
        let result = async {
            let events = camera_events(core).await?;
            recovery::recover(recorder, &dir, &events).await
        };
        match result.await {
            Ok(_) => recovered = now,
            Err(error) => {
                warn!(%error, cause = ?error.source, "cannot compare recordings with their index; retrying");
            }
        }
    }
}

/// Completes files that were closed while their disk was full. Never returns.
async fn add_tables(recorder: &Recorder) {
    let mut ticks = upkeep_ticks();
    loop {
        ticks.tick().await;
        if let Err(error) = recovery::add_tables(recorder).await {
            warn!(%error, cause = ?error.source, "cannot complete a recorded file");
        }
    }
}

/// Deletes old recordings. Never returns.
async fn retain(core: &Core, recorder: &Recorder, all: Limits) {
    let (mut clock, mut ticks) = (AgeClock::default(), upkeep_ticks());
    loop {
        ticks.tick().await;
        let cleaned = match limits(core, all).await {
            Ok(limits) => {
                let Clocks { system, monotonic } = recorder.clocks();
                let is_trusted = clock.is_trusted("recordings", system, monotonic.into());
                let limits = if is_trusted { limits } else { limits.without_ages() };
                retention::run(recorder, &limits).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = cleaned {
            warn!(%error, cause = ?error.source, "cannot delete old recordings; retrying");
        }
    }
}

fn upkeep_ticks() -> Interval {
    let mut ticks = interval(UPKEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Publishes the changes of the directories' problems.
fn report(core: &Core, before: &[Problem], now: &[Problem]) {
    let publish = |path: &Path, kind, error| {
        let directory = path.to_string_lossy().into_owned();
        let kind = EventKind::Storage(StorageEvent { kind, directory, error });
        core.events.bus().publish(Event { at: SystemTime::now(), subject: None, kind });
    };
    let of = |problems: &[Problem], path: &Path| {
        problems.iter().find(|problem| problem.path == path).map(|problem| problem.error.clone())
    };
    for Problem { path, error, is_slow } in now {
        if of(before, path).as_ref() == Some(error) {
            continue;
        }
        let kind = match error.kind {
            ErrorKind::StorageFull => StorageEventKind::Full,
            _ if *is_slow => StorageEventKind::Slow,
            _ => StorageEventKind::Failed,
        };
        publish(path, kind, Some(error.clone()));
    }
    for Problem { path, .. } in before.iter().filter(|problem| of(now, &problem.path).is_none()) {
        publish(path, StorageEventKind::Recovered, None);
    }
}

/// Returns which events make recordings of the cameras.
async fn camera_events(core: &Core) -> Result<HashMap<RecordedId, CameraEvents>, Error> {
    let cameras = core.cameras.recorded().await?.into_iter();
    let events = |camera: RecordedCamera| {
        let RecordedCamera { id, identity, options, .. } = camera;
        let tag = IdentityTag::of(&identity);
        ((id, tag), CameraEvents { owner: identity.owner, trigger: options.events })
    };
    Ok(cameras.map(events).collect())
}

async fn limits(core: &Core, all: Limits) -> Result<AllLimits, Error> {
    let mut limits = AllLimits { all, ..AllLimits::default() };
    for camera in core.cameras.recorded().await? {
        let options = &camera.options;
        let own = Limits {
            keep_days: options.keep_days.or(all.keep_days),
            keep_event_days: options.keep_event_days.or(all.keep_event_days),
            max_bytes: options.max_bytes,
        };
        limits.cameras.insert((camera.id.clone(), IdentityTag::of(&camera.identity)), own);
    }
    Ok(limits)
}

async fn load(core: &Core) -> Result<Vec<Watched>, Error> {
    let cameras = core.cameras.recorded().await?;
    let watched = |camera: RecordedCamera| {
        let schedule = camera.options.schedule();
        Watched { camera, schedule }
    };
    Ok(cameras.into_iter().map(watched).collect())
}

/// Returns the next event of a camera that is not about its recording.
async fn next_event(events: &mut EventReceiver) -> Arc<Event> {
    loop {
        match events.next().await {
            Ok(Some(event)) if !matches!(event.kind, EventKind::Recording(_)) => return event,
            Ok(Some(_)) | Err(_) => {}
            Ok(None) => return std::future::pending().await,
        }
    }
}

/// Notes for which time a camera is recorded because of an event, and marks the recordings of this time.
async fn note_event(
    recorder: &Recorder,
    watched: &[Watched],
    times: &mut EventTimes,
    event: &Event,
) {
    let Some(id) = event.camera() else { return };
    let Some(Watched { camera, .. }) = watched.iter().find(|it| it.camera.id == *id) else {
        return;
    };
    let Some((event, kept)) = time_of(camera, event) else { return };
    times.add(id, event, recorder.clocks().system, kept);
    let time = (event.begin, event.end);
    if let Err(error) = recorder.mark_event(id, &camera.identity, time).await {
        warn!(camera = %id, %error, "cannot mark the recordings of an event");
    }
}

/// Returns the time for which a camera is recorded because of an event, and the time for which its frames are kept in memory,
/// so that those of an event that is over can still be recorded; `None` if the event makes no recording.
fn time_of(camera: &RecordedCamera, event: &Event) -> Option<(EventTime, Duration)> {
    let RecordingOptions { mode, events: trigger, .. } = &camera.options;
    let (number, until) = match &event.kind {
        EventKind::Reported(reported) => (Some(reported.number), reported.until),
        _ => (None, None),
    };
    let name = event.kind.name();
    let (begin, end) = trigger.recorded_time(name, event.at, until)?;
    let kept = match mode {
        // The frames were recorded while something moved. The end is reported only after a pause.
        _ if name == MOTION && until.is_some() => Duration::ZERO,
        RecordingMode::Events => trigger.before() + stream_task::LATE,
        RecordingMode::Off | RecordingMode::Continuous | RecordingMode::Schedule => Duration::ZERO,
    };
    Some((EventTime { number, begin, end }, kept))
}

/// Notes the events that were not over when the manager ended, so that their recordings continue.
async fn resume_events(
    core: &Core,
    watched: &[Watched],
    times: &mut EventTimes,
    now: SystemTime,
) -> Result<(), Error> {
    for Watched { camera, .. } in watched {
        let trigger = &camera.options.events;
        let from = unix_ms(now.checked_sub(trigger.after()).unwrap_or(now));
        let owner = camera.identity.owner.as_deref();
        let found = core.events.in_span((&camera.id, owner), (from, i64::MAX), MAX_RESUMED).await?;
        for row in found {
            let until = row.until.map(from_unix_millis);
            let time = trigger.recorded_time(&row.kind, from_unix_millis(row.at), until);
            if let Some((begin, end)) = time.filter(|(_, end)| *end > now) {
                let number = Some(row.id);
                times.add(&camera.id, EventTime { number, begin, end }, now, Duration::ZERO);
            }
        }
    }
    Ok(())
}

/// Returns the beginning and the end of the recording because of events; `None` if there are none now. Motion counts even if
/// its event could not be stored.
fn event_time(
    camera: &RecordedCamera,
    times: &EventTimes,
    analyses: &Analyses,
    now: SystemTime,
) -> Option<(SystemTime, SystemTime)> {
    let motion = || {
        let (began, last) = analyses.moved(&camera.id)?;
        let (from, to) = camera.options.events.recorded_time(MOTION, began, Some(last))?;
        Some((from, to.max(last.checked_add(AFTER_MOTION)?)))
    };
    let all = [times.of(&camera.id), motion()].into_iter().flatten();
    let present = all.filter(|(_, end)| *end > now);
    present.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
}

/// Returns what is to be recorded of a camera.
fn demand(watched: &Watched, event: Option<(SystemTime, SystemTime)>, now: SystemTime) -> Demand {
    let Watched { camera, schedule } = watched;
    let event = event.filter(|(_, end)| *end > now).map(|(begin, _)| begin);
    if camera.record_until.is_some_and(|until| until > now) {
        return Demand::Record(event);
    }
    match camera.options.mode {
        RecordingMode::Continuous => Demand::Record(event),
        RecordingMode::Schedule if schedule.contains(now) => Demand::Record(event),
        RecordingMode::Off | RecordingMode::Schedule => Demand::Off,
        RecordingMode::Events if event.is_some() => Demand::Record(event),
        RecordingMode::Events => Demand::PreRoll(camera.options.events.before()),
    }
}

/// Begins, changes and ends jobs.
fn follow(
    core: &Arc<Core>,
    recorder: &Recorder,
    watched: &[Watched],
    times: &EventTimes,
    now: SystemTime,
    jobs: &mut HashMap<RecordingKey, Job>,
) {
    let mut wanted = HashMap::new();
    for one in watched {
        let camera = &one.camera;
        let demand = demand(one, event_time(camera, times, &core.analyses, now), now);
        if demand == Demand::Off {
            continue;
        }
        for profile in [Profile::Main, Profile::Sub] {
            if camera.options.profile.contains(profile) && camera.has(profile) {
                let identity = IdentityTag::of(&camera.identity);
                let key = RecordingKey { camera: camera.id.clone(), identity, profile };
                wanted.insert(key, (demand, camera));
            }
        }
    }
    jobs.retain(|key, job| {
        let demand = wanted.get(key).map_or(Demand::Off, |(demand, _)| *demand);
        job.demand.send_if_modified(|before| std::mem::replace(before, demand) != demand);
        // A job ends when nothing is to be recorded any more.
        !job.task.is_finished()
    });
    for (key, (demand, camera)) in wanted {
        if jobs.contains_key(&key) {
            continue;
        }
        let target = Target { key: key.clone(), identity: camera.identity.clone() };
        let (send, receive) = watch::channel(demand);
        let job = record(Arc::clone(core), recorder.clone(), target, receive);
        let task = core.registry.resources().threads.pick().spawn(job);
        jobs.insert(key, Job { demand: send, task });
    }
}

/// Keeps a stream running and records it, until nothing is to be recorded any more.
async fn record(
    core: Arc<Core>,
    recorder: Recorder,
    target: Target,
    mut demand: watch::Receiver<Demand>,
) {
    let RecordingKey { camera, profile, .. } = &target.key;
    let id = StreamId::new(camera.clone(), *profile);
    let _hold = core.registry.hold(&id);
    while *demand.borrow() != Demand::Off && demand.has_changed().is_ok() {
        let running = core.registry.get(&id).filter(|stream| !stream.is_ending());
        if let Some(stream) = running {
            stream_task::run(&recorder, &target, &stream, &mut demand).await;
            continue;
        }
        recorder.set_status(&target.key, Some(RecordingStatus::Starting));
        if let Err(error) = keeping::start(&core, &id).await {
            debug!(stream = %id, %error, "cannot start a stream that is to be recorded; retrying");
        }
        if core.registry.get(&id).is_none_or(|stream| stream.is_ending()) {
            // A client has stopped the stream, or the start was refused.
            let off = demand.wait_for(|demand| *demand == Demand::Off);
            drop(tokio::time::timeout(START_INTERVAL, off).await);
        }
    }
    recorder.set_status(&target.key, None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::id::CameraId;
    use crate::camera::identity::Identity;
    use crate::events::{ReportedEvent, Subject};

    fn watched(json: &str, record_until: Option<SystemTime>) -> Watched {
        let options: RecordingOptions = serde_json::from_str(json).expect(json);
        let schedule = options.schedule();
        let id = CameraId::parse("cam").expect("an id");
        let (identity, profiles) = (Identity::default(), vec![Profile::Main]);
        let camera = RecordedCamera { id, identity, options, record_until, profiles };
        Watched { camera, schedule }
    }

    #[tokio::test]
    async fn a_camera_is_recorded_while_motion_continues() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let (analyses, now) = (Analyses::default(), at(100));
        let time = |types: &str, after: u64, times: &EventTimes| {
            let json = format!(
                r#"{{"mode": "events",
                    "events": {{"types": ["{types}"], "before_seconds": 5, "after_seconds": {after}}}}}"#
            );
            event_time(&watched(&json, None).camera, times, &analyses, now)
        };
        let (id, mut times) = (CameraId::parse("cam").expect("an id"), EventTimes::default());
        let camera = analyses.begin(&id);
        assert_eq!(time("motion", 10, &times), None);
        camera.set(|status| status.moved = Some((at(60), at(99))));
        assert_eq!(time("motion", 10, &times), Some((at(55), at(109))));
        assert_eq!(time("motion", 0, &times), Some((at(55), at(101))), "until the next picture");
        assert_eq!(time("reported", 10, &times), None);
        let event = EventTime { number: None, begin: at(40), end: at(105) };
        times.add(&id, event, now, Duration::ZERO);
        assert_eq!(time("motion", 10, &times), Some((at(40), at(109))));
        camera.set(|status| status.moved = Some((at(60), at(70))));
        assert_eq!(time("motion", 10, &times), Some((at(40), at(105))));
    }

    #[tokio::test]
    async fn motion_is_recorded_once() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let json = r#"{"mode": "events",
            "events": {"types": ["motion"], "before_seconds": 5, "after_seconds": 5}}"#;
        let Watched { camera, .. } = watched(json, None);
        let (analyses, mut times) = (Analyses::default(), EventTimes::default());
        let moving = analyses.begin(&camera.id);
        let event = |name: &str, until| Event {
            at: at(100),
            subject: Some(Subject::camera(camera.id.clone(), Identity::default())),
            kind: EventKind::Reported(ReportedEvent {
                number: 1,
                name: name.to_owned(),
                until,
                label: None,
                data: Arc::default(),
            }),
        };
        let add = |times: &mut EventTimes, event, now| {
            let (time, kept) = time_of(&camera, &event).expect("a recording");
            times.add(&camera.id, time, at(now), kept);
            times.forget_ended(at(now));
        };
        add(&mut times, event(MOTION, None), 100);
        moving.set(|status| status.moved = Some((at(100), at(104))));
        let until = |times: &EventTimes, now| {
            event_time(&camera, times, &analyses, at(now)).map(|(_, end)| end)
        };
        assert_eq!(until(&times, 104), Some(at(109)));
        assert_eq!(until(&times, 109), None);
        // The end is reported when the camera is no longer recorded.
        add(&mut times, event(MOTION, Some(at(104))), 114);
        assert_eq!(until(&times, 114), None);
        // The analysis was switched off, so only the event keeps the recording.
        drop(moving);
        add(&mut times, event(MOTION, Some(at(113))), 114);
        assert_eq!(until(&times, 114), Some(at(118)));
    }

    #[test]
    fn options_events_and_requests_decide_what_is_recorded() {
        let at = |text: &str| humantime::parse_rfc3339(text).expect(text);
        // Half an hour before and after the beginning of the schedule in Berlin.
        let (before, now) = (at("2026-11-30T06:30:00Z"), at("2026-11-30T07:30:00Z"));
        let (later, begin) = (Some((before, now + Duration::from_secs(5))), Some(before));
        let ended = Some((before, now));
        let schedule = r#"{"mode": "schedule", "time_zone": "Europe/Berlin",
            "schedule": [{"from": "08:00", "to": "09:00"}]}"#;
        let events = r#"{"mode": "events", "events": {"before_seconds": 7}}"#;
        let table = [
            (r#"{"mode": "off"}"#, None, now, Demand::Off),
            (r#"{"mode": "off"}"#, later, now, Demand::Off),
            (r#"{"mode": "continuous"}"#, None, now, Demand::Record(None)),
            (r#"{"mode": "continuous"}"#, later, now, Demand::Record(begin)),
            (r#"{"mode": "continuous"}"#, ended, now, Demand::Record(None)),
            (schedule, None, before, Demand::Off),
            (schedule, None, now, Demand::Record(None)),
            (events, None, now, Demand::PreRoll(Duration::from_secs(7))),
            (events, later, now, Demand::Record(begin)),
        ];
        for (json, event, time, expected) in table {
            let one = watched(json, None);
            assert_eq!(demand(&one, event, time), expected, "{json} {event:?}");
        }
        for json in [r#"{"mode": "off"}"#, schedule, events] {
            let one = watched(json, Some(before + Duration::from_secs(1)));
            assert_eq!(demand(&one, None, before), Demand::Record(None), "{json}");
            assert_eq!(
                demand(&one, None, before + Duration::from_secs(1)),
                demand(&watched(json, None), None, before)
            );
        }
    }
}
