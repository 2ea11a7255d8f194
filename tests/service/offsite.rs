//! Copies of recordings in S3 servers and on a share: made soon, kept through all kinds of failures, and played when the
//! local files are gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};
use stream_manager::parts::{Sample, SampleRun, fragment};

use crate::support::{
    ACCESS_KEY, Camera, Manager, Mode, Nginx, Proxy, S3, S3Kind, SECRET_KEY, eventually,
    is_running, until,
};

const MARKER: &str = ".stream-manager-copies";
const URL: &str = "s3://cameras/site-1";
const DAY: Duration = Duration::from_hours(24);

/// Returns the settings for a server at this URL.
fn settings<'a>(endpoint: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let own = [
        ("RECORDINGS_DIRS", "recordings"),
        ("OFFSITE_URL", URL),
        ("OFFSITE_ENDPOINT", endpoint),
        ("OFFSITE_ACCESS_KEY", ACCESS_KEY),
        ("OFFSITE_SECRET_KEY", SECRET_KEY),
    ];
    let is_replaced = |name: &str| more.iter().any(|(other, _)| *other == name);
    let own = own.into_iter().filter(|(name, _)| !is_replaced(name));
    own.chain(more.iter().copied()).collect()
}

async fn put(manager: &Manager, link: &str, recording: Value) {
    let camera = json!({ "rtsp_link": link, "recording": recording });
    let response = manager.put("/api/cameras/cam", &camera).await;
    assert!(response.status.is_success(), "{response:?}\n{}", manager.log());
}

/// Returns the recorded files below `dir` and their sizes, sorted by name. Names begin with the camera.
fn files(dir: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "mp4") {
                let name = path.strip_prefix(dir).expect("below the directory");
                let size = path.metadata().map_or(0, |metadata| metadata.len());
                found.push((name.to_string_lossy().into_owned(), size));
            }
        }
    }
    found.sort();
    found
}

/// Returns the copies in the bucket, with their names as in the directory with recordings.
async fn copies(s3: &S3) -> Vec<(String, u64)> {
    let own = |(name, size): (String, u64)| {
        let name = name.strip_prefix("site-1/")?.to_owned();
        let is_copy = Path::new(&name).extension().is_some_and(|extension| extension == "mp4");
        is_copy.then_some((name, size))
    };
    s3.objects().await.into_iter().filter_map(own).collect()
}

/// Waits until everything is copied, and checks that the copies are the same as the files.
async fn all_copied(manager: &Manager, s3: &S3, files: &[(String, u64)]) {
    eventually("all files are copied", || async {
        let storage = manager.get("/api/storage").await.body;
        let is_done = storage["offsite"]["waiting_files"] == 0;
        (is_done && copies(s3).await.len() >= files.len()).then_some(())
    })
    .await;
    assert_eq!(copies(s3).await, files, "{}", manager.log());
}

/// Converts FFmpeg's MP4, with a fragment for each frame, into a recorded file: each keyframe has a fragment of its own, and
/// the other frames of a second share one.
fn as_recorded(mp4: &[u8]) -> Vec<u8> {
    let (mut file, mut rest) = (Vec::new(), mp4);
    let (mut group, mut time, mut number) = (Vec::new(), 0, 0);
    let mut is_keyframe = false;
    let sample =
        |data, is_keyframe| Sample { duration: 3600, composition_offset: 0, is_keyframe, data };
    let mut write = |file: &mut Vec<u8>, group: &mut Vec<Sample<'_>>| {
        if !group.is_empty() {
            number += 1;
            let video = SampleRun { decode_time: time, samples: group };
            let made = fragment(number, video, SampleRun::default()).expect("a fragment");
            file.extend_from_slice(&made);
            time += 3600 * group.len() as u64;
            group.clear();
        }
    };
    while rest.len() >= 8 {
        let size = u32::from_be_bytes(rest[..4].try_into().expect("four bytes")) as usize;
        let (one, next) = rest.split_at(size);
        match &one[4..8] {
            b"ftyp" | b"moov" => file.extend_from_slice(one),
            // At the end are the flags of the first sample. Only keyframes have them.
            b"moof" => is_keyframe = one.ends_with(&[2, 0, 0, 0]),
            b"mdat" => {
                if is_keyframe {
                    write(&mut file, &mut group);
                }
                group.push(sample(&one[8..], is_keyframe));
                if is_keyframe {
                    write(&mut file, &mut group);
                }
            }
            _ => {}
        }
        rest = next;
    }
    write(&mut file, &mut group);
    file
}

