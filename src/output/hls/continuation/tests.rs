//! Tests of continued playlists, with real fragments and files.

use std::path::Path;
use std::time::UNIX_EPOCH;

use bytes::Bytes;

use super::*;
use crate::camera::id::StreamId;
use crate::camera::numbers::NumberSet;
use crate::camera::origin::CurrentOrigin;
use crate::media::aac::AacConfig;
use crate::media::frame::{AudioFormat, Format, Frame, Track, testing};
use crate::media::mp4::written::{WrittenFragment, read_fragment};
use crate::output::disk_budget::DiskBudget;
use crate::output::hls::cutter::SegmentPolicy;
use crate::output::hls::ended::EndedStream;
use crate::output::hls::fragment::InitId;
use crate::output::hls::fragmenter::Fragmenter;
use crate::output::hls::layout::Layout;
use crate::output::hls::packager::Packager;
use crate::output::hls::sweep;

const FIRST: NumberSet = NumberSet { sequence: 100, epoch: 7, discontinuity: 3 };
const PART: Duration = Duration::from_millis(200);

/// A directory for the files of one stream.
struct Setup {
    root: tempfile::TempDir,
    budget: DiskBudget,
}

/// A run of HLS.
struct Run {
    packager: Packager,
    fragmenter: Fragmenter,
}

fn origin(number: u8) -> Origin {
    Origin::from_digest(&[number; 32])
}

impl Setup {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let budget = DiskBudget::new(root.path().to_owned(), None);
        Self { root, budget }
    }

    fn layout(&self) -> Layout {
        Layout::new(self.root.path().to_owned())
    }

    fn dir(&self) -> StreamDir {
        self.layout().stream_dir(&StreamId::parse("cam").expect("an id"))
    }

    /// Begins HLS with these numbers, and continues `before`.
    fn run(&self, first: NumberSet, before: Option<EndedStream>) -> (Run, Option<MediaEnd>) {
        self.run_as(first, before, 1, 2)
    }

    fn run_as(
        &self,
        first: NumberSet,
        before: Option<EndedStream>,
        from: u8,
        segment_seconds: u64,
    ) -> (Run, Option<MediaEnd>) {
        let segment_time = Duration::from_secs(segment_seconds);
        let policy = SegmentPolicy { segment_time, part_time: PART, list_size: 5 };
        let origin = CurrentOrigin::new(origin(from));
        let mut packager = Packager::new(self.dir(), self.budget.share(), policy, first, origin);
        let mut fragmenter = Fragmenter::new(PART);
        let end = before.and_then(|before| packager.continue_from(before));
        if let Some(end) = &end {
            fragmenter.continue_from(end.clone());
        }
        (Run { packager, fragmenter }, end)
    }

    /// Returns what the next manager finds.
    fn found(&self) -> Option<EndedStream> {
        let left = sweep::sweep(&self.layout()).expect("sweep").pop().expect("a stream");
        let (continuation, age) = left.kept?;
        assert!(age < MAX_PAUSE, "{age:?}");
        assert_eq!(left.numbers.sequence, continuation.next_sequence());
        let share = self.budget.share_of(continuation.bytes());
        Some(EndedStream { continuation, dir: self.dir(), share })
    }

    /// Returns the fragments of the segments with these numbers.
    fn fragments(&self, numbers: impl Iterator<Item = u64>) -> Vec<WrittenFragment> {
        let mut fragments = Vec::new();
        for number in numbers {
            let bytes = fs::read(self.dir().segment(number)).expect("a segment");
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let fragment = read_fragment(rest).expect("a fragment");
                rest = &rest[fragment.length..];
                fragments.push(fragment);
            }
        }
        fragments
    }
}

impl Run {
    /// Pushes frames of 40 ms from `from` to `until`, in milliseconds, with a keyframe every two seconds.
    fn push(&mut self, format: &Arc<Format>, from: u64, until: u64) {
        let mut frames: Vec<_> = (from..until)
            .step_by(40)
            .map(|time| testing::video(format, time % 2000 == 0, time, 40))
            .collect();
        if format.audio.is_some() {
            let data = Bytes::from_static(b"sound");
            let sounds = (from..until).step_by(64).map(|time| Frame {
                track: Track::Audio,
                data: data.clone(),
                ..testing::video(format, true, time, 64)
            });
            frames.extend(sounds);
        }
        frames.sort_by_key(|frame| frame.decode_time);
        for frame in frames {
            let mut fragments = Vec::new();
            let pushed = self.fragmenter.push(&Arc::new(frame), &|_| true, &mut fragments);
            pushed.expect("frames that can be packaged");
            for fragment in &fragments {
                self.packager.push(fragment);
            }
        }
        assert_eq!(self.packager.progress().failures, 0);
    }

