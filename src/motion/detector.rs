//! Detects motion in the pictures of one camera. Has no clock and no threads, and gives the same results for the same
//! pictures.

use std::time::Duration;

use super::background::{Background, Differences, Pace};
use super::blocks::{self, BLOCKS, BlockSet};
use super::boxes;
use super::episode::{Change, Episodes, QUIET};
use super::light::{LightField, LightWatch, Variation};
use super::sensitivity::{Sensitivity, Thresholds};
use super::shrink::{self, Luma, PIXELS};
use super::tone::Tones;
use super::tracker::{Moving, Tracker};
use super::zones::ZoneMask;

/// The time in which the background is learnt at first.
const LEARN: Duration = Duration::from_secs(2);
/// The time for which no motion is reported after a sudden change of light. The camera adapts its exposure in this time.
const SETTLE: Duration = Duration::from_millis(1400);
/// Seconds after learning in which thresholds are raised, because the noise is not known well yet. They are lowered in the
/// same number of seconds.
const CAREFUL: f32 = 12.0;
/// The time between two pictures after which the background is learnt again.
const MAX_GAP: Duration = Duration::from_secs(10);
/// The number of changed pixels of a block that has changed.
const CHANGED: i32 = 4;
/// The number of moving pixels of a block that moves.
const MOVING: i32 = 3;

/// The settings of a detector.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectorOptions {
    /// The sensitivity.
    pub sensitivity: Sensitivity,
    /// The pixels that are watched.
    pub zones: ZoneMask,
    /// The time without motion after which an episode ends.
    pub quiet: Duration,
}

impl Default for DetectorOptions {
    fn default() -> Self {
        Self { sensitivity: Sensitivity::default(), zones: ZoneMask::whole(), quiet: QUIET }
    }
}

/// Detects motion in the pictures of one camera. Needs about 400 kB of memory.
#[derive(Debug)]
pub struct Detector {
    thresholds: Thresholds,
    zones: ZoneMask,
    tones: Tones,
    background: Background,
    light: LightField<3>,
    near_light: LightField<1>,
    watch: LightWatch,
    habits: Habits,
    tracker: Tracker,
    episodes: Episodes,
    buffers: Buffers,
    /// The time of the last picture.
    last: Option<Duration>,
    /// The time until which the background is learnt.
    learn_until: Duration,
}

/// Values of the present picture. They are kept so that memory is allocated once.
#[derive(Debug)]
struct Buffers {
    grey: Vec<u8>,
    tones: Vec<i16>,
    steps: Vec<i16>,
    usual: Vec<i16>,
    recent: Vec<i16>,
    light: Vec<i16>,
    near_light: Vec<i16>,
    uncertainty: Vec<i16>,
    near_uncertainty: Vec<i16>,
    changed: Vec<u8>,
    moving: Vec<u8>,
    sums: Vec<i32>,
    moving_sums: Vec<i32>,
}

impl Detector {
    /// Creates a detector, which learns the background in the first 2 s.
    pub fn new(options: DetectorOptions) -> Self {
        Self {
            thresholds: options.sensitivity.thresholds(),
            zones: options.zones,
            tones: Tones::new(),
            background: Background::new(),
            light: LightField::new(),
            near_light: LightField::new(),
            watch: LightWatch::default(),
            habits: Habits::new(),
            tracker: Tracker::new(),
            episodes: Episodes::new(options.quiet),
            buffers: Buffers::new(),
            last: None,
            learn_until: Duration::ZERO,
        }
    }

    /// Takes a picture: the luma plane, whose rows follow each other without a gap. `at` is the time of the picture on any
    /// clock. Ignores pictures of an invalid size, and pictures that are not newer than the last one. Learns the background
    /// again after a pause or a jump of the clock of more than 10 s.
    pub fn push(
        &mut self,
        picture: &[u8],
        width: usize,
        height: usize,
        at: Duration,
    ) -> Option<Change> {
        self.push_luma(Luma::new(picture, width, height)?, at)
    }

    /// Takes a picture whose rows can have gaps; see [`Detector::push`].
    pub fn push_luma(&mut self, picture: Luma<'_>, at: Duration) -> Option<Change> {
        let elapsed = match self.last.map(|last| (at.checked_sub(last), last)) {
            None => Duration::ZERO,
            Some((Some(elapsed), _)) if !elapsed.is_zero() => elapsed,
            Some((_, last)) if last.saturating_sub(at) <= MAX_GAP => return None,
            // The clock has begun again, as after a restart of the camera.
            Some(_) => Duration::MAX,
        };
        self.last = Some(at);
        let Buffers { grey, tones, steps, .. } = &mut self.buffers;
        shrink::shrink(picture, grey);
        self.tones.convert(grey, tones, steps);
        if self.background.is_empty() || elapsed > MAX_GAP {
            self.relearn(at);
            return self.episodes.finish();
        }
        let moving = self.compare(at, elapsed);
        self.episodes.push(moving, at)
    }

