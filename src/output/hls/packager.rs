//! The HLS packager: turns one stream's fragments into segments and playlists.
//!
//! Appends each fragment to the growing segment, publishes the playlist, and deletes old segments.
//! Bytes are in a segment's file before the playlist names them. The packager is synchronous. If writing
//! may wait for a disk, its caller runs it on a thread on which this does not delay other streams.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::base::error::{Error, ErrorKind};
use crate::camera::numbers::{NumberSet, Numbers};
use crate::camera::origin::{CurrentOrigin, Origin};
use crate::output::disk_budget::DiskShare;
use crate::output::hls::continuation::moment::Moment;
use crate::output::hls::continuation::{Continuation, MAX_PAUSE, Unusable};
use crate::output::hls::cutter::{Cutter, SegmentPolicy};
use crate::output::hls::ended::EndedStream;
use crate::output::hls::files::SegmentFiles;
use crate::output::hls::fragment::{Fragment, InitId, MediaEnd};
use crate::output::hls::layout::StreamDir;
use crate::output::hls::multivariant::Variant;
use crate::output::hls::playlist::Playlist;
use crate::output::hls::published::{PlaylistReceiver, Published};
use crate::output::hls::segment::{PartStart, Segment};
use crate::stream::output::OutputProgress;

/// The largest gap or overlap between two consecutive fragments that does not count as a jump.
const JUMP: Duration = Duration::from_millis(500);

/// The longest gap between the written media and the next fragment that players do not notice. It is longer than the
/// errors from rounding the times of the media.
const HOLE: Duration = Duration::from_millis(1);

/// The longest duration of a fragment, unless segments can be longer. Only fragments of cameras that send a frame
/// every few seconds are as long as this.
const LONGEST_FRAGMENT: Duration = Duration::from_secs(10);

/// If this number of consecutive fragments are too long, the output fails. Fewer are not an error, because the first
/// frames of an epoch, and the frame before a jump of the camera's clock, may seem to last longer than they do.
const TOO_LONG: u32 = 3;

/// The wall-clock time of a segment is corrected by at most the duration of the previous segment, divided
/// by this number. Cameras' clocks run a little fast or slow, and players accept such a small step.
const CLOCK_CORRECTION: u32 = 100;

/// The divisor that replaces [`CLOCK_CORRECTION`] while dates are too late by more than [`JUMP`]. Dates are that
/// late if the first frames of an epoch were read late, for example because the manager was suspended. Dates must not
/// go back, so they advance at half the speed until they are right.
const LARGE_CORRECTION: u32 = 2;