    /// Returns the published playlist.
    fn playlist(&self) -> m3u8_rs::MediaPlaylist {
        let newest = self.packager.newest();
        let published = newest.borrow().clone().expect("a playlist");
        m3u8_rs::parse_media_playlist_res(&published.whole()).expect("a playlist")
    }

    /// Returns the published playlist as text.
    fn text(&self) -> String {
        let newest = self.packager.newest();
        let whole = newest.borrow().as_ref().expect("a playlist").whole();
        String::from_utf8(whole.to_vec()).expect("text")
    }

    /// Returns the lines of the published playlist that describe its segments.
    fn entries(&self) -> Vec<String> {
        let text = self.text();
        let lines = text.lines().skip_while(|line| !line.starts_with("#EXT-X-MAP"));
        lines.map(str::to_owned).collect()
    }
}

fn video(epoch: u64) -> Arc<Format> {
    testing::format(epoch)
}

/// Mono at 16 kHz: each frame lasts for 64 ms.
fn with_audio(epoch: u64) -> Arc<Format> {
    let audio = AudioFormat::Aac(AacConfig::low_complexity(16_000, 1).expect("a configuration"));
    let mut format = Arc::try_unwrap(testing::format(epoch)).expect("a format");
    format.audio = Some(audio);
    Arc::new(format)
}

/// Checks that each track of the segments with these numbers has neither a gap nor an overlap.
fn assert_continuous(setup: &Setup, numbers: std::ops::RangeInclusive<u64>) {
    let fragments = setup.fragments(numbers);
    let (mut video_end, mut audio_end) = (None, None);
    for fragment in &fragments {
        for (end, run) in [(&mut video_end, &fragment.video), (&mut audio_end, &fragment.audio)] {
            let Some(run) = run else { continue };
            assert_eq!(end.replace(run.end).unwrap_or(run.begin), run.begin, "{fragment:?}");
        }
    }
    let seconds = |end: Option<u64>, scale: u32| {
        end.map(|end| (Duration::from_secs(end) / scale).as_secs_f64())
    };
    if let (Some(video), Some(audio)) = (seconds(video_end, 90_000), seconds(audio_end, 16_000)) {
        assert!((video - audio).abs() < 0.6, "video ends at {video} s, audio at {audio} s");
    }
}

/// Ends HLS with `end`, in the middle of a segment, and begins it again. Checks that the playlist continues.
fn continue_after(format: fn(u64) -> Arc<Format>, end: fn(&Setup, Run) -> EndedStream) {
    let setup = Setup::new();
    let (mut run, _) = setup.run(FIRST, None);
    run.push(&format(7), 0, 13_300);
    let (before, entries) = (run.playlist(), run.entries());
    let left = end(&setup, run);
    let next = left.continuation.next_sequence();
    let last = before.media_sequence + before.segments.len() as u64;
    assert_eq!(next, last + 1, "the growing segment is finished");
    let size = |path: &Path| fs::metadata(path).expect("a file").len();
    assert_eq!(
        size(&setup.dir().segment(last)),
        left.continuation.segments.last().expect("a segment").length()
    );
    assert_eq!(setup.budget.used(), left.continuation.bytes());

    let numbers = NumberSet { sequence: next, epoch: 8, discontinuity: 4 };
    let (mut run, end) = setup.run(numbers, Some(left));
    assert_eq!(end.expect("the end of the media").init, InitId { epoch: 7, version: 0 });
    assert!(run.packager.newest().borrow().is_none(), "a playlist with old media only");
    run.push(&format(8), 100_000, 101_300);
    let after = run.playlist();
    assert!(after.media_sequence < last, "{} {last}", after.media_sequence);
    assert_eq!(after.discontinuity_sequence, before.discontinuity_sequence);
    assert!(after.segments.iter().all(|segment| !segment.discontinuity));
    assert!(after.media_sequence + after.segments.len() as u64 > next);
    let maps = after.segments.iter().filter_map(|segment| segment.map.as_ref());
    assert_eq!(maps.map(|map| map.uri.as_str()).collect::<Vec<_>>(), ["init-7.mp4"]);
    // Parts that are marked as independent when they are published may lose this mark.
    let without_mark = |line: &String| line.replace(",INDEPENDENT=YES", "");
    let listed = format!("{}.m4s", after.media_sequence - 1);
    let known = entries.iter().map(without_mark).skip_while(|line| !line.contains(&listed));
    // While the playlist contains an interruption, it lists no dates.
    let is_kept = |line: &String| !line.contains(&listed) && !line.contains("DATE-TIME");
    let known: Vec<_> = known.filter(is_kept).collect();
    assert!(known.len() > 10, "{known:?}");
    let now: Vec<_> = run.entries().iter().map(without_mark).collect();
    assert!(known.iter().all(|line| now.contains(line)), "{known:#?} {now:#?}");
    run.push(&format(8), 101_300, 120_000);
    let numbers = run.playlist().media_sequence;
    assert!(numbers > before.media_sequence, "old segments leave the playlist");
    run.push(&format(8), 120_000, 140_000);
    assert!(!setup.dir().segment(before.media_sequence).exists(), "old files are deleted");
    assert!(setup.dir().init(InitId { epoch: 7, version: 0 }).exists());
}