/// A directory with recordings of the camera `cam`, which was recorded for a moment, and with further files.
struct Footage {
    manager: Manager,
    dir: PathBuf,
    /// The directory of the stream.
    stream: PathBuf,
}

impl Footage {
    /// Records the camera for a moment. The manager has ended.
    async fn new() -> Self {
        let camera = Camera::start().await;
        let mut manager = Manager::start(&[("RECORDINGS_DIRS", "recordings")]).await;
        let dir = manager.dir().path().join("recordings");
        put(&manager, &camera.link("h264"), json!({ "mode": "continuous" })).await;
        until("the camera is recorded", || async { !files(&dir).is_empty() }).await;
        put(&manager, &camera.link("h264"), json!({ "mode": "off" })).await;
        manager.signal(Signal::SIGTERM);
        assert_eq!(manager.exit_code().await, 0);
        let (name, _) = files(&dir).remove(0);
        let stream = dir.join(name).parent().and_then(Path::parent).expect("a stream").to_owned();
        fs::remove_dir_all(&stream).expect("a directory");
        Self { manager, dir, stream }
    }

    /// Adds a file of this many seconds, which began some time ago. Returns the time of its beginning. With 12 Mbit/s, four
    /// seconds have about 6 MB, so that their copy has several parts.
    fn add(&self, ago: Duration, seconds: u32, kbps: u32) -> SystemTime {
        let at = SystemTime::now() - ago;
        let since = at.duration_since(UNIX_EPOCH).expect("a time");
        let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(since.as_millis()).expect("ms"));
        let date = humantime::format_rfc3339_millis(at).to_string();
        let (day, time) = date.trim_end_matches('Z').split_once('T').expect("a date");
        let dir = self.stream.join(day);
        fs::create_dir_all(&dir).expect("a directory");
        let path = dir.join(format!("{}-{}.mp4", time.replace(':', "-"), since.as_micros()));
        let source = "testsrc2=size=640x360:rate=25,noise=alls=80:allf=t";
        let rate = format!("{kbps}k");
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", source, "-t", &seconds.to_string()])
            .args(["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"])
            .args(["-b:v", &rate, "-minrate", &rate, "-maxrate", &rate, "-bufsize", &rate])
            .args(["-video_track_timescale", "90000", "-f", "mp4"])
            .args(["-movflags", "+frag_every_frame+empty_moov+default_base_moof", "-"])
            .stdin(Stdio::null())
            .output()
            .expect("ffmpeg");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::write(&path, as_recorded(&output.stdout)).expect("a file");
        at
    }

    async fn start(&self, settings: &[(&str, &str)]) -> Manager {
        self.manager.start_again(settings).await
    }
}

