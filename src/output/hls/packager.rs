//! The HLS packager: turns one stream's fragments into segments and playlists.
//!
//! Appends each fragment to the growing segment, publishes the playlist, and deletes old segments.
//! Bytes are in a segment's file before the playlist names them. The packager is synchronous. If writing
//! may wait for a disk, its caller runs it on a thread on which this does not delay other streams.
//!
//! | Module | Owns |
//! |---|---|
//! | `dates` | the dates of segments |
//! | `duration_limits` | the longest durations, and cameras that send few frames |
//! | `media_times` | the times of the media: jumps, holes, and the end of the written media |
//! | `publisher` | publishing the playlists |
//! | `succession` | whether this playlist continues an earlier one, and what a later one needs |

use std::io;
use std::time::Duration;

use tracing::{info, warn};

use crate::base::error::Error;
use crate::camera::numbers::{NumberSet, Numbers};
use crate::camera::origin::CurrentOrigin;
use crate::output::disk_budget::DiskShare;
use crate::output::hls::continuation::Continuation;
use crate::output::hls::cutter::{Cutter, SegmentPolicy};
use crate::output::hls::ended::EndedStream;
use crate::output::hls::files::SegmentFiles;
use crate::output::hls::fragment::{Fragment, InitId, MediaEnd};
use crate::output::hls::layout::StreamDir;
use crate::output::hls::playlist::Playlist;
use crate::output::hls::published::PlaylistReceiver;
use crate::output::hls::segment::{PartStart, Segment};
use crate::stream::output::OutputProgress;
use dates::SegmentDates;
use duration_limits::DurationLimits;
use media_times::MediaTimes;
use publisher::PlaylistPublisher;
use succession::{Relation, Succession};

mod dates;
mod duration_limits;
mod media_times;
mod publisher;
mod succession;
#[cfg(test)]
mod testing;

/// Writes one stream's segments and publishes its playlists. Lives as long as the output runs, over all
/// epochs.
#[derive(Debug)]
pub(crate) struct Packager {
    limits: DurationLimits,
    dates: SegmentDates,
    times: MediaTimes,
    succession: Succession,
    cutter: Cutter,
    files: SegmentFiles,
    playlist: Playlist,
    publisher: PlaylistPublisher,
    /// The init segment in use; `None` while the packager waits for a keyframe.
    init: Option<InitId>,
    /// The epoch of the last written fragment.
    epoch: Option<u64>,
    /// The epoch of the last finished segment.
    finished_epoch: Option<u64>,
    needs_discontinuity: bool,
    /// True if a segment was finished after the last interruption.
    has_finished: bool,
    progress: OutputProgress,
}

impl Packager {
    /// Creates a packager that writes to `dir`. `first` contains the lowest numbers that the stream has not used
    /// yet. `origin` is the origin of its media.
    pub(crate) fn new(
        dir: StreamDir,
        share: DiskShare,
        policy: SegmentPolicy,
        first: NumberSet,
        origin: CurrentOrigin,
    ) -> Self {
        let (target, list_size) = (policy.target_duration(), policy.list_size);
        let longest_playlist =
            policy.longest_segment() * u32::try_from(list_size).unwrap_or(u32::MAX);
        Self {
            limits: DurationLimits::new(policy),
            dates: SegmentDates::default(),
            times: MediaTimes::default(),
            succession: Succession::new(policy.segment_time, first, origin),
            cutter: Cutter::new(policy),
            files: SegmentFiles::new(dir, share, longest_playlist),
            playlist: Playlist::new(target, policy.part_time, list_size, first),
            publisher: PlaylistPublisher::new(),
            init: None,
            epoch: None,
            finished_epoch: None,
            needs_discontinuity: false,
            has_finished: false,
            progress: OutputProgress::default(),
        }
    }