fn ends(setup: &Setup, run: Run) -> EndedStream {
    let ended = run.packager.end().expect("files").expect("a playlist");
    let found = Continuation::read(&setup.dir()).expect("a file").expect("a file").0;
    assert_eq!(found.segments.last(), ended.continuation.segments.last());
    assert_eq!(found.end, ended.continuation.end);
    ended
}

/// The next manager finds the files as they are.
fn is_killed(setup: &Setup, run: Run) -> EndedStream {
    drop(run);
    setup.found().expect("a playlist that continues")
}

/// The last fragment was written only partly.
fn is_killed_while_writing(setup: &Setup, run: Run) -> EndedStream {
    drop(run);
    let numbers = sweep_numbers(setup);
    let path = setup.dir().segment(numbers);
    let bytes = fs::read(&path).expect("a segment");
    fs::write(&path, [&bytes[..], &bytes[..bytes.len().min(700)]].concat()).expect("a write");
    setup.found().expect("a playlist that continues")
}

/// Returns the highest number of a segment's file.
fn sweep_numbers(setup: &Setup) -> u64 {
    let entries = fs::read_dir(setup.dir().path()).expect("a directory");
    let files = entries.filter_map(|entry| {
        StreamFile::parse(entry.expect("an entry").file_name().to_str().expect("a name"))
    });
    let numbers = files.filter_map(|file| match file {
        StreamFile::Segment(number) => Some(number),
        _ => None,
    });
    numbers.max().expect("a segment")
}

#[test]
fn a_playlist_continues_when_hls_begins_again() {
    continue_after(video, ends);
    continue_after(with_audio, ends);
}

#[test]
fn a_playlist_continues_after_the_manager_was_killed() {
    continue_after(video, is_killed);
    continue_after(with_audio, is_killed);
}

#[test]
fn an_incomplete_fragment_is_cut_off() {
    continue_after(video, is_killed_while_writing);
    continue_after(with_audio, is_killed_while_writing);
}

#[test]
fn a_mixture_of_two_versions_of_the_file_is_not_used() {
    let setup = Setup::new();
    let (mut run, _) = setup.run(FIRST, None);
    let file = setup.dir().continuation();
    run.push(&video(7), 0, 20_300);
    let before = fs::read(&file).expect("a file");
    run.push(&video(7), 20_300, 24_300);
    let after = fs::read(&file).expect("a file");
    assert!(before != after, "the file has not changed");
    drop(run);
    let found = || Some(Continuation::read(&setup.dir()).ok()??.0.segments);
    let segments = found().expect("a playlist that continues");
    let mut mixed = 0;
    for cut in 1..before.len().min(after.len()) {
        let mixture = [&after[..cut], &before[cut..]].concat();
        if mixture.trim_ascii_end() != after.trim_ascii_end() {
            fs::write(&file, &mixture).expect("a write");
            let found = found();
            assert!(found.as_ref().is_none_or(|found| *found == segments), "{cut}");
            mixed += usize::from(found.is_none());
        }
    }
    assert!(mixed > 1000, "{mixed} of {} mixtures are not used", before.len());
}

