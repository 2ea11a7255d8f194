//! The HLS packager: the first consumer of a stream's fragments.
//!
//! Appends fragments to the growing file of the open segment, decides where to cut, publishes
//! finished segments in the playlist and deletes old ones. A segment's bytes are in its file
//! before the playlist names it. The packager is synchronous; [`run`] carries it to a thread
//! where waiting for a disk harms nobody. Whether anybody watches is not its business.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{broadcast, oneshot, watch};
use tracing::{debug, warn};

use super::fragment::Fragment;
use super::layout::StreamDir;
use super::playlist::{Playlist, Segment};

/// The first segment of a generation ends after this many fragments, wherever the next keyframe
/// is: a player needs one whole segment before it shows a picture.
const FIRST_SEGMENT_FRAGMENTS: u32 = 3;

/// How far a segment may exceed the target duration: players round to whole seconds.
const ROUNDING: Duration = Duration::from_millis(490);

/// How much of a segment's duration its wall clock may be corrected by: cameras' clocks run a
/// little fast or slow, and no player minds so small a step.
const CLOCK_CORRECTION: u32 = 100;

/// How segments are cut and kept.
#[derive(Debug, Clone, Copy)]
pub struct Cutting {
    /// Wanted length of a segment.
    pub segment_time: Duration,
    /// Segments in the playlist.
    pub list_size: usize,
}

impl Cutting {
    /// `EXT-X-TARGETDURATION` in seconds.
    fn target_duration(self) -> u64 {
        (self.segment_time + Duration::from_millis(500)).as_secs()
    }

    /// The longest segment that the target duration allows.
    fn limit(self) -> Duration {
        Duration::from_secs(self.target_duration()) + ROUNDING
    }
}

/// What the packager has done, for the supervisor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// The generation that has a segment in the playlist: its stream is playable.
    pub playable: Option<u64>,
    /// Why the last write failed; cleared by a write that did not.
    pub error: Option<String>,
}

/// Writes one camera's segments and playlist. Lives as long as the stream, over generations.
#[derive(Debug)]
pub struct Packager {
    dir: StreamDir,
    cutting: Cutting,
    playlist: Playlist,
    /// Out of the playlist, but players may still be loading them.
    retired: VecDeque<Segment>,
    generation: Option<u64>,
    open: Option<OpenSegment>,
    next_sequence: u64,
    is_first_of_generation: bool,
    needs_discontinuity: bool,
    since_keyframe: Duration,
    last_gop: Duration,
    next_begins_at: Option<SystemTime>,
}

#[derive(Debug)]
struct OpenSegment {
    file: File,
    segment: Segment,
    fragments: u32,
}

impl Packager {
    /// A packager that writes to `dir`. `first_sequence` must be higher than any number that the
    /// camera's viewers have seen.
    pub fn new(dir: StreamDir, cutting: Cutting, first_sequence: u64) -> Self {
        Self {
            playlist: Playlist::new(cutting.target_duration(), cutting.list_size, first_sequence),
            dir,
            cutting,
            retired: VecDeque::new(),
            generation: None,
            open: None,
            next_sequence: first_sequence,
            is_first_of_generation: true,
            needs_discontinuity: false,
            since_keyframe: Duration::ZERO,
            last_gop: Duration::ZERO,
            next_begins_at: None,
        }
    }

    /// Takes one fragment. True when a segment was published.
    ///
    /// After an error the packager begins anew with the next keyframe, after a discontinuity.
    pub fn push(&mut self, fragment: &Fragment) -> io::Result<bool> {
        let result = self.try_push(fragment);
        if result.is_err() {
            self.interrupt();
        }
        result
    }

    /// Fragments were missed, or could not be written: the open segment is given up.
    pub fn interrupt(&mut self) {
        if let Some(open) = self.open.take() {
            // Never named in a playlist. If it cannot be removed now, it goes with the directory.
            let _ = StreamDir::remove_file(&self.dir.segment(open.segment.sequence));
            self.needs_discontinuity |= open.segment.is_discontinuity;
        }
        self.needs_discontinuity |= self.playlist.segments().next().is_some();
        // The init segment is written again: the directory itself may have gone.
        self.generation = None;
    }

    /// Removes everything that was written.
    pub fn remove(mut self) -> io::Result<()> {
        self.open = None;
        self.dir.remove()
    }

