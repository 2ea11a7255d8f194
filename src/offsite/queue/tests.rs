//! Tests of the queue with a share, which is a directory.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::events::bus::EventReceiver;
use crate::offsite::place::{MARKER, PlaceSettings};
use crate::offsite::shared::OffsiteSettings;
use crate::output::recorder::copies::Copies;
use crate::output::recorder::retention::{self, AllLimits, Limits};
use crate::output::recorder::testing::{Recorded, recorded};
use crate::store::db::Database;
use crate::store::db::recording_table::Offsite as CopyState;
use crate::store::db::recording_writes::CopyRule;

const DAY: Duration = Duration::from_hours(24);

/// Five recorded files, and a share.
struct Setup {
    recorded: Recorded,
    share: TempDir,
    queue: Queue,
    events: EventReceiver,
}

impl Setup {
    /// Records five minutes that began two days ago.
    async fn new(keep: Option<Duration>) -> Self {
        let now = SystemTime::UNIX_EPOCH + DAY * 20_000;
        let recorded = recorded(now - DAY * 2).await;
        let share = tempfile::tempdir().expect("a directory");
        let place = PlaceSettings::Share(share.path().to_owned());
        let settings = OffsiteSettings { place, keep, max_bytes_per_second: None };
        let offsite = Offsite::new(&settings).expect("a place");
        let bus = Bus::default();
        let copies = Copies::new(CopyRule::Always, CopyRule::Always);
        let events = bus.subscribe();
        let queue = Queue::new(offsite, recorded.copying_recorder(now, copies).await, bus);
        Self { recorded, share, queue, events }
    }

    fn database(&self) -> &Database {
        &self.recorded.database
    }

    /// Queues the files of the minutes from `first` to `last`, as files with events.
    async fn want(&self, (first, last): (i64, i64)) {
        let (stream, files) = (self.recorded.stream().await, self.recorded.files().await);
        let begin = files[0].0.start_at;
        let span = (begin + first * 60_000 + 1000, begin + last * 60_000 + 2000);
        let mut write = self.database().write().await.expect("a transaction");
        write.mark_event(stream.id, span, CopyRule::Always).await.expect("a change");
        write.commit().await.expect("a commit");
    }

    /// Lets the queue work until nothing is left, or until it pauses.
    async fn work(&mut self) {
        loop {
            let next = self.queue.step().await;
            while let Some(done) = self.queue.uploads.join_next().await {
                let (file, result) = done.expect("a result");
                self.queue.finish(file, result).await;
            }
            let waiting = self.database().offsite_waiting().await.expect("a sum");
            if next > Instant::now() && (waiting.files == 0 || self.queue.failures > 0) {
                return;
            }
        }
    }

    /// Returns the sizes of the copies, by the minutes that they show.
    fn copies(&self) -> Vec<u64> {
        sizes(self.share.path())
    }

    async fn limit(&self, keep_days: u32) {
        let all = Limits { keep_days: Some(keep_days), ..Limits::default() };
        let limits = AllLimits { all, ..AllLimits::default() };
        retention::run(&self.queue.recorder, &limits).await.expect("a deletion");
    }
}

fn sizes(dir: &Path) -> Vec<u64> {
    let mut entries: Vec<_> = fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    let of = |path: &std::path::PathBuf| {
        let is_file = path.extension().is_some();
        let size = path.metadata().expect("a file").len();
        if path.is_dir() { sizes(path) } else { is_file.then_some(size).into_iter().collect() }
    };
    entries.iter().flat_map(of).collect()
}

#[tokio::test]
async fn queued_files_are_copied_and_stay_in_the_index_without_local_files() {
    let mut setup = Setup::new(None).await;
    setup.work().await;
    assert_eq!(setup.copies(), Vec::<u64>::new(), "no file was queued");
    setup.want((1, 2)).await;
    setup.limit(1).await;
    let left = setup.recorded.files().await;
    assert_eq!(left.len(), 2, "files that wait are not deleted because of their age");
    setup.work().await;
    assert_eq!(setup.copies(), left.iter().map(|(file, _)| file.bytes).collect::<Vec<_>>());
    setup.limit(1).await;
    let days = setup.database().recorded_days().await.expect("days");
    let bytes: u64 = left.iter().map(|(file, _)| file.bytes).sum();
    assert_eq!(
        days.iter().map(|day| (day.bytes, day.offsite_bytes)).collect::<Vec<_>>(),
        [(0, bytes)]
    );
    for (file, path) in setup.recorded.files().await {
        assert!(!path.exists() && !file.is_local && file.offsite == CopyState::Stored);
        assert!(file.can_be_read());
    }
    // Deleting the recordings deletes the copies.
    let stream = setup.recorded.stream().await;
    let deleted = retention::delete_span(&setup.queue.recorder, &stream, (0, i64::MAX / 2)).await;
    assert_eq!(deleted.expect("a deletion"), (2, 0));
    setup.work().await;
    assert_eq!(setup.copies(), Vec::<u64>::new());
    assert!(setup.database().recorded_days().await.expect("days").is_empty());
}