#[test]
fn a_segment_without_a_complete_fragment_is_written_again() {
    let setup = Setup::new();
    let (mut run, _) = setup.run(FIRST, None);
    run.push(&video(7), 0, 9300);
    drop(run);
    let number = sweep_numbers(&setup);
    let path = setup.dir().segment(number);
    let bytes = fs::read(&path).expect("a segment");
    fs::write(&path, &bytes[..20]).expect("a write");
    let left = setup.found().expect("a playlist that continues");
    assert_eq!(left.continuation.next_sequence(), number);
    assert!(!path.exists(), "the incomplete fragment is left");

    let (mut run, _) = setup.run(NumberSet { sequence: number, epoch: 8, ..FIRST }, Some(left));
    run.push(&video(8), 50_000, 50_300);
    assert!(path.exists());
    run.packager.interrupt();
    assert!(!path.exists(), "the withdrawn segment is left");
}

/// The camera fails again before the first segment of the new run is finished.
#[test]
fn a_hole_in_the_media_is_a_discontinuity() {
    let setup = Setup::new();
    let (mut run, _) = setup.run(FIRST, None);
    run.push(&video(7), 0, 9300);
    let left = ends(&setup, run);
    let next = left.continuation.next_sequence();
    let (mut run, _) = setup.run(NumberSet { sequence: next, epoch: 8, ..FIRST }, Some(left));
    run.push(&video(8), 50_000, 50_300);
    assert!(run.packager.newest().borrow().is_none(), "a segment is finished already");
    run.push(&video(9), 60_000, 63_000);
    let playlist = run.playlist();
    let numbers = (playlist.media_sequence..).zip(&playlist.segments);
    let breaks = numbers.filter(|(_, segment)| segment.discontinuity).map(|(number, _)| number);
    assert_eq!(breaks.collect::<Vec<_>>(), [next]);
}

#[test]
fn the_times_of_video_and_audio_continue() {
    for (format, end) in [
        (video as fn(u64) -> _, ends as fn(&Setup, Run) -> EndedStream),
        (video, is_killed),
        (with_audio, ends),
        (with_audio, is_killed),
    ] {
        let setup = Setup::new();
        let (mut run, _) = setup.run(FIRST, None);
        run.push(&format(7), 0, 9300);
        let left = end(&setup, run);
        let first = left.continuation.segments[0].sequence;
        let numbers = NumberSet { sequence: left.continuation.next_sequence(), epoch: 8, ..FIRST };
        let (mut run, _) = setup.run(numbers, Some(left));
        run.push(&format(8), 50_000, 55_000);
        let after = run.playlist();
        assert_continuous(&setup, first..=after.media_sequence + after.segments.len() as u64);
    }
}

#[test]
fn a_new_format_begins_a_new_playlist_with_higher_numbers() {
    let setup = Setup::new();
    let (mut run, _) = setup.run(FIRST, None);
    run.push(&video(7), 0, 9300);
    let before = run.playlist();
    let left = is_killed(&setup, run);
    let next = left.continuation.next_sequence();
    let numbers = NumberSet { sequence: next, epoch: 8, discontinuity: 4 };
    let (mut run, _) = setup.run(numbers, Some(left));
    run.push(&with_audio(8), 50_000, 53_000);
    let after = run.playlist();
    assert_eq!((after.media_sequence, after.discontinuity_sequence), (next, 4));
    assert!(after.segments.iter().all(|segment| !segment.discontinuity));
    let maps = after.segments.iter().filter_map(|segment| segment.map.as_ref());
    assert_eq!(maps.map(|map| map.uri.as_str()).collect::<Vec<_>>(), ["init-8.mp4"]);
    run.push(&with_audio(8), 53_000, 90_000);
    assert!(!setup.dir().segment(before.media_sequence).exists(), "old files are deleted");
}

