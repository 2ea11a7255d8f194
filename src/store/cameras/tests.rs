use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;

use super::*;
use crate::base::fingerprint::Fingerprint;
use crate::camera::onvif_address::OnvifAddress;
use crate::camera::options::{AudioOption, KeepOption};
use crate::camera::plan::{Audio, Plan, Transport};
use crate::camera::source_spec::Parts;
use crate::store::key_files::next_key_file;
use crate::store::rotate::rotate_key;

struct Setup {
    dir: tempfile::TempDir,
}

impl Setup {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory") }
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.dir.path().join("cameras.db").display())
    }

    fn location(&self) -> Location {
        Location::parse(&self.url()).expect("a URL")
    }

    fn key_file(&self) -> PathBuf {
        self.dir.path().join("cameras.db.key")
    }

    async fn open(&self) -> Result<Cameras, StoreError> {
        Cameras::open(&self.url(), None).await
    }

    /// Returns the contents of all files on disk.
    fn bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.dir.path()).expect("a directory");
        let read = |file: io::Result<std::fs::DirEntry>| {
            std::fs::read(file.expect("a file").path()).expect("bytes")
        };
        files.flat_map(read).collect()
    }
}

/// Sets the link and the options of the main stream of camera `1`, which is added if it is unknown. Returns the
/// stream; `None` if camera `1` is unknown and `link` is `None`.
async fn put(cameras: &Cameras, link: Option<&str>, changes: OptionChanges) -> Option<Camera> {
    let id = StreamId::parse("1").expect("an id");
    let source = link.map(|link| Source::parse(link).expect("a link"));
    cameras.put(&id, None, source, changes, |_| Ok(())).await.expect("a working database")
}

#[tokio::test]
async fn a_plan_is_remembered_as_long_as_source_and_options_stay() {
    let setup = Setup::new();
    let cameras = setup.open().await.expect("a database");
    let (link, unchanged) = (Some("rtsp://cam/a"), OptionChanges::default());
    let plan = Plan { audio: Audio::ToAac, ..Plan::default() };
    assert!(put(&cameras, None, unchanged).await.is_none());
    put(&cameras, link, unchanged).await.expect("a camera").learned.set(plan);
    for link in [link, None] {
        assert_eq!(put(&cameras, link, unchanged).await.expect("one").learned.get(), plan);
    }
    let other = put(&cameras, Some("rtsp://cam/b"), unchanged).await.expect("a camera");
    assert_eq!(other.learned.get(), Plan::default());

    let silent = OptionChanges { audio: Some(AudioOption::Off), ..unchanged };
    let other = put(&cameras, None, silent).await.expect("a camera");
    assert_eq!(other.source.to_string(), "rtsp://cam/b");
    assert_eq!(other.learned.get().audio, Audio::Off);
    let again = put(&cameras, link, unchanged).await.expect("a camera");
    assert_eq!(again.options.audio, AudioOption::Off);
}

#[tokio::test]
async fn an_onvif_service_is_kept_while_the_host_stays_the_same() {
    let setup = Setup::new();
    let cameras = setup.open().await.expect("a database");
    let (id, unchanged) = (CameraId::parse("1").expect("an id"), OptionChanges::default());
    put(&cameras, Some("rtsp://cam/a"), unchanged).await.expect("a camera");
    let onvif = OnvifAddress::parse("cam").expect("an address");
    let add = |known: Option<Record>| {
        Ok(Record { onvif: Some(onvif.clone()), ..known.expect("the camera") })
    };
    cameras.change(&id, add).await.expect("a change");
    let table = [("rtsp://CAM/b", true), ("rtsp://cam:8554/c", true), ("rtsp://new/a", false)];
    for (link, is_kept) in table {
        put(&cameras, Some(link), unchanged).await.expect("a camera");
        let record = cameras.get(&id).await.expect("a query").expect("the camera");
        assert_eq!(record.onvif.as_ref(), is_kept.then_some(&onvif), "{link}");
    }
}

