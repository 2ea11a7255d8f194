//! Joins motion in successive pictures to one episode, which begins, continues and ends.

use std::time::Duration;

use super::boxes::MotionBox;
use super::shrink::PIXELS;
use super::tracker::Moving;

/// The time without motion after which an episode ends.
pub(crate) const QUIET: Duration = Duration::from_secs(3);
/// The largest number of pictures of an episode whose boxes are kept.
pub(crate) const MAX_SAMPLES: usize = 64;
/// The time between two pictures whose boxes are kept, at first. It doubles whenever there are too many.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(400);

/// A change of the motion in front of a camera.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Motion has begun.
    Began(Began),
    /// Motion continues, with these boxes in the present picture.
    Moved(Vec<MotionBox>),
    /// Motion has ended.
    Ended(Episode),
}

/// The beginning of motion.
#[derive(Debug, Clone, PartialEq)]
pub struct Began {
    /// The time of the first picture that shows the motion, a few pictures before it was reported.
    pub at: Duration,
    /// The boxes in the present picture.
    pub boxes: Vec<MotionBox>,
    /// The part of the present picture that moved, from 0 to 1.
    pub score: f32,
}

/// Motion that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Episode {
    /// The time of the first picture that shows the motion.
    pub began: Duration,
    /// The time of the last picture that shows the motion.
    pub ended: Duration,
    /// The picture with the most motion.
    pub peak: Peak,
    /// The boxes of selected pictures, at most [`MAX_SAMPLES`], in the order of time.
    pub samples: Vec<Sample>,
}

/// The picture with the most motion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peak {
    /// The time of the picture.
    pub at: Duration,
    /// The part of the picture that moved, from 0 to 1.
    pub score: f32,
}

/// The boxes of one picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The time of the picture.
    pub at: Duration,
    /// The boxes.
    pub boxes: Vec<MotionBox>,
}

/// Joins motion to episodes.
#[derive(Debug)]
pub(super) struct Episodes {
    quiet: Duration,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    episode: Episode,
    interval: Duration,
}

impl Episodes {
    /// Creates a state without motion. An episode ends after the time `quiet` without motion.
    pub(super) fn new(quiet: Duration) -> Self {
        Self { quiet, running: None }
    }

    /// Changes the time without motion after which an episode ends.
    pub(super) fn set_quiet(&mut self, quiet: Duration) {
        self.quiet = quiet;
    }

    /// Takes what moves in a picture.
    pub(super) fn push(&mut self, moving: Moving, at: Duration) -> Option<Change> {
        if moving.boxes.is_empty() {
            let running = self.running.as_ref()?;
            let is_over = at.saturating_sub(running.episode.ended) >= self.quiet;
            return if is_over { self.finish() } else { None };
        }
        let peak = Peak { at, score: score(moving.changed) };
        let sample = Sample { at, boxes: moving.boxes.clone() };
        if let Some(running) = &mut self.running {
            running.add(peak, sample);
            return Some(Change::Moved(moving.boxes));
        }
        let began = moving.since.unwrap_or(at);
        let episode = Episode { began, ended: at, peak, samples: vec![sample] };
        self.running = Some(Running { episode, interval: SAMPLE_INTERVAL });
        Some(Change::Began(Began { at: began, boxes: moving.boxes, score: peak.score }))
    }

    /// Ends the episode that is running.
    pub(super) fn finish(&mut self) -> Option<Change> {
        self.running.take().map(|running| Change::Ended(running.episode))
    }
}

impl Running {
    fn add(&mut self, peak: Peak, sample: Sample) {
        let episode = &mut self.episode;
        episode.ended = sample.at;
        if peak.score > episode.peak.score {
            episode.peak = peak;
        }
        let last = episode.samples.last().map(|sample| sample.at);
        if last.is_some_and(|last| sample.at.saturating_sub(last) < self.interval) {
            return;
        }
        if episode.samples.len() >= MAX_SAMPLES {
            self.interval *= 2;
            let mut index = 0_u32;
            episode.samples.retain(|_| {
                index += 1;
                index % 2 == 1
            });
        }
        episode.samples.push(sample);
    }
}

/// Returns the part of the picture that a number of pixels covers.
fn score(pixels: u32) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "at most 14,400")]
    let score = pixels as f32 / PIXELS as f32;
    score.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moving(changed: u32, since: Duration) -> Moving {
        let boxes = vec![MotionBox { left: 1, top: 2, right: 3, bottom: 4 }];
        Moving { boxes, changed, since: Some(since) }
    }

    fn at(tenths: u32) -> Duration {
        Duration::from_millis(100) * tenths
    }

    #[test]
    fn an_episode_begins_with_the_first_picture_and_ends_with_the_last_one() {
        let mut episodes = Episodes::new(QUIET);
        assert_eq!(episodes.push(Moving::default(), at(0)), None);
        let began = episodes.push(moving(144, at(8)), at(10));
        assert!(matches!(began, Some(Change::Began(Began { at: began, .. })) if began == at(8)));
        assert!(matches!(episodes.push(moving(1440, at(8)), at(14)), Some(Change::Moved(_))));
        assert_eq!(episodes.push(Moving::default(), at(30)), None);
        // Motion within the quiet time continues the episode.
        assert!(matches!(episodes.push(moving(144, at(40)), at(42)), Some(Change::Moved(_))));
        assert_eq!(episodes.push(Moving::default(), at(71)), None);
        let Some(Change::Ended(episode)) = episodes.push(Moving::default(), at(72)) else {
            panic!("the episode has not ended");
        };
        assert_eq!((episode.began, episode.ended), (at(8), at(42)));
        assert_eq!(episode.peak, Peak { at: at(14), score: 0.1 });
        assert_eq!(episode.samples.len(), 3);
        assert_eq!(episodes.push(Moving::default(), at(100)), None);
    }

    #[test]
    fn a_long_episode_keeps_boxes_of_its_whole_duration() {
        let mut episodes = Episodes::new(QUIET);
        for index in 0..100_000 {
            episodes.push(moving(100, at(0)), at(2 * index));
        }
        let Some(Change::Ended(episode)) = episodes.finish() else { panic!("no episode") };
        assert!((MAX_SAMPLES / 2..=MAX_SAMPLES).contains(&episode.samples.len()));
        assert_eq!(episode.samples.first().map(|sample| sample.at), Some(at(0)));
        assert!(episode.samples.last().is_some_and(|sample| sample.at > at(180_000)));
        assert!(episode.samples.is_sorted_by_key(|sample| sample.at));
    }
}