/// The end of the earlier audio is on another time line than the growing segment.
#[test]
fn the_audio_of_another_init_segment_does_not_continue() {
    let setup = Setup::new();
    let (mut run, _) = setup.run(FIRST, None);
    run.push(&with_audio(7), 0, 9300);
    run.push(&video(8), 50_000, 50_300);
    let end = is_killed(&setup, run).continuation.end;
    assert_eq!((end.init.epoch, end.audio), (8, None));
    assert_eq!(end.video, Duration::from_millis(50_200));
}

/// Players that join must not begin with pictures from before the interruption.
#[test]
fn players_that_join_begin_after_the_interruption() {
    let setup = Setup::new();
    let (mut run, _) = setup.run(FIRST, None);
    run.push(&video(7), 0, 9300);
    let left = is_killed(&setup, run);
    let next = left.continuation.next_sequence();
    let (mut run, _) = setup.run(NumberSet { sequence: next, epoch: 8, ..FIRST }, Some(left));
    for until in (51_300..62_000).step_by(1000) {
        run.push(&video(8), if until == 51_300 { 50_000 } else { until - 1000 }, until);
        let (text, playlist) = (run.text(), run.playlist());
        let start = text.lines().find_map(|line| line.strip_prefix("#EXT-X-START:TIME-OFFSET="));
        let own = usize::try_from(next - playlist.media_sequence).expect("a count");
        let before: f32 = playlist.segments.iter().take(own).map(|it| it.duration).sum();
        let after: f32 = playlist.segments.iter().skip(own).map(|it| it.duration).sum();
        match start.map(|start| start.parse::<f32>().expect("a number")) {
            Some(start) => assert!(start > before - 0.001, "{start} {before} {text}"),
            None => assert!(after > 4.0, "{text}"),
        }
    }
}

#[test]
fn a_playlist_of_another_camera_does_not_continue() {
    for (from, segment_seconds, sequence, epoch) in
        [(2, 2, 0, 8), (1, 4, 0, 8), (1, 2, 1, 8), (1, 2, 0, 7)]
    {
        let setup = Setup::new();
        let (mut run, _) = setup.run(FIRST, None);
        run.push(&video(7), 0, 9300);
        let left = is_killed(&setup, run);
        let sequence = left.continuation.next_sequence() + sequence;
        let numbers = NumberSet { sequence, epoch, discontinuity: 4 };
        let (mut run, end) = setup.run_as(numbers, Some(left), from, segment_seconds);
        assert_eq!(end, None);
        assert!(!setup.dir().path().exists(), "the old files are still there");
        run.push(&video(8), 50_000, 53_000);
        assert_eq!(run.playlist().media_sequence, sequence);
    }
}

/// The file `continuation.json` names no segments of an earlier source.
#[test]
fn only_segments_of_the_last_source_can_continue() {
    for end in [ends as fn(&Setup, Run) -> EndedStream, is_killed] {
        change_source_and_end(end);
    }
}

fn change_source_and_end(end: fn(&Setup, Run) -> EndedStream) {
    let setup = Setup::new();
    let policy =
        SegmentPolicy { segment_time: Duration::from_secs(2), part_time: PART, list_size: 20 };
    let current = CurrentOrigin::new(origin(1));
    let share = setup.budget.share();
    let packager = Packager::new(setup.dir(), share, policy, FIRST, current.clone());
    let mut run = Run { packager, fragmenter: Fragmenter::new(PART) };
    run.push(&video(7), 0, 7300);
    current.change(origin(2), 8);
    run.push(&video(8), 50_000, 55_300);
    let left = end(&setup, run);
    assert_eq!(left.continuation.origin, origin(2));
    assert_eq!(setup.budget.used(), left.continuation.bytes());
    let stored = Continuation::read(&setup.dir()).expect("a file").expect("a file").0;
    let parts = |from: &Continuation| -> Vec<_> {
        from.segments.iter().map(|segment| segment.parts.clone()).collect()
    };
    assert_eq!(parts(&stored), parts(&left.continuation), "players can have all parts");
    let changed_at = UNIX_EPOCH + Duration::from_secs(50);
    assert!(left.continuation.segments.iter().all(|segment| segment.begins_at >= changed_at));
    let first = left.continuation.segments[0].sequence;
    assert!(!setup.dir().segment(first - 1).exists(), "a segment of the earlier source is left");
}

