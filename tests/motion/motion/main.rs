//! Scenes that are encoded with H.264 at 500 kbit/s, decoded at 5 pictures per second, and pushed into a detector. Needs FFmpeg
//! with libx264. The encoded scenes are kept in the target directory, because encoding takes an eighth of the scene's duration.
#![allow(missing_docs, unreachable_pub, clippy::pedantic)]
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]

mod canvas;
mod film;
mod random;
mod scene;
mod score;

use film::LoopFilter;
use motion19::motion::detector::{Detector, DetectorOptions};
use motion19::motion::episode::Change;
use motion19::motion::sensitivity::Sensitivity;
use motion19::motion::zones::{Zone, ZoneEffect, ZoneMask};
use scene::Kind;
use score::{Score, quantile, score};

/// Returns the score of a scene that is decoded as the standard requires.
fn scored(kind: Kind, seed: u64, seconds: f32) -> Score {
    score(&film::film(kind, seed, seconds, LoopFilter::Used), DetectorOptions::default(), |_| true)
}

#[test]
fn noisy_scenes_have_no_event() {
    for kind in Kind::NOISY {
        for seed in [1, 2] {
            let score = scored(kind, seed, 180.0);
            assert!(score.false_events.is_empty(), "{kind:?} {seed}: {:?}", score.false_events);
        }
    }
}

#[test]
fn forty_walks_are_found() {
    let mut total = Score::default();
    for seed in 1..=5 {
        total.add(scored(Kind::Walks, seed, 0.0));
    }
    println!("{}", total.line());
    assert_eq!(total.truths, 40);
    assert!(total.found >= 38, "{:?}", total.missed);
    assert!(total.false_events.is_empty(), "{:?}", total.false_events);
    // Small and faint walkers need longer.
    assert!(quantile(&total.delays, 0.8) <= 0.5, "{:?}", total.delays);
    assert!(quantile(&total.begins, 0.95) <= 0.5, "{:?}", total.begins);
    assert!(quantile(&total.ends, 0.05) >= -1.0 && quantile(&total.ends, 0.95) <= 1.0);
    assert!(quantile(&total.overlaps, 0.5) >= 0.6 && quantile(&total.contained, 0.5) >= 0.7);
}

#[test]
fn a_slow_walker_is_one_event() {
    for seed in [1, 2] {
        let score = scored(Kind::Slow, seed, 0.0);
        assert_eq!((score.found, score.events), (1, 1), "{seed}");
        assert!(
            score.delays[0] <= 0.65 && score.ends[0].abs() <= 1.0,
            "{:?} {:?}",
            score.delays,
            score.ends
        );
        assert!(quantile(&score.overlaps, 0.5) >= 0.6);
    }
}

#[test]
fn two_walkers_have_two_boxes_when_they_are_apart() {
    for seed in [1, 2] {
        let film = film::film(Kind::Two, seed, 0.0, LoopFilter::Used);
        let score = score(&film, DetectorOptions::default(), |_| true);
        assert_eq!((score.found, score.events), (1, 1), "{seed}");
        assert!(score.delays[0] <= 0.5, "{:?}", score.delays);
        let apart = film.areas.iter().zip(&score.boxes).filter(
            |(areas, _)| matches!(areas[..], [a, b] if (a.0.max(b.0) - a.2.min(b.2)) > 0.15),
        );
        let counts: Vec<_> = apart.map(|(_, boxes)| boxes.len()).collect();
        let two = counts.iter().filter(|&&count| count == 2).count();
        assert!(counts.len() > 10 && two * 10 >= counts.len() * 8, "{counts:?}");
    }
}

#[test]
fn walks_after_a_change_of_light_are_found() {
    for seed in [1, 2] {
        let score = scored(Kind::AfterLight, seed, 120.0);
        assert_eq!(score.found, score.truths, "{:?}", score.missed);
        assert!(score.false_events.is_empty(), "{:?}", score.false_events);
    }
}

#[test]
fn a_ball_is_reported_while_it_is_in_the_zone() {
    let zone = |left: f32, top: f32, right: f32, bottom: f32| Zone {
        effect: ZoneEffect::Watch,
        corners: vec![(left, top), (right, top), (right, bottom), (left, bottom)],
    };
    for seed in [1, 2] {
        let film = film::film(Kind::Ball, seed, 90.0, LoopFilter::Used);
        let watched = |zone| {
            let zones = ZoneMask::new(&[zone]).unwrap();
            DetectorOptions { zones, ..DetectorOptions::default() }
        };
        let inside = score(&film, watched(zone(0.5, 0.0, 1.0, 1.0)), |area| area.2 > 0.5);
        println!("{}", inside.line());
        assert_eq!((inside.found, inside.events), (inside.truths, inside.truths), "{seed}");
        assert!(inside.truths >= 2 && quantile(&inside.delays, 1.0) <= 0.65, "{:?}", inside.delays);
        assert!(
            quantile(&inside.ends, 1.0) <= 0.5 && quantile(&inside.ends, 0.0) >= -0.6,
            "{:?}",
            inside.ends
        );
        let outside = score(&film, watched(zone(0.0, 0.0, 1.0, 0.4)), |_| false);
        assert_eq!(outside.events, 0, "{seed}");
    }
}