    fn try_push(&mut self, fragment: &Fragment) -> io::Result<bool> {
        let mut published = false;
        if self.generation != Some(fragment.init.generation) {
            if !fragment.is_keyframe {
                return Ok(false);
            }
            published |= self.finish()?;
            self.begin_generation(fragment)?;
        }
        if self.is_time_to_cut(fragment) {
            published |= self.finish()?;
        }
        self.append(fragment)?;
        if self.is_first_of_generation
            && self.open.as_ref().is_some_and(|open| open.fragments >= FIRST_SEGMENT_FRAGMENTS)
        {
            published |= self.finish()?;
        }
        Ok(published)
    }

    fn begin_generation(&mut self, fragment: &Fragment) -> io::Result<()> {
        self.dir.create()?;
        std::fs::write(self.dir.init(fragment.init.generation), &fragment.init.bytes)?;
        self.generation = Some(fragment.init.generation);
        self.needs_discontinuity |= self.playlist.segments().next().is_some();
        self.is_first_of_generation = true;
        self.since_keyframe = Duration::ZERO;
        self.last_gop = Duration::ZERO;
        self.next_begins_at = None;
        Ok(())
    }

    /// Cuts at a keyframe, when the segment is long enough or would get too long by the next one;
    /// with rare keyframes also elsewhere, because the target duration is a promise.
    fn is_time_to_cut(&mut self, fragment: &Fragment) -> bool {
        if fragment.is_keyframe {
            self.last_gop = std::mem::take(&mut self.since_keyframe);
        }
        let Some(open) = &self.open else { return false };
        let duration = open.segment.duration;
        if fragment.is_keyframe {
            // A camera's two seconds are not always quite two seconds.
            let enough = self.cutting.segment_time * 19 / 20;
            duration >= enough || duration + self.last_gop > self.cutting.limit()
        } else {
            duration + fragment.duration > self.cutting.limit()
        }
    }

    fn append(&mut self, fragment: &Fragment) -> io::Result<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.open_segment(fragment)?,
        };
        let written = open.file.write_all(&fragment.bytes);
        open.segment.duration += fragment.duration;
        open.fragments += 1;
        self.since_keyframe += fragment.duration;
        self.open = Some(open);
        written
    }

    fn open_segment(&mut self, fragment: &Fragment) -> io::Result<OpenSegment> {
        let sequence = self.next_sequence;
        let file = File::create(self.dir.segment(sequence))?;
        self.next_sequence += 1;
        let segment = Segment {
            sequence,
            duration: Duration::ZERO,
            begins_at: self.wall_clock(fragment),
            generation: fragment.init.generation,
            is_discontinuity: std::mem::take(&mut self.needs_discontinuity),
        };
        Ok(OpenSegment { file, segment, fragments: 0 })
    }

    /// When the first frame of a segment was taken: what the segments before say, slowly
    /// corrected by when the fragment came.
    fn wall_clock(&self, fragment: &Fragment) -> SystemTime {
        let arrived = fragment.received_at - fragment.duration;
        let Some(expected) = self.next_begins_at else { return arrived };
        let most = self.cutting.segment_time / CLOCK_CORRECTION;
        match arrived.duration_since(expected) {
            Ok(late) => expected + late.min(most),
            Err(early) => expected - early.duration().min(most),
        }
    }

    /// Publishes the open segment, if there is one.
    fn finish(&mut self) -> io::Result<bool> {
        let Some(open) = self.open.take() else { return Ok(false) };
        self.is_first_of_generation = false;
        self.next_begins_at = Some(open.segment.begins_at + open.segment.duration);
        if let Some(gone) = self.playlist.push(open.segment) {
            self.retired.push_back(gone);
        }
        self.dir.replace_playlist(&self.playlist.render())?;
        self.delete_old();
        Ok(true)
    }

    /// Deletes what left the playlist so long ago that no player wants it any more: RFC 8216
    /// (6.2.2) says after the length of a playlist.
    fn delete_old(&mut self) {
        while self.retired.len() > self.cutting.list_size {
            let Some(old) = self.retired.pop_front() else { return };
            self.delete(&self.dir.segment(old.sequence));
            let is_used = |segment: &Segment| segment.generation == old.generation;
            if self.generation != Some(old.generation)
                && !self.retired.iter().any(is_used)
                && !self.playlist.segments().any(is_used)
            {
                self.delete(&self.dir.init(old.generation));
            }
        }
    }

    fn delete(&self, path: &std::path::Path) {
        if let Err(error) = StreamDir::remove_file(path) {
            // Not worth ending a stream for: the directory is removed with the stream.
            warn!(directory = %self.dir.path().display(), %error, "an old file cannot be deleted");
        }
    }
}

