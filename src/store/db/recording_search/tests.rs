use super::*;
use crate::camera::id::{CameraId, Profile};
use crate::camera::identity_tag::IdentityTag;
use crate::store::db::Location;
use crate::store::db::recording_table::DAY_MS;
use crate::store::db::recording_writes::{ClosedFile, CopyRule, Deletable, MAX_DELETED, NewFile};

const MINUTE: i64 = 60_000;
/// 2026-11-30 00:00 UTC.
const DAY: i64 = 20_787 * DAY_MS;

struct Setup {
    database: Database,
    stream: i64,
    dir: i64,
    format: i64,
    _files: tempfile::TempDir,
}

impl Setup {
    async fn new() -> Self {
        let files = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite:{}", files.path().join("index.db").display());
        let database = Database::open(Location::parse(&url).expect("a URL")).await;
        let database = database.expect("a database");
        let mut write = database.write().await.expect("a transaction");
        let dir = write.put_recording_dir("marker", "/recordings").await.expect("a directory");
        let camera = CameraId::parse("front-door").expect("an id");
        let stream = write.put_recorded_stream(
            &camera,
            IdentityTag::parse("00000001").expect("a tag"),
            Profile::Main,
            dir,
        );
        let stream = stream.await.expect("a stream");
        let init = Bytes::from_static(b"init");
        let format = write.put_recorded_format(&[7; 32], &init, "avc1.64001F", (1920, 1080));
        let format = format.await.expect("a format");
        write.commit().await.expect("a commit");
        Self { database, stream, dir, format, _files: files }
    }

    async fn open(&self, span: i64, start_at: i64) -> i64 {
        let new = NewFile {
            stream: self.stream,
            dir: self.dir,
            format: self.format,
            span,
            start_at,
            decode_time: 90_000,
            has_event: false,
        };
        let mut write = self.database.write().await.expect("a transaction");
        let id = write.open_file(&new).await.expect("a file");
        write.commit().await.expect("a commit");
        id
    }

    /// Adds a closed file of a minute with 1000 bytes.
    async fn add(&self, span: i64, start_at: i64) -> i64 {
        let id = self.open(span, start_at).await;
        let fragment = |offset, size, begin_ms, duration_ms, is_keyframe| RecordedFragment {
            offset,
            size,
            begin_ms,
            duration_ms,
            is_keyframe,
        };
        let closed = ClosedFile {
            end_at: start_at + MINUTE,
            bytes: 1000,
            frames: 1500,
            fragments: vec![fragment(4, 300, 0, 40, true), fragment(304, 600, 40, 59_960, false)],
            has_event: false,
            copy: CopyRule::Never,
        };
        let mut write = self.database.write().await.expect("a transaction");
        assert!(write.close_file(id, &closed).await.expect("an update"));
        assert!(!write.close_file(id, &closed).await.expect("no change"), "closed twice");
        write.commit().await.expect("a commit");
        id
    }

    async fn files(&self, from: i64, to: i64) -> Vec<i64> {
        let files = self.database.recorded_files(self.stream, from, to).await.expect("files");
        let with_fragments = self.database.recorded_fragments(self.stream, from, to).await;
        let with_fragments = with_fragments.expect("files").into_iter().map(|(file, _)| file);
        assert_eq!(with_fragments.collect::<Vec<_>>(), files);
        files.iter().map(|file| file.id).collect()
    }

    async fn days(&self) -> Vec<(i64, u64, u64)> {
        let days = self.database.recorded_days().await.expect("days");
        days.iter().map(|day| (day.day, day.bytes, day.files)).collect()
    }

    async fn delete(&self, ids: &[i64]) {
        let mut write = self.database.write().await.expect("a transaction");
        write.delete_files(ids).await.expect("a deletion");
        write.commit().await.expect("a commit");
    }
}