#[test]
fn the_shrunk_pictures_give_the_events_of_the_full_ones() {
    let mut detector = Detector::new(DetectorOptions::default());
    let mut boxes = Vec::new();
    let video = film::encoded(Kind::Two, 1, 0.0);
    film::decode(&video, LoopFilter::Used, |picture| {
        let at = film::time(boxes.len());
        boxes.push(match detector.push(picture, canvas::WIDTH, canvas::HEIGHT, at) {
            Some(Change::Began(began)) => began.boxes,
            Some(Change::Moved(moved)) => moved,
            _ => Vec::new(),
        });
    });
    assert_eq!(boxes, scored(Kind::Two, 1, 0.0).boxes);
}

fn list() -> Vec<(Kind, u64, f32)> {
    let list = std::env::var("FILMS").unwrap_or_default();
    let mut films = Vec::new();
    for item in list.split(',').filter(|item| !item.is_empty()) {
        let mut parts = item.split(':');
        let name = parts.next().unwrap();
        let seed = parts.next().unwrap().parse().unwrap();
        let seconds = parts.next().unwrap().parse().unwrap();
        for kind in ALL {
            if name == "noisy" && Kind::NOISY.contains(&kind) || name == format!("{kind:?}") {
                films.push((kind, seed, seconds));
            }
        }
    }
    films
}

fn filter() -> LoopFilter {
    if std::env::var("FILTER").is_ok_and(|filter| filter == "skipped") {
        LoopFilter::Skipped
    } else {
        LoopFilter::Used
    }
}

/// Returns the options for a report.
fn options() -> DetectorOptions {
    let percent = std::env::var("SENSITIVITY").ok().and_then(|percent| percent.parse().ok());
    let sensitivity = percent.and_then(Sensitivity::new).unwrap_or_default();
    DetectorOptions { sensitivity, ..DetectorOptions::default() }
}

/// Encodes the scenes of these seeds.
#[test]
#[ignore = "takes long"]
fn encode() {
    for (kind, seed, seconds) in list() {
        let started = std::time::Instant::now();
        let film = film::film(kind, seed, seconds, filter());
        println!("{kind:?} {seed} {} pictures {:?}", film.pictures.len(), started.elapsed());
    }
}

/// Reports on films.
#[test]
#[ignore = "takes long"]
fn report() {
    let is_verbose = std::env::var("VERBOSE").is_ok();
    let mut totals: Vec<(Kind, Score)> = Vec::new();
    for (kind, seed, seconds) in list() {
        if !film::is_ready(kind, seed, seconds) {
            println!("{kind:?} {seed} not ready");
            continue;
        }
        let film = film::film(kind, seed, seconds, filter());
        let score = score(&film, options(), |_| true);
        if is_verbose {
            println!("{kind:?} {seed}: {}", score.line());
            for f in &score.false_events {
                let e = &f.episode;
                println!(
                    "   false {:.1}..{:.1} peak {:.4} first {:?}",
                    e.began.as_secs_f32(),
                    e.ended.as_secs_f32(),
                    e.peak.score,
                    e.samples[0].boxes
                );
            }
            for m in &score.missed {
                println!(
                    "   missed {:.1}..{:.1} {:?}",
                    m.begin,
                    m.end,
                    film.areas[(m.index + m.last) / 2]
                );
            }
            for (index, d, b) in &score.late {
                let a = film.areas[index + 8].first().or(film.areas[*index].first());
                println!(
                    "   late {d:.1} begin {b:.1} t {:.1} height {:.2} {:?}",
                    film::time(*index).as_secs_f32(),
                    a.map_or(0.0, |a| a.3 - a.1),
                    a
                );
            }
        }
        match totals.iter_mut().find(|(k, _)| *k == kind) {
            Some((_, total)) => total.add(score),
            None => totals.push((kind, score)),
        }
    }
    for (kind, score) in totals {
        println!("{kind:?}: {}", score.line());
    }
}

const ALL: [Kind; 13] = [
    Kind::Still,
    Kind::Lamp,
    Kind::Infrared,
    Kind::Tree,
    Kind::Clouds,
    Kind::Insects,
    Kind::Rain,
    Kind::Ball,
    Kind::Slow,
    Kind::Two,
    Kind::Walks,
    Kind::Mixed,
    Kind::AfterLight,
];
