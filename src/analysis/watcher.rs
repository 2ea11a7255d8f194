//! Finds motion in the pictures of one stream.

use std::time::{Duration, SystemTime};

use super::clock::PictureClock;
use super::pauses::{PAUSE, Pauses};
use crate::camera::motion::MotionOptions;
use crate::motion::boxes::MotionBox;
use crate::motion::detector::{Detector, DetectorOptions};
use crate::motion::episode::{Change, Episode};
use crate::motion::zones::ZoneMask;
use crate::pictures::live::form::grey_size;
use crate::pictures::picture::Picture;

/// The longest event. If the motion continues, another event begins, so that a tree in the wind does not hide what comes
/// later.
const LONGEST: Duration = Duration::from_mins(5);
/// The largest number of boxes of an event.
const MAX_BOXES: usize = 16;

/// Motion, as an event reports it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Motion {
    /// The time of the first picture that shows the motion.
    pub(crate) began_at: SystemTime,
    /// The time of the last picture that shows the motion; `None` while it continues.
    pub(crate) ended_at: Option<SystemTime>,
    /// The boxes of the picture in which they covered the largest area.
    pub(crate) boxes: Vec<MotionBox>,
    /// The largest part of a picture that moved, from 0 to 1.
    pub(crate) peak: f32,
}

/// Watches the pictures of one camera.
#[derive(Debug)]
pub(crate) struct Watcher {
    options: DetectorOptions,
    detector: Detector,
    clock: PictureClock,
    pauses: Pauses,
    /// The boxes in the last picture.
    boxes: Vec<MotionBox>,
    /// The motion that has not ended.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    began: Duration,
    began_at: SystemTime,
    /// The time of the last picture that shows the motion. It is noted at once, because the wall clock can jump before the end
    /// is reported.
    last_at: SystemTime,
    boxes: Vec<MotionBox>,
}

impl Watcher {
    /// Creates a watcher, which learns what the camera usually shows in the first seconds.
    pub(crate) fn new(options: &MotionOptions) -> Self {
        let options = DetectorOptions {
            sensitivity: options.sensitivity(),
            // Options are checked before they are stored.
            zones: options.mask().unwrap_or_else(|_| ZoneMask::whole()),
            quiet: PAUSE,
        };
        Self {
            detector: Detector::new(options.clone()),
            options,
            clock: PictureClock::default(),
            pauses: Pauses::default(),
            boxes: Vec::new(),
            open: None,
        }
    }

    /// Learns again what the camera usually shows, because the next pictures are those of another stream. Motion must have been
    /// ended with [`Watcher::finish`].
    pub(crate) fn restart(&mut self) {
        self.detector = Detector::new(self.options.clone());
        self.clock = PictureClock::default();
        self.boxes.clear();
        self.open = None;
    }

    /// Takes a grey picture. Returns motion that has begun or ended.
    pub(crate) fn push(&mut self, picture: &Picture) -> Option<Motion> {
        let at = self.clock.time_of(picture);
        let (width, height) = grey_size(picture.full_size);
        let size = |size: u32| usize::try_from(size).unwrap_or_default();
        let change = self.detector.push(&picture.data, size(width), size(height), at);
        self.boxes.clear();
        let is_long = |open: &Open| at.saturating_sub(open.began) >= LONGEST;
        if change.is_none() && self.open.as_ref().is_some_and(is_long) {
            return self.finish();
        }
        match change? {
            Change::Began(began) => {
                let (began_at, boxes) = (self.clock.date(began.at), reported(&began.boxes));
                self.boxes = began.boxes;
                self.detector.set_quiet(self.pauses.begin(picture.received_at));
                let last_at = picture.taken_at;
                self.open = Some(Open { began: began.at, began_at, last_at, boxes: boxes.clone() });
                Some(Motion { began_at, ended_at: None, boxes, peak: began.score })
            }
            Change::Moved(boxes) => {
                let open = self.open.as_mut()?;
                open.last_at = picture.taken_at;
                if area(&boxes) > area(&open.boxes) {
                    open.boxes = reported(&boxes);
                }
                let is_over = is_long(open);
                self.boxes = boxes;
                if is_over { self.finish() } else { None }
            }
            Change::Ended(episode) => self.end(&episode),
        }
    }

