//! Follows things that move from picture to picture, and decides which of them are motion.

use std::time::Duration;

use super::boxes::{Blob, MAX_BOXES, MotionBox};

/// The largest number of things that are followed.
const MAX_TRACKS: usize = 16;
/// The time after which something that is not seen is forgotten.
const FORGET: Duration = Duration::from_millis(1200);
/// The time after which something that is not motion yet and that is not seen is forgotten.
const FORGET_UNCONFIRMED: Duration = Duration::from_millis(500);
/// The least time for which something is seen before it is motion.
const MIN_AGE: Duration = Duration::from_millis(150);
/// The evidence that something is motion: 1 for each picture in which it is large.
const EVIDENCE: f32 = 2.0;
/// The greatest further evidence, if many things appear and vanish again.
const MAX_MORE_EVIDENCE: f32 = 4.0;
/// The assumed number of things that appeared before the first picture.
const FIRST_CLUTTER: f32 = 3.0;
/// The number of things that appeared recently for each further evidence of 1.
const CLUTTER: f32 = 3.0;
/// The size of something large, as a multiple of the least size.
const LARGE: f32 = 3.0;
/// The size of something with twice the evidence, as a multiple of what is large.
const VERY_LARGE: f32 = 6.0;
/// The number of pixels of a box for each changed one, if the box contains no single thing.
const SCATTERED: u32 = 4;
/// The number of things that appear in one picture in a disturbance, such as heavy rain.
const DISTURBANCE: usize = 4;
/// The number of things in one picture in a disturbance.
const MAX_THINGS: usize = 8;
/// Seconds in which things that appeared are forgotten.
const CLUTTER_SECONDS: f32 = 60.0;
/// The least distance by which the borders of a box move before it is motion, in pixels.
const MIN_TRAVEL: u32 = 2;

/// Something that moves.
#[derive(Debug, Clone)]
struct Track {
    area: MotionBox,
    first_area: MotionBox,
    first: Duration,
    last: Duration,
    evidence: f32,
    travel: u32,
    /// Movement of the centre in half pixels per picture, if it was seen at least twice.
    velocity: Option<(i32, i32)>,
    changed: u32,
    is_motion: bool,
}

/// Follows things that move.
#[derive(Debug)]
pub(super) struct Tracker {
    tracks: Vec<Track>,
    /// Number of things that appeared and are not motion, weighted by their size and age.
    clutter: f32,
    is_disturbed: bool,
    /// Whether shadows move.
    has_shadows: bool,
}

/// What moves in a picture.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Moving {
    /// The boxes around what moves.
    pub(super) boxes: Vec<MotionBox>,
    /// Number of changed pixels in the boxes.
    pub(super) changed: u32,
    /// The time at which the earliest of them was seen first.
    pub(super) since: Option<Duration>,
}

impl Tracker {
    /// Creates a tracker. It needs more evidence in the first minute, because it does not know yet how much appears and
    /// vanishes.
    pub(super) fn new() -> Self {
        Self { tracks: Vec::new(), clutter: FIRST_CLUTTER, is_disturbed: false, has_shadows: false }
    }

    /// Forgets everything that moves.
    pub(super) fn clear(&mut self) {
        self.tracks.clear();
    }