#[tokio::test]
async fn old_copies_are_deleted_unless_they_are_locked() {
    let mut setup = Setup::new(Some(DAY)).await;
    setup.want((0, 4)).await;
    let stream = setup.recorded.stream().await;
    let begin = setup.recorded.files().await[0].0.start_at;
    let mut write = setup.database().write().await.expect("a transaction");
    let locked = write.lock_files(stream.id, (begin, begin + 1000), true).await;
    assert_eq!(locked.expect("a lock"), 1);
    write.commit().await.expect("a commit");
    // The limit is checked once a minute.
    setup.queue.expiry_at = Instant::now() + DAY;
    setup.work().await;
    assert_eq!(setup.copies().len(), 5);
    setup.limit(1).await;
    setup.queue.expiry_at = Instant::now();
    setup.work().await;
    let left = setup.recorded.files().await;
    assert_eq!(left.iter().map(|(file, _)| file.start_at).collect::<Vec<_>>(), [begin]);
    assert_eq!(setup.copies(), [left[0].0.bytes]);
}

#[tokio::test]
async fn a_deletion_that_waits_does_not_delete_a_newer_copy_of_the_same_name() {
    let mut setup = Setup::new(None).await;
    setup.want((0, 0)).await;
    setup.work().await;
    let file = setup.recorded.files().await.remove(0).0;
    let place = setup.queue.offsite.id().expect("a place");
    let mut write = setup.database().write().await.expect("a transaction");
    write.drop_copies(&[file.id]).await.expect("a change");
    write.commit().await.expect("a commit");
    let queued = setup.database().offsite_deletions(place).await.expect("a queue");
    let [(number, _)] = queued.as_slice() else { panic!("{queued:?}") };
    // The file is copied again before the deletion begins.
    setup.want((0, 0)).await;
    let mut write = setup.database().write().await.expect("a transaction");
    assert!(write.begin_upload(file.id, place, None).await.expect("a change"));
    write.commit().await.expect("a commit");
    assert!(!setup.database().is_deletion_queued(*number).await.expect("an answer"));
    setup.work().await;
    assert_eq!(setup.copies(), [file.bytes]);
}

#[tokio::test]
async fn what_a_crash_has_left_is_removed() {
    let mut setup = Setup::new(None).await;
    setup.work().await;
    setup.want((0, 1)).await;
    let files = setup.recorded.files().await;
    let place = setup.queue.offsite.id().expect("a place");
    let mut write = setup.database().write().await.expect("a transaction");
    for (file, _) in files.iter().take(2) {
        assert!(write.begin_upload(file.id, place, None).await.expect("a row"));
    }
    // The second file was uploaded completely, and then deleted.
    write.delete_files(&[files[1].0.id]).await.expect("a deletion");
    write.commit().await.expect("a commit");
    for (index, extension) in [(0, "mp4.part"), (1, "mp4")] {
        let name = files[index].1.strip_prefix(setup.recorded.dir()).expect("a name");
        let path = setup.share.path().join(name).with_extension(extension);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, "left").expect("a file");
    }
    setup.queue.checked_at = None;
    setup.work().await;
    assert_eq!(setup.copies(), [files[0].0.bytes]);
    assert!(setup.database().offsite_uploads(place).await.expect("rows").is_empty());
}

#[tokio::test]
async fn an_outage_is_reported_once_and_loses_nothing() {
    let mut setup = Setup::new(None).await;
    setup.work().await;
    setup.want((0, 4)).await;
    let marker = setup.share.path().join(MARKER);
    let away = setup.share.path().join("away");
    fs::rename(&marker, &away).expect("a rename");
    for _ in 0..6 {
        setup.queue.retry_at = Instant::now();
        setup.work().await;
    }
    assert_eq!(setup.copies(), Vec::<u64>::new());
    assert!(setup.queue.offsite.problem().is_some_and(|it| it.detail.contains("marker")));
    assert_eq!(setup.queue.offsite.waiting().files, 5);
    fs::rename(&away, &marker).expect("a rename");
    setup.queue.retry_at = Instant::now();
    setup.work().await;
    assert_eq!(setup.copies().len(), 5);
    assert_eq!(setup.queue.offsite.problem(), None);
    let mut names = Vec::new();
    while let Ok(Some(event)) = setup.events.try_next() {
        names.push(event.kind.name().to_owned());
    }
    assert_eq!(names, ["storage.failed", "storage.recovered"]);
}