    /// Ends motion that has not ended, because there are no pictures, or because it is an event of its own from now on.
    pub(crate) fn finish(&mut self) -> Option<Motion> {
        match self.detector.finish()? {
            Change::Ended(episode) => self.end(&episode),
            _ => None,
        }
    }

    /// Returns whether motion has begun and not ended.
    pub(crate) fn is_moving(&self) -> bool {
        self.open.is_some()
    }

    /// Returns the boxes in the last picture.
    pub(crate) fn boxes(&self) -> &[MotionBox] {
        &self.boxes
    }

    fn end(&mut self, episode: &Episode) -> Option<Motion> {
        let Open { began_at, last_at, boxes, .. } = self.open.take()?;
        let ended_at = Some(last_at.max(began_at));
        Some(Motion { began_at, ended_at, boxes, peak: episode.peak.score })
    }
}

/// Returns the largest boxes.
fn reported(boxes: &[MotionBox]) -> Vec<MotionBox> {
    let mut boxes = boxes.to_vec();
    boxes.sort_by_key(|one| std::cmp::Reverse(area(&[*one])));
    boxes.truncate(MAX_BOXES);
    boxes
}

/// Returns the area of the boxes in pixels.
fn area(boxes: &[MotionBox]) -> u32 {
    let area = |one: &MotionBox| {
        let side = |from: u8, to: u8| u32::from(to.saturating_sub(from));
        side(one.left, one.right) * side(one.top, one.bottom)
    };
    boxes.iter().map(area).sum()
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::pictures::picture::{Position, testing};

    const SIZE: (usize, usize) = (640, 360);

    /// Returns a picture of a grey wall. If `x` is given, a dark box with 96×160 pixels stands there.
    fn picture(index: u64, x: Option<usize>) -> Picture {
        let time = Duration::from_millis(200 * index);
        let mut data = vec![150_u8; SIZE.0 * SIZE.1];
        for row in data.chunks_exact_mut(SIZE.0).skip(120).take(160) {
            if let Some(x) = x {
                row[x..x + 96].fill(40);
            }
        }
        let position = Position { epoch: 1, time };
        Picture { data: data.into(), position, ..testing::picture(time) }
    }

    /// Returns the motion in pictures in which a box moves at these indexes.
    fn motions(watcher: &mut Watcher, count: u64, moves: impl Fn(u64) -> bool) -> Vec<Motion> {
        let x = |index: u64| usize::try_from(index * 16 % 500).expect("small");
        let pushed = (0..count).map(|index| picture(index, moves(index).then(|| x(index))));
        pushed.filter_map(|picture| watcher.push(&picture)).collect()
    }

    fn seconds(time: SystemTime) -> f64 {
        time.duration_since(SystemTime::UNIX_EPOCH).expect("later").as_secs_f64()
    }

    #[tokio::test]
    async fn motion_with_short_pauses_is_one_event() {
        let mut watcher = Watcher::new(&MotionOptions::default());
        // From 20 to 24 s, from 30 to 34 s, and from 50 to 54 s.
        let moves = |index| [100..120, 150..170, 250..270].iter().any(|span| span.contains(&index));
        let motions = motions(&mut watcher, 400, moves);
        let times: Vec<_> =
            motions.iter().map(|it| (seconds(it.began_at), it.ended_at.map(seconds))).collect();
        assert_eq!(times.len(), 4, "{times:?}");
        let is_near = |time: f64, expected: f64| (time - expected).abs() <= 0.6;
        assert!(is_near(times[0].0, 20.0) && times[0].1.is_none(), "{times:?}");
        assert!(is_near(times[1].1.expect("an end"), 34.0), "{times:?}");
        assert!(
            is_near(times[2].0, 50.0) && is_near(times[3].1.expect("an end"), 54.0),
            "{times:?}"
        );
        assert_eq!((times[0].0, times[2].0), (times[1].0, times[3].0), "the beginning is kept");
        let peak = motions[1].peak;
        assert!(peak > 0.01 && peak < 0.5 && peak >= motions[0].peak, "{peak}");
        assert!(area(&motions[1].boxes) >= area(&motions[0].boxes));
    }

    #[tokio::test]
    async fn long_motion_is_several_events() {
        let mut watcher = Watcher::new(&MotionOptions::default());
        let motions = motions(&mut watcher, 100 + 5 * 700, |index| index >= 100);
        let ends = motions.iter().filter_map(|it| it.ended_at).count();
        assert_eq!((motions.len(), ends), (5, 2));
        let first = motions[1].ended_at.expect("an end");
        // The detector gets used to the box, which comes back every six seconds, so it does not see it in each picture.
        assert!((seconds(first) - 320.0).abs() <= 10.0, "{motions:?}");
        assert!(seconds(motions[2].began_at) - seconds(first) <= 10.0, "{motions:?}");
    }

    #[tokio::test]
    async fn a_camera_with_many_events_gets_longer_pauses() {
        for (events, count) in [(0, 4), (62, 1)] {
            let mut watcher = Watcher::new(&MotionOptions::default());
            for _ in 0..events {
                watcher.pauses.begin(Instant::now());
            }
            // From 20 to 24 s, and from 36 to 40 s.
            let moves = |index| [100..120, 180..200].iter().any(|span| span.contains(&index));
            let motions = motions(&mut watcher, 300, moves);
            assert_eq!(motions.len(), count, "after {events} events: {motions:?}");
        }
    }

    #[tokio::test]
    async fn no_event_is_longer_than_the_longest_one() {
        let mut watcher = Watcher::new(&MotionOptions::default());
        // Two of seven seconds. After five minutes, there is a pause.
        let motions = motions(&mut watcher, 1900, |index| index >= 100 && index % 35 < 10);
        let lasted = |motion: &Motion| {
            motion.ended_at.map(|ended| seconds(ended) - seconds(motion.began_at))
        };
        let first = motions.iter().find_map(lasted).expect("an end");
        assert!((290.0..=300.5).contains(&first), "{first} s");
    }

    #[tokio::test]
    async fn the_end_is_right_after_a_jump_of_the_wall_clock() {
        let mut watcher = Watcher::new(&MotionOptions::default());
        // The wall clock jumps three seconds after the last motion.
        let jump = |picture: Picture| {
            let hour = Duration::from_hours(1);
            let is_later = picture.position.time >= Duration::from_secs(27);
            let taken_at = picture.taken_at + if is_later { hour } else { Duration::ZERO };
            Picture { taken_at, ..picture }
        };
        let x = |index: u64| usize::try_from(index * 16 % 500).expect("small");
        let x = |index: u64| (100..120).contains(&index).then(|| x(index));
        let pictures = (0..200).map(|index| jump(picture(index, x(index))));
        let motions: Vec<_> = pictures.filter_map(|picture| watcher.push(&picture)).collect();
        let times = motions.iter().map(|it| (seconds(it.began_at), it.ended_at.map(seconds)));
        let [(began, None), (_, Some(ended))] = times.collect::<Vec<_>>()[..] else {
            panic!("{motions:?}")
        };
        assert!((began - 20.0).abs() < 0.6 && (ended - 24.0).abs() < 0.6, "{motions:?}");
    }

    #[tokio::test]
    async fn motion_ends_when_there_are_no_pictures() {
        let mut watcher = Watcher::new(&MotionOptions::default());
        assert_eq!(motions(&mut watcher, 110, |index| index >= 100).len(), 1);
        assert!(!watcher.boxes().is_empty());
        let ended = watcher.finish().expect("motion");
        assert!((seconds(ended.ended_at.expect("an end")) - 21.8).abs() < 0.5, "{ended:?}");
        assert_eq!(watcher.finish(), None);
    }
}