#[tokio::test]
async fn the_files_of_a_time_are_those_that_overlap_it() {
    let setup = Setup::new().await;
    let [one, two, three] = [
        setup.add(1, DAY).await,
        setup.add(1, DAY + MINUTE).await,
        setup.open(2, DAY + 5 * MINUTE).await,
    ];
    let table = [
        (DAY - MINUTE, DAY, vec![]),
        (DAY - MINUTE, DAY + 1, vec![one]),
        (DAY + MINUTE, DAY + MINUTE + 1, vec![two]),
        (DAY + 30_000, DAY + 90_000, vec![one, two]),
        (DAY + 2 * MINUTE, DAY + 5 * MINUTE, vec![]),
        (DAY + 6 * MINUTE, DAY + 7 * MINUTE, vec![three]),
        (DAY, DAY + 7 * MINUTE, vec![one, two, three]),
    ];
    for (from, to, expected) in table {
        assert_eq!(setup.files(from, to).await, expected, "{from} to {to}");
    }
    let database = &setup.database;
    let all = database.recorded_files(setup.stream, 0, i64::MAX / 2).await.expect("files");
    let file = |id| all.iter().find(|file| file.id == id).cloned().expect("a file");
    let (first, second, open) = (file(one), file(two), file(three));
    assert!(first.is_continued_by(&second) && !second.is_continued_by(&open));
    assert!(!first.is_open && open.is_open && open.is_local);
    assert_eq!((first.init_bytes, first.bytes, first.frames), (4, 1000, 1500));
    let fragments = database.fragments_of(&first).await.expect("fragments");
    assert_eq!((fragments[1].offset, fragments[1].begin_ms), (304, 40));
    assert!(database.fragments_of(&open).await.expect("a list").is_empty());
    let range = database.recorded_range(setup.stream).await.expect("a query");
    assert_eq!(range, Some((DAY, DAY + 5 * MINUTE)));
    let opened = database.open_files().await.expect("files");
    assert_eq!(opened.iter().map(|file| file.id).collect::<Vec<_>>(), [three]);
    let format = database.recorded_format(setup.format).await.expect("a query").expect("a format");
    assert_eq!((&format.init[..], format.width), (&b"init"[..], 1920));
}

#[tokio::test]
async fn after_a_step_back_of_the_clock_files_are_in_the_order_of_recording() {
    let setup = Setup::new().await;
    let later = setup.add(1, DAY + 30 * MINUTE).await;
    let earlier = setup.add(2, DAY + 30 * MINUTE - 10_000).await;
    assert_eq!(setup.files(DAY, DAY + DAY_MS).await, [later, earlier]);
    let spans = setup.database.recorded_spans(setup.stream, DAY, DAY + DAY_MS).await;
    assert_eq!(spans.expect("spans").len(), 2);
}