#[tokio::test]
async fn the_confirmed_certificate_of_an_onvif_service_survives_a_restart() {
    let setup = Setup::new();
    let id = CameraId::parse("1").expect("an id");
    let onvif = OnvifAddress {
        certificate: Fingerprint::parse(&"a7".repeat(32)),
        ..OnvifAddress::parse("https://cam").expect("an address")
    };
    assert!(onvif.certificate.is_some());
    let cameras = setup.open().await.expect("a database");
    put(&cameras, Some("rtsp://cam/a"), OptionChanges::default()).await.expect("a camera");
    let add = |known: Option<Record>| {
        Ok(Record { onvif: Some(onvif.clone()), ..known.expect("the camera") })
    };
    cameras.change(&id, add).await.expect("a change");
    drop(cameras);
    let cameras = setup.open().await.expect("the same database");
    let record = cameras.get(&id).await.expect("a query").expect("the camera");
    assert_eq!(record.onvif, Some(onvif));
}

#[tokio::test]
async fn cameras_survive_a_restart_and_their_secrets_are_sealed() {
    let setup = Setup::new();
    let id = StreamId::parse("front").expect("an id");
    let link = "rtsp://admin:s3cretpw@cam/a";
    let source = Source::parse(link).expect("a link");
    let cameras = setup.open().await.expect("a database");
    cameras
        .put(&id, None, Some(source.clone()), OptionChanges::default(), |_| Ok(()))
        .await
        .expect("a camera");
    drop(cameras);
    let cameras = setup.open().await.expect("the same database");
    let camera = cameras.camera_of(&id).await.expect("a query").expect("the camera");
    assert_eq!(camera.source, source);
    let bytes = setup.bytes();
    for secret in ["s3cretpw", "admin"] {
        let is_on_disk = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!is_on_disk, "{secret} is on disk");
    }
}

#[tokio::test]
async fn a_changed_spelling_of_a_link_is_stored_and_keeps_what_is_known_about_the_stream() {
    let setup = Setup::new();
    let cameras = setup.open().await.expect("a database");
    let (id, unchanged) = (CameraId::parse("1").expect("an id"), OptionChanges::default());
    let camera = put(&cameras, Some("rtsp://cam/a?"), unchanged).await.expect("a camera");
    let plan = Plan { transport: Transport::Udp, ..camera.learned.get() };
    camera.learned.set(plan);
    // A start with another spelling changes nothing.
    let camera = put(&cameras, Some("rtsp://CAM:554/a"), unchanged).await.expect("a camera");
    assert_eq!((camera.source.expose(), camera.learned.get()), ("rtsp://cam/a?", plan));
    let respelled = |known: Option<Record>| {
        let source = Source::parse("rtsp://CAM:554/a").expect("a link");
        let record = known.expect("the camera");
        Ok(Record { spec: record.spec.with_link(Profile::Main, source), ..record })
    };
    let (_, change) = cameras.change(&id, respelled).await.expect("a change");
    assert_eq!(change, Change::Updated);
    let camera = put(&cameras, None, unchanged).await.expect("a camera");
    assert_eq!((camera.source.expose(), camera.learned.get()), ("rtsp://CAM:554/a", plan));
}