    /// Takes the blobs of a picture, and returns what moves. Blobs with fewer than `area` changed pixels begin nothing.
    pub(super) fn push(
        &mut self,
        blobs: &[Blob],
        area: u32,
        at: Duration,
        elapsed: Duration,
    ) -> Moving {
        let seconds = elapsed.as_secs_f32();
        self.clutter *= CLUTTER_SECONDS / (CLUTTER_SECONDS + seconds);
        let mut free: Vec<_> = blobs.iter().map(Some).collect();
        // Motion that is known comes first.
        self.tracks.sort_by_key(|track| (!track.is_motion, track.first));
        for track in &mut self.tracks {
            let reach = track.reach(at);
            let near = free
                .iter_mut()
                .filter(|blob| blob.is_some_and(|blob| track.area.gap(blob.area) <= reach));
            let nearest = near
                .min_by_key(|blob| blob.map_or(u32::MAX, |blob| distance(track.area, blob.area)));
            if let Some(blob) = nearest.and_then(Option::take) {
                track.see(blob, area, at);
            }
        }
        self.tracks.retain(|track| {
            let limit = if track.is_motion { FORGET } else { FORGET_UNCONFIRMED };
            // Something is never forgotten before the next picture, however rare pictures are.
            at.saturating_sub(track.last) <= limit.max(elapsed)
        });
        let known = self.tracks.len();
        let new = free.into_iter().flatten().filter(|blob| blob.changed >= area);
        for blob in new.take(MAX_TRACKS - known.min(MAX_TRACKS)) {
            let track = Track::new(blob, area, at);
            // Parts of something that moves are not counted.
            let is_part = self
                .tracks
                .iter()
                .any(|other| other.is_motion && other.area.gap(blob.area) <= 2 * other.reach(at));
            if !is_part {
                self.clutter += track.evidence;
            }
            self.tracks.push(track);
        }
        self.is_disturbed = self.tracks.len() - known >= DISTURBANCE || blobs.len() >= MAX_THINGS;
        self.has_shadows = blobs.iter().any(|blob| blob.is_soft && blob.changed >= area);
        let more = (self.clutter / CLUTTER - 1.0).clamp(0.0, MAX_MORE_EVIDENCE);
        let mut moving = Moving::default();
        for track in &mut self.tracks {
            let is_old = at.saturating_sub(track.first) >= MIN_AGE;
            let is_clear = track.evidence >= EVIDENCE + more && track.travel >= MIN_TRAVEL;
            if !track.is_motion && is_old && is_clear && !self.is_disturbed {
                track.is_motion = true;
                self.clutter = (self.clutter - 1.0).max(0.0);
            }
            let is_seen = track.last == at && 2 * track.changed >= area;
            if track.is_motion && is_seen && moving.boxes.len() < MAX_BOXES {
                moving.boxes.push(track.area);
                moving.changed += track.changed;
                moving.since =
                    Some(moving.since.map_or(track.first, |since| since.min(track.first)));
            }
        }
        moving
    }

    /// Returns whether so much changes that nothing can be followed, or shadows move, and nothing is motion.
    pub(super) fn is_disturbed(&self) -> bool {
        (self.is_disturbed || self.has_shadows) && !self.tracks.iter().any(|track| track.is_motion)
    }
}

/// Returns the evidence of a picture that shows something.
fn evidence(blob: &Blob, area: u32) -> f32 {
    // Rain and reflections are scattered.
    if blob.is_soft || SCATTERED * blob.changed < blob.area.pixels() {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "at most 14,400")]
    let size = blob.changed as f32 / (LARGE * area as f32);
    if size < 1.0 { size } else { 1.0 + ((size - 1.0) / VERY_LARGE).min(1.0) }
}

impl Track {
    fn new(blob: &Blob, area: u32, at: Duration) -> Self {
        Self {
            area: blob.area,
            first_area: blob.area,
            first: at,
            last: at,
            evidence: evidence(blob, area),
            travel: 0,
            velocity: None,
            changed: blob.changed,
            is_motion: false,
        }
    }

    fn see(&mut self, blob: &Blob, area: u32, at: Duration) {
        let evidence = evidence(blob, area);
        if self.continues(blob.area) {
            self.evidence += evidence;
        } else {
            self.evidence = (self.evidence - 1.0).max(evidence);
        }
        let ((x0, y0), (x1, y1)) = (self.area.centre2(), blob.area.centre2());
        self.velocity = Some((x1 - x0, y1 - y0));
        self.area = blob.area;
        self.changed = blob.changed;
        self.last = at;
        let side = |a: u8, b: u8| u32::from(a.abs_diff(b));
        let (first, now) = (self.first_area, blob.area);
        let travel = side(first.left, now.left)
            .max(side(first.right, now.right))
            .max(side(first.top, now.top))
            .max(side(first.bottom, now.bottom));
        self.travel = self.travel.max(travel);
    }