#[test]
fn a_file_that_cannot_be_used_is_ignored() {
    let valid = || {
        let setup = Setup::new();
        let (mut run, _) = setup.run(FIRST, None);
        run.push(&video(7), 0, 9300);
        drop(run);
        let text = fs::read_to_string(setup.dir().continuation()).expect("a file");
        (setup, text)
    };
    let damage: [fn(&str) -> String; 14] = [
        |_| String::new(),
        |_| "garbage".into(),
        |text| text[..text.len() / 2].into(),
        |text| text.replace("\"version\":1", "\"version\":2"),
        |text| text.replace("\"sequence\":106,", "\"sequence\":\"../../etc/passwd\","),
        |text| text.replace("\"sequence\":106,", "\"sequence\":99,"),
        |text| text.replace("\"sequence\":106,", "\"sequence\":18446744073709551615,"),
        |text| text.replace("\"init\":[7,0]", "\"init\":[6,0]"),
        |text| text.replace("\"begins_at\":", "\"begins_at\":999999999999"),
        |text| text.replace("\"millis\":", "\"millis\":9"),
        |text| text.replace("\"boot\":\"", "\"boot\":\"x"),
        |text| text.replace("\"segments\":[", "\"segments\":[],\"others\":["),
        |text| text.replace(",5176,", ",18446744073709551615,"),
        |text| text.replace("\"audio_end\":null", "\"audio_end\":3600000000000"),
    ];
    for (index, damage) in damage.iter().enumerate() {
        let (setup, text) = valid();
        assert_ne!(damage(&text), text, "case {index}");
        fs::write(setup.dir().continuation(), damage(&text)).expect("a write");
        assert!(setup.found().is_none(), "case {index}");
        assert!(!setup.dir().path().exists(), "case {index}: the files are left");
    }
    let (setup, _) = valid();
    fs::remove_file(setup.dir().segment(106)).expect("a segment");
    assert!(setup.found().is_none(), "a segment is missing");
    let (setup, _) = valid();
    fs::write(setup.dir().segment(sweep_numbers(&setup) + 1), "x").expect("a write");
    assert!(setup.found().is_none(), "a segment is newer than the file");
    let (setup, text) = valid();
    fs::write(setup.dir().continuation(), &text).expect("a write");
    assert!(setup.found().is_some(), "the file can be used");
    let (setup, text) = valid();
    let earlier = text.replace("\"epoch\":7", "\"generation\":7");
    assert_ne!(earlier, text);
    fs::write(setup.dir().continuation(), earlier).expect("a write");
    assert!(setup.found().is_some(), "the file of an earlier manager");
}

#[test]
fn a_playlist_that_ended_too_long_ago_does_not_continue() {
    let setup = Setup::new();
    let (mut run, _) = setup.run(FIRST, None);
    run.push(&video(7), 0, 9300);
    drop(run);
    let age_by = |seconds: u64| {
        let text = fs::read_to_string(setup.dir().continuation()).expect("a file");
        let mut stored: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let millis = &mut stored["written"]["millis"];
        *millis = millis.as_u64().expect("a number").saturating_sub(seconds * 1000).into();
        fs::write(setup.dir().continuation(), stored.to_string()).expect("a write");
    };
    age_by(50);
    assert!(matches!(Continuation::read(&setup.dir()), Ok(Some((_, age))) if age.as_secs() >= 50));
    age_by(11);
    assert!(matches!(Continuation::read(&setup.dir()), Err(Unusable::Old)));
}

/// A stream must not write into a directory whose files are being removed.
#[tokio::test(start_paused = true)]
async fn a_claim_waits_until_the_files_are_removed() {
    use crate::output::hls::ended::EndedStreams;
    let (ended, id) = (EndedStreams::default(), StreamId::parse("cam").expect("an id"));
    for (yields, is_interrupted) in (0..8).flat_map(|yields| [(yields, false), (yields, true)]) {
        let setup = Setup::new();
        let (mut run, _) = setup.run(FIRST, None);
        run.push(&video(7), 0, 9300);
        ended.keep(id.clone(), ends(&setup, run), Duration::ZERO);
        assert_eq!(ended.origin(&id), Some(origin(1)));
        let removal = tokio::spawn({
            let (ended, id) = (ended.clone(), id.clone());
            async move { ended.remove(&id).await }
        });
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
        if is_interrupted {
            removal.abort();
        }
        let claimed = ended.claim(&id).await;
        let exists = setup.dir().path().exists();
        assert_eq!(claimed.is_some(), exists, "after {yields} yields, {is_interrupted}");
        assert!(removal.await.is_ok() || is_interrupted);
        assert_eq!(ended.origin(&id), None);
    }
}

