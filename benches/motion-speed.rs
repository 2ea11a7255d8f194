//! Measures the processor time of the detector. `cargo run --release --bin speed`

use std::io::Write as _;
use std::time::{Duration, Instant};

use motion19::motion::detector::{Detector, DetectorOptions};
use motion19::motion::shrink::{self, Luma};

/// Pictures of each measurement.
const PICTURES: u32 = 2000;

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for (width, height) in
        [(160, 90), (640, 360), (640, 480), (704, 576), (1280, 720), (1920, 1080), (2592, 1944)]
    {
        let still = pictures(width, height, 0);
        let busy = pictures(width, height, 3);
        let mut small = vec![0; shrink::PIXELS];
        let started = Instant::now();
        for index in 0..PICTURES {
            let picture = still.get(index as usize % still.len()).map_or(&[][..], Vec::as_slice);
            if let Some(luma) = Luma::new(picture, width, height) {
                shrink::shrink(std::hint::black_box(luma), &mut small);
            }
        }
        let shrinking = per_picture(started.elapsed());
        let (quiet, _) = detect(&still, width, height);
        let (moving, changes) = detect(&busy, width, height);
        writeln!(
            out,
            "{width}×{height}: shrink {shrinking:.1} µs; with all: {quiet:.1} µs, with motion {moving:.1} µs \
             ({changes} changes)"
        )?;
    }
    Ok(())
}

/// Returns the microseconds for each picture, and the number of changes.
fn detect(pictures: &[Vec<u8>], width: usize, height: usize) -> (f64, u32) {
    let mut detector = Detector::new(DetectorOptions::default());
    let mut changes = 0;
    let started = Instant::now();
    for (index, picture) in (0..PICTURES).zip(pictures.iter().cycle()) {
        let at = Duration::from_millis(200) * index;
        changes += u32::from(detector.push(picture, width, height, at).is_some());
    }
    (per_picture(started.elapsed()), changes)
}

fn per_picture(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6 / f64::from(PICTURES)
}

/// Returns pictures with noise, in which a number of rectangles move.
fn pictures(width: usize, height: usize, things: usize) -> Vec<Vec<u8>> {
    let mut state = 1_u32;
    (0..16)
        .map(|index| {
            let mut picture: Vec<u8> = (0..width * height)
                .map(|pixel| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let noise = (state >> 29).to_le_bytes()[0];
                    100 + ((pixel % width) * 50 / width).to_le_bytes()[0] + noise
                })
                .collect();
            for thing in 0..things {
                let left = (thing % 3) * width / 3 + index * width / 100;
                let top = (thing / 3) * height / 3;
                for row in picture.chunks_exact_mut(width).skip(top).take(height / 6) {
                    row.iter_mut().skip(left).take(width / 20).for_each(|pixel| *pixel = 220);
                }
            }
            picture
        })
        .collect()
}