    /// Continues the playlist of a stream whose HLS has ended, and returns the end of its media. If this playlist
    /// cannot continue, removes its files and returns `None`. Must be called before the first fragment.
    pub(crate) fn continue_from(&mut self, ended: EndedStream) -> Option<MediaEnd> {
        let EndedStream { continuation, dir, share } = ended;
        if let Err(reason) = self.succession.ensure_continuable(&continuation, &dir) {
            info!(%reason, "the stream begins a new playlist");
            if let Err(error) = dir.remove() {
                warn!(%error, "cannot remove the files of the earlier playlist");
            }
            return None;
        }
        self.files.absorb(share);
        self.limits.set_segment_time(continuation.segment_time);
        self.succession.continue_from(&continuation);
        let Continuation { segments, end, discontinuity_sequence, .. } = continuation;
        let policy = self.limits.policy();
        self.cutter.set_policy(policy);
        self.playlist.continue_with(segments, policy.target_duration(), discontinuity_sequence);
        self.times.continue_from(end.clone());
        Some(end)
    }

    /// Returns what is needed to continue the playlist after its last finished segment, and the index of the first
    /// segment whose parts a playlist can name. Returns `None` if no segment can continue.
    fn continuation(&self) -> Option<(Continuation, usize)> {
        let segment_time = self.limits.policy().segment_time;
        let (epoch, end) = (self.epoch.unwrap_or_default(), self.times.end()?.clone());
        self.succession.continuation(&self.playlist, segment_time, epoch, end)
    }

    /// Returns a receiver of the newest playlists.
    pub(crate) fn newest(&self) -> PlaylistReceiver {
        self.publisher.newest()
    }

    /// Returns the progress to report.
    pub(crate) fn progress(&self) -> &OutputProgress {
        &self.progress
    }

    /// Packages one fragment. Returns true if the fragment was written. A fragment is not written if it is too long,
    /// if the packager waits for a keyframe and the fragment does not begin with one, or if writing fails. If several
    /// fragments in a row are too long, reports an error.
    ///
    /// After a failed write, the packager continues at the next keyframe, with a discontinuity if there are
    /// segments. The error stays reported until a segment is finished again.
    pub(crate) fn push(&mut self, fragment: &Fragment) -> bool {
        self.ensure_target_duration(fragment);
        if self.breaks_the_time_line(fragment) {
            self.interrupt();
        }
        self.times.arrived(fragment);
        if self.limits.is_too_long(fragment) {
            if let Some(error) = self.limits.left_out(fragment) {
                self.report(fragment.epoch, error);
            }
            return false;
        }
        self.limits.accepted();
        if !self.continues(fragment) && !fragment.is_keyframe {
            return false;
        }
        if let Err(cause) = self.write(fragment) {
            self.report(fragment.epoch, self.files.write_error(&cause));
            self.interrupt();
            return false;
        }
        self.progress.playable = self.finished_epoch;
        // The error stays until a segment is finished, because a disk that is nearly full may have space for some
        // fragments, and then not for the next one.
        if self.progress.error.is_some() && self.has_finished {
            self.progress.error = None;
        }
        true
    }

    /// Returns whether `fragment` belongs to the same epoch as the last one, and needs the init segment in use.
    fn continues(&self, fragment: &Fragment) -> bool {
        self.init == Some(fragment.init.id) && self.epoch == Some(fragment.epoch)
    }

    /// Returns whether the growing segment ends before a keyframe that follows after another part of the duration
    /// `last_part`; true if no segment is growing. If false, no part should end there unless it is long enough.
    pub(crate) fn ends_segment_before_keyframe(&self, last_part: Duration) -> bool {
        match self.playlist.growing() {
            Some(growing) => self.cutter.will_cut_before_keyframe(growing, last_part),
            None => true,
        }
    }