    /// Changes the time without motion after which an episode ends, the running one as well.
    pub fn set_quiet(&mut self, quiet: Duration) {
        self.episodes.set_quiet(quiet);
    }

    /// Ends the episode that is running. For a camera that has no more pictures.
    pub fn finish(&mut self) -> Option<Change> {
        self.tracker.clear();
        self.episodes.finish()
    }

    fn relearn(&mut self, at: Duration) {
        let Buffers { tones, usual, light, changed, .. } = &self.buffers;
        self.background.update(tones, (usual, light), changed, Duration::ZERO, Pace::Replace);
        self.tracker.clear();
        self.watch = LightWatch::default();
        self.learn_until = at.saturating_add(LEARN);
    }

    fn compare(&mut self, at: Duration, elapsed: Duration) -> Moving {
        let Buffers {
            tones,
            steps,
            usual,
            recent,
            light,
            near_light,
            uncertainty,
            near_uncertainty,
            changed,
            moving,
            sums,
            moving_sums,
            ..
        } = &mut self.buffers;
        self.background.differences(tones, usual, recent);
        blocks::sums(recent, sums);
        if self.watch.has_changed(sums, at) {
            self.learn_until = self.learn_until.max(at.saturating_add(SETTLE));
            self.background.update(tones, (usual, light), changed, elapsed, Pace::Replace);
            self.tracker.clear();
            return Moving::default();
        }
        blocks::sums(usual, sums);
        self.light.estimate(sums);
        self.light.interpolate(light);
        self.light.uncertainty(uncertainty, |Variation { slope, change, speed }| {
            slope / 3 + change / 6 + speed
        });
        self.near_light.estimate(sums);
        self.near_light.interpolate(near_light);
        self.near_light.uncertainty(near_uncertainty, |variation| variation.slope / 6);
        let differences =
            Differences { usual, recent, light, near_light, uncertainty, near_uncertainty, steps };
        let thresholds = self.thresholds.raised(raise(at.saturating_sub(self.learn_until)));
        let marks = (changed.as_mut_slice(), moving.as_mut_slice());
        self.background.mark(differences, thresholds, self.zones.pixels(), marks);
        let is_learning = at < self.learn_until;
        let pace = match (is_learning, self.tracker.is_disturbed()) {
            (true, _) => Pace::Learn,
            (false, true) => Pace::Disturbed,
            (false, false) => Pace::Follow,
        };
        self.background.update(tones, (usual, light), changed, elapsed, pace);
        if is_learning {
            return Moving::default();
        }
        blocks::sums(changed, sums);
        blocks::sums(moving, moving_sums);
        let changed_blocks = BlockSet::filter(sums, |&pixels| pixels >= CHANGED);
        let moving_blocks = self.habits.filter(moving_sums, elapsed);
        let blobs = boxes::blobs(changed, usual, changed_blocks, moving_blocks);
        self.tracker.push(&blobs, self.thresholds.area, at, elapsed)
    }
}

/// Returns the factor of the thresholds this long after learning, in sixteenths.
fn raise(since: Duration) -> i16 {
    let left = (2.0 - since.as_secs_f32() / CAREFUL).clamp(0.0, 1.0);
    #[expect(clippy::cast_possible_truncation, reason = "from 16 to 40")]
    let factor = (16.0 + 24.0 * left) as i16;
    factor
}

impl Buffers {
    fn new() -> Self {
        Self {
            grey: vec![0; PIXELS],
            tones: vec![0; PIXELS],
            steps: vec![0; PIXELS],
            usual: vec![0; PIXELS],
            recent: vec![0; PIXELS],
            light: vec![0; PIXELS],
            near_light: vec![0; PIXELS],
            uncertainty: vec![0; PIXELS],
            near_uncertainty: vec![0; PIXELS],
            changed: vec![0; PIXELS],
            moving: vec![0; PIXELS],
            sums: vec![0; BLOCKS],
            moving_sums: vec![0; BLOCKS],
        }
    }
}

/// How often each block moves. A block that moves all the time, such as a tree, needs more pixels that move.
#[derive(Debug)]
struct Habits(Vec<f32>);

