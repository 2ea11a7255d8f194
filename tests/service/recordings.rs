//! Recordings: files that FFmpeg plays, with every picture of the camera, whatever happens to the manager, the camera and
//! the disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::recordings::{
    CLOCK_BITS, RECORDINGS, assert_decodes, assert_plays, clocks, closed_files, grows_to,
    is_closed, probe, put_recorded, recorded_files,
};
use crate::support::{Camera, Manager, Nginx, RawCamera, eventually, play, until};

/// Adds or replaces the camera `cam`, with these options for recordings.
async fn put(manager: &Manager, link: &str, recording: Value) {
    put_recorded("cam", manager, link, recording).await;
}

/// Returns the presentation times of all pictures of a file, in ticks.
fn times(path: &Path) -> Vec<u64> {
    let text = probe(path, "packet=pts");
    let time = |line: &str| line.trim_matches(',').parse().expect("a time");
    text.lines().map(time).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_file_has_every_picture_of_the_camera() {
    // The packets of this camera have exact times, however busy the machine is.
    let camera = RawCamera::start("--audio aac").await;
    let manager = Manager::start(&[RECORDINGS]).await;
    let dir = manager.dir().path().join("recordings");
    put(&manager, &camera.link(), json!({ "mode": "continuous" })).await;
    until("the recording has begun", || async { !recorded_files(&dir).is_empty() }).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    put(&manager, &camera.link(), json!({ "mode": "off" })).await;
    let found = closed_files(&dir, 1).await;
    let [path] = found.as_slice() else { panic!("{found:?}") };
    let times = times(path);
    assert!(times.len() > 100, "{} pictures", times.len());
    let distances: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let is_usual = |distance: &u64| distance.abs_diff(3600) <= 90;
    assert!(distances.iter().all(is_usual), "{distances:?}");
    let metrics = manager.get("/metrics").await.body.to_string();
    assert!(metrics.contains("recording_missed_frames_total 0"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_needs_no_viewer_and_no_connection_of_its_own() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[
        RECORDINGS,
        ("CLEANUP_DELAY_SECONDS", "2"),
        ("CLEANUP_INTERVAL_SECONDS", "0.2"),
    ])
    .await;
    let dir = manager.dir().path().join("recordings");
    put(&manager, &camera.link("h264-aac"), json!({ "mode": "continuous" })).await;
    grows_to(&dir, 500_000).await;
    play(&Nginx::start(&manager).await.playlist("cam"), 2).await;
    assert_eq!(camera.plays(), 1, "the recording has a connection of its own");
    put(&manager, &camera.link("h264-aac"), json!({ "mode": "off" })).await;
    let found = closed_files(&dir, 1).await;
    let [path] = found.as_slice() else { panic!("{found:?}") };
    let clocks = clocks(path);
    assert!(clocks.len() > 100, "{} pictures", clocks.len());
    assert_plays(&clocks);
    // The name of the file is the time at which its first picture was taken.
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
    let day = path.parent().and_then(Path::file_name).and_then(|day| day.to_str()).expect("a day");
    let time = format!("{day}T{}Z", name[..12].replace('-', ":"));
    let named = humantime::parse_rfc3339(&time).expect("a time");
    let named = named.duration_since(std::time::UNIX_EPOCH).expect("a time").as_millis();
    let named = u32::try_from(named % (1 << CLOCK_BITS)).expect("32 bits");
    let late = i64::from(named.wrapping_sub(clocks[0]).cast_signed());
    // On a busy machine, the camera paints its pictures up to half a second too early or too late.
    assert!((-500..1000).contains(&late), "the name is {late} ms after the first picture");
    manager.reaches("cam", "stopped").await;
    assert_eq!(recorded_files(&dir).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_stored_while_a_disk_is_not_mounted() {
    let camera = Camera::start().await;
    let mut manager = Manager::start(&[RECORDINGS]).await;
    let (dir, disk) = (manager.dir().path().join("recordings"), manager.dir().path().join("disk"));
    put(&manager, &camera.link("h264"), json!({ "mode": "continuous" })).await;
    grows_to(&dir, 100_000).await;
    manager.signal(Signal::SIGTERM);
    assert_eq!(manager.exit_code().await, 0);
    assert!(recorded_files(&dir).iter().all(|path| is_closed(path)), "{}", manager.log());
    fs::rename(&dir, &disk).expect("a rename");
    fs::create_dir(&dir).expect("a directory");
    let before = recorded_files(&disk);

    let manager = manager.start_again(&[RECORDINGS]).await;
    manager.reaches("cam", "live").await;
    let ready = eventually("the directory is reported", || async {
        let ready = manager.get("/readyz").await;
        (ready.status == 503).then_some(ready)
    })
    .await;
    let text = ready.body.to_string();
    assert!(text.contains("recordings") && text.contains("marker"), "{text}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(fs::read_dir(&dir).expect("a directory").count(), 0, "something was stored");

    fs::remove_dir(&dir).expect("an empty directory");
    fs::rename(&disk, &dir).expect("a rename");
    until("the recording continues", || async { recorded_files(&dir).len() > before.len() }).await;
    until("the manager is ready", || async { manager.get("/readyz").await.status == 200 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_directories_nothing_is_recorded() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[]).await;
    put(&manager, &camera.link("h264"), json!({ "mode": "continuous" })).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(manager.status("cam").await["state"], "stopped");
    let threads = fs::read_dir(format!("/proc/{}/task", manager.pid())).expect("threads");
    let names = threads.map(|thread| {
        fs::read_to_string(thread.expect("a thread").path().join("comm")).unwrap_or_default()
    });
    assert!(names.into_iter().all(|name| !name.starts_with("recordings")));
}

#[tokio::test(flavor = "multi_thread")]
async fn cameras_with_other_codecs_are_recorded() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[RECORDINGS]).await;
    let dir = manager.dir().path().join("recordings");
    let table = [
        ("hevc", "hevc,640,360", 1),
        ("mjpeg", "h264,640,360", 1),
        ("h264-bframes", "h264,640,360", 1),
        ("h264-resize", "h264,320,180", 2),
    ];
    for (mount, ..) in table {
        put_recorded(mount, &manager, &camera.link(mount), json!({ "mode": "continuous" })).await;
    }
    let of = |mount: &str| {
        let is_of = |path: &PathBuf| path.to_string_lossy().contains(&format!("/{mount}-"));
        recorded_files(&dir).into_iter().filter(is_of).collect::<Vec<_>>()
    };
    for (mount, _, count) in table {
        until(&format!("{mount} is recorded"), || async {
            let found = of(mount);
            let size = |path: &PathBuf| fs::metadata(path).map_or(0, |it| it.len());
            found.len() >= count && found.last().is_some_and(|last| size(last) > 150_000)
        })
        .await;
    }
    for (mount, ..) in table {
        put_recorded(mount, &manager, &camera.link(mount), json!({ "mode": "off" })).await;
    }
    closed_files(&dir, 5).await;
    for (mount, expected, _) in table {
        let last = of(mount).pop().expect("a file");
        let text = probe(&last, "stream=codec_name,width,height");
        assert_eq!(text.trim().trim_matches(','), expected, "{mount}");
        assert_decodes(&last);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_can_be_requested_locked_and_deleted() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[RECORDINGS]).await;
    let dir = manager.dir().path().join("recordings");
    put(&manager, &camera.link("h264"), json!({ "mode": "off" })).await;
    let recording = "/api/cameras/cam/recording";
    let requested = manager.post(recording, &json!({ "seconds": 60 })).await;
    assert_eq!(requested.status, 200, "{requested:?}");
    until("the camera is recorded", || async {
        manager.get(recording).await.body["streams"][0]["state"] == "recording"
    })
    .await;
    let status = manager.get(recording).await.body;
    assert_eq!(status["requested_until"], requested.body["until"], "{status}");
    assert_eq!(manager.delete(recording).await.status, 204);
    assert_eq!(manager.get(recording).await.body["requested_until"], Value::Null);
    closed_files(&dir, 1).await;
    until("the recording has ended", || async {
        manager.get(recording).await.body["streams"] == json!([])
    })
    .await;
    let storage = eventually("the space is counted", || async {
        let storage = manager.get("/api/storage").await.body;
        (storage["bytes"] != 0).then_some(storage)
    })
    .await;
    assert_eq!(storage["cameras"][0]["camera"], "cam", "{storage}");
    assert_eq!(storage["cameras"][0]["days"][0]["bytes"], storage["bytes"], "{storage}");
    assert_eq!(storage["directories"][0]["is_usable"], true, "{storage}");

    let span =
        json!({ "from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z", "locked": true });
    let locked = manager.put("/api/cameras/cam/recordings/lock", &span).await;
    assert_eq!(locked.body["files"], 1, "{locked:?}");
    let left = manager.delete("/api/cameras/cam/recordings").await;
    assert_eq!(left.body, json!({ "deleted": 0, "left": 1 }));
    let unlocked =
        json!({ "from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z", "locked": false });
    manager.put("/api/cameras/cam/recordings/lock", &unlocked).await;
    let deleted = manager.delete("/api/cameras/cam/recordings?to=2100-01-01T00:00:00Z").await;
    assert_eq!(deleted.body, json!({ "deleted": 1, "left": 0 }));
    assert!(recorded_files(&dir).is_empty());

    // Deleting a camera deletes its recordings, unless they are to be kept.
    for (query, count) in [("?keep=true", 1), ("", 1)] {
        put(&manager, &camera.link("h264"), json!({ "mode": "continuous" })).await;
        grows_to(&dir, 100_000).await;
        until("the camera is recorded", || async {
            manager.get(recording).await.body["streams"][0]["state"] == "recording"
        })
        .await;
        assert_eq!(manager.delete(&format!("/api/cameras/cam{query}")).await.status, 204);
        until("only recordings that are to be kept are left", || async {
            let found = recorded_files(&dir);
            found.len() == count && found.iter().all(|path| is_closed(path))
        })
        .await;
    }
}