#[tokio::test]
async fn files_that_continue_each_other_and_have_the_same_marks_are_one_time() {
    let setup = Setup::new().await;
    for (span, minute) in [(1, 0), (1, 1), (1, 2), (2, 3), (2, 4), (2, 7)] {
        setup.add(span, DAY + minute * MINUTE).await;
    }
    let mut write = setup.database.write().await.expect("a transaction");
    let second = (DAY + MINUTE, DAY + 2 * MINUTE);
    assert_eq!(write.lock_files(setup.stream, second, true).await.expect("a lock"), 1);
    write.mark_event(setup.stream, second, CopyRule::Never).await.expect("a mark");
    write.commit().await.expect("a commit");
    let spans = setup.database.recorded_spans(setup.stream, DAY, DAY + DAY_MS).await;
    let spans = spans.expect("spans");
    let times = spans.iter().map(|span| {
        let minute = |time| (time - DAY) / MINUTE;
        (minute(span.start_at), minute(span.end_at), span.bytes, span.has_event, span.is_locked)
    });
    let expected = [
        (0, 1, 1000, false, false),
        (1, 2, 1000, true, true),
        (2, 3, 1000, false, false),
        (3, 5, 2000, false, false),
        (7, 8, 1000, false, false),
    ];
    assert_eq!(times.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn counters_and_days_follow_the_files() {
    let setup = Setup::new().await;
    let last_minute = setup.add(1, DAY - MINUTE / 2).await;
    let ids = [setup.add(1, DAY + MINUTE).await, setup.add(1, DAY + 2 * MINUTE).await];
    setup.open(1, DAY + 3 * MINUTE).await;
    let day = DAY / DAY_MS;
    assert_eq!(setup.days().await, [(day - 1, 1000, 1), (day, 2000, 2)]);
    assert_eq!(setup.database.recorded_bytes().await.expect("a sum"), 3000);
    // The file that begins before midnight belongs to both days.
    let limits = [DAY - 2 * DAY_MS, DAY - DAY_MS, DAY, DAY + DAY_MS, DAY + 2 * DAY_MS];
    let has = setup.database.days_with_recordings(setup.stream, &limits).await;
    assert_eq!(has.expect("days"), [false, true, true, false]);
    setup.delete(&[last_minute, ids[0], 9999]).await;
    assert_eq!(setup.days().await, [(day, 1000, 1)]);
    assert_eq!(setup.files(DAY - DAY_MS, DAY + 3 * MINUTE).await, [ids[1]]);
    let next = setup.add(1, DAY + 4 * MINUTE).await;
    setup.delete(&[next]).await;
    assert!(setup.add(1, DAY + 4 * MINUTE).await > next, "an id was used again");
}

#[tokio::test]
async fn only_old_files_that_are_not_protected_can_be_deleted() {
    let setup = Setup::new().await;
    let ids = [setup.add(1, DAY).await, setup.add(1, DAY + MINUTE).await];
    let later = setup.add(1, DAY + 2 * MINUTE).await;
    setup.open(1, DAY + 3 * MINUTE).await;
    let mut write = setup.database.write().await.expect("a transaction");
    write.mark_event(setup.stream, (DAY, DAY + 1), CopyRule::Never).await.expect("a mark");
    write.lock_files(setup.stream, (DAY + MINUTE, DAY + MINUTE + 1), true).await.expect("a lock");
    write.commit().await.expect("a commit");
    let all = Deletable {
        stream: None,
        dir: None,
        before: i64::MAX,
        with_events: true,
        with_waiting: true,
        after: None,
    };
    let table = [
        (all, vec![ids[0], later]),
        (Deletable { stream: Some(setup.stream), ..all }, vec![ids[0], later]),
        (Deletable { with_events: false, ..all }, vec![later]),
        (Deletable { after: Some((DAY, ids[0])), ..all }, vec![later]),
        (Deletable { after: Some((DAY + 2 * MINUTE, later)), ..all }, vec![]),
        (Deletable { before: DAY + MINUTE, ..all }, vec![ids[0]]),
        (Deletable { dir: Some(setup.dir), ..all }, vec![ids[0], later]),
        (Deletable { dir: Some(setup.dir + 1), ..all }, vec![]),
        (Deletable { stream: Some(setup.stream + 1), ..all }, vec![]),
    ];
    for (selection, expected) in table {
        let files = setup.database.deletable_files(selection).await.expect("files");
        let found: Vec<_> = files.iter().map(|file| file.id).collect();
        assert_eq!(found, expected, "{selection:?}");
    }
    for minute in 10..70 {
        setup.add(1, DAY + minute * MINUTE).await;
    }
    let files = setup.database.deletable_files(all).await.expect("files");
    assert_eq!(files.len(), MAX_DELETED);
}

#[tokio::test]
async fn a_stream_a_directory_and_a_format_have_one_row_each() {
    let setup = Setup::new().await;
    let database = &setup.database;
    let camera = CameraId::parse("front-door").expect("an id");
    let identity = IdentityTag::parse("00000001").expect("a tag");
    let mut write = database.write().await.expect("a transaction");
    let dir = write.put_recording_dir("other", "/mnt/b").await.expect("a directory");
    let moved = write.put_recording_dir("marker", "/mnt/a").await.expect("a directory");
    assert!(dir != setup.dir && moved == setup.dir);
    let stream = write.put_recorded_stream(&camera, identity, Profile::Main, dir);
    assert_eq!(stream.await.expect("a stream"), setup.stream);
    let init = Bytes::from_static(b"init");
    let format = write.put_recorded_format(&[7; 32], &init, "avc1.64001F", (1920, 1080));
    assert_eq!(format.await.expect("a format"), setup.format);
    write.commit().await.expect("a commit");
    let known = database.recorded_stream(&camera, identity, Profile::Main).await;
    let known = known.expect("a query").expect("a stream");
    assert_eq!((known.id, known.dir), (setup.stream, dir));
    assert_eq!(database.recorded_streams().await.expect("streams"), [known]);
    let other = database
        .recorded_stream(&camera, IdentityTag::parse("00000007").expect("a tag"), Profile::Main)
        .await;
    assert_eq!(other.expect("a query"), None);
    let paths = database.recording_dirs().await.expect("directories");
    assert_eq!(paths.iter().map(|dir| dir.path.as_str()).collect::<Vec<_>>(), ["/mnt/a", "/mnt/b"]);
    assert_eq!(database.recording_marker().await.expect("a marker").len(), 32);
}

#[tokio::test]
async fn locks_are_joined_and_divided() {
    let setup = Setup::new().await;
    let table: [(_, _, &[(i64, i64)]); 8] = [
        ((10, 20), true, &[(10, 20)]),
        ((40, 50), true, &[(10, 20), (40, 50)]),
        ((20, 30), true, &[(10, 30), (40, 50)]),
        ((15, 45), true, &[(10, 50)]),
        ((20, 30), false, &[(10, 20), (30, 50)]),
        ((50, 50), true, &[(10, 20), (30, 50)]),
        ((0, 15), false, &[(15, 20), (30, 50)]),
        ((0, 100), false, &[]),
    ];
    for (span, is_locked, expected) in table {
        let mut write = setup.database.write().await.expect("a transaction");
        write.note_lock(setup.stream, span, is_locked).await.expect("a change");
        write.commit().await.expect("a commit");
        let query = sqlx::query("SELECT begin_at, end_at FROM recorded_locks ORDER BY 1");
        let rows = query.fetch_all(&setup.database.pool).await.expect("rows");
        let found: Vec<(i64, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        assert_eq!(found, expected, "{span:?}");
    }
}

#[tokio::test]
async fn the_time_of_an_unlocked_file_is_not_locked_any_more() {
    let setup = Setup::new().await;
    setup.add(1, DAY).await;
    setup.open(1, DAY + MINUTE).await;
    let mut write = setup.database.write().await.expect("a transaction");
    for (span, expected) in [
        ((DAY - 10, DAY - 5), (DAY - 10, DAY - 5)),
        ((DAY + 10_000, DAY + 20_000), (DAY, DAY + MINUTE)),
        ((DAY + 10_000, DAY + MINUTE + 20_000), (DAY, DAY + MINUTE + 20_000)),
        ((DAY + MINUTE + 10_000, DAY + MINUTE + 20_000), (DAY + MINUTE, DAY + MINUTE + 20_000)),
    ] {
        let times = write.times_of_files(setup.stream, span).await;
        assert_eq!(times.expect("times"), expected, "{span:?}");
    }
}

#[tokio::test]
async fn a_file_has_one_entry() {
    let setup = Setup::new().await;
    setup.add(1, DAY).await;
    let mut write = setup.database.write().await.expect("a transaction");
    for (start_at, span, expected) in [(DAY, 1, true), (DAY, 2, false), (DAY + 1, 1, false)] {
        let has_file = write.has_file(setup.stream, start_at, span).await;
        assert_eq!(has_file.expect("an answer"), expected, "{start_at} {span}");
    }
}

#[tokio::test]
async fn a_damaged_list_of_fragments_hides_no_other_file() {
    let setup = Setup::new().await;
    let [damaged, whole] = [setup.add(1, DAY).await, setup.add(1, DAY + MINUTE).await];
    let query = sqlx::query("UPDATE recorded_fragments SET fragments = x'FFFFFF' WHERE file = $1");
    query.bind(damaged).execute(&setup.database.pool).await.expect("an update");
    let files = setup.database.recorded_fragments(setup.stream, DAY, DAY + 2 * MINUTE).await;
    let files = files.expect("files");
    let found: Vec<_> = files.iter().map(|(file, list)| (file.id, list.len())).collect();
    assert_eq!(found, [(damaged, 0), (whole, 2)]);
    let of_file = setup.database.fragments_of(&files[0].0).await.expect("no fragments");
    assert!(of_file.is_empty());
}
