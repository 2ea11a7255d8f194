//! Compares what a detector reports with what has moved in a film.

use std::time::Duration;

use stream_manager::parts::{
    Change, Detector, DetectorOptions, Episode, MOTION_HEIGHT, MOTION_WIDTH, MotionBox,
};

use crate::canvas::Area;
use crate::film::{Film, time};

/// An event that a detector has reported.
#[derive(Debug, Clone)]
pub struct Report {
    /// The time at which it was reported.
    pub reported: f32,
    pub episode: Episode,
}

/// Something that has moved.
#[derive(Debug, Clone, Copy)]
pub struct Truth {
    /// The time at which a quarter of it, or 48 of 14,400 pixels, is visible.
    pub begin: f32,
    /// The last time at which as much is visible.
    pub end: f32,
}

/// The comparison of one film.
#[derive(Debug, Default)]
pub struct Score {
    pub truths: usize,
    pub found: usize,
    pub missed: Vec<Truth>,
    pub false_events: Vec<Report>,
    /// Seconds from the begin of the motion to the report.
    pub delays: Vec<f32>,
    /// Seconds from the begin of the motion to the begin of the event.
    pub begins: Vec<f32>,
    /// Seconds from the end of the motion to the end of the event.
    pub ends: Vec<f32>,
    /// Intersection over union of each thing and its best box, in pictures with boxes.
    pub overlaps: Vec<f32>,
    /// The part of each thing that its best box contains.
    pub contained: Vec<f32>,
    pub events: usize,
    /// The boxes of each picture.
    pub boxes: Vec<Vec<MotionBox>>,
}

/// Pushes a film into a detector, and compares.
pub fn score(film: &Film, options: DetectorOptions, is_truth: impl Fn(&Area) -> bool) -> Score {
    let mut detector = Detector::new(options);
    let mut reports = Vec::new();
    let mut reported = 0.0;
    let mut score = Score::default();
    let areas: Vec<Vec<Area>> =
        film.areas.iter().map(|areas| areas.iter().copied().filter(&is_truth).collect()).collect();
    for (index, picture) in film.pictures.iter().enumerate() {
        let mut boxes = Vec::new();
        match detector.push(picture, MOTION_WIDTH, MOTION_HEIGHT, time(index)) {
            Some(Change::Began(began)) => {
                reported = time(index).as_secs_f32();
                boxes = began.boxes;
            }
            Some(Change::Moved(moved)) => boxes = moved,
            Some(Change::Ended(episode)) => reports.push(Report { reported, episode }),
            None => {}
        }
        if !boxes.is_empty() {
            for area in &areas[index] {
                let best =
                    boxes.iter().map(|b| overlap(*area, *b)).max_by(|a, b| a.0.total_cmp(&b.0));
                let (iou, part) = best.unwrap_or_default();
                score.overlaps.push(iou);
                score.contained.push(part);
            }
        }
        score.boxes.push(boxes);
    }
    if let Some(Change::Ended(episode)) = detector.finish() {
        reports.push(Report { reported, episode });
    }
    let truths = truths(&areas);
    score.truths = truths.len();
    score.events = reports.len();
    let seconds = |at: Duration| at.as_secs_f32();
    for truth in &truths {
        // The first event that overlaps.
        let event = reports.iter().find(|report| {
            seconds(report.episode.ended) >= truth.begin && report.reported <= truth.end + 0.2
        });
        if let Some(event) = event {
            score.found += 1;
            if seconds(event.episode.began) > truth.begin - 1.0 {
                score.delays.push((event.reported - truth.begin).max(0.0));
                score.begins.push(seconds(event.episode.began) - truth.begin);
            }
            let last = reports.iter().rfind(|report| {
                seconds(report.episode.began) <= truth.end
                    && seconds(report.episode.ended) >= truth.begin
            });
            score.ends.extend(last.map(|last| seconds(last.episode.ended) - truth.end));
        } else {
            score.missed.push(*truth);
        }
    }
    let is_false = |report: &&Report| {
        !truths.iter().any(|truth| {
            seconds(report.episode.ended) >= truth.begin - 1.0
                && seconds(report.episode.began) <= truth.end + 1.0
        })
    };
    score.false_events = reports.iter().filter(is_false).cloned().collect();
    score
}

fn truths(areas: &[Vec<Area>]) -> Vec<Truth> {
    let pixels = |areas: &[Area]| {
        areas
            .iter()
            .map(|a| (a.2 - a.0) * (a.3 - a.1) * (MOTION_WIDTH * MOTION_HEIGHT) as f32)
            .sum::<f32>()
    };
    let mut truths = Vec::new();
    let mut index = 0;
    while index < areas.len() {
        if areas[index].is_empty() {
            index += 1;
            continue;
        }
        let length = areas[index..].iter().take_while(|areas| !areas.is_empty()).count();
        let run = &areas[index..index + length];
        let most = run.iter().map(|areas| pixels(areas)).fold(0.0, f32::max);
        let enough = |areas: &Vec<Area>| pixels(areas) >= (most / 4.0).min(48.0);
        let first = index + run.iter().position(enough).expect("a picture");
        let last = index + run.iter().rposition(enough).expect("a picture");
        truths.push(Truth { begin: time(first).as_secs_f32(), end: time(last).as_secs_f32() });
        index += length;
    }
    truths
}

/// Returns the intersection over union, and the part of the area that is inside of the box.
pub fn overlap(area: Area, motion: MotionBox) -> (f32, f32) {
    let [left, top, width, height] = motion.parts();
    let (right, bottom) = (left + width, top + height);
    let w = (area.2.min(right) - area.0.max(left)).max(0.0);
    let h = (area.3.min(bottom) - area.1.max(top)).max(0.0);
    let both = w * h;
    let size = (area.2 - area.0) * (area.3 - area.1);
    (both / (size + width * height - both), both / size)
}

/// Returns the value at a part of the sorted values.
pub fn quantile(values: &[f32], part: f32) -> f32 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    sorted
        .get(((sorted.len() as f32 * part) as usize).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f32::NAN)
}

impl Score {
    /// Adds another film.
    pub fn add(&mut self, other: Self) {
        self.truths += other.truths;
        self.found += other.found;
        self.events += other.events;
        self.missed.extend(other.missed);
        self.false_events.extend(other.false_events);
        self.delays.extend(other.delays);
        self.begins.extend(other.begins);
        self.ends.extend(other.ends);
        self.overlaps.extend(other.overlaps);
        self.contained.extend(other.contained);
    }
}