fn text(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

async fn events(manager: &Manager, kind: &str) -> usize {
    let events = manager.get(&format!("/api/events?type={kind}")).await.body;
    events["events"].as_array().map_or(0, Vec::len)
}

/// Waits until the readiness check fails with this reason.
async fn is_not_ready(manager: &Manager, reason: &str) {
    let ready = eventually(&format!("{reason} is reported"), || async {
        let ready = manager.get("/readyz").await;
        (ready.status == 503).then(|| ready.body.to_string())
    })
    .await;
    assert!(ready.contains("offsite") && ready.contains(reason), "{ready}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_copied_within_ten_seconds() {
    event_is_copied(S3Kind::Moto).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs s3s-fs; ./deploy/test --long runs it"]
async fn an_event_is_copied_within_ten_seconds_to_another_server() {
    event_is_copied(S3Kind::Files).await;
}

/// Checks that the recordings of an event are copied in time, and no others.
async fn event_is_copied(kind: S3Kind) {
    let (camera, s3) = (Camera::start().await, S3::start(kind).await);
    let endpoint = format!("http://{}", s3.address());
    let manager = Manager::start(&settings(&endpoint, &[("OFFSITE_FILES", "events")])).await;
    let dir = manager.dir().path().join("recordings");
    let events = json!({ "types": ["reported.door"], "before_seconds": 2, "after_seconds": 2 });
    let recording = json!({ "mode": "continuous", "events": events });
    put(&manager, &camera.link("h264"), recording).await;
    until("the camera is recorded", || async {
        files(&dir).iter().any(|(_, size)| *size > 400_000)
    })
    .await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(copies(&s3).await, [], "copied without an event");
    let reported = manager.post("/api/cameras/cam/events", &json!({ "type": "door" })).await;
    assert!(reported.status.is_success(), "{reported:?}");
    let began = Instant::now();
    // The file with the seconds before the event.
    until("the beginning of the event is copied", || async { !copies(&s3).await.is_empty() }).await;
    let first = began.elapsed();
    assert!(first < Duration::from_secs(8), "{first:?}");
    // The event ends after two seconds, and the file that shows its end when the next keyframe arrives.
    until("the end of the event is copied", || async { copies(&s3).await.len() >= 2 }).await;
    let last = began.elapsed();
    assert!(last < Duration::from_secs(12), "{last:?}");
    put(&manager, &camera.link("h264"), json!({ "mode": "off" })).await;
    let local = files(&dir);
    let is_local = |copy: &(String, u64)| local.contains(copy);
    assert!(copies(&s3).await.iter().all(is_local), "{local:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs s3s-fs, because moto accepts every key; ./deploy/test --long runs it"]
async fn a_wrong_key_is_reported_once_and_never_shown() {
    let (footage, s3) = (Footage::new().await, S3::start(S3Kind::Files).await);
    footage.add(Duration::from_mins(5), 2, 1000);
    footage.add(Duration::from_mins(4), 2, 1000);
    let endpoint = format!("http://{}", s3.address());
    let wrong = "wrong-secret-key-0001";
    let key = footage.manager.dir().path().join("key");
    fs::write(&key, format!("{wrong}\n")).expect("a file");
    let file = format!("@{}", key.display());
    let with_key = settings(&endpoint, &[("OFFSITE_SECRET_KEY", &file)]);
    let mut manager = footage.start(&with_key).await;
    until("the failure is reported", || async { events(&manager, "storage.failed").await == 1 })
        .await;
    is_not_ready(&manager, "OFFSITE_SECRET_KEY").await;
    let storage = manager.get("/api/storage").await.body;
    assert_eq!(storage["offsite"]["waiting_files"], 2, "{storage}");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(events(&manager, "storage.failed").await, 1, "reported again");
    assert_eq!(s3.objects().await, []);
    let log = manager.log();
    assert!(log.contains("cannot be copied") && !log.contains(wrong), "{log}");
    manager.signal(Signal::SIGTERM);
    assert_eq!(manager.exit_code().await, 0);

    fs::write(&key, SECRET_KEY).expect("a file");
    let manager = footage.start(&with_key).await;
    all_copied(&manager, &s3, &files(&footage.dir)).await;
    until("the manager is ready", || async { manager.get("/readyz").await.status == 200 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_is_lost_or_copied_twice_whatever_the_server_does() {
    let (footage, s3) = (Footage::new().await, S3::start(S3Kind::Moto).await);
    for minutes in [5, 4, 3] {
        footage.add(Duration::from_mins(minutes), 8, 12_000);
    }
    let proxy = Proxy::start(&s3).await;
    proxy.set(Mode::Away);
    let url = proxy.url();
    let settings = settings(&url, &[]);
    let mut manager = footage.start(&settings).await;
    until("the failure is reported", || async { events(&manager, "storage.failed").await == 1 })
        .await;
    // The queue pauses, instead of using the processor.
    let failures = "stream_manager_offsite_failures_total";
    let text = manager.get("/metrics").await.body.to_string();
    assert!(text.contains(failures), "{text}");
    proxy.set(Mode::Busy);
    proxy.disturbs(1).await;
    // Uploads are interrupted in the middle of a part.
    proxy.set(Mode::CutRequests(3_000_000));
    proxy.disturbs(1).await;
    proxy.set(Mode::Pass);
    let before = proxy.sent();
    until("an upload is in its middle", || async {
        proxy.sent() > before + 7_000_000 && s3.uploads().await > 0
    })
    .await;
    manager.signal(Signal::SIGKILL);
    until("the manager is gone", || async { !is_running(manager.pid()) }).await;
    manager = footage.start(&settings).await;
    let local = files(&footage.dir);
    assert!(local.len() == 3 && local.iter().all(|(_, size)| *size > 10_000_000), "{local:?}");
    all_copied(&manager, &s3, &local).await;
    assert_eq!(s3.uploads().await, 0, "an upload was not ended");
    let storage = manager.get("/api/storage").await.body;
    let bytes: u64 = local.iter().map(|(_, size)| size).sum();
    assert_eq!(storage["offsite"]["bytes"], bytes, "{storage}");
    until("the manager is ready", || async { manager.get("/readyz").await.status == 200 }).await;

    // Deleting recordings deletes their copies, also if the server is away at first.
    proxy.set(Mode::Away);
    let deleted = manager.delete("/api/cameras/cam").await;
    assert!(deleted.status.is_success(), "{deleted:?}");
    until("the local files are deleted", || async { files(&footage.dir).is_empty() }).await;
    proxy.set(Mode::Pass);
    until("the copies are deleted", || async { copies(&s3).await.is_empty() }).await;
    assert!(s3.objects().await.iter().any(|(name, _)| name.ends_with(MARKER)));
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_need_little_memory() {
    const FILES: u32 = 8;
    const MAX_BYTES: u64 = 40_000_000;
    let (footage, s3) = (Footage::new().await, S3::start(S3Kind::Moto).await);
    footage.add(Duration::from_mins(30), 16, 12_000);
    let (name, size) = files(&footage.dir).remove(0);
    let first = footage.dir.join(name);
    for number in 1..FILES {
        let name = format!("00-00-{number:02}.000-{number}.mp4");
        fs::copy(&first, first.with_file_name(name)).expect("a file");
    }
    assert!(size * u64::from(FILES) > 4 * MAX_BYTES, "{size} bytes in each file");
    let proxy = Proxy::start(&s3).await;
    proxy.set(Mode::Away);
    let url = proxy.url();
    let manager = footage.start(&settings(&url, &[])).await;
    until("all files wait for their copies", || async {
        let storage = manager.get("/api/storage").await.body;
        storage["offsite"]["waiting_files"] == FILES
    })
    .await;
    proxy.disturbs(1).await;
    let before = manager.peak_memory();
    proxy.set(Mode::Pass);
    // The manager has added a table of frames to each file.
    all_copied(&manager, &s3, &files(&footage.dir)).await;
    // Three files are copied at the same time, and each upload has one part of 5 MiB in memory.
    let used = manager.peak_memory() - before;
    assert!(used < MAX_BYTES, "{used} bytes more than the {before} bytes before");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bucket_of_another_installation_is_left_alone() {
    let (footage, s3) = (Footage::new().await, S3::start(S3Kind::Moto).await);
    footage.add(Duration::from_mins(5), 2, 1000);
    s3.put(&format!("site-1/{MARKER}"), "0123456789abcdef\nother\n").await;
    let endpoint = format!("http://{}", s3.address());
    let manager = footage.start(&settings(&endpoint, &[])).await;
    until("the failure is reported", || async { events(&manager, "storage.failed").await == 1 })
        .await;
    is_not_ready(&manager, "another database").await;
    assert_eq!(s3.objects().await.len(), 1);
    drop(manager);

    let moto = S3::start(S3Kind::Moto).await;
    let endpoint = format!("http://{}", moto.address());
    let missing = [("OFFSITE_URL", "s3://no-such-bucket")];
    let manager = footage.start(&settings(&endpoint, &missing)).await;
    is_not_ready(&manager, "no such bucket").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_copy_is_deleted_in_a_bucket_that_belongs_to_another_installation_now() {
    let (footage, s3) = (Footage::new().await, S3::start(S3Kind::Moto).await);
    footage.add(Duration::from_mins(5), 2, 1000);
    let endpoint = format!("http://{}", s3.address());
    let manager = footage.start(&settings(&endpoint, &[])).await;
    let recorded = eventually("the file is copied", || async {
        let copies = copies(&s3).await;
        (!copies.is_empty() && copies == files(&footage.dir)).then_some(copies)
    })
    .await;
    s3.put(&format!("site-1/{MARKER}"), "0123456789abcdef\nother\n").await;
    // The conditions of a deletion are in the query. A body could be meant to limit it.
    let path = "/api/cameras/cam/recordings";
    let limit = json!({ "from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z" });
    let request = manager.request(Method::DELETE, path, &limit);
    assert_eq!(manager.send(request).await.status, 400);
    assert_eq!(files(&footage.dir), recorded);
    assert_eq!(manager.delete(path).await.body["deleted"], 1);
    until("the failure is reported", || async { events(&manager, "storage.failed").await == 1 })
        .await;
    assert_eq!(copies(&s3).await, recorded);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_copied_while_a_share_is_not_mounted() {
    let footage = Footage::new().await;
    footage.add(Duration::from_mins(5), 8, 12_000);
    let root = footage.manager.dir().path().to_owned();
    let (share, away) = (root.join("share"), root.join("away"));
    fs::create_dir(&share).expect("a directory");
    let url = format!("file://{}", share.display());
    let settings = [("RECORDINGS_DIRS", "recordings"), ("OFFSITE_URL", url.as_str())];
    let manager = footage.start(&settings).await;
    until("the file is copied", || async {
        !files(&share).is_empty() && files(&share) == files(&footage.dir)
    })
    .await;
    fs::rename(&share, &away).expect("a rename");
    fs::create_dir(&share).expect("a directory");
    is_not_ready(&manager, "is mounted").await;
    let camera = Camera::start().await;
    put(&manager, &camera.link("h264"), json!({ "mode": "continuous" })).await;
    until("another file is recorded", || async { files(&footage.dir).len() == 2 }).await;
    put(&manager, &camera.link("h264"), json!({ "mode": "off" })).await;
    until("the file waits", || async {
        let storage = manager.get("/api/storage").await.body;
        storage["offsite"]["waiting_files"] == 1
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(fs::read_dir(&share).expect("a directory").count(), 0, "something was stored");
    fs::remove_dir(&share).expect("an empty directory");
    fs::rename(&away, &share).expect("a rename");
    until("both files are copied", || async { files(&share) == files(&footage.dir) }).await;
    until("the recovery is reported", || async {
        events(&manager, "storage.recovered").await == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_play_from_their_copies_by_ranges() {
    let (footage, s3) = (Footage::new().await, S3::start(S3Kind::Moto).await);
    // The second file continues after the first one, which is older than the limit, has ended.
    let first = footage.add(DAY + Duration::from_secs(8), 8, 12_000);
    let second = footage.add(DAY.saturating_sub(Duration::from_mins(10)), 8, 12_000);
    let proxy = Proxy::start(&s3).await;
    let url = proxy.url();
    let keep = [("RECORDINGS_KEEP_DAYS", "1")];
    let manager = footage.start(&settings(&url, &keep)).await;
    until("the older local file is deleted", || async { files(&footage.dir).len() == 1 }).await;
    assert_eq!(copies(&s3).await.len(), 2);
    let storage = manager.get("/api/storage").await.body;
    assert_eq!(storage["bytes"], files(&footage.dir)[0].1, "{storage}");

    let dirs = footage.dir.to_str().expect("a path");
    let nginx = Nginx::start_with_settings(&manager, &[("RECORDINGS_DIRS", dirs)]).await;
    let span = |from: SystemTime, to: SystemTime| format!("from={}&to={}", text(from), text(to));
    let playlist = |query: &str| nginx.url(&format!("/recordings/cam/stream.m3u8?{query}"));
    let whole = playlist(&span(first, second + Duration::from_secs(10)));
    let output = Command::new("ffmpeg")
        .args(["-v", "warning", "-i", &whole, "-map", "0:v", "-f", "null", "-", "-progress", "-"])
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg");
    let progress = String::from_utf8_lossy(&output.stdout);
    let frames = progress.lines().filter_map(|line| line.strip_prefix("frame=")).next_back();
    assert!(output.status.success(), "{output:?}");
    assert!(
        frames.is_some_and(|frames| frames.parse::<u32>().is_ok_and(|it| it > 380)),
        "{progress}"
    );

    // A picture needs a keyframe, and a second of video needs no whole file, even if connections are cut.
    let before = proxy.received();
    let at = text(first + Duration::from_millis(4100));
    let picture = nginx.client().get(nginx.url(&format!("/recordings/cam/thumbnail.jpg?at={at}")));
    let picture = picture.send().await.expect("a response");
    assert_eq!(picture.status(), 200);
    let picture_bytes = proxy.received() - before;
    assert!(picture_bytes < 1_000_000, "{picture_bytes} bytes for a thumbnail");
    proxy.set(Mode::CutResponses(300_000));
    let from = first + Duration::from_secs(3);
    let query = span(from, from + Duration::from_secs(1));
    let export = |query: &str| nginx.url(&format!("/recordings/cam/export.mp4?{query}"));
    let part = nginx.client().get(export(&query)).send().await.expect("a response");
    assert_eq!(part.status(), 200);
    let length = part.content_length().expect("a length");
    let bytes = part.bytes().await.expect("all bytes");
    assert_eq!(bytes.len() as u64, length);
    proxy.set(Mode::Pass);
    let part_bytes = proxy.received() - before - picture_bytes;
    assert!((1_000_000..7_000_000).contains(&part_bytes), "{part_bytes} bytes for a second");

    // A copy that is locked is not deleted, and one that is deleted is gone everywhere.
    let lock = json!({
        "from": text(first), "to": text(first + Duration::from_secs(1)), "locked": true,
    });
    let locked = manager.put("/api/cameras/cam/recordings/lock", &lock).await;
    assert!(locked.status.is_success(), "{locked:?}");
    let delete = format!("/api/cameras/cam/recordings?{}", span(first, second));
    let deleted = manager.delete(&delete).await;
    assert!(deleted.status.is_success(), "{deleted:?}");
    assert_eq!(copies(&s3).await.len(), 2, "a locked copy was deleted");
    let unlock = crate::support::merged(lock, json!({ "locked": false }));
    manager.put("/api/cameras/cam/recordings/lock", &unlock).await;
    manager.delete(&delete).await;
    until("the copy is deleted", || async { copies(&s3).await.len() == 1 }).await;
    assert_eq!(files(&footage.dir).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_copies_are_deleted() {
    let (footage, s3) = (Footage::new().await, S3::start(S3Kind::Moto).await);
    footage.add(DAY + DAY, 2, 1000);
    footage.add(DAY / 2, 2, 1000);
    let endpoint = format!("http://{}", s3.address());
    let manager = footage.start(&settings(&endpoint, &[("RECORDINGS_KEEP_DAYS", "1")])).await;
    until("the older local file is deleted", || async { files(&footage.dir).len() == 1 }).await;
    until("both files are copied", || async { copies(&s3).await.len() == 2 }).await;
    drop(manager);
    let keep = [("OFFSITE_KEEP_DAYS", "1"), ("RECORDINGS_KEEP_DAYS", "1")];
    let manager = footage.start(&settings(&endpoint, &keep)).await;
    until("the older copy is deleted", || async { copies(&s3).await.len() == 1 }).await;
    assert_eq!(copies(&s3).await, files(&footage.dir));
    let spans = manager.get("/api/recordings").await.body;
    let from = spans["streams"][0]["from"].as_str().expect("a time").to_owned();
    let from = humantime::parse_rfc3339(&from).expect("a time");
    assert!(from > SystemTime::now() - DAY, "the deleted recording is still listed: {spans}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_respond_delays_no_local_recordings() {
    let (footage, s3) = (Footage::new().await, S3::start(S3Kind::Moto).await);
    let copied = footage.add(DAY + Duration::from_mins(1), 8, 1000);
    let local = footage.add(DAY / 2, 8, 1000);
    let proxy = Proxy::start(&s3).await;
    let url = proxy.url();
    let manager = footage.start(&settings(&url, &[("RECORDINGS_KEEP_DAYS", "1")])).await;
    until("the older local file is deleted", || async { files(&footage.dir).len() == 1 }).await;
    proxy.set(Mode::Frozen);
    let client = reqwest::Client::new();
    let get = |path: String| {
        let request = client.get(manager.url(&format!("/recordings/cam/{path}")));
        async move { request.send().await.expect("a response").status().as_u16() }
    };
    let thumbnail = |from: SystemTime, number: u64| {
        let at = text(from + Duration::from_secs(number % 8));
        get(format!("thumbnail.jpg?at={at}&width={}", 100 + number))
    };
    let export = |from: SystemTime, seconds: u64| {
        let to = text(from + Duration::from_secs(seconds));
        get(format!("export.mp4?from={}&to={to}", text(from)))
    };
    let mut waiting: Vec<_> =
        (0..16).map(|number| tokio::spawn(thumbnail(copied, number))).collect();
    waiting.extend((1..=3).map(|seconds| tokio::spawn(export(copied, seconds))));
    // All of them wait for the server.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    assert_eq!(thumbnail(local, 0).await, 200);
    assert_eq!(export(local, 2).await, 200);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(waiting.iter().all(|request| !request.is_finished()), "the server has responded");
    for request in waiting {
        assert_eq!(request.await.expect("a status"), 503);
    }
    assert!(began.elapsed() < Duration::from_mins(1), "{:?}", began.elapsed());
    proxy.set(Mode::Pass);
    until("the copy is read again", || async { thumbnail(copied, 0).await == 200 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_copy_of_a_file_that_someone_has_deleted_is_played() {
    let (footage, s3) = (Footage::new().await, S3::start(S3Kind::Moto).await);
    let [first, second] =
        [20, 10].map(|minutes| footage.add(Duration::from_mins(minutes), 8, 1000));
    let endpoint = format!("http://{}", s3.address());
    let manager = footage.start(&settings(&endpoint, &[])).await;
    until("both files are copied", || async { copies(&s3).await.len() == 2 }).await;
    all_copied(&manager, &s3, &files(&footage.dir)).await;
    let dirs = footage.dir.to_str().expect("a path");
    let nginx = Nginx::start_with_settings(&manager, &[("RECORDINGS_DIRS", dirs)]).await;
    let get = |path: String| {
        let request = nginx.client().get(nginx.url(&format!("/recordings/cam/{path}")));
        async move { request.send().await.expect("a response") }
    };
    let (from, to) = (text(first), text(second + Duration::from_secs(8)));
    let playlist = get(format!("stream.m3u8?from={from}&to={to}")).await;
    let playlist = playlist.text().await.expect("a playlist");
    let map = playlist.lines().filter_map(|line| line.strip_prefix("#EXT-X-MAP:URI=\""));
    let mut urls: Vec<_> = map.filter_map(|line| line.split('"').next()).collect();
    urls.dedup();
    assert_eq!(urls.len(), 2, "{playlist}");
    for (name, _) in files(&footage.dir) {
        fs::remove_file(footage.dir.join(name)).expect("a file");
    }
    for url in urls {
        assert_eq!(get(url.to_owned()).await.status(), 200, "{url}");
    }
    assert_eq!(get(format!("thumbnail.jpg?at={from}")).await.status(), 200);
    assert_eq!(get(format!("export.mp4?from={from}&to={to}")).await.status(), 200);
    let storage = manager.get("/api/storage").await.body;
    assert_eq!(storage["bytes"], 0, "the missing files still count: {storage}");
}