/// Feeds `packager` from `fragments` until `end` is sent or dropped, then removes its files.
///
/// Disk work happens on tokio's blocking threads: a disk that hangs holds up this stream alone.
/// Reading too slowly costs the fragments missed, and never the ingest.
pub async fn run(
    mut packager: Packager,
    mut fragments: broadcast::Receiver<Arc<Fragment>>,
    progress: watch::Sender<Progress>,
    mut end: oneshot::Receiver<()>,
) {
    loop {
        let received = tokio::select! {
            received = fragments.recv() => received,
            _ = &mut end => break,
        };
        match received {
            Ok(fragment) => {
                let generation = fragment.init.generation;
                let pushed = on_disk_thread(packager, move |packager| packager.push(&fragment));
                let Some((back, result)) = pushed.await else { return };
                packager = back;
                report(&progress, generation, &result);
            }
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                warn!(missed, "writing segments is slower than the camera: fragments were skipped");
                packager.interrupt();
            }
            Err(broadcast::error::RecvError::Closed) => break,
        }
    }
    let removed = tokio::task::spawn_blocking(|| packager.remove()).await;
    if let Ok(Err(error)) = removed {
        warn!(%error, "the stream's directory cannot be removed");
    }
}

async fn on_disk_thread<T: Send + 'static>(
    mut packager: Packager,
    work: impl FnOnce(&mut Packager) -> T + Send + 'static,
) -> Option<(Packager, T)> {
    let done = tokio::task::spawn_blocking(move || {
        let result = work(&mut packager);
        (packager, result)
    });
    done.await.inspect_err(|error| warn!(%error, "the packager ended")).ok()
}

fn report(progress: &watch::Sender<Progress>, generation: u64, result: &io::Result<bool>) {
    let error = result.as_ref().err().map(ToString::to_string);
    let is_published = matches!(result, Ok(true));
    progress.send_if_modified(|progress| {
        let mut next = progress.clone();
        if is_published {
            next.playable = Some(generation);
        }
        // Skipped fragments do not prove that writing works again; a published segment does.
        if is_published || error.is_some() {
            next.error.clone_from(&error);
        }
        let is_changed = *progress != next;
        if is_changed {
            debug!(?next, "packager");
            *progress = next;
        }
        is_changed
    });
}

#[cfg(test)]
mod tests {
    use super::super::fragment::testing;
    use super::super::layout::Layout;
    use super::*;
    use crate::stream::key::CameraId;

    const FIRST: u64 = 1_763_690_000;

    struct Setup {
        root: tempfile::TempDir,
        packager: Packager,
    }

    fn setup(segment_time: f64, list_size: usize) -> Setup {
        let root = tempfile::tempdir().expect("a directory");
        let id = CameraId::parse("cam").expect("an id");
        let dir = Layout::new(root.path().to_owned()).stream(&id);
        let segment_time = Duration::from_secs_f64(segment_time);
        Setup { packager: Packager::new(dir, Cutting { segment_time, list_size }, FIRST), root }
    }

    impl Setup {
        /// Pushes `seconds` of fragments of 200 ms with a keyframe every `gop_ms`, from the
        /// generation's time `from_ms` on.
        fn feed(&mut self, generation: u64, from_ms: u64, seconds: u64, gop_ms: u64) {
            let init = testing::init(generation);
            for time in (from_ms..from_ms + seconds * 1000).step_by(200) {
                let fragment = testing::fragment(&init, time % gop_ms == 0, time, 200);
                self.packager.push(&fragment).expect("a disk that works");
            }
        }

        fn playlist(&self) -> m3u8_rs::MediaPlaylist {
            let text = std::fs::read(self.root.path().join("cam/stream.m3u8")).expect("a playlist");
            m3u8_rs::parse_media_playlist_res(&text).expect("a playlist that others can read")
        }