    /// Raises the target duration if `fragment` needs this, and the playlist is not published yet. RFC 8216 does not
    /// allow the target duration to change later.
    fn ensure_target_duration(&mut self, fragment: &Fragment) {
        if !self.has_segments() && self.limits.raise_for(fragment) {
            let policy = self.limits.policy();
            self.cutter.set_policy(policy);
            self.playlist.set_target_duration(policy.target_duration());
        }
    }

    /// Reports an error of an epoch.
    fn report(&mut self, epoch: u64, error: Error) {
        self.progress.error = Some((epoch, error));
        self.progress.failures += 1;
    }

    /// Ends the growing segment, and waits for a keyframe. Called when fragments were missed or could not be
    /// written, and when the media time jumps.
    pub(crate) fn interrupt(&mut self) {
        self.give_up_growing();
        self.needs_discontinuity |= self.has_segments();
        // The init segment will be written again, because the directory may have been removed.
        self.init = None;
        self.has_finished = false;
    }

    /// Ends the growing segment early, or withdraws it if no player can know it.
    fn give_up_growing(&mut self) {
        let is_unseen = !self.publisher.has_published();
        if let Some(unused) = self.playlist.abandon_unnamed(is_unseen) {
            self.times.withdrawn();
            self.needs_discontinuity |= unused.is_discontinuity;
            self.files.discard(&unused);
        }
        // A segment whose parts the playlist names is not withdrawn, but finished as it is. Players
        // see this in the next published playlist, after a write has succeeded again.
        if let Some(growing) = self.playlist.growing() {
            self.files.cut_back_to(growing.length());
        }
        self.close();
    }

    /// Ends HLS. Returns what is needed to continue HLS later. If there are no segments, removes all files and returns
    /// `None`.
    pub(crate) fn end(mut self) -> io::Result<Option<EndedStream>> {
        self.give_up_growing();
        match self.continuation() {
            Some((continuation, parts_from)) => self.files.end(continuation, parts_from).map(Some),
            None => self.files.remove().map(|()| None),
        }
    }

    /// Behaves as if this time had passed since the last media was written.
    #[cfg(test)]
    pub(super) fn wait_for_media(&mut self, time: Duration) {
        self.succession.wait_for_media(time);
    }

    /// Returns whether writing may wait for a disk.
    pub(crate) fn can_block(&self) -> bool {
        !self.files.dir().is_in_memory()
    }

    /// Marks the numbers that players may know as used. Before the first playlist is published, players know none.
    pub(crate) fn record_numbers(&self, numbers: &Numbers) {
        self.publisher.record_numbers(numbers);
    }

    /// Returns whether the fragment jumps in time or is too long. When a camera corrects its clock, the
    /// media time jumps, and the estimated duration of a frame may be that of the jump.
    fn breaks_the_time_line(&self, fragment: &Fragment) -> bool {
        let is_same = self.init == Some(fragment.init.id);
        is_same && (self.times.jumps_before(fragment) || self.limits.is_too_long(fragment))
    }

    fn write(&mut self, fragment: &Fragment) -> io::Result<()> {
        if !self.continues(fragment) {
            self.give_up_growing();
            self.begin(fragment)?;
        } else if self.cutter.cuts_before(fragment, self.playlist.growing()) {
            self.close();
            self.has_finished = true;
        }
        if fragment.is_keyframe {
            self.cutter.saw_keyframe();
        }
        self.append(fragment)?;
        self.publisher.written(fragment);
        self.publish();
        self.delete_old();
        Ok(())
    }