#[tokio::test]
async fn the_option_keep_is_stored_and_applies_to_the_main_stream() {
    let setup = Setup::new();
    let cameras = setup.open().await.expect("a database");
    let (id, main) = (CameraId::parse("1").expect("an id"), StreamId::parse("1").expect("an id"));
    let unchanged = OptionChanges::default();
    let camera = put(&cameras, Some("rtsp://cam/a"), unchanged).await.expect("a camera");
    assert_eq!(camera.keep, KeepOption::OnDemand);
    assert!(cameras.kept().await.expect("a query").is_empty());
    let keep = |known: Option<Record>| {
        let mut record = known.expect("the camera");
        record.spec =
            record.spec.with_link(Profile::Sub, Source::parse("rtsp://cam/b").expect("a link"));
        Ok(Record { keep: KeepOption::Always, ..record })
    };
    cameras.change(&id, keep).await.expect("a change");
    // A start with another link changes only the link.
    put(&cameras, Some("rtsp://cam/c"), unchanged).await.expect("a camera");
    drop(cameras);

    let cameras = setup.open().await.expect("the same database");
    assert_eq!(cameras.kept().await.expect("a query"), std::slice::from_ref(&id));
    let sub = StreamId::new(id.clone(), Profile::Sub);
    for (id, expected) in [(&main, KeepOption::Always), (&sub, KeepOption::OnDemand)] {
        let camera = cameras.camera_of(id).await.expect("a query").expect("the camera");
        assert_eq!(camera.keep, expected, "{id}");
    }
    let on_demand = |known: Option<Record>| {
        Ok(Record { keep: KeepOption::OnDemand, ..known.expect("the camera") })
    };
    cameras.change(&id, on_demand).await.expect("a change");
    let camera = cameras.camera_of(&main).await.expect("a query").expect("the camera");
    assert_eq!(camera.keep, KeepOption::OnDemand);
    assert!(cameras.kept().await.expect("a query").is_empty());
}

#[tokio::test]
async fn a_wrong_or_missing_key_is_reported_and_changes_nothing() {
    let setup = Setup::new();
    drop(setup.open().await.expect("a database"));
    let other = "11".repeat(32);
    let refused = Cameras::open(&setup.url(), Some(&other)).await.err().expect("another key");
    assert!(refused.to_string().contains("another key"), "{refused}");
    assert!(!refused.to_string().contains(&other));

    let key = std::fs::read(setup.key_file()).expect("a key");
    std::fs::remove_file(setup.key_file()).expect("rm");
    let refused = setup.open().await.err().expect("no key");
    assert!(refused.to_string().contains("the key is missing"), "{refused}");
    assert!(!setup.key_file().exists(), "the cameras could not be read with a new key");

    std::fs::write(setup.key_file(), "no key").expect("a write");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(setup.key_file(), mode).expect("chmod");
    let refused = setup.open().await.err().expect("no key");
    assert!(refused.to_string().contains("contains no key"), "{refused}");
    std::fs::write(setup.key_file(), key).expect("a write");
    setup.open().await.expect("the database as it was");
}

#[tokio::test]
async fn cameras_can_be_read_with_the_new_key_after_a_rotation() {
    let setup = Setup::new();
    let cameras = setup.open().await.expect("a database");
    put(&cameras, Some("rtsp://u:pw@cam/a"), OptionChanges::default()).await.expect("a camera");
    drop(cameras);
    let before = std::fs::read(setup.key_file()).expect("a key");
    assert_eq!(rotate_key(&setup.url(), None, None).await.expect("a rotation"), 1);
    assert_ne!(std::fs::read(setup.key_file()).expect("a key"), before);
    let read = |cameras: Cameras| async move {
        let id = CameraId::parse("1").expect("an id");
        cameras.get(&id).await.expect("a query").expect("the camera").spec.host().to_owned()
    };
    assert_eq!(read(setup.open().await.expect("a database")).await, "cam");

    // A rotation that was interrupted before the file was renamed is finished by the next start.
    let key = std::fs::read(setup.key_file()).expect("a key");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    let next = next_key_file(&setup.dir.path().join("cameras.db"));
    std::fs::write(&next, key).expect("a write");
    std::fs::set_permissions(&next, std::fs::Permissions::clone(&mode)).expect("chmod");
    std::fs::write(setup.key_file(), before).expect("a write");
    assert_eq!(read(setup.open().await.expect("a database")).await, "cam");
    assert!(!next.exists());

    let own = "22".repeat(32);
    rotate_key(&setup.url(), None, Some(&own)).await.expect("a rotation");
    let cameras = Cameras::open(&setup.url(), Some(&own)).await.expect("a database");
    assert_eq!(read(cameras).await, "cam");
}