        fn durations(&self) -> Vec<u32> {
            let playlist = self.playlist();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "milliseconds"
            )]
            playlist.segments.iter().map(|s| (s.duration * 1000.0).round() as u32).collect()
        }

        fn has(&self, name: &str) -> bool {
            self.root.path().join("cam").join(name).exists()
        }
    }

    #[test]
    fn the_first_segment_is_short_and_the_others_begin_at_keyframes() {
        let mut setup = setup(2.0, 5);
        setup.feed(7, 0, 7, 2000);
        assert_eq!(setup.durations(), [600, 1400, 2000, 2000]);
        let playlist = setup.playlist();
        assert_eq!(playlist.media_sequence, FIRST);
        let third =
            std::fs::read_to_string(setup.root.path().join("cam").join(&playlist.segments[2].uri));
        assert!(third.expect("a segment").starts_with("[2000]"));
        let time = playlist.segments[0].program_date_time.expect("a time");
        assert_eq!(time.timestamp_millis(), 1_000_000);
        assert_eq!(
            std::fs::read(setup.root.path().join("cam/init-7.mp4")).expect("init"),
            b"init 7"
        );
    }

    #[test]
    fn no_segment_exceeds_the_target_duration_whatever_the_gop() {
        for gop_ms in [200, 400, 1000, 1200, 1400, 1600, 2000, 2400, 2600, 4000, 10_000, 60_000] {
            for segment_time in [1.0, 1.5, 2.0, 4.0, 6.0] {
                let mut setup = setup(segment_time, 100);
                setup.feed(1, 0, 60, gop_ms);
                let playlist = setup.playlist();
                for segment in &playlist.segments {
                    let rounded = segment.duration.round();
                    assert!(
                        f64::from(rounded)
                            <= Duration::from_secs(playlist.target_duration).as_secs_f64(),
                        "GOP {gop_ms} ms, segments of {segment_time} s: {}",
                        segment.duration
                    );
                }
                let covered: f32 = playlist.segments.iter().map(|segment| segment.duration).sum();
                assert!(covered > 50.0, "GOP {gop_ms} ms: only {covered} s published");
            }
        }
    }

    #[test]
    fn a_gop_that_divides_badly_still_begins_every_segment_with_a_keyframe() {
        // 1.4 s and 2.4 s fit into a target duration of 2 s, but not twice.
        for gop_ms in [1400_u32, 2400] {
            let mut setup = setup(2.0, 20);
            setup.feed(1, 0, 30, gop_ms.into());
            assert!(
                setup.durations()[2..].iter().all(|ms| *ms == gop_ms),
                "{:?}",
                setup.durations()
            );
        }
    }

    #[test]
    fn a_new_generation_goes_on_after_a_discontinuity() {
        let mut setup = setup(2.0, 10);
        setup.feed(7, 0, 5, 2000);
        setup.feed(8, 0, 5, 2000);
        let playlist = setup.playlist();
        let breaks: Vec<_> =
            playlist.segments.iter().map(|segment| segment.discontinuity).collect();
        // The rest of the old generation is published too: the viewer loses nothing that came.
        assert_eq!(breaks, [false, false, false, false, true, false, false]);
        assert_eq!(setup.durations(), [600, 1400, 2000, 1000, 600, 1400, 2000]);
        assert_eq!(playlist.segments[4].map.as_ref().expect("a map").uri, "init-8.mp4");
        assert_eq!(playlist.media_sequence, FIRST);
    }

    #[test]
    fn old_files_go_after_the_length_of_the_playlist() {
        let mut setup = setup(2.0, 3);
        setup.feed(7, 0, 8, 2000);
        setup.feed(8, 0, 40, 2000);
        let first = setup.playlist().media_sequence;
        let kept = (FIRST..first).filter(|sequence| setup.has(&format!("{sequence}.m4s"))).count();
        assert_eq!(kept, 3);
        assert!(!setup.has("init-7.mp4") && setup.has("init-8.mp4"));
        assert_eq!(setup.playlist().discontinuity_sequence, FIRST + 1);
        for segment in setup.playlist().segments {
            assert!(setup.has(&segment.uri), "{} is named and missing", segment.uri);
        }
    }

    #[test]
    fn begins_at_a_keyframe_after_fragments_were_missed() {
        let mut setup = setup(2.0, 10);
        setup.feed(7, 0, 5, 2000);
        setup.packager.interrupt();
        setup.feed(7, 7000, 4, 2000);
        let playlist = setup.playlist();
        assert_eq!(setup.durations()[..4], [600, 1400, 2000, 600]);
        assert!(playlist.segments[3].discontinuity);
        let file = setup.root.path().join("cam").join(&playlist.segments[3].uri);
        assert!(std::fs::read_to_string(file).expect("a segment").starts_with("[8000]"));
        for segment in playlist.segments {
            assert!(setup.has(&segment.uri), "{} is named and missing", segment.uri);
        }
    }

    #[test]
    fn goes_on_when_its_directory_was_removed() {
        let mut setup = setup(2.0, 5);
        setup.feed(7, 0, 5, 2000);
        std::fs::remove_dir_all(setup.root.path().join("cam")).expect("rm");
        let init = testing::init(7);
        let failed = (5000..8000)
            .step_by(200)
            .map(|time| setup.packager.push(&testing::fragment(&init, time % 2000 == 0, time, 200)))
            .any(|result| result.is_err());
        assert!(failed, "writing without a directory was no error");
        setup.feed(7, 8000, 4, 2000);
        assert!(setup.has("init-7.mp4"));
        assert!(setup.playlist().segments.last().is_some_and(|segment| setup.has(&segment.uri)));
    }
}