    /// Returns whether the box continues the movement: it overlaps the last box, or it is where the movement led to. Insects
    /// and drops fly further than their size from one picture to the next, and turn.
    fn continues(&self, area: MotionBox) -> bool {
        if 4 * self.area.overlap(area) >= self.area.pixels().min(area.pixels()) {
            return true;
        }
        let ((x0, y0), (x1, y1)) = (self.area.centre2(), area.centre2());
        self.velocity.is_some_and(|(vx, vy)| {
            let miss = (x1 - x0 - vx).abs() + (y1 - y0 - vy).abs();
            3 * miss <= vx.abs() + vy.abs()
        })
    }

    /// Returns the distance in pixels within which the thing can be at this time.
    fn reach(&self, at: Duration) -> u8 {
        let size = self.area.width().max(self.area.height()).min(40);
        let fifths = (at.saturating_sub(self.last).as_millis() / 200).clamp(1, 4);
        let fifths = u8::try_from(fifths).unwrap_or(1);
        (size / 3 + 1).saturating_mul(fifths)
    }
}

/// Returns twice the distance of the centres, in pixels.
fn distance(first: MotionBox, second: MotionBox) -> u32 {
    let ((x0, y0), (x1, y1)) = (first.centre2(), second.centre2());
    x0.abs_diff(x1) + y0.abs_diff(y1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(left: u8, top: u8, side: u8) -> Blob {
        let area = MotionBox { left, top, right: left + side, bottom: top + side };
        Blob { area, changed: u32::from(side) * u32::from(side), is_soft: false }
    }

    /// Returns the number of the first picture with motion. `blobs` returns what each picture shows.
    fn first(blobs: impl Fn(u8) -> Vec<Blob>) -> Option<u8> {
        let mut tracker =
            Tracker { tracks: Vec::new(), clutter: 0.0, is_disturbed: false, has_shadows: false };
        let interval = Duration::from_millis(200);
        (0..40).find(|&index| {
            let at = interval * u32::from(index);
            !tracker.push(&blobs(index), 12, at, interval).boxes.is_empty()
        })
    }

    #[test]
    fn something_large_is_motion_in_the_second_picture() {
        assert_eq!(first(|index| vec![blob(10 + 3 * index, 20, 10)]), Some(1));
    }

    #[test]
    fn something_small_needs_more_pictures() {
        assert_eq!(first(|index| vec![blob(10 + 2 * index, 20, 4)]), Some(4));
    }

    #[test]
    fn something_that_stays_in_its_place_is_no_motion() {
        assert_eq!(first(|_| vec![blob(10, 20, 10)]), None);
    }

    #[test]
    fn something_too_small_or_soft_or_scattered_is_no_motion() {
        assert_eq!(first(|index| vec![blob(10 + 2 * index, 20, 3)]), None);
        assert_eq!(
            first(|index| vec![Blob { is_soft: true, ..blob(10 + 2 * index, 20, 10) }]),
            None
        );
        assert_eq!(first(|index| vec![Blob { changed: 20, ..blob(10 + 2 * index, 20, 10) }]), None);
    }

    #[test]
    fn insects_that_jump_and_turn_are_no_motion() {
        let zigzag = |index: u8| vec![blob(40 + 8 * (index % 2), 20 + 7 * (index / 2 % 3), 6)];
        assert_eq!(first(zigzag), None);
    }

    #[test]
    fn many_things_at_once_are_no_motion() {
        let rain = |index: u8| (0..7).map(|x| blob(x * 22 + 9 * (index % 2), 20, 5)).collect();
        assert_eq!(first(rain), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut tracker = Tracker::new();
        for index in 0..200 {
            let blobs: Vec<_> = (0..MAX_BOXES)
                .map(|i| blob(u8::try_from(i).expect("small") * 12, index % 60, 5))
                .collect();
            let at = Duration::from_millis(50) * u32::from(index);
            tracker.push(&blobs, 4, at, Duration::from_millis(50));
            assert!(tracker.tracks.len() <= MAX_TRACKS);
        }
    }
}
