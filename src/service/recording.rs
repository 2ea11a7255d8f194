//! Records cameras: decides at every moment which streams are recorded, keeps these streams running, and deletes old
//! recordings. Runs only if `RECORDINGS_DIRS` is set.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{debug, warn};

use super::core::Core;
use super::keeping;
use crate::base::age_clock::AgeClock;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::{CameraId, Profile, StreamId};
use crate::camera::identity_tag::IdentityTag;
use crate::camera::recording::{RecordingMode, Schedule};
use crate::events::bus::EventReceiver;
use crate::events::{Event, EventKind, StorageEvent, StorageEventKind};
use crate::output::recorder::cutter::Clocks;
use crate::output::recorder::directories::Problem;
use crate::output::recorder::layout::RecordingKey;
use crate::output::recorder::recovery;
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
/// The time between two attempts to start a stream.
const START_INTERVAL: Duration = Duration::from_secs(2);

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

/// The end of the recording because of events, by camera.
type EventEnds = HashMap<CameraId, SystemTime>;

/// Records cameras until the returned future is dropped.
pub(crate) async fn run(core: Arc<Core>, recorder: Recorder) {
    let mut cameras = core.cameras.changes();
    let mut events = core.events.bus().subscribe();
    let mut watched = Vec::new();
    let mut jobs = HashMap::new();
    let mut ends = EventEnds::new();
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
            event = next_event(&mut events) => note_event(&recorder, &watched, &mut ends, &event).await,
        }
        if reload_at.is_some_and(|at| Instant::now() >= at) {
            reload_at = match load(&core).await {
                Ok(loaded) => {
                    watched = loaded;
                    None
                }
                Err(error) => {
                    warn!(%error, "cannot read which cameras are recorded; retrying");
                    Some(Instant::now() + RETRY)
                }
            };
        }
        let now = recorder.clocks().system;
        ends.retain(|_, end| *end > now);
        follow(&core, &recorder, &watched, &ends, now, &mut jobs);
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
/// returned future is dropped. In the meantime, cameras are recorded.
pub(crate) async fn upkeep(core: Arc<Core>, recorder: Recorder, all: Limits) {
    let (mut recovered, mut clock) = (HashMap::new(), AgeClock::default());
    let mut ticks = interval(UPKEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for dir in recorder.directories().present() {
            let arrivals = recorder.directories().arrivals(&dir);
            if recovered.get(&dir.id) == Some(&arrivals) {
                continue;
            }
            let (database, open) = (recorder.database(), recorder.open_files());
            match recovery::recover(database, &dir, open, recorder.copies()).await {
                Ok(_) => drop(recovered.insert(dir.id, arrivals)),
                Err(error) => {
                    warn!(%error, cause = ?error.source, "cannot compare recordings with their index; retrying");
                }
            }
        }
        if let Err(error) = recovery::add_tables(&recorder).await {
            warn!(%error, cause = ?error.source, "cannot complete a recorded file");
        }
        let cleaned = match limits(&core, all).await {
            Ok(limits) => {
                let Clocks { system, monotonic } = recorder.clocks();
                let is_trusted = clock.is_trusted("recordings", system, monotonic.into());
                let limits = if is_trusted { limits } else { limits.without_ages() };
                retention::run(&recorder, &limits).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = cleaned {
            warn!(%error, cause = ?error.source, "cannot delete old recordings; retrying");
        }
    }
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

/// Notes until when a camera is recorded because of an event, and marks the recordings of the time of the event.
async fn note_event(recorder: &Recorder, watched: &[Watched], ends: &mut EventEnds, event: &Event) {
    let Some(id) = event.camera() else { return };
    let Some(Watched { camera, .. }) = watched.iter().find(|it| it.camera.id == *id) else {
        return;
    };
    let trigger = &camera.options.events;
    if !trigger.contains(event.kind.name()) {
        return;
    }
    let until = match &event.kind {
        EventKind::Reported(reported) => reported.until.unwrap_or(event.at),
        _ => event.at,
    };
    let end = until.max(event.at) + trigger.after();
    let known = ends.entry(id.clone()).or_insert(end);
    *known = end.max(*known);
    let begin = event.at.checked_sub(trigger.before()).unwrap_or(event.at);
    if let Err(error) = recorder.mark_event(id, &camera.identity, (begin, end)).await {
        warn!(camera = %id, %error, "cannot mark the recordings of an event");
    }
}

/// Returns what is to be recorded of a camera.
fn demand(watched: &Watched, event_end: Option<SystemTime>, now: SystemTime) -> Demand {
    let Watched { camera, schedule } = watched;
    let has_event = event_end.is_some_and(|end| end > now);
    if camera.record_until.is_some_and(|until| until > now) {
        return Demand::Record(has_event);
    }
    match camera.options.mode {
        RecordingMode::Continuous => Demand::Record(has_event),
        RecordingMode::Schedule if schedule.contains(now) => Demand::Record(has_event),
        RecordingMode::Off | RecordingMode::Schedule => Demand::Off,
        RecordingMode::Events if has_event => Demand::Record(true),
        RecordingMode::Events => Demand::PreRoll(camera.options.events.before()),
    }
}

/// Begins, changes and ends jobs.
fn follow(
    core: &Arc<Core>,
    recorder: &Recorder,
    watched: &[Watched],
    ends: &EventEnds,
    now: SystemTime,
    jobs: &mut HashMap<RecordingKey, Job>,
) {
    let mut wanted = HashMap::new();
    for one in watched {
        let camera = &one.camera;
        let demand = demand(one, ends.get(&camera.id).copied(), now);
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
    core.registry.set_recorded(&id, true);
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
    core.registry.set_recorded(&id, false);
    recorder.set_status(&target.key, None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::identity::Identity;
    use crate::camera::recording::RecordingOptions;

    fn watched(json: &str, record_until: Option<SystemTime>) -> Watched {
        let options: RecordingOptions = serde_json::from_str(json).expect(json);
        let schedule = options.schedule();
        let id = CameraId::parse("cam").expect("an id");
        let (identity, profiles) = (Identity::default(), vec![Profile::Main]);
        let camera = RecordedCamera { id, identity, options, record_until, profiles };
        Watched { camera, schedule }
    }

    #[test]
    fn options_events_and_requests_decide_what_is_recorded() {
        let at = |text: &str| humantime::parse_rfc3339(text).expect(text);
        // Half an hour before and after the beginning of the schedule in Berlin.
        let (before, now) = (at("2026-11-30T06:30:00Z"), at("2026-11-30T07:30:00Z"));
        let later = Some(now + Duration::from_secs(5));
        let schedule = r#"{"mode": "schedule", "time_zone": "Europe/Berlin",
            "schedule": [{"from": "08:00", "to": "09:00"}]}"#;
        let events = r#"{"mode": "events", "events": {"before_seconds": 7}}"#;
        let table = [
            (r#"{"mode": "off"}"#, None, now, Demand::Off),
            (r#"{"mode": "off"}"#, later, now, Demand::Off),
            (r#"{"mode": "continuous"}"#, None, now, Demand::Record(false)),
            (r#"{"mode": "continuous"}"#, later, now, Demand::Record(true)),
            (r#"{"mode": "continuous"}"#, Some(now), now, Demand::Record(false)),
            (schedule, None, before, Demand::Off),
            (schedule, None, now, Demand::Record(false)),
            (events, None, now, Demand::PreRoll(Duration::from_secs(7))),
            (events, later, now, Demand::Record(true)),
        ];
        for (json, event_end, time, expected) in table {
            let one = watched(json, None);
            assert_eq!(demand(&one, event_end, time), expected, "{json} {event_end:?}");
        }
        for json in [r#"{"mode": "off"}"#, schedule, events] {
            let one = watched(json, Some(before + Duration::from_secs(1)));
            assert_eq!(demand(&one, None, before), Demand::Record(false), "{json}");
            assert_eq!(
                demand(&one, None, before + Duration::from_secs(1)),
                demand(&watched(json, None), None, before)
            );
        }
    }
}