impl Habits {
    /// Seconds in which the habit of a block rises.
    const UP: f32 = 30.0;
    /// Seconds in which the habit of a block falls.
    const DOWN: f32 = 180.0;
    /// The part of the time in which each block can move.
    const USUAL: f32 = 0.06;
    /// Further pixels for each part of the time.
    const MORE: f32 = 40.0;
    /// The greatest number of further pixels.
    const MAX_MORE: f32 = 14.0;

    fn new() -> Self {
        Self(vec![0.0; BLOCKS])
    }

    /// Returns the blocks in which enough pixels move.
    fn filter(&mut self, moving: &[i32], elapsed: Duration) -> BlockSet {
        let seconds = elapsed.as_secs_f32();
        let (up, down) = (seconds / (seconds + Self::UP), seconds / (seconds + Self::DOWN));
        let values: Vec<_> = moving
            .iter()
            .zip(&mut self.0)
            .map(|(&pixels, habit)| {
                let more = ((*habit - Self::USUAL) * Self::MORE).clamp(0.0, Self::MAX_MORE);
                if pixels >= MOVING {
                    *habit += (1.0 - *habit) * up;
                } else {
                    *habit -= *habit * down;
                }
                #[expect(clippy::cast_possible_truncation, reason = "at most 14")]
                let more = more as i32;
                pixels >= MOVING + more
            })
            .collect();
        BlockSet::filter(&values, |&is_moving| is_moving)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motion::zones::{Zone, ZoneEffect};

    const WIDTH: usize = 320;
    const HEIGHT: usize = 180;

    /// Returns a picture of a textured wall with some noise, in front of which something dark is at this place.
    fn picture(index: u32, light: f32, thing: Option<usize>) -> Vec<u8> {
        let mut state = index.wrapping_mul(2_654_435_761).wrapping_add(12_345);
        (0..WIDTH * HEIGHT)
            .map(|pixel| {
                let (x, y) = (pixel % WIDTH, pixel / WIDTH);
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = f32::from((state >> 30).to_le_bytes()[0]);
                let wall = if (x / 16 + y / 16).is_multiple_of(2) { 90.0 } else { 120.0 };
                let is_thing = thing.is_some_and(|left| (left..left + 24).contains(&x));
                let tone = if is_thing && (60..120).contains(&y) { 40.0 } else { wall };
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a tone"
                )]
                let tone = (tone * light + noise).clamp(0.0, 255.0) as u8;
                tone
            })
            .collect()
    }

    /// Returns the changes, with their times, of pictures every `interval` ms, for 40 s. Something passes from second 20
    /// to second 25.
    fn changes(
        options: DetectorOptions,
        interval: u32,
        is_shown: impl Fn(u32) -> bool,
    ) -> Vec<(Duration, Change)> {
        let mut detector = Detector::new(options);
        let mut changes = Vec::new();
        for index in (0..40_000 / interval).filter(|&index| is_shown(index)) {
            let time = index * interval;
            let place = usize::try_from(time.saturating_sub(20_000) / 16).expect("a place");
            let thing = (20_000..25_000).contains(&time).then_some(place);
            let at = Duration::from_millis(u64::from(time));
            let change = detector.push(&picture(index, 1.0, thing), WIDTH, HEIGHT, at);
            changes.extend(change.map(|change| (at, change)));
        }
        changes
    }

    /// Returns the times at which motion was reported, began and ended.
    fn times(changes: &[(Duration, Change)]) -> Option<(f32, f32, f32)> {
        let [(reported, Change::Began(_)), .., (_, Change::Ended(episode))] = changes else {
            return None;
        };
        let began = changes.iter().filter(|(_, change)| matches!(change, Change::Began(_)));
        assert_eq!(began.count(), 1);
        Some((reported.as_secs_f32(), episode.began.as_secs_f32(), episode.ended.as_secs_f32()))
    }

    #[test]
    fn motion_is_found_at_any_rate_and_with_missing_pictures() {
        for (interval, missing) in [(100, 1000), (200, 1000), (200, 3), (333, 1000), (500, 1000)] {
            let changes =
                changes(DetectorOptions::default(), interval, |index| index % missing != 2);
            let (reported, began, ended) = times(&changes).expect("one episode");
            assert!((20.0..21.5).contains(&reported), "{interval}: {reported}");
            assert!((20.0..20.7).contains(&began), "{interval}: {began}");
            assert!((24.0..25.1).contains(&ended), "{interval}: {ended}");
        }
    }

    #[test]
    fn motion_is_found_with_one_picture_per_second() {
        let changes = changes(DetectorOptions::default(), 1000, |_| true);
        let (reported, began, _) = times(&changes).expect("one episode");
        assert!(reported <= 23.0 && began <= 21.0, "{reported} {began}");
    }

    #[test]
    fn boxes_contain_what_moves() {
        for (at, change) in changes(DetectorOptions::default(), 200, |_| true) {
            let Change::Moved(boxes) = change else { continue };
            let left = (at.as_secs_f32() - 20.0) / 16.0 * 1000.0 / 320.0;
            let [x, y, width, height] = boxes[0].parts();
            assert!((x - left).abs() < 0.04, "{at:?}: {boxes:?}");
            assert!((y - 0.333).abs() < 0.04, "{at:?}: {boxes:?}");
            assert!(
                x + width > 0.07 + left - 0.04 && (height - 0.333).abs() < 0.08,
                "{at:?}: {boxes:?}"
            );
        }
    }

    #[test]
    fn the_same_pictures_give_the_same_changes() {
        let changes = || changes(DetectorOptions::default(), 200, |_| true);
        assert_eq!(changes(), changes());
    }

    #[test]
    fn motion_outside_of_the_zones_is_not_reported() {
        let zone = |effect, top: f32, bottom: f32| Zone {
            effect,
            corners: vec![(0.0, top), (1.0, top), (1.0, bottom), (0.0, bottom)],
        };
        for (zone, is_reported) in [
            (zone(ZoneEffect::Watch, 0.7, 1.0), false),
            (zone(ZoneEffect::Watch, 0.3, 0.7), true),
            (zone(ZoneEffect::Ignore, 0.3, 0.7), false),
            (zone(ZoneEffect::Ignore, 0.7, 1.0), true),
        ] {
            let zones = ZoneMask::new(std::slice::from_ref(&zone)).expect("a zone");
            let options = DetectorOptions { zones, ..DetectorOptions::default() };
            assert_eq!(!changes(options, 200, |_| true).is_empty(), is_reported, "{zone:?}");
        }
    }

    #[test]
    fn a_change_of_light_is_no_motion() {
        let mut detector = Detector::new(DetectorOptions::default());
        for index in 0..300 {
            let light = if (100..200).contains(&index) { 1.6 } else { 1.0 };
            let at = Duration::from_millis(200) * index;
            assert_eq!(
                detector.push(&picture(index, light, None), WIDTH, HEIGHT, at),
                None,
                "{index}"
            );
        }
    }

    #[test]
    fn a_long_gap_ends_the_episode() {
        let mut detector = Detector::new(DetectorOptions::default());
        let mut last = None;
        for index in 0..120 {
            let place = usize::try_from(index).expect("small").saturating_sub(100) * 8;
            let thing = (index >= 100).then_some(place);
            last = detector.push(
                &picture(index, 1.0, thing),
                WIDTH,
                HEIGHT,
                Duration::from_millis(200) * index,
            );
        }
        assert!(matches!(last, Some(Change::Moved(_))), "{last:?}");
        let after = detector.push(&picture(120, 1.0, None), WIDTH, HEIGHT, Duration::from_mins(1));
        assert!(matches!(after, Some(Change::Ended(_))), "{after:?}");
        assert_eq!(detector.finish(), None);
        // A clock that begins again is accepted as well.
        for index in 0..120 {
            let place = usize::try_from(index).expect("small").saturating_sub(100) * 8;
            let thing = (index >= 100).then_some(place);
            last = detector.push(
                &picture(index, 1.0, thing),
                WIDTH,
                HEIGHT,
                Duration::from_millis(200) * index,
            );
        }
        assert!(matches!(last, Some(Change::Moved(_))), "{last:?}");
    }

    #[test]
    fn pictures_of_any_size_and_time_are_accepted() {
        let mut detector = Detector::new(DetectorOptions::default());
        let bytes: Vec<u8> = (0..200_000_u32).map(|i| (i * 7).to_le_bytes()[0]).collect();
        let mut at = Duration::ZERO;
        for (index, (width, height)) in [
            (0, 0),
            (1, 1),
            (0, 5),
            (3, 2),
            (160, 90),
            (161, 91),
            (640, 300),
            (usize::MAX, 2),
            (1, 9999),
        ]
        .into_iter()
        .cycle()
        .take(500)
        .enumerate()
        {
            at += Duration::from_millis(u64::try_from(index % 7).expect("small") * 90);
            detector.push(&bytes, width, height, at);
        }
        detector.push(&bytes, 160, 90, Duration::MAX);
        assert_eq!(detector.push(&bytes, 160, 90, Duration::ZERO), None);
        detector.push(&[], 160, 90, Duration::MAX);
    }
}
