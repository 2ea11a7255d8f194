//! Divides fragments into files and spans, and gives them wall-clock times. Pure: the caller passes the clocks.
//!
//! The wall clock is read once for a span, with the date of its first frame. Within the span, time advances with the frames
//! of the epoch. At the beginning of each further file, this time is corrected towards the dates of the frames and the
//! system's clock, but by 500 millionths at most. If the difference is more than a second, for example because the system's
//! clock was set, a new span begins.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::fragmenter::{Init, MadeFragment};
use crate::media::mp4::track::VIDEO_TIMESCALE;
use crate::output::samples::ticks;
use crate::store::db::recording_table::MAX_FILE_MS;

/// The playing time after which a file ends before the next keyframe.
const FILE_TIME: Duration = Duration::from_mins(1);
/// The same for a file with an event that is to be copied soon. Together with the time between two keyframes and the time of
/// the upload, this is less than ten seconds.
const URGENT_FILE_TIME: Duration = Duration::from_secs(3);
/// The playing time after which a file ends before any fragment, if the camera sends no keyframe.
const MAX_FILE_TIME: Duration = Duration::from_millis(MAX_FILE_MS.cast_unsigned() - 5_000);
/// The largest correction of the time of a file is its playing time, divided by this number: 500 millionths.
const CORRECTION: i64 = 2_000;
/// A difference that is larger than this, in milliseconds, begins a new span.
const MAX_DIFFERENCE_MS: i64 = 1_000;
/// If the date of an epoch's first fragment differs from the system's clock by at most this time, in milliseconds, the
/// fragment may have arrived late. A larger difference shows that the clock was set since the epoch began.
const MAX_LATENESS_MS: i64 = 5_000;

/// The system's clocks at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clocks {
    /// The clock that can be set.
    pub(crate) system: SystemTime,
    /// The clock that always advances.
    pub(crate) monotonic: Instant,
}

/// The beginning of a file.
#[derive(Debug, Clone)]
pub(crate) struct FileStart {
    /// The number of the span.
    pub(crate) span: i64,
    /// The time of the first frame, in UTC milliseconds.
    pub(crate) start_at: i64,
    /// The decode time of the first frame of video, in ticks of the video track.
    pub(crate) decode_time: u64,
    /// The init segment.
    pub(crate) init: Arc<Init>,
}

/// What to do with a fragment.
#[derive(Debug)]
pub(crate) struct Cut {
    /// The end of the file so far, in UTC milliseconds; `None` if the fragment belongs to it, or if there is no file.
    pub(crate) end_at: Option<i64>,
    /// The file that begins with the fragment; `None` if the fragment belongs to the file so far.
    pub(crate) start: Option<FileStart>,
    /// The beginning of the fragment within the file, in milliseconds.
    pub(crate) begin_ms: u32,
    /// The playing time of the fragment in milliseconds. The fragments of a file have no gaps and do not overlap.
    pub(crate) duration_ms: u32,
}

/// Divides the fragments of one stream.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    file: Option<File>,
    /// `None` before the first fragment.
    system: Option<SystemClock>,
    /// The number of the last span.
    last_span: i64,
    /// True while files are short.
    is_urgent: bool,
    /// True if the present file ends at the next keyframe.
    ends_soon: bool,
}

#[derive(Debug)]
struct File {
    span: i64,
    start_at: i64,
    /// Decode time of the first frame on the epoch's clock.
    begin: Duration,
    /// The end so far, on the same clock.
    end: Duration,
}

/// The system's clock, compared to the dates of an epoch's frames. These dates do not change if the clock is set.
#[derive(Debug, Clone, Copy)]
struct SystemClock {
    epoch: u64,
    /// The clocks when they were compared last.
    clocks: Clocks,
    /// The time by which the system's clock was ahead of the dates of the frames at that moment, in milliseconds.
    ahead_ms: i64,
}

impl File {
    /// Returns the end so far.
    fn end_at(&self) -> i64 {
        self.start_at + to_ms(self.end.saturating_sub(self.begin))
    }
}

