//! Scenes that are encoded with H.264 at 500 kbit/s, decoded at 5 pictures per second, and pushed into the detector of motion.
//! The encoded scenes are kept in the target directory.
#![allow(missing_docs, unreachable_pub, clippy::pedantic)]

mod canvas;
mod film;
mod random;
mod scene;
mod score;

use scene::Kind;
use score::{Score, quantile, score};
use stream_manager::parts::{Change, Detector, DetectorOptions, Zone, ZoneEffect, ZoneMask};

/// Returns the score of a scene.
fn scored(kind: Kind, seed: u64, seconds: f32) -> Score {
    score(&film::film(kind, seed, seconds), DetectorOptions::default(), |_| true)
}

#[test]
fn noise_and_leaves_are_no_event_and_a_walk_is_one() {
    for kind in [Kind::Still, Kind::Tree] {
        let score = scored(kind, 1, 30.0);
        assert!(score.false_events.is_empty(), "{kind:?}: {:?}", score.false_events);
    }
    let score = scored(Kind::Two, 1, 0.0);
    assert_eq!((score.found, score.events), (1, 1));
    assert!(score.delays[0] <= 0.5 && score.ends[0].abs() <= 1.0, "{:?}", score.delays);
}

#[test]
#[ignore = "takes several minutes; ./deploy/test --long runs it"]
fn noisy_scenes_have_no_event() {
    for kind in Kind::NOISY {
        for seed in [1, 2] {
            let score = scored(kind, seed, 180.0);
            assert!(score.false_events.is_empty(), "{kind:?} {seed}: {:?}", score.false_events);
        }
    }
}

#[test]
#[ignore = "takes a minute; ./deploy/test --long runs it"]
fn forty_walks_are_found() {
    let mut total = Score::default();
    for seed in 1..=5 {
        total.add(scored(Kind::Walks, seed, 0.0));
    }
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
#[ignore = "takes a minute; ./deploy/test --long runs it"]
fn walks_in_noisy_scenes_are_found() {
    let score = scored(Kind::Mixed, 101, 0.0);
    assert_eq!(score.found, score.truths, "{:?}", score.missed);
}

#[test]
#[ignore = "takes a minute; ./deploy/test --long runs it"]
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
#[ignore = "takes a minute; ./deploy/test --long runs it"]
fn two_walkers_have_two_boxes_when_they_are_apart() {
    for seed in [1, 2] {
        let film = film::film(Kind::Two, seed, 0.0);
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
#[ignore = "takes a minute; ./deploy/test --long runs it"]
fn walks_after_a_change_of_light_are_found() {
    for seed in [1, 2] {
        let score = scored(Kind::AfterLight, seed, 120.0);
        assert_eq!(score.found, score.truths, "{:?}", score.missed);
        assert!(score.false_events.is_empty(), "{:?}", score.false_events);
    }
}

#[test]
#[ignore = "takes a minute; ./deploy/test --long runs it"]
fn a_ball_is_reported_while_it_is_in_the_zone() {
    let zone = |left: f32, top: f32, right: f32, bottom: f32| Zone {
        effect: ZoneEffect::Watch,
        corners: vec![(left, top), (right, top), (right, bottom), (left, bottom)],
    };
    for seed in [1, 2] {
        let film = film::film(Kind::Ball, seed, 90.0);
        let watched = |zone| {
            let zones = ZoneMask::new(&[zone]).expect("a zone");
            DetectorOptions { zones, ..DetectorOptions::default() }
        };
        let inside = score(&film, watched(zone(0.5, 0.0, 1.0, 1.0)), |area| area.2 > 0.5);
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
#[ignore = "takes a minute; ./deploy/test --long runs it"]
fn the_shrunk_pictures_give_the_events_of_the_full_ones() {
    let mut detector = Detector::new(DetectorOptions::default());
    let mut boxes = Vec::new();
    let video = film::encoded(Kind::Two, 1, 0.0);
    film::decode(&video, |picture| {
        let at = film::time(boxes.len());
        boxes.push(match detector.push(picture, canvas::WIDTH, canvas::HEIGHT, at) {
            Some(Change::Began(began)) => began.boxes,
            Some(Change::Moved(moved)) => moved,
            _ => Vec::new(),
        });
    });
    assert_eq!(boxes, scored(Kind::Two, 1, 0.0).boxes);
}