/// Requests for a camera that is offline must not keep old segments.
#[test]
fn a_run_without_media_does_not_lengthen_the_pause() {
    let setup = Setup::new();
    let (mut run, _) = setup.run(FIRST, None);
    run.push(&video(7), 0, 9300);
    let mut left = ends(&setup, run);
    let ended = left.continuation.written.earlier_by(Duration::from_secs(40));
    let numbers = NumberSet { sequence: left.continuation.next_sequence(), epoch: 8, ..FIRST };
    for _ in 0..3 {
        left.continuation.written = ended.clone();
        let (mut run, end) = setup.run(numbers, Some(left));
        assert!(end.is_some());
        // This fragment is withdrawn, because its segment is not finished.
        run.push(&video(8), 50_000, 50_300);
        left = ends(&setup, run);
        assert_eq!(left.continuation.written, ended);
        let read = Continuation::read(&setup.dir()).expect("a file").expect("a file");
        assert_eq!(read.0.written, ended);
        assert!(read.1 >= Duration::from_secs(40), "{:?}", read.1);
    }
    let (mut run, _) = setup.run(numbers, Some(left));
    run.push(&video(8), 50_000, 53_000);
    left = ends(&setup, run);
    assert!(left.continuation.age() < Duration::from_secs(40), "media was written");

    left.continuation.written = left.continuation.written.earlier_by(MAX_PAUSE * 2);
    let numbers = NumberSet { sequence: left.continuation.next_sequence(), epoch: 9, ..FIRST };
    assert_eq!(setup.run(numbers, Some(left)).1, None);
    assert!(!setup.dir().path().exists(), "the old files are still there");
}

/// The camera sends its first frame a long time after HLS has begun.
#[test]
fn a_playlist_that_waits_too_long_for_media_does_not_continue() {
    let setup = Setup::new();
    let (mut run, _) = setup.run(FIRST, None);
    run.push(&video(7), 0, 9300);
    let left = ends(&setup, run);
    let next = left.continuation.next_sequence();
    let numbers = NumberSet { sequence: next, epoch: 8, discontinuity: 4 };
    let (mut run, _) = setup.run(numbers, Some(left));
    run.packager.wait_for_media(MAX_PAUSE * 2);
    run.push(&video(8), 50_000, 53_000);
    let playlist = run.playlist();
    assert_eq!((playlist.media_sequence, playlist.discontinuity_sequence), (next, 4));
    assert!(playlist.segments.iter().all(|segment| !segment.discontinuity));
}

/// The files of a stream whose HLS has ended are kept for a limited time.
#[tokio::test(start_paused = true)]
async fn files_are_removed_unless_hls_begins_again() {
    use crate::output::hls::ended::EndedStreams;
    let (ended, id) = (EndedStreams::default(), StreamId::parse("cam").expect("an id"));
    let keep = |setup: &Setup| {
        let (mut run, _) = setup.run(FIRST, None);
        run.push(&video(7), 0, 9300);
        ended.keep(id.clone(), ends(setup, run), Duration::from_secs(1));
    };
    let setup = Setup::new();
    keep(&setup);
    tokio::time::sleep(Duration::from_secs(MAX_PAUSE.as_secs() - 2)).await;
    assert!(setup.dir().path().exists());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(ended.claim(&id).await.is_none());
    assert!(!setup.dir().path().exists());
    assert_eq!(setup.budget.used(), 0);

    keep(&setup);
    let claimed = ended.claim(&id).await.expect("files");
    tokio::time::sleep(MAX_PAUSE * 2).await;
    assert!(setup.dir().path().exists(), "the files belong to the next HLS");
    drop(claimed);

    // The space is needed.
    let setup = Setup { budget: DiskBudget::new(setup.root.path().to_owned(), Some(1)), ..setup };
    keep(&setup);
    tokio::task::yield_now().await;
    setup.budget.ensure_space().expect_err("a small budget");
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(!setup.dir().path().exists());
}