impl SystemClock {
    /// Compares the clock with the date of an epoch's first fragment.
    fn new(fragment: &MadeFragment, now: Clocks) -> Self {
        let waited = to_ms(now.monotonic.saturating_duration_since(fragment.received_at));
        let late_ms = unix_ms(now.system) - waited - unix_ms(fragment.taken_at);
        let is_late = late_ms.abs() <= MAX_LATENESS_MS;
        let ahead_ms = if is_late { 0 } else { late_ms };
        Self { epoch: fragment.epoch, clocks: now, ahead_ms }
    }

    /// Returns the comparison with the clocks of this moment.
    fn at(self, now: Clocks) -> Self {
        let passed = to_ms(now.monotonic.saturating_duration_since(self.clocks.monotonic));
        let step = unix_ms(now.system) - unix_ms(self.clocks.system) - passed;
        Self { clocks: now, ahead_ms: self.ahead_ms + step, ..self }
    }
}

impl Cutter {
    /// Decides where the fragment belongs.
    pub(crate) fn place(&mut self, fragment: &MadeFragment, now: Clocks) -> Cut {
        let before = self.system.filter(|system| system.epoch == fragment.epoch);
        let system = before.map_or_else(|| SystemClock::new(fragment, now), |it| it.at(now));
        let step = before.map_or(0, |before| system.ahead_ms - before.ahead_ms);
        let is_step = step.abs() > MAX_DIFFERENCE_MS;
        let target = unix_ms(fragment.taken_at) + system.ahead_ms;
        let mut cut = Cut { end_at: None, start: None, begin_ms: 0, duration_ms: 0 };
        if let Some(file) = &mut self.file {
            let length = fragment.begin.saturating_sub(file.begin);
            let file_time = if self.is_urgent { URGENT_FILE_TIME } else { FILE_TIME };
            let may_end = length >= file_time || is_step || self.ends_soon;
            let end_at = file.end_at();
            if !fragment.is_continuous {
                cut.end_at = Some(end_at);
                self.file = None;
            } else if fragment.is_keyframe && may_end || length >= MAX_FILE_TIME {
                let difference = target - end_at;
                self.system = Some(system);
                if difference.abs() > MAX_DIFFERENCE_MS {
                    cut.end_at = Some(end_at);
                    self.file = None;
                } else {
                    let most = to_ms(length) / CORRECTION;
                    file.start_at = end_at + difference.clamp(-most, most);
                    file.begin = fragment.begin;
                    cut.end_at = Some(file.start_at);
                    cut.start = Some(start(file, fragment));
                }
            }
        }
        let file = if let Some(file) = &mut self.file {
            file
        } else {
            self.system = Some(system);
            let span = self.next_span(now);
            let (begin, end) = (fragment.begin, fragment.begin);
            let file = File { span, start_at: target, begin, end };
            cut.start = Some(start(&file, fragment));
            self.file.insert(file)
        };
        self.ends_soon &= cut.start.is_none();
        file.end = fragment.end;
        let ms = |time: Duration| to_ms(time.saturating_sub(file.begin));
        let (begin, end) = (ms(fragment.begin), ms(fragment.end));
        cut.begin_ms = u32::try_from(begin).unwrap_or(u32::MAX);
        cut.duration_ms = u32::try_from(end - begin).unwrap_or_default();
        cut
    }

    /// Sets whether files are short from now on. The present file ends at the next keyframe.
    pub(crate) fn set_urgent(&mut self, is_urgent: bool) {
        self.is_urgent = is_urgent;
        self.ends_soon = self.file.is_some();
    }

    /// Ends the file, if there is one. Returns its end in UTC milliseconds.
    pub(crate) fn end(&mut self) -> Option<i64> {
        self.file.take().map(|file| file.end_at())
    }

    /// Returns a number for a new span: the time in microseconds, which no other span of the stream has.
    fn next_span(&mut self, now: Clocks) -> i64 {
        let number = now.system.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let span = i64::try_from(number).unwrap_or(i64::MAX);
        self.last_span = if span == self.last_span { span + 1 } else { span };
        self.last_span
    }
}