/// Writes one stream's segments and publishes its playlists. Lives as long as the output runs, over all
/// epochs.
#[derive(Debug)]
pub(crate) struct Packager {
    policy: SegmentPolicy,
    /// The configured duration of a segment.
    configured: Duration,
    /// The lowest numbers that the stream had not used when the packager was created.
    first: NumberSet,
    origin: CurrentOrigin,
    /// The origin of the last segment, and the number of the first segment with this origin; `None` if it is unknown.
    origin_since: Option<(Origin, u64)>,
    /// The longest duration of a segment before the target duration was first raised.
    initial_longest_segment: Duration,
    /// The number of consecutive fragments so far that were too long.
    too_long: u32,
    cutter: Cutter,
    files: SegmentFiles,
    playlist: Playlist,
    newest: watch::Sender<Option<Arc<Published>>>,
    /// The init segment in use; `None` while the packager waits for a keyframe.
    init: Option<InitId>,
    /// The epoch of the last written fragment.
    epoch: Option<u64>,
    /// The epoch of the last finished segment.
    finished_epoch: Option<u64>,
    variant: Option<Variant>,
    /// The multivariant playlist after the last finished segment.
    multivariant: Bytes,
    needs_discontinuity: bool,
    /// True if a segment was finished after the last interruption.
    has_finished: bool,
    next_begins_at: Option<SystemTime>,
    /// The decode time at which the next fragment should begin.
    expected_time: Option<Duration>,
    /// The end of the media that was written.
    end: Option<MediaEnd>,
    /// The end of the media before the growing segment.
    end_before: Option<MediaEnd>,
    /// Until the first fragment: the last init segment of the earlier playlist, if this playlist continues one.
    continued: Option<InitId>,
    /// Until this run has finished a segment: the time at which the last media of the earlier playlist was written.
    continued_at: Option<Moment>,
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
            policy,
            configured: policy.segment_time,
            first,
            origin,
            origin_since: None,
            initial_longest_segment: policy.longest_segment(),
            too_long: 0,
            cutter: Cutter::new(policy),
            files: SegmentFiles::new(dir, share, longest_playlist),
            playlist: Playlist::new(target, policy.part_time, list_size, first),
            newest: watch::Sender::new(None),
            init: None,
            epoch: None,
            finished_epoch: None,
            variant: None,
            multivariant: Bytes::new(),
            needs_discontinuity: false,
            has_finished: false,
            next_begins_at: None,
            expected_time: None,
            end: None,
            end_before: None,
            continued: None,
            continued_at: None,
            progress: OutputProgress::default(),
        }
    }

    /// Continues the playlist of a stream whose HLS has ended, and returns the end of its media. If this playlist
    /// cannot continue, removes its files and returns `None`. Must be called before the first fragment.
    pub(crate) fn continue_from(&mut self, ended: EndedStream) -> Option<MediaEnd> {
        let EndedStream { continuation, dir, share } = ended;
        if let Err(reason) = self.ensure_continuable(&continuation, &dir) {
            info!(%reason, "the stream begins a new playlist");
            if let Err(error) = dir.remove() {
                warn!(%error, "cannot remove the files of the earlier playlist");
            }
            return None;
        }
        self.files.absorb(share);
        self.policy = SegmentPolicy { segment_time: continuation.segment_time, ..self.policy };
        self.cutter.set_policy(self.policy);
        let Continuation { origin, segments, end, discontinuity_sequence, written, .. } =
            continuation;
        self.origin_since = segments.first().map(|first| (origin, first.sequence));
        let target = self.policy.target_duration();
        self.playlist.continue_with(segments, target, discontinuity_sequence);
        self.continued = Some(end.init);
        self.continued_at = Some(written);
        self.end = Some(end.clone());
        Some(end)
    }

    fn ensure_continuable(&self, before: &Continuation, dir: &StreamDir) -> Result<(), Unusable> {
        if before.origin != self.origin.newest() {
            return Err(Unusable::Origin);
        }
        if before.configured != self.configured {
            return Err(Unusable::Setting);
        }
        if before.age() > MAX_PAUSE {
            return Err(Unusable::Old);
        }
        // The numbers of segments follow each other without a gap, and the names of init segments are used once.
        let first = self.first;
        if first.sequence > before.next_sequence() || first.epoch <= before.last_init_epoch() {
            return Err(Unusable::Numbers);
        }
        before.check_files(dir)
    }

    /// Returns what is needed to continue the playlist after its last finished segment, with the last segments that
    /// have the same origin and the same init segment; `None` if there are none.
    fn continuation(&self) -> Option<Continuation> {
        let (origin, since) = self.origin_since?;
        let mut discontinuity_sequence = self.playlist.discontinuity_sequence();
        let mut segments = Vec::new();
        let last_init = self.playlist.segments().next_back()?.init;
        let earlier = self.playlist.segments().rfind(|segment| segment.init != last_init);
        let since = earlier.map_or(since, |earlier| since.max(earlier.sequence + 1));
        for segment in self.playlist.shared_segments() {
            if segment.sequence >= since {
                segments.push(Arc::clone(segment));
            } else {
                discontinuity_sequence += u64::from(segment.is_discontinuity);
            }
        }
        let durations = (self.configured, self.policy.segment_time);
        let epoch = self.epoch.unwrap_or_default();
        let end = self.end.clone()?;
        let written = self.continued_at.clone().or_else(|| Moment::now().ok())?;
        Continuation::new(origin, durations, discontinuity_sequence, epoch, segments, end, written)
    }

    /// Returns the index of the first segment of `continuation` whose parts a playlist can name. The continuation may
    /// lack the first segments of the playlist.
    fn parts_from(&self, continuation: &Continuation) -> usize {
        let listed = self.playlist.segments().count();
        let left_out = listed.saturating_sub(continuation.segments.len());
        self.playlist.parts_from().saturating_sub(left_out)
    }

    /// Returns a receiver of the newest playlists.
    pub(crate) fn newest(&self) -> PlaylistReceiver {
        self.newest.subscribe()
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
        self.expected_time = Some(fragment.decode_time + fragment.duration);
        if fragment.duration > self.longest_fragment() {
            self.leave_out(fragment);
            return false;
        }
        self.too_long = 0;
        if !self.continues(fragment) && !fragment.is_keyframe {
            return false;
        }
        if let Err(cause) = self.write(fragment) {
            let error = self.files.write_error(&cause);
            self.progress.error = Some((fragment.epoch, error));
            self.progress.failures += 1;
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

    /// Returns the longest duration of a fragment that is written.
    fn longest_fragment(&self) -> Duration {
        self.policy.longest_segment().max(LONGEST_FRAGMENT)
    }

    /// Leaves out a fragment that is too long. Reports an error if [`TOO_LONG`] fragments in a row are too long.
    fn leave_out(&mut self, fragment: &Fragment) {
        self.too_long = self.too_long.saturating_add(1);
        if self.too_long == TOO_LONG {
            let error = too_few_frames(fragment.duration, self.longest_fragment());
            self.progress.error = Some((fragment.epoch, error));
            self.progress.failures += 1;
        }
    }

    /// Raises the target duration if `fragment` is too long for it, and the playlist is not published yet. RFC 8216
    /// does not allow the target duration to change later. The durations of an epoch's first frames are inexact,
    /// and later frames may last longer. So the target duration is also raised if `fragment` is a single frame that
    /// lasts for more than three fifths of the longest segment.
    fn ensure_target_duration(&mut self, fragment: &Fragment) {
        if self.has_segments() {
            return;
        }
        let longest = self.policy.longest_segment();
        let is_first = longest == self.initial_longest_segment;
        if fragment.duration > longest && fragment.duration <= LONGEST_FRAGMENT {
            self.lengthen(fragment.duration);
        } else if is_first && fragment.frames == 1 && fragment.duration > longest * 3 / 5 {
            self.lengthen(longest * 6 / 5);
        }
    }

    /// Raises the target duration, so that segments can contain parts that last for `part`.
    fn lengthen(&mut self, part: Duration) {
        self.policy = self.policy.for_long_parts(part);
        self.cutter.set_policy(self.policy);
        self.playlist.set_target_duration(self.policy.target_duration());
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
        let is_unseen = self.newest.borrow().is_none();
        if let Some(unused) = self.playlist.abandon_unnamed(is_unseen) {
            self.end = self.end_before.take();
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
            Some(continuation) => {
                let parts_from = self.parts_from(&continuation);
                self.files.end(continuation, parts_from).map(Some)
            }
            None => self.files.remove().map(|()| None),
        }
    }

    /// Behaves as if this time had passed since the last media was written.
    #[cfg(test)]
    pub(super) fn wait_for_media(&mut self, time: Duration) {
        self.continued_at = self.continued_at.take().map(|at| at.earlier_by(time));
    }

    /// Returns whether writing may wait for a disk.
    pub(crate) fn can_block(&self) -> bool {
        !self.files.dir().is_in_memory()
    }

    /// Marks the numbers that players may know as used. Before the first playlist is published, players know none.
    pub(crate) fn record_numbers(&self, numbers: &Numbers) {
        if let Some(newest) = &*self.newest.borrow() {
            numbers.use_below(NumberSet {
                sequence: newest.position().first_unknown(),
                discontinuity: newest.last_discontinuity() + 1,
                epoch: 0,
            });
        }
    }

    /// Returns whether the fragment jumps in time or is too long. When a camera corrects its clock, the
    /// media time jumps, and the estimated duration of a frame may be that of the jump.
    fn breaks_the_time_line(&self, fragment: &Fragment) -> bool {
        let is_same = self.init == Some(fragment.init.id);
        let gap = self.expected_time.map(|expected| fragment.decode_time.abs_diff(expected));
        is_same && (gap > Some(JUMP) || fragment.duration > self.longest_fragment())
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
        if let Some(variant) = &mut self.variant {
            variant.add(fragment);
        }
        self.publish();
        self.delete_old();
        Ok(())
    }

    /// Begins an epoch, or continues one after an interruption. Writes the init segment of `fragment` and begins to use
    /// it, after a discontinuity if there are segments. Exception: if the init segment is in use already, or was in
    /// use before HLS ended, the media continues without a discontinuity, unless fragments in between were withdrawn or
    /// left out.
    ///
    /// If the format has changed since HLS ended, or more than [`MAX_PAUSE`] has passed since then, the earlier
    /// segments are left out: no player needs them in order to continue. After a change of the format, players that
    /// join, such as FFmpeg, would begin with a format that ends soon.
    fn begin(&mut self, fragment: &Fragment) -> io::Result<()> {
        let continued = self.continued.take();
        let is_old = self.continued_at.as_ref().is_some_and(|at| at.elapsed() > MAX_PAUSE);
        let is_continued = continued == Some(fragment.init.id) && !is_old;
        if continued.is_some() && !is_continued {
            self.leave_out_earlier_segments();
        }
        if self.init != Some(fragment.init.id) {
            if !is_continued {
                self.files.write_init(&fragment.init)?;
                self.needs_discontinuity |= self.has_segments();
            }
            self.init = Some(fragment.init.id);
            self.variant = Some(Variant::new(&fragment.init));
        }
        self.needs_discontinuity |= self.has_hole_before(fragment) && self.has_segments();
        self.epoch = Some(fragment.epoch);
        self.cutter.begin_epoch();
        self.next_begins_at = None;
        Ok(())
    }

    /// Returns whether media is missing between the written media and `fragment`, although both have the same init
    /// segment.
    fn has_hole_before(&self, fragment: &Fragment) -> bool {
        let end = self.end.as_ref().filter(|end| end.init == fragment.init.id);
        end.is_some_and(|end| fragment.decode_time.saturating_sub(end.video) > HOLE)
    }

    fn leave_out_earlier_segments(&mut self) {
        let listed = self.playlist.duration();
        let earlier = self.playlist.leave_out_segments(self.first.discontinuity);
        self.files.finish(earlier, listed);
        (self.end, self.origin_since, self.continued_at) = (None, None, None);
    }

    fn has_segments(&self) -> bool {
        self.playlist.segments().next().is_some()
    }

    fn append(&mut self, fragment: &Fragment) -> io::Result<()> {
        if self.playlist.growing().is_none() {
            self.open(fragment)?;
        }
        let length = self.files.append(&fragment.slices)?;
        let declared = self.declared_duration(fragment);
        self.playlist.append(declared, length, self.part_start(fragment));
        self.playlist.add_undeclared(fragment.duration.saturating_sub(declared));
        self.playlist.set_audio_delay(fragment.audio_delay);
        self.cutter.appended(fragment);
        let before = self.end.take().filter(|end| end.init == fragment.init.id);
        self.end = Some(MediaEnd {
            init: fragment.init.id,
            init_bytes: fragment.init.bytes.clone(),
            video: fragment.decode_time + fragment.duration,
            audio: fragment.audio_end.or(before.and_then(|before| before.audio)),
        });
        Ok(())
    }

    /// Returns the duration that the playlist declares for `fragment`: its playing time, unless the camera has become
    /// so slow that a single frame exceeds the target duration, which must not change. Players take the playing time
    /// from the media.
    fn declared_duration(&self, fragment: &Fragment) -> Duration {
        if fragment.duration <= self.policy.longest_segment() {
            fragment.duration
        } else {
            self.playlist.target_duration()
        }
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
        let begins_at = self.wall_clock(fragment);
        let is_discontinuity = std::mem::take(&mut self.needs_discontinuity);
        let sequence = self.playlist.open(begins_at, fragment.init.id, is_discontinuity);
        let origin = self.origin.of(fragment.epoch);
        if origin != self.origin_since.map(|(origin, _)| origin) {
            self.origin_since = origin.map(|origin| (origin, sequence));
        }
        self.end_before.clone_from(&self.end);
        // continuation.json is written before the segment's file is created. So it describes every segment that the
        // next manager finds, unless writing it has failed.
        if let (Some(continuation), Some(growing)) = (self.continuation(), self.playlist.growing())
        {
            let parts_from = self.parts_from(&continuation);
            self.files.write_continuation(&continuation.with_growing(growing), parts_from);
        }
        self.files.open(sequence)
    }

    /// Returns the wall-clock time of a segment's first frame: the end of the previous segment, slowly corrected
    /// towards the time at which the camera took the frame. The first segment gets the time at which the camera took
    /// the frame. The first segment of an epoch, and the first one after a discontinuity, get this time or the end of
    /// the previous segment, whichever is later. So dates do not go back, even if the machine's clock was set back.
    fn wall_clock(&self, fragment: &Fragment) -> SystemTime {
        let taken_at = fragment.taken_at;
        let Some(previous) = self.playlist.segments().next_back() else { return taken_at };
        match self.next_begins_at {
            Some(expected) => corrected(expected, taken_at, previous.playing_time()),
            None => taken_at.max(previous.begins_at + previous.playing_time()),
        }
    }

    /// Finishes the growing segment, if there is one.
    fn close(&mut self) {
        let Some(growing) = self.playlist.growing() else { return };
        let duration = growing.duration();
        self.next_begins_at = Some(growing.begins_at + growing.playing_time());
        self.cutter.finished(duration);
        self.finished_epoch = self.epoch;
        self.continued_at = None;
        let retired = self.playlist.close();
        self.files.finish(retired, self.playlist.duration());
        if let (Some(variant), Some(finished)) =
            (&mut self.variant, self.playlist.segments().next_back())
        {
            variant.finish(finished);
            self.multivariant = variant.render().into();
        }
    }

    /// Publishes the playlists, if a segment of this run is finished: before that, no player could use them, or players
    /// that join would get only old media.
    fn publish(&mut self) {
        if self.finished_epoch.is_some() {
            let published = Published::new(self.playlist.clone(), self.multivariant.clone());
            self.newest.send_replace(Some(Arc::new(published)));
        }
    }

    fn delete_old(&mut self) {
        let Self { files, playlist, init, .. } = self;
        let is_listed =
            |id: InitId| playlist.segments().any(|segment: &Segment| segment.init == id);
        files.delete_old(|id| *init == Some(id) || is_listed(id));
    }
}

/// Returns the date of a segment that should begin at `expected`, and whose first frame was taken at
/// `taken_at`. `previous` is the duration of the previous segment.
fn corrected(expected: SystemTime, taken_at: SystemTime, previous: Duration) -> SystemTime {
    match taken_at.duration_since(expected) {
        Ok(late) => expected + late.min(previous / CLOCK_CORRECTION),
        Err(early) => {
            let early = early.duration();
            let divisor = if early > JUMP { LARGE_CORRECTION } else { CLOCK_CORRECTION };
            expected - early.min(previous / divisor)
        }
    }
}

/// Returns the error of a camera that sends a frame only every `interval`, although this time must be at most
/// `longest`.
fn too_few_frames(interval: Duration, longest: Duration) -> Error {
    let (interval, longest) = (interval.as_secs_f64().round(), longest.as_secs());
    Error::new(
        ErrorKind::SourceUnsupported,
        format!(
            "the camera sends a frame only every {interval} s, but HLS needs one at least every {longest} s; \
             increase the camera's frame rate"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::id::StreamId;
    use crate::output::disk_budget::DiskBudget;
    use crate::output::hls::fragment::testing;
    use crate::output::hls::layout::{Layout, segment_name};
    use crate::output::hls::segment::Part;

    const FIRST: u64 = 1_763_690_000;

    struct Setup {
        root: tempfile::TempDir,
        packager: Packager,
    }

    fn setup(segment_time: f64, list_size: usize) -> Setup {
        let root = tempfile::tempdir().expect("a directory");
        let id = StreamId::parse("cam").expect("an id");
        let dir = Layout::new(root.path().to_owned()).stream_dir(&id);
        let segment_time = Duration::from_secs_f64(segment_time);
        Setup {
            packager: Packager::new(
                dir,
                DiskBudget::new(root.path().to_owned(), None).share(),
                SegmentPolicy { segment_time, list_size, part_time: Duration::from_millis(200) },
                NumberSet { sequence: FIRST, epoch: 0, discontinuity: 40 },
                CurrentOrigin::new(Origin::default()),
            ),
            root,
        }
    }

    impl Setup {
        /// Pushes `seconds` of fragments of 200 ms with a keyframe every `gop_ms`, from the
        /// epoch's time `from_ms` on. No error may be reported.
        fn feed(&mut self, epoch: u64, from_ms: u64, seconds: u64, gop_ms: u64) {
            self.feed_after_error(epoch, from_ms, seconds, gop_ms);
            assert_eq!(self.packager.progress().failures, 0);
        }

        /// Does the same as `feed` after an error, which must not be reported any more at the end.
        fn feed_after_error(&mut self, epoch: u64, from_ms: u64, seconds: u64, gop_ms: u64) {
            let init = testing::init(epoch);
            for time in (from_ms..from_ms + seconds * 1000).step_by(200) {
                self.packager.push(&testing::fragment(&init, time % gop_ms == 0, time, 200));
            }
            assert_eq!(self.packager.progress().error, None);
        }

        fn published(&self) -> Arc<Published> {
            self.packager.newest().borrow().clone().expect("a playlist")
        }

        fn playlist(&self) -> m3u8_rs::MediaPlaylist {
            let text = self.published().whole();
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
    fn the_multivariant_playlist_describes_whole_segments() {
        let mut setup = setup(2.0, 10);
        let variant = |setup: &Setup| {
            let text = setup.published().multivariant();
            m3u8_rs::parse_master_playlist_res(&text).expect("a playlist").variants.remove(0)
        };
        let init = testing::init(7);
        for time in (0..7000).step_by(200) {
            let mut fragment = testing::fragment(&init, time % 2000 == 0, time, 200);
            // The first keyframe alone is as large as one second of the later video.
            let size = if time == 0 { 125_000 } else { 25_000 };
            fragment.slices = vec![vec![0; size].into()];
            setup.packager.push(&fragment);
            if time == 400 {
                assert_eq!(variant(&setup).bandwidth, 3_000_000);
            }
        }
        assert_eq!(variant(&setup).bandwidth, 1_000_000);
        assert_eq!(variant(&setup).frame_rate, Some(25.0));
    }

    #[test]
    fn a_camera_with_a_frame_every_few_seconds_gets_a_longer_target_duration() {
        for ms in [1700, 2600, 3000, 5000, 9000] {
            let mut setup = setup(2.0, 5);
            let init = testing::init(7);
            for number in 0..8 {
                let frame = testing::fragment(&init, true, number * ms, ms);
                assert!(setup.packager.push(&Fragment { frames: 1, ..frame }), "{ms} ms");
            }
            let playlist = setup.playlist();
            let target = playlist.target_duration;
            assert!(target >= Duration::from_millis(ms).as_secs() && target < 12, "{ms}: {target}");
            assert!(setup.durations().iter().all(|it| u64::from(*it) >= ms), "{ms} ms");
            assert_eq!(setup.packager.playlist.last_discontinuity(), 40, "{ms} ms");
        }
    }

    #[test]
    fn the_target_duration_stays_the_same_if_the_camera_becomes_slow() {
        let mut setup = setup(2.0, 5);
        setup.feed(7, 0, 5, 2000);
        let init = testing::init(7);
        let mut after_first = String::new();
        for number in 0..12 {
            if number == 1 {
                // Only the last part of a segment can be much shorter than `PART-TARGET`.
                after_first = setup.packager.playlist.render();
            }
            let frame = testing::fragment(&init, number % 4 == 0, 5000 + number * 5000, 5000);
            assert!(setup.packager.push(&Fragment { frames: 1, ..frame }), "frame {number}");
            assert_eq!(setup.packager.progress().error, None);
            let playlist = setup.playlist();
            assert_eq!(playlist.target_duration, 2);
            assert!(setup.durations().iter().all(|it| *it <= 2490), "{:?}", setup.durations());
            assert_eq!(playlist.discontinuity_sequence, 40);
            assert!(!playlist.segments.iter().any(|segment| segment.discontinuity));
        }
        let text = setup.packager.playlist.render();
        assert!(text.contains("PART-TARGET=2.000"), "{text}");
        assert!(!after_first.contains("PART:DURATION=0.20000"), "{after_first}");
        let dates = dates(&setup);
        assert!(dates.windows(2).all(|pair| pair[1] - pair[0] == 5000), "{dates:?}");
        for segment in setup.playlist().segments {
            assert!(setup.has(&segment.uri), "{} is listed but missing", segment.uri);
        }
    }

    #[test]
    fn frames_that_are_too_far_apart_are_an_error_but_a_single_long_one_is_not() {
        for (count, is_error) in [(2, false), (3, true), (30, true)] {
            let mut setup = setup(2.0, 5);
            let init = testing::init(7);
            for number in 0..count {
                let frame = testing::fragment(&init, true, number * 12_000, 12_000);
                assert!(!setup.packager.push(&Fragment { frames: 1, ..frame }));
            }
            let progress = setup.packager.progress().clone();
            assert_eq!((progress.error.is_some(), progress.failures), (is_error, is_error.into()));
            if let Some((epoch, error)) = progress.error {
                assert_eq!((epoch, error.kind), (7, ErrorKind::SourceUnsupported));
                assert!(error.detail.contains("every 12 s"), "{error}");
            }
            setup.feed_after_error(7, count * 12_000, 5, 2000);
            assert_eq!(setup.packager.progress().playable, Some(7), "it works again");
        }
    }

    #[test]
    fn a_slow_camera_is_playable_although_only_its_first_frame_is_a_keyframe() {
        let mut setup = setup(2.0, 5);
        let init = testing::init(7);
        for (begin, ms) in [(0, 1200), (1200, 5000), (6200, 5000)] {
            let frame = testing::fragment(&init, begin == 0, begin, ms);
            setup.packager.push(&Fragment { frames: 1, ..frame });
        }
        assert_eq!(setup.packager.progress().playable, Some(7));
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

    /// Returns the dates of the finished segments, in milliseconds. The playlist lists only some of them.
    fn dates(setup: &Setup) -> Vec<u128> {
        let since_1970 = |segment: &Segment| {
            segment.begins_at.duration_since(SystemTime::UNIX_EPOCH).expect("a date").as_millis()
        };
        setup.packager.playlist.segments().map(since_1970).collect()
    }

    #[test]
    fn dates_do_not_go_back_if_the_clock_was_set_back() {
        let mut setup = setup(2.0, 20);
        setup.feed(7, 0, 5, 2000);
        let init = testing::init(8);
        for time in (0..5000).step_by(200) {
            let mut fragment = testing::fragment(&init, time % 2000 == 0, time, 200);
            fragment.taken_at -= Duration::from_mins(15);
            setup.packager.push(&fragment);
        }
        let dates = dates(&setup);
        assert!(dates.len() > 10 && dates.is_sorted(), "{dates:?}");
    }

    #[test]
    fn dates_become_right_after_the_first_frames_were_read_late() {
        let mut setup = setup(2.0, 20);
        let init = testing::init(7);
        for time in (0..40_000).step_by(200) {
            let mut fragment = testing::fragment(&init, time % 2000 == 0, time, 200);
            // The first second was read 11 s late.
            let is_late = time < 1000;
            fragment.taken_at += Duration::from_secs(if is_late { 11 } else { 0 });
            setup.packager.push(&fragment);
        }
        let dates = dates(&setup);
        assert!(dates.is_sorted(), "{dates:?}");
        let last = setup.packager.playlist.segments().next_back().expect("a segment");
        let file = std::fs::read_to_string(
            setup.root.path().join("cam").join(segment_name(last.sequence)),
        );
        let first = file.expect("a segment");
        let begin: u128 = first[1..first.find(']').expect("a time")].parse().expect("a number");
        let error = dates.last().expect("a date") - (1_000_000 + begin);
        assert!((0..500).contains(&error), "{error} ms: {dates:?}");
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
    fn a_camera_that_corrects_its_clock_causes_a_discontinuity_and_no_long_segment() {
        for jump_ms in [3_600_000_u64, 700] {
            let mut setup = setup(2.0, 10);
            setup.feed(7, 0, 5, 2000);
            // The estimated duration of a frame includes the jump.
            let init = testing::init(7);
            let stretched = testing::fragment(&init, false, 5000, (200 + jump_ms).min(60_000));
            setup.packager.push(&stretched);
            let after = (5200 + jump_ms) / 2000 * 2000;
            setup.feed(7, after, 5, 2000);
            let playlist = setup.playlist();
            let text = setup.packager.playlist.render();
            assert!(playlist.segments.iter().all(|segment| segment.duration < 2.5), "{text}");
            assert!(text.contains("PART-TARGET=0.200") || jump_ms == 700, "{text}");
            let breaks = playlist.segments.iter().filter(|segment| segment.discontinuity).count();
            assert_eq!(breaks, 1, "{text}");
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