    /// Begins an epoch, or continues one after an interruption. Writes the init segment of `fragment` and begins to use
    /// it, after a discontinuity if there are segments. Exception: if the init segment is in use already, or was in
    /// use before HLS ended, the media continues without a discontinuity, unless fragments in between were withdrawn or
    /// left out.
    ///
    /// If the media cannot continue the playlist of the earlier HLS, the earlier segments are left out: no player needs
    /// them in order to continue. After a change of the format, players that join, such as FFmpeg, would begin with a
    /// format that ends soon.
    fn begin(&mut self, fragment: &Fragment) -> io::Result<()> {
        let relation = self.succession.begin(fragment.init.id);
        if relation == Relation::Breaks {
            self.leave_out_earlier_segments();
        }
        if self.init != Some(fragment.init.id) {
            if relation != Relation::Continues {
                self.files.write_init(&fragment.init)?;
                self.needs_discontinuity |= self.has_segments();
            }
            self.init = Some(fragment.init.id);
            self.publisher.begin(&fragment.init);
        }
        self.needs_discontinuity |= self.times.has_hole_before(fragment) && self.has_segments();
        self.epoch = Some(fragment.epoch);
        self.cutter.begin_epoch();
        self.dates.begin_epoch();
        Ok(())
    }

    fn leave_out_earlier_segments(&mut self) {
        let listed = self.playlist.duration();
        let earlier = self.playlist.leave_out_segments(self.succession.first_discontinuity());
        self.files.finish(earlier, listed);
        self.times.forget_end();
        self.succession.left_out_earlier();
    }

    fn has_segments(&self) -> bool {
        self.playlist.segments().next().is_some()
    }

    fn append(&mut self, fragment: &Fragment) -> io::Result<()> {
        if self.playlist.growing().is_none() {
            self.open(fragment)?;
        }
        let length = self.files.append(&fragment.slices)?;
        let declared = self.limits.declared(fragment);
        self.playlist.append(declared, length, self.part_start(fragment));
        self.playlist.add_undeclared(fragment.duration.saturating_sub(declared));
        self.playlist.set_audio_delay(fragment.audio_delay);
        self.cutter.appended(fragment);
        self.times.written(fragment);
        Ok(())
    }

    /// Returns how the part of `fragment` begins. Keyframes are not marked during the warm-up: a player
    /// that has loaded the short first segments as a whole must continue with the parts of a segment
    /// that begins between keyframes. hls.js does so only if no earlier part is marked `INDEPENDENT`.
    /// The mark is optional.
    fn part_start(&self, fragment: &Fragment) -> PartStart {
        match (fragment.is_keyframe, self.cutter.is_warming_up()) {
            (false, _) => PartStart::Between,
            (true, true) => PartStart::Unmarked,
            (true, false) => PartStart::Keyframe,
        }
    }

    fn open(&mut self, fragment: &Fragment) -> io::Result<()> {
        let previous = self.playlist.segments().next_back();
        let begins_at = self.dates.next(fragment.taken_at, previous);
        let is_discontinuity = std::mem::take(&mut self.needs_discontinuity);
        let sequence = self.playlist.open(begins_at, fragment.init.id, is_discontinuity);
        self.succession.opened(sequence, fragment.epoch);
        self.times.opened();
        // continuation.json is written before the segment's file is created. So it describes every segment that the
        // next manager finds, unless writing it has failed.
        if let (Some((continuation, parts_from)), Some(growing)) =
            (self.continuation(), self.playlist.growing())
        {
            self.files.write_continuation(&continuation.with_growing(growing), parts_from);
        }
        self.files.open(sequence)
    }

    /// Finishes the growing segment, if there is one.
    fn close(&mut self) {
        let Some(growing) = self.playlist.growing() else { return };
        self.dates.finished(growing);
        self.cutter.finished(growing.duration());
        self.finished_epoch = self.epoch;
        self.succession.finished();
        let retired = self.playlist.close();
        self.files.finish(retired, self.playlist.duration());
        if let Some(finished) = self.playlist.segments().next_back() {
            self.publisher.finished(finished);
        }
    }

    /// Publishes the playlists, if a segment of this run is finished: before that, no player could use them, or players
    /// that join would get only old media.
    fn publish(&mut self) {
        if self.finished_epoch.is_some() {
            self.publisher.publish(self.playlist.clone());
        }
    }