#[tokio::test]
async fn ten_thousand_cameras_are_listed_and_searched_in_pages() {
    let setup = Setup::new();
    let cameras = setup.open().await.expect("a database");
    let changes = (0..10_000).map(|number| {
        let id = CameraId::parse(&format!("cam-{number:05}")).expect("an id");
        let spec = SourceSpec::from_parts(Parts {
            vendor: None,
            ip: format!("10.0.{}.{}", number / 250, number % 250),
            port: 554,
            path: "/live".into(),
            sub_path: None,
            username: String::new(),
            password: String::new(),
        });
        let record = Record {
            name: format!("Gate {number} 100% _"),
            owner: Some(format!("user-{}", number % 10)),
            ..Record::new(id.clone(), spec.expect("a source"))
        };
        (id, move |_| Ok(record))
    });
    let done = cameras.change_all(changes.collect()).await.expect("ten thousand cameras");
    assert!(done.iter().all(|change| *change == Change::Created));
    let list = |search: Option<&str>, owner: Option<&str>, offset| {
        let filter = Filter {
            search: search.map(str::to_owned),
            owner: owner.map(str::to_owned),
            limit: 50,
            offset,
        };
        let cameras = &cameras;
        async move {
            let (records, total) = cameras.list(&filter).await.expect("a list");
            (records.first().map(|record| record.id.to_string()), records.len(), total)
        }
    };
    for (owner, expected) in [(None, 10_000), (Some("user-7"), 1_000), (Some("nobody"), 0)] {
        let by_host = cameras.by_host(owner).await.expect("an index");
        assert_eq!(by_host.len(), expected, "{owner:?}");
        // An exact match, without 10.0.4.70 to 10.0.4.79.
        let there = by_host.get("10.0.4.7").map(|ids| ids.iter().map(CameraId::as_str).collect());
        let expected = (expected > 0).then(|| vec!["cam-01007"]);
        assert_eq!(there, expected, "{owner:?}");
    }
    let first = |id: &str| Some(id.to_owned());
    assert_eq!(list(None, None, 0).await, (first("cam-00000"), 50, 10_000));
    assert_eq!(list(None, None, 9_980).await, (first("cam-09980"), 20, 10_000));
    assert_eq!(list(None, Some("user-3"), 0).await, (first("cam-00003"), 50, 1_000));
    assert_eq!(list(Some("GATE 77 "), None, 0).await, (first("cam-00077"), 1, 1));
    assert_eq!(
        list(Some("10.0.3.7 "), None, 0).await.2,
        0,
        "the search matched, although no space follows the host in the text that is searched"
    );
    assert_eq!(list(Some("10.0.39."), None, 0).await.2, 250);
    assert_eq!(list(Some("%"), None, 0).await.2, 10_000, "% matches only the character %");
    assert_eq!(list(Some("x%"), None, 0).await.2, 0);
    assert_eq!(list(Some("' OR 1=1 --"), None, 0).await.2, 0);
}

#[tokio::test]
async fn an_unusable_database_is_reported_and_not_changed() {
    let setup = Setup::new();
    drop(setup.open().await.expect("a database"));
    let path = setup.dir.path().join("cameras.db");
    let database = Database::open(setup.location()).await.expect("a database");
    database.pretend_newer().await;
    drop(database);
    let refused = setup.open().await.err().expect("a newer database");
    assert!(refused.to_string().contains("newer stream-manager"), "{refused}");

    std::fs::write(&path, "no database at all, but longer than a header has to be").expect("x");
    let refused = setup.open().await.err().expect("no database");
    assert!(refused.to_string().contains("cameras.db"), "{refused}");
    for url in ["mysql://x", "", "sqlite:"] {
        let refused = Cameras::open(url, None).await.err().expect("no database");
        assert!(refused.to_string().contains("DATABASE_URL"), "{url}: {refused}");
    }
}