fn start(file: &File, fragment: &MadeFragment) -> FileStart {
    FileStart {
        span: file.span,
        start_at: file.start_at,
        decode_time: ticks(fragment.begin, VIDEO_TIMESCALE),
        init: Arc::clone(&fragment.init),
    }
}

/// Returns the number of milliseconds that is nearest to `time`.
fn to_ms(time: Duration) -> i64 {
    i64::try_from((time.as_micros() + 500) / 1000).unwrap_or(i64::MAX)
}

/// Converts a time to UTC milliseconds; 0 for a time before 1970.
pub(crate) fn unix_ms(time: SystemTime) -> i64 {
    to_ms(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::recorder::testing::made;

    /// 2026-11-30 00:00 UTC.
    const DAY: u64 = 1_795_996_800;

    struct Setup {
        cutter: Cutter,
        began: Instant,
        /// Files that have ended: span, beginning and end, in milliseconds since `DAY`.
        files: Vec<(i64, i64, i64)>,
        start: Option<FileStart>,
    }

    impl Setup {
        fn new() -> Self {
            let (cutter, began) = (Cutter::default(), Instant::now());
            Self { cutter, began, files: Vec::new(), start: None }
        }

        fn since_day(time: i64) -> i64 {
            time - i64::try_from(DAY * 1000).expect("small")
        }

        /// Passes groups of a keyframe and a fragment, each of a second, from the second `from` to `to`. `taken` and
        /// `system` are the differences of the frames' dates and of the system's clock from the right time, in
        /// milliseconds.
        fn run(&mut self, (from, to): (u64, u64), taken: i64, system: i64) {
            for second in from..to {
                for (begin, end, is_keyframe) in [(0, 40, true), (40, 1000, false)] {
                    let at = |offset: i64| {
                        let ms = i64::try_from((DAY + second) * 1000 + begin).expect("small");
                        UNIX_EPOCH + Duration::from_millis((ms + offset).cast_unsigned())
                    };
                    let (begin, end) = (second * 1000 + begin, second * 1000 + end);
                    let mut fragment = made(begin, end, is_keyframe);
                    fragment.taken_at = at(taken);
                    fragment.received_at = self.began + Duration::from_millis(begin);
                    let monotonic = self.began + Duration::from_millis(begin);
                    let now = Clocks { system: at(system), monotonic };
                    let cut = self.cutter.place(&fragment, now);
                    self.note(cut);
                }
            }
        }

        fn note(&mut self, cut: Cut) {
            if let (Some(end), Some(start)) = (cut.end_at, &self.start) {
                let begin = Self::since_day(start.start_at);
                self.files.push((start.span, begin, Self::since_day(end)));
            }
            if let Some(start) = cut.start {
                self.start = Some(start);
            }
        }

        fn times(&mut self) -> Vec<(i64, i64)> {
            if let (Some(end), Some(start)) = (self.cutter.end(), self.start.take()) {
                let times = (Self::since_day(start.start_at), Self::since_day(end));
                self.files.push((start.span, times.0, times.1));
            }
            self.files.iter().map(|(_, start, end)| (*start, *end)).collect()
        }

        fn spans(&self) -> usize {
            let mut spans: Vec<_> = self.files.iter().map(|(span, ..)| *span).collect();
            spans.dedup();
            spans.len()
        }
    }

    #[test]
    fn a_file_lasts_for_a_minute_and_continues_the_one_before() {
        let mut setup = Setup::new();
        setup.run((0, 150), 0, 0);
        let minute = 60_000;
        let expected = [(0, minute), (minute, 2 * minute), (2 * minute, 150_000)];
        assert_eq!(setup.times(), expected);
        assert_eq!(setup.spans(), 1);
    }

    #[test]
    fn files_with_events_are_short_and_continue_those_before() {
        let mut setup = Setup::new();
        setup.cutter.set_urgent(false);
        setup.run((0, 30), 0, 0);
        setup.cutter.set_urgent(true);
        setup.run((30, 38), 0, 0);
        setup.cutter.set_urgent(false);
        setup.run((38, 110), 0, 0);
        let ends = [30, 33, 36, 38, 98, 110].map(|second| second * 1000);
        assert_eq!(setup.times().iter().map(|(_, end)| *end).collect::<Vec<_>>(), ends);
        assert_eq!(setup.spans(), 1);
    }

    #[test]
    fn a_slow_clock_is_followed_slowly() {
        let mut setup = Setup::new();
        setup.run((0, 60), 0, 0);
        setup.run((60, 180), 100, 0);
        assert_eq!(setup.times(), [(0, 60_030), (60_030, 120_060), (120_060, 180_060)]);
        assert_eq!(setup.spans(), 1);
    }

    #[test]
    fn a_clock_that_is_set_begins_a_new_span() {
        for step in [3_600_000, -3_600_000, 1_500, -1_500] {
            let mut setup = Setup::new();
            setup.run((0, 10), 0, 0);
            setup.run((10, 30), 0, step);
            let times = setup.times();
            assert_eq!(times, [(0, 10_000), (10_000 + step, 30_000 + step)], "{step}");
            assert_eq!(setup.spans(), 2);
        }
        let mut setup = Setup::new();
        setup.run((0, 10), 0, 0);
        setup.run((10, 30), 0, 900);
        assert_eq!((setup.times().len(), setup.spans()), (1, 1), "a small correction");
    }

    #[test]
    fn a_clock_that_was_set_before_the_recording_began_counts() {
        let mut setup = Setup::new();
        setup.run((0, 10), -3_600_000, 0);
        assert_eq!(setup.times(), [(0, 10_000)]);
        let mut setup = Setup::new();
        setup.run((0, 10), -2_000, 0);
        assert_eq!(setup.times(), [(-2_000, 8_000)], "frames that arrive late");
    }

    #[test]
    fn the_system_clock_is_followed_by_500_millionths() {
        let mut setup = Setup::new();
        setup.run((0, 60), 0, 0);
        setup.run((60, 180), 0, 40);
        assert_eq!(setup.times(), [(0, 60_030), (60_030, 120_040), (120_040, 180_040)]);
    }

    #[test]
    fn a_gap_begins_a_new_span() {
        let mut setup = Setup::new();
        setup.run((0, 10), 0, 0);
        let mut gap = made(20_000, 20_040, true);
        gap.is_continuous = false;
        gap.taken_at = UNIX_EPOCH + Duration::from_secs(DAY + 20);
        let monotonic = setup.began + Duration::from_secs(20);
        let cut = setup.cutter.place(&gap, Clocks { system: gap.taken_at, monotonic });
        setup.note(cut);
        assert_eq!(setup.times(), [(0, 10_000), (20_000, 20_040)]);
        assert_eq!(setup.spans(), 2);
    }

    #[test]
    fn without_keyframes_a_file_ends_before_the_limit() {
        let mut setup = Setup::new();
        for second in 0..1200 {
            let mut fragment = made(second * 1000, second * 1000 + 1000, second == 0);
            let time = Duration::from_secs(second);
            fragment.taken_at = UNIX_EPOCH + Duration::from_secs(DAY) + time;
            let now = Clocks { system: fragment.taken_at, monotonic: setup.began + time };
            let cut = setup.cutter.place(&fragment, now);
            setup.note(cut);
        }
        let times = setup.times();
        assert!(times.iter().all(|(start, end)| end - start < MAX_FILE_MS), "{times:?}");
        assert_eq!((times.len(), setup.spans()), (3, 1));
    }

    #[test]
    fn the_fragments_of_a_file_have_no_gaps() {
        let mut cutter = Cutter::default();
        let now = Clocks { system: UNIX_EPOCH, monotonic: Instant::now() };
        let mut end = 0;
        for number in 0..90_u64 {
            let (begin, until) = (number * 100_100 / 3, (number + 1) * 100_100 / 3);
            let mut fragment = made(0, 0, number == 0);
            (fragment.begin, fragment.end) =
                (Duration::from_micros(begin), Duration::from_micros(until));
            let cut = cutter.place(&fragment, now);
            assert_eq!(cut.begin_ms, end, "{number}");
            end = cut.begin_ms + cut.duration_ms;
        }
        assert_eq!(end, 3003);
    }
}
