//! Recordings when clocks are set, when cameras are away or change, and around events.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use nix::sys::signal::Signal;

use crate::support::recordings::{
    CLOCK_BITS, RECORDINGS, assert_plays, clocks, closed_files, grows_to, index_of, put_recorded,
    recorded_files,
};
use crate::support::{Camera, FAKETIME, Manager, eventually, until};

/// A system clock of the manager that tests can set.
struct Clock {
    dir: tempfile::TempDir,
}

impl Clock {
    fn new() -> Self {
        assert!(
            Path::new(FAKETIME).exists(),
            "install libfaketime with: apt-get install libfaketime"
        );
        let clock = Self { dir: tempfile::tempdir().expect("a directory") };
        clock.set(0);
        clock
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("offset")
    }

    /// Sets the clock to this number of seconds after the right time.
    fn set(&self, seconds: i64) {
        // Renaming is atomic, so the manager never reads an incomplete file.
        let next = self.dir.path().join("next");
        fs::write(&next, format!("{seconds:+}\n")).expect("a file");
        fs::rename(&next, self.file()).expect("a file");
    }

    /// Sets the clock to a time.
    fn set_to(&self, time: &str) {
        let time = humantime::parse_rfc3339(time).expect("a time");
        let seconds = |time: SystemTime| {
            time.duration_since(UNIX_EPOCH).expect("after 1970").as_secs().cast_signed()
        };
        self.set(seconds(time) - seconds(SystemTime::now()));
    }

    /// Starts a manager with this clock. Its monotonic clock is the right one.
    async fn start(&self) -> Manager {
        let file = self.file();
        Manager::start(&Self::settings(file.to_str().expect("a path"))).await
    }

    /// Stops a manager, and starts it again with this clock.
    async fn restart(&self, mut manager: Manager) -> Manager {
        manager.signal(Signal::SIGTERM);
        assert_eq!(manager.exit_code().await, 0);
        let file = self.file();
        manager.start_again(&Self::settings(file.to_str().expect("a path"))).await
    }

    fn settings(file: &str) -> [(&str, &str); 5] {
        [
            RECORDINGS,
            ("LD_PRELOAD", FAKETIME),
            ("FAKETIME_TIMESTAMP_FILE", file),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("FAKETIME_NO_CACHE", "1"),
        ]
    }
}

/// Returns the lines of the camera's media playlist for a time that begins and ends this many seconds after the right
/// time.
async fn playlist(manager: &Manager, from: i64, to: i64) -> Vec<String> {
    let text = |seconds: i64| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
        let time = Duration::from_secs(now.checked_add_signed(seconds).expect("a time"));
        humantime::format_rfc3339_seconds(UNIX_EPOCH + time).to_string()
    };
    let path = format!("/recordings/cam/stream.m3u8?from={}&to={}", text(from), text(to));
    let response = manager.get(&path).await;
    assert_eq!(response.status, 200, "{response:?}");
    response.body.as_str().expect("a playlist").lines().map(str::to_owned).collect()
}