#[tokio::test]
async fn recently_used_cameras_need_no_query() {
    let setup = Setup::new();
    let cameras = setup.open().await.expect("a database");
    let (link, unchanged) = (Some("rtsp://u:pw@cam/a"), OptionChanges::default());
    put(&cameras, link, unchanged).await.expect("a camera");
    let stream = StreamId::parse("1").expect("an id");
    cameras.get(stream.camera()).await.expect("a query").expect("the camera");

    cameras.database.close().await;
    assert!(cameras.list(&Filter::default()).await.is_err(), "the database is closed");
    for link in [link, None] {
        assert!(put(&cameras, link, unchanged).await.is_some(), "a start that changes nothing");
    }
    let camera = cameras.camera_of(&stream).await.expect("no query").expect("the stream");
    assert_eq!(camera.source.expose(), "rtsp://u:pw@cam/a");
    cameras.get(stream.camera()).await.expect("no query").expect("the camera");
    let other = StreamId::parse("1~sub").expect("an id");
    assert!(cameras.camera_of(&other).await.expect("no query").is_none());
}

#[tokio::test]
async fn changes_take_effect_with_the_next_call() {
    let setup = Setup::new();
    let cameras = setup.open().await.expect("a database");
    let (id, stream) = (CameraId::parse("1").expect("an id"), StreamId::parse("1").expect("an id"));
    let unchanged = OptionChanges::default();
    let get = || async { cameras.get(&id).await.expect("a query") };
    put(&cameras, Some("rtsp://cam/a"), unchanged).await.expect("a camera");
    get().await.expect("the camera");

    put(&cameras, Some("rtsp://cam/b"), unchanged).await.expect("a camera");
    assert_eq!(get().await.map(|record| record.spec.host().to_owned()), Some("cam".to_owned()));
    let source = cameras.camera_of(&stream).await.expect("a query").expect("the stream").source;
    assert_eq!(source.expose(), "rtsp://cam/b");

    let silent = OptionChanges { audio: Some(AudioOption::Off), ..unchanged };
    put(&cameras, None, silent).await.expect("a camera");
    assert_eq!(get().await.expect("the camera").options.audio, AudioOption::Off);

    let of_another = |known: Option<Record>| {
        Ok(Record { owner: Some("other".into()), ..known.expect("the camera") })
    };
    cameras.change(&id, of_another).await.expect("a change");
    assert_eq!(get().await.expect("the camera").owner.as_deref(), Some("other"));
    let renamed =
        |known: Option<Record>| Ok(Record { name: "renamed".into(), ..known.expect("the camera") });
    cameras.change_all(vec![(id.clone(), renamed)]).await.expect("a change");
    assert_eq!(get().await.expect("the camera").name, "renamed");

    let refused = || Error::new(ErrorKind::Forbidden, "another owner");
    cameras.delete(&id, |_| Err(refused())).await.expect_err("a refusal");
    cameras.put(&stream, None, None, unchanged, |_| Err(refused())).await.expect_err("a refusal");
    assert!(get().await.is_some());
    assert!(cameras.delete(&id, |_| Ok(())).await.expect("a deletion"));
    assert!(get().await.is_none());
    assert!(cameras.camera_of(&stream).await.expect("a query").is_none());
    assert!(put(&cameras, None, unchanged).await.is_none());
    assert!(cameras.streams.is_empty(), "the plans must be forgotten");
}

#[tokio::test]
async fn a_commit_that_fails_changes_nothing() {
    let setup = Setup::new();
    let cameras = setup.open().await.expect("a database");
    let id = StreamId::parse("1").expect("an id");
    put(&cameras, Some("rtsp://cam/a"), OptionChanges::default()).await.expect("a camera");
    cameras.database.fail_commits().await;
    let source = Source::parse("rtsp://cam/b").expect("a link");
    let refused = cameras.put(&id, None, Some(source), OptionChanges::default(), |_| Ok(())).await;
    assert_eq!(refused.err().map(|error| error.kind), Some(ErrorKind::StorageUnavailable));
    let camera = cameras.camera_of(&id).await.expect("a query").expect("the stream");
    assert_eq!(camera.source.expose(), "rtsp://cam/a");
}