    fn delete_old(&mut self) {
        let Self { files, playlist, init, .. } = self;
        let is_listed =
            |id: InitId| playlist.segments().any(|segment: &Segment| segment.init == id);
        files.delete_old(|id| *init == Some(id) || is_listed(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hls::fragment::testing;
    use crate::output::hls::packager::testing::{FIRST, setup};
    use crate::output::hls::segment::Part;

    #[test]
    fn the_first_segments_are_short_and_the_others_begin_at_keyframes() {
        let mut setup = setup(2.0, 5);
        setup.feed(7, 0, 7, 2000);
        assert_eq!(setup.durations(), [400, 200, 400, 800, 200, 2000, 2000]);
        let playlist = setup.playlist();
        assert_eq!(playlist.media_sequence, FIRST);
        let sixth =
            std::fs::read_to_string(setup.root.path().join("cam").join(&playlist.segments[5].uri));
        assert!(sixth.expect("a segment").starts_with("[2000]"));
        let time = playlist.segments[0].program_date_time.expect("a time");
        assert_eq!(time.timestamp_millis(), 1_000_000);
        assert_eq!(
            std::fs::read(setup.root.path().join("cam/init-7.mp4")).expect("init"),
            b"init 7"
        );
    }

    #[test]
    fn no_segment_exceeds_the_target_duration_whatever_the_gop() {
        for gop_ms in [200, 1000, 1200, 1400, 1600, 2400, 2600, 4000, 10_000, 60_000] {
            for segment_time in [1.0, 1.5, 2.0, 6.0] {
                let mut setup = setup(segment_time, 100);
                setup.feed(1, 0, 30, gop_ms);
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
                assert!(covered > 20.0, "GOP {gop_ms} ms: only {covered} s published");
            }
        }
    }

    #[test]
    fn every_segment_is_one_gop_if_two_gops_are_too_long() {
        // Durations are rounded to seconds: one GOP fits into a target duration of 2 s, two GOPs do not.
        for gop_ms in [1400_u32, 2400] {
            let mut setup = setup(2.0, 20);
            setup.feed(1, 0, 30, gop_ms.into());
            assert!(
                setup.durations()[5..].iter().all(|ms| *ms == gop_ms),
                "{:?}",
                setup.durations()
            );
        }
    }

    #[test]
    fn a_long_gop_is_divided_evenly_and_every_keyframe_begins_a_segment() {
        for gop_ms in [2600_u64, 4000, 5200, 10_000, 20_000] {
            let mut setup = setup(2.0, 100);
            setup.feed(1, 0, 80, gop_ms);
            let keyframes: Vec<_> = (setup.packager.playlist.segments())
                .filter(|segment| segment.begin() == Some(PartStart::Keyframe))
                .map(|segment| segment.begins_at)
                .collect();
            let gops = keyframes.windows(2).map(|pair| pair[1].duration_since(pair[0]).ok());
            assert!(gops.clone().count() >= 2, "a GOP of {gop_ms} ms");
            for gop in gops {
                assert_eq!(
                    gop,
                    Some(Duration::from_millis(gop_ms)),
                    "every keyframe begins a segment"
                );
            }
            let durations = setup.durations();
            let shortest = durations[durations.len() - 8..].iter().min().expect("segments");
            assert!(*shortest >= 1200, "a GOP of {gop_ms} ms: {durations:?}");
        }
    }

    /// A GOP of one second cannot be divided into parts of exactly 80 ms.
    #[test]
    fn only_the_last_part_of_a_segment_is_short() {
        for gop_ms in [1000_u64, 2000, 4000, 10_000] {
            let mut setup = setup(2.0, 100);
            let init = testing::init(1);
            for begin in (0..40_000).step_by(usize::try_from(gop_ms).expect("short")) {
                for time in (0..gop_ms).step_by(80) {
                    let duration = 80.min(gop_ms - time);
                    setup.packager.push(&testing::fragment(
                        &init,
                        time == 0,
                        begin + time,
                        duration,
                    ));
                }
            }
            for segment in setup.packager.playlist.segments() {
                let (_, inner) = segment.parts.split_last().expect("a part");
                let is_short = |part: &Part| part.duration < Duration::from_millis(68);
                assert!(!inner.iter().any(is_short), "a GOP of {gop_ms} ms: {segment:?}");
            }
        }
    }

    #[test]
    fn a_new_epoch_continues_after_a_discontinuity() {
        let mut setup = setup(2.0, 20);
        setup.feed(7, 0, 5, 2000);
        setup.feed(8, 0, 5, 2000);
        let playlist = setup.playlist();
        let breaks: Vec<_> =
            playlist.segments.iter().map(|segment| segment.discontinuity).collect();
        // The end of the old epoch is published too, so that viewers miss nothing that arrived.
        assert_eq!(breaks.iter().position(|is_break| *is_break), Some(7));
        assert_eq!(breaks.iter().filter(|is_break| **is_break).count(), 1);
        assert_eq!(setup.durations()[5..], [2000, 1000, 400, 200, 400, 800, 200, 2000]);
        assert_eq!(playlist.segments[7].map.as_ref().expect("a map").uri, "init-8.mp4");
        assert_eq!(playlist.media_sequence, FIRST);
    }

    #[test]
    fn an_epoch_is_playable_when_its_second_segment_begins() {
        let mut setup = setup(2.0, 10);
        setup.feed(7, 0, 5, 2000);
        let init = testing::init(8);
        for (part, playable) in [(0, 7), (1, 7), (2, 8)] {
            setup.packager.push(&testing::fragment(&init, part == 0, part * 200, 200));
            assert_eq!(setup.packager.progress().playable, Some(playable), "after part {part}");
        }
    }

    /// hls.js takes the last segment of a playlist for the growing one.
    #[test]
    fn every_playlist_ends_with_a_growing_segment() {
        for gop_ms in [200, 1000, 2000, 10_000] {
            let mut setup = setup(2.0, 5);
            let mut newest = setup.packager.newest();
            for epoch in [7, 8] {
                let init = testing::init(epoch);
                for time in (0..15_000).step_by(200) {
                    setup.packager.push(&testing::fragment(&init, time % gop_ms == 0, time, 200));
                    let Some(published) = newest.borrow_and_update().clone() else { continue };
                    let end = published.position();
                    assert!(end.parts > 0, "{}", setup.packager.playlist.render());
                }
            }
        }
    }

    #[test]
    fn an_epoch_that_never_became_playable_is_not_listed() {
        let mut setup = setup(2.0, 10);
        // Fragments with hardly any playing time, as from a camera whose clock is almost frozen.
        let init = testing::init(7);
        for time in 0..5 {
            setup.packager.push(&testing::fragment(&init, true, time, 1));
        }
        assert_eq!(setup.packager.progress().playable, None);
        setup.feed(8, 0, 5, 2000);
        let playlist = setup.playlist();
        assert_eq!(playlist.media_sequence, FIRST);
        assert_eq!(playlist.segments[0].map.as_ref().expect("a map").uri, "init-8.mp4");
        assert!(!playlist.segments[0].discontinuity);
    }

    #[test]
    fn old_files_are_kept_for_the_length_of_the_playlist() {
        let mut setup = setup(2.0, 3);
        setup.feed(7, 0, 8, 2000);
        setup.feed(8, 0, 40, 2000);
        let first = setup.playlist().media_sequence;
        let kept = (FIRST..first).filter(|sequence| setup.has(&format!("{sequence}.m4s"))).count();
        // The segment that left the playlist last, and as many segments before it as the playlist lists.
        assert_eq!(kept, 4);
        assert!(!setup.has("init-7.mp4") && setup.has("init-8.mp4"));
        assert_eq!(setup.playlist().discontinuity_sequence, 41);
        for segment in setup.playlist().segments {
            assert!(setup.has(&segment.uri), "{} is listed but missing", segment.uri);
        }
    }

    #[test]
    fn continues_at_a_keyframe_after_missed_fragments() {
        let mut setup = setup(2.0, 20);
        setup.feed(7, 0, 5, 2000);
        setup.packager.interrupt();
        setup.feed(7, 7000, 4, 2000);
        let playlist = setup.playlist();
        // The segment whose parts were published stays, and the discontinuity follows it.
        assert_eq!(setup.durations()[5..8], [2000, 1000, 400]);
        assert!(!playlist.segments[6].discontinuity && playlist.segments[7].discontinuity);
        let file = setup.root.path().join("cam").join(&playlist.segments[7].uri);
        assert!(std::fs::read_to_string(file).expect("a segment").starts_with("[8000]"));
        for segment in playlist.segments {
            assert!(setup.has(&segment.uri), "{} is listed but missing", segment.uri);
        }
    }

    #[test]
    fn an_error_stays_reported_until_a_segment_is_finished_again() {
        let mut setup = setup(2.0, 5);
        setup.feed(7, 0, 5, 2000);
        std::fs::remove_dir_all(setup.root.path().join("cam")).expect("rm");
        let init = testing::init(7);
        let mut errors = Vec::new();
        for time in (5000..8000).step_by(200) {
            setup.packager.push(&testing::fragment(&init, time % 2000 == 0, time, 200));
            errors.push(setup.packager.progress().error.is_some());
        }
        // The growing file stays writable, so writing fails when the next segment begins at 6 s. Nothing is written
        // then until the keyframe at 8 s.
        assert_eq!(errors, [[false; 5].as_slice(), &[true; 10]].concat());
        let mut continue_at = |time| {
            setup.packager.push(&testing::fragment(&init, time == 8000, time, 200));
            setup.packager.progress().error.is_some()
        };
        assert_eq!([8000, 8200, 8400].map(&mut continue_at), [true, true, false]);
        assert_eq!(setup.packager.progress().failures, 1);
    }

    /// Players may be loading the init segment.
    #[test]
    fn an_init_segment_is_never_truncated() {
        use std::os::unix::fs::MetadataExt as _;
        let mut setup = setup(2.0, 5);
        setup.feed(7, 0, 5, 2000);
        let path = setup.root.path().join("cam/init-7.mp4");
        let inode = || std::fs::metadata(&path).expect("a file").ino();
        let before = inode();
        setup.packager.interrupt();
        setup.feed(7, 6000, 5, 2000);
        assert_eq!(inode(), before, "the same content is not written again");

        // Another link to the damaged file shows whether it is overwritten.
        let link = setup.root.path().join("link");
        std::fs::write(&path, "damaged").expect("a write");
        std::fs::hard_link(&path, &link).expect("a link");
        setup.packager.interrupt();
        setup.feed(7, 12_000, 5, 2000);
        assert_eq!(std::fs::read(&path).expect("a file"), testing::init(7).bytes);
        assert_eq!(std::fs::read(&link).expect("a file"), b"damaged");
        assert!(!setup.has("init.mp4.next"));
    }

    #[test]
    fn continues_after_its_directory_was_removed() {
        let mut setup = setup(2.0, 5);
        setup.feed(7, 0, 5, 2000);
        std::fs::remove_dir_all(setup.root.path().join("cam")).expect("rm");
        let init = testing::init(7);
        let mut has_failed = false;
        for time in (5000..8000).step_by(200) {
            setup.packager.push(&testing::fragment(&init, time % 2000 == 0, time, 200));
            has_failed |= setup.packager.progress().error.is_some();
        }
        assert!(has_failed, "writing without a directory did not fail");
        setup.feed_after_error(7, 8000, 4, 2000);
        assert!(setup.has("init-7.mp4"));
        assert!(setup.playlist().segments.last().is_some_and(|segment| setup.has(&segment.uri)));
    }
}