fn count(lines: &[String], tag: &str) -> usize {
    lines.iter().filter(|line| line.starts_with(tag)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_spans_are_kept_when_the_clock_is_set() {
    let (camera, clock) = (Camera::start().await, Clock::new());
    let manager = clock.start().await;
    let dir = manager.dir().path().join("recordings");
    put_recorded("cam", &manager, &camera.link("h264"), json!({ "mode": "continuous" })).await;
    let mut files = 0;
    for hours in [0, 1, 0] {
        clock.set(hours * 3600);
        until("a new file is recorded", || async { recorded_files(&dir).len() > files }).await;
        files += 1;
        // Files are sorted by their times, not in the order of recording.
        until("all files have some seconds", || async {
            let is_long = |path: &PathBuf| path.metadata().is_ok_and(|file| file.len() > 300_000);
            recorded_files(&dir).iter().all(is_long)
        })
        .await;
        assert_eq!(recorded_files(&dir).len(), files);
    }
    put_recorded("cam", &manager, &camera.link("h264"), json!({ "mode": "off" })).await;
    closed_files(&dir, 3).await;
    let index = eventually("all entries are complete", || async {
        let index = index_of(&manager).await;
        index.iter().all(|file| !file.is_open).then_some(index)
    })
    .await;
    let hours: Vec<_> = index.windows(2).map(|pair| pair[1].start_at - pair[0].end_at).collect();
    assert!((3_590_000..3_610_000).contains(&hours[0]), "{hours:?}");
    assert!((-3_610_000..-3_590_000).contains(&hours[1]), "{hours:?}");
    let mut spans: Vec<_> = index.iter().map(|file| file.span).collect();
    spans.dedup();
    assert_eq!(spans.len(), 3);
    let lines = playlist(&manager, -600, 3_700).await;
    assert_eq!(count(&lines, "#EXT-X-DISCONTINUITY"), 2, "{lines:#?}");
    assert_eq!(count(&lines, "#EXT-X-MAP"), 3);
    assert_eq!(camera.plays(), 1, "the stream was restarted");
    for path in recorded_files(&dir) {
        assert_plays(&clocks(&path));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_follows_the_clocks_of_its_time_zone() {
    let (camera, clock) = (Camera::start().await, Clock::new());
    let manager = clock.start().await;
    let night = json!({
        "mode": "schedule",
        "time_zone": "Europe/Berlin",
        "schedule": [{ "from": "02:30", "to": "03:30" }],
    });
    put_recorded("cam", &manager, &camera.link("h264"), night).await;
    // In spring, clocks go from 02:00 to 03:00 at 01:00 UTC, so only half an hour is left. In autumn, they go from 03:00 to
    // 02:00 at 01:00 UTC, so 02:30 is twice. Each change of the state comes some seconds after the clock was set.
    for (time, is_recorded) in [
        ("2026-03-29T00:30:00Z", false),
        ("2026-03-29T00:59:57Z", true),
        ("2026-03-29T01:29:57Z", false),
        ("2026-10-25T00:29:57Z", true),
        ("2026-10-25T00:59:57Z", false),
        ("2026-10-25T01:29:57Z", true),
        ("2026-10-25T02:29:57Z", false),
    ] {
        clock.set_to(time);
        until(&format!("the recording after {time} is {is_recorded}"), || async {
            let status = manager.get("/api/cameras/cam/recording").await.body;
            let state = status["streams"][0]["state"].as_str().unwrap_or_default();
            (state == "recording") == is_recorded && is_recorded != state.is_empty()
        })
        .await;
    }
    let dir = manager.dir().path().join("recordings");
    // Within each of the three times, the clock was set, so that there are two files.
    let found = closed_files(&dir, 6).await;
    let days = found.iter().map(|path| {
        let day = path.parent().and_then(Path::file_name).and_then(|day| day.to_str());
        day.expect("a day").to_owned()
    });
    let days: Vec<_> = days.collect();
    let (spring, autumn) = (["2026-03-29"; 2], ["2026-10-25"; 4]);
    assert_eq!(days, [spring.as_slice(), autumn.as_slice()].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_was_away_leaves_a_gap() {
    let mut camera = Camera::start().await;
    let manager = Manager::start(&[RECORDINGS]).await;
    let dir = manager.dir().path().join("recordings");
    put_recorded("cam", &manager, &camera.link("h264"), json!({ "mode": "continuous" })).await;
    grows_to(&dir, 300_000).await;
    let has_state = async |state: &str| {
        let status = manager.get("/api/cameras/cam/recording").await.body;
        status["streams"][0]["state"] == state
    };
    assert!(has_state("recording").await);
    camera.kill();
    closed_files(&dir, 1).await;
    until("the recording waits for the camera", || has_state("no_signal")).await;
    camera.restart().await;
    until("the recording continues", || async { recorded_files(&dir).len() > 1 }).await;
    grows_to(&recorded_files(&dir)[1], 300_000).await;
    assert!(has_state("recording").await);
    put_recorded("cam", &manager, &camera.link("h264"), json!({ "mode": "off" })).await;
    let found = closed_files(&dir, 2).await;
    let clocks: Vec<_> = found.iter().map(|path| clocks(path)).collect();
    for clocks in &clocks {
        assert_plays(clocks);
    }
    let away = clocks[1][0].wrapping_sub(*clocks[0].last().expect("a picture"));
    let lines = playlist(&manager, -600, 0).await;
    assert_eq!(count(&lines, "#EXT-X-DISCONTINUITY"), 1, "{lines:#?}");
    // The date after the gap is that of its first picture.
    let index = index_of(&manager).await;
    let gap = index[1].start_at - index[0].end_at;
    assert!(gap > 8_000 && (gap - i64::from(away)).abs() < 1_000, "{gap} ms and {away} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_resolution_begins_a_span_with_an_init_segment_of_its_own() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[RECORDINGS]).await;
    let dir = manager.dir().path().join("recordings");
    put_recorded("cam", &manager, &camera.link("h264-resize"), json!({ "mode": "continuous" }))
        .await;
    until("the resolution has changed", || async { recorded_files(&dir).len() == 2 }).await;
    grows_to(&recorded_files(&dir)[1], 100_000).await;
    put_recorded("cam", &manager, &camera.link("h264-resize"), json!({ "mode": "off" })).await;
    closed_files(&dir, 2).await;
    let lines = playlist(&manager, -600, 0).await;
    assert_eq!(count(&lines, "#EXT-X-DISCONTINUITY"), 1, "{lines:#?}");
    assert_eq!(count(&lines, "#EXT-X-MAP"), 2);
    assert_eq!(camera.plays(), 1, "the stream was restarted");
}

/// Reports an event after this quiet time, and `late` after it has begun. Asserts that the recording begins at most one group
/// of pictures too early.
async fn record_an_event_after(quiet: Duration, late: Duration) {
    let camera = Camera::start().await;
    let manager = Manager::start(&[RECORDINGS]).await;
    let dir = manager.dir().path().join("recordings");
    let events = json!({ "types": ["reported.door"], "before_seconds": 4, "after_seconds": 2 });
    let recording = json!({ "mode": "events", "events": events });
    put_recorded("cam", &manager, &camera.link("h264"), recording).await;
    manager.reaches("cam", "live").await;
    tokio::time::sleep(quiet).await;
    assert!(recorded_files(&dir).is_empty(), "recorded without an event");
    let other = manager.post("/api/cameras/cam/events", &json!({ "type": "window" })).await;
    assert!(other.status.is_success(), "{other:?}");
    let at = SystemTime::now();
    let door = json!({ "type": "door", "at": humantime::format_rfc3339_millis(at).to_string() });
    let at = at.duration_since(UNIX_EPOCH).expect("a time");
    tokio::time::sleep(late).await;
    let reported = manager.post("/api/cameras/cam/events", &door).await;
    assert!(reported.status.is_success(), "{reported:?}");
    let found = closed_files(&dir, 1).await;
    let [path] = found.as_slice() else { panic!("{found:?}") };
    let clocks = clocks(path);
    assert_plays(&clocks);
    let at = u32::try_from(at.as_millis() % (1 << CLOCK_BITS)).expect("32 bits");
    let (before, last) = (at.wrapping_sub(clocks[0]), *clocks.last().expect("a picture"));
    let after = last.wrapping_sub(at);
    // One group of pictures, which lasts for two seconds, can be added before.
    assert!((3_900..6_700).contains(&before), "{before} ms before the event");
    assert!((1_500..5_000).contains(&after), "{after} ms after the event");
    until("the file is marked as one with an event", || async {
        index_of(&manager).await.iter().all(|file| file.has_event && !file.is_open)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_recorded_with_the_seconds_before_it() {
    record_an_event_after(Duration::from_secs(8), Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_reported_late_is_recorded_with_the_seconds_before_it() {
    record_an_event_after(Duration::from_secs(8), Duration::from_millis(1_800)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recording_of_an_event_continues_after_a_restart() {
    let camera = Camera::start().await;
    let mut manager = Manager::start(&[RECORDINGS]).await;
    let dir = manager.dir().path().join("recordings");
    let events = json!({ "types": ["reported.door"], "before_seconds": 1, "after_seconds": 1 });
    let recording = json!({ "mode": "events", "events": events });
    put_recorded("cam", &manager, &camera.link("h264"), recording.clone()).await;
    put_recorded("other", &manager, &camera.link("h264"), recording).await;
    manager.reaches("cam", "live").await;
    let later = SystemTime::now() + Duration::from_mins(10);
    let later = humantime::format_rfc3339_millis(later).to_string();
    let door = |until: &str| json!({ "type": "door", "id": "1", "until": until });
    let reported = manager.post("/api/cameras/cam/events", &door(&later)).await;
    assert!(reported.status.is_success(), "{reported:?}");
    grows_to(&dir, 50_000).await;
    manager.signal(Signal::SIGTERM);
    assert_eq!(manager.exit_code().await, 0);
    let before = recorded_files(&dir).len();

    let manager = manager.start_again(&[RECORDINGS]).await;
    until("the recording continues", || async { recorded_files(&dir).len() > before }).await;
    let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let ended = manager.post("/api/cameras/cam/events", &door(&now)).await;
    assert!(ended.status.is_success(), "{ended:?}");
    let found = closed_files(&dir, before + 1).await;
    assert!(found.iter().all(|path| path.to_string_lossy().contains("/cam-")), "{found:?}");
    until("all files are marked as files with an event", || async {
        index_of(&manager).await.iter().all(|file| file.has_event && !file.is_open)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes five minutes; ./deploy/test --long runs it"]
async fn an_event_after_quiet_minutes_is_recorded_with_the_seconds_before_it() {
    record_an_event_after(Duration::from_mins(5), Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_with_events_are_kept_for_longer() {
    let (camera, clock) = (Camera::start().await, Clock::new());
    let manager = clock.start().await;
    let dir = manager.dir().path().join("recordings");
    let events = json!({ "types": ["reported.door"], "before_seconds": 0, "after_seconds": 1 });
    let recording = |mode: &str| json!({ "mode": mode, "events": events, "keep_days": 3, "keep_event_days": 10 });
    for (number, has_event) in [(1, true), (2, false)] {
        put_recorded("cam", &manager, &camera.link("h264"), recording("continuous")).await;
        until("another file is recorded", || async { recorded_files(&dir).len() == number }).await;
        grows_to(&recorded_files(&dir)[number - 1], 100_000).await;
        if has_event {
            let reported =
                manager.post("/api/cameras/cam/events", &json!({ "type": "door" })).await;
            assert!(reported.status.is_success(), "{reported:?}");
            until("the file is marked", || async {
                index_of(&manager).await.iter().all(|file| file.has_event)
            })
            .await;
            // The time after the event passes.
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        put_recorded("cam", &manager, &camera.link("h264"), recording("off")).await;
        closed_files(&dir, number).await;
    }
    let kept = recorded_files(&dir).remove(0);
    // A clock that is set forward could be wrong.
    clock.set(4 * 24 * 3600);
    until("the clock is noticed", || async {
        manager.log().contains("the system's clock was set forward")
    })
    .await;
    assert_eq!(recorded_files(&dir).len(), 2);
    let manager = clock.restart(manager).await;
    until("the recording without an event is deleted", || async {
        recorded_files(&dir).len() == 1
    })
    .await;
    assert_eq!(recorded_files(&dir), [kept]);
    let index = index_of(&manager).await;
    assert!(index.len() == 1 && index[0].has_event, "{index:?}");
    clock.set(11 * 24 * 3600);
    let manager = clock.restart(manager).await;
    until("the other recording is deleted", || async { recorded_files(&dir).is_empty() }).await;
    // The events themselves have a limit of their own.
    let listed = manager.get("/api/events?type=reported.door").await.body.to_string();
    assert!(listed.contains("reported.door"), "{listed}");
}