/// A caller may drop the future of a change at any await, and the commit may still succeed.
#[tokio::test]
async fn a_committed_change_is_visible_even_if_its_caller_left() {
    let setup = Setup::new();
    let cameras = setup.open().await.expect("a database");
    let id = CameraId::parse("1").expect("an id");
    put(&cameras, Some("rtsp://cam/a"), OptionChanges::default()).await.expect("a camera");
    let mut committed = 0;
    for round in 0..300_u32 {
        let before = cameras.get(&id).await.expect("a query").expect("the camera");
        let name = format!("name {round}");
        let rename =
            |known: Option<Record>| Ok(Record { name: name.clone(), ..known.expect("the camera") });
        let change = cameras.change(&id, rename);
        // The change is polled at most 1 to 30 times, depending on the round, and is then dropped.
        let _ = leave_after(round % 30, change).await;
        // If this call reads the camera before the commit, the camera must not stay in the cache afterwards.
        cameras.get(&id).await.expect("a query").expect("the camera");
        // The next writer waits for the commit, and reads the database without the cache.
        let mut write = cameras.database.write().await.expect("a transaction");
        let stored = write.get(id.as_str()).await.expect("a query").expect("a row").name;
        write.commit().await.expect("a commit");
        let seen = cameras.get(&id).await.expect("a query").expect("the camera");
        assert_eq!(seen.name, stored, "round {round}");
        committed += u32::from(stored != before.name);
    }
    assert!((1..300).contains(&committed), "{committed} of 300 were committed");
}

/// Polls a future once, and then until it is ready, at most `more` times. Returns `None` if the future is
/// not ready by then.
async fn leave_after<F: Future>(more: u32, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut left = more;
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_never_bring_a_deleted_camera_back() {
    let setup = Setup::new();
    let cameras = Arc::new(setup.open().await.expect("a database"));
    let stream = StreamId::parse("1").expect("an id");
    for round in 0..100 {
        put(&cameras, Some("rtsp://cam/a"), OptionChanges::default()).await.expect("a camera");
        let is_deleted = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let (cameras, stream) = (Arc::clone(&cameras), stream.clone());
                let is_deleted = Arc::clone(&is_deleted);
                tokio::spawn(async move {
                    while !is_deleted.load(Ordering::SeqCst) {
                        cameras.camera_of(&stream).await.expect("a query");
                        tokio::task::yield_now().await;
                    }
                    assert!(cameras.camera_of(&stream).await.expect("a query").is_none());
                })
            })
            .collect();
        cameras.delete(stream.camera(), |_| Ok(())).await.expect("a deletion");
        is_deleted.store(true, Ordering::SeqCst);
        for reader in readers {
            reader.await.expect("a reader");
        }
        assert!(cameras.get(stream.camera()).await.expect("a query").is_none(), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_see_every_completed_change() {
    let setup = Setup::new();
    let cameras = Arc::new(setup.open().await.expect("a database"));
    let id = CameraId::parse("1").expect("an id");
    put(&cameras, Some("rtsp://cam/a"), OptionChanges::default()).await.expect("a camera");
    let changes = Arc::new(AtomicU64::new(0));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (cameras, id, changes) = (Arc::clone(&cameras), id.clone(), Arc::clone(&changes));
            tokio::spawn(async move {
                loop {
                    let done = changes.load(Ordering::SeqCst);
                    let record = cameras.get(&id).await.expect("a query").expect("the camera");
                    let seen = record.name.parse::<u64>().unwrap_or_default();
                    assert!(seen >= done, "{seen} after change {done}");
                    if done == 150 {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for number in 1..=150 {
        let rename = |known: Option<Record>| {
            Ok(Record { name: u64::to_string(&number), ..known.expect("the camera") })
        };
        cameras.change(&id, rename).await.expect("a change");
        changes.store(number, Ordering::SeqCst);
    }
    for reader in readers {
        reader.await.expect("a reader");
    }
}
