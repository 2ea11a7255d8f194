//! The background of a camera's picture: for each pixel, its usual tone and its usual noise. All rates depend on time
//! and not on the number of pictures, so pictures can be late or missing.

use std::time::Duration;

use super::sensitivity::Thresholds;
use super::shrink::PIXELS;
use super::tone::GREY;

/// Seconds in which the background follows slow changes.
const FOLLOW: f32 = 4.0;
/// Seconds in which something new that stays becomes background.
const ABSORB: f32 = 15.0;
/// Seconds in which the recent picture follows.
const RECENT: f32 = 0.2;
/// Seconds in which the noise of a pixel rises.
const NOISE_UP: f32 = 8.0;
/// Seconds in which the noise of a pixel rises in a disturbance.
const NOISE_UP_DISTURBED: f32 = 2.0;
/// Seconds in which the noise of a pixel falls. It falls slowly, so that it describes the strongest noise of the last minute,
/// such as the pulse of keyframes, or gusts.
const NOISE_DOWN: f32 = 40.0;
/// Seconds in which everything follows while the background is learnt.
const LEARN: f32 = 0.5;
/// The noise of a pixel at first, and after a change of light.
const FIRST_NOISE: i16 = 3 * GREY;
/// The least noise of a pixel. Sums of 8 bits do not allow for less.
const MIN_NOISE: i16 = GREY / 4;
/// The greatest noise of a pixel.
const MAX_NOISE: i16 = 30 * GREY;

/// The background.
#[derive(Debug)]
pub(super) struct Background {
    /// The usual tone of each pixel.
    usual: Vec<i16>,
    /// The tone of each pixel in the last half second.
    recent: Vec<i16>,
    /// The usual distance from the usual tone.
    noise: Vec<i16>,
    is_empty: bool,
}

/// How the pixels of a picture differ from the background.
#[derive(Debug, Clone, Copy)]
pub(super) struct Differences<'a> {
    /// The difference from the usual tone.
    pub(super) usual: &'a [i16],
    /// The difference from the tone of the last half second.
    pub(super) recent: &'a [i16],
    /// The part of `usual` that is due to a change of light.
    pub(super) light: &'a [i16],
    /// The part of `usual` that is due to a change of light, estimated from a smaller area. It also contains the inner parts of
    /// large things, but not their edges.
    pub(super) near_light: &'a [i16],
    /// How wrong `light` can be.
    pub(super) uncertainty: &'a [i16],
    /// How wrong `near_light` can be.
    pub(super) near_uncertainty: &'a [i16],
    /// The size of one grey value.
    pub(super) steps: &'a [i16],
}

/// The way in which a picture changes the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// The picture is the background from now on.
    Replace,
    /// The background is being learnt.
    Learn,
    /// The background is known.
    Follow,
    /// The background is known, but so much changes that the noise must be learnt quickly.
    Disturbed,
}

impl Background {
    /// Creates a background that is not known yet.
    pub(super) fn new() -> Self {
        Self {
            usual: vec![0; PIXELS],
            recent: vec![0; PIXELS],
            noise: vec![FIRST_NOISE; PIXELS],
            is_empty: true,
        }
    }

    /// Returns whether there was no picture yet.
    pub(super) fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// Writes how much each pixel differs from its usual tone, and from its recent tone.
    pub(super) fn differences(&self, picture: &[i16], usual: &mut [i16], recent: &mut [i16]) {
        for ((out, &pixel), &mean) in usual.iter_mut().zip(picture).zip(&self.usual) {
            *out = pixel - mean;
        }
        for ((out, &pixel), &mean) in recent.iter_mut().zip(picture).zip(&self.recent) {
            *out = pixel - mean;
        }
    }

    /// Marks the pixels that have changed, and those of them that are moving.
    pub(super) fn mark(
        &self,
        differences: Differences<'_>,
        thresholds: Thresholds,
        watched: &[u8],
        (changed, moving): (&mut [u8], &mut [u8]),
    ) {
        let factor = i32::from(thresholds.noise);
        let contrast = i32::from(thresholds.contrast);
        let step_factor = i32::from(thresholds.steps);
        let Differences { usual, recent, light, near_light, .. } = differences;
        let lights = light.iter().zip(near_light);
        let limits = differences.steps.iter().zip(&self.noise);
        let uncertainties = differences.uncertainty.iter().zip(differences.near_uncertainty);
        let pixels =
            usual.iter().zip(recent).zip(lights).zip(limits.zip(uncertainties)).zip(watched);
        for ((changed, moving), (((pixel, lights), limits), &watched)) in
            changed.iter_mut().zip(moving).zip(pixels)
        {
            let (usual, recent) = (i32::from(*pixel.0), i32::from(*pixel.1));
            let (light, near_light) = (i32::from(*lights.0), i32::from(*lights.1));
            let ((step, noise), (uncertainty, near_uncertainty)) = limits;
            let noise = (i32::from(*noise) * factor) >> 4;
            let step = (i32::from(*step) * step_factor) >> 4;
            let limit = contrast.max(noise).max(step) + i32::from(*uncertainty);
            let near_limit = limit + i32::from(*near_uncertainty);
            let is_changed = u8::from((usual - light).abs() > limit) & watched;
            let is_sharp = u8::from((usual - near_light).abs() > near_limit);
            *changed = is_changed;
            *moving = is_changed & is_sharp & u8::from(2 * recent.abs() > limit);
        }
    }

    /// Takes a picture into the background. `changed` and `moving` are the marks of this picture.
    pub(super) fn update(
        &mut self,
        picture: &[i16],
        (usual, light): (&[i16], &[i16]),
        changed: &[u8],
        elapsed: Duration,
        pace: Pace,
    ) {
        let seconds = elapsed.as_secs_f32();
        match pace {
            Pace::Replace => {
                self.usual.copy_from_slice(picture);
                self.recent.copy_from_slice(picture);
                self.noise.iter_mut().for_each(|noise| *noise = (*noise).max(FIRST_NOISE));
                self.is_empty = false;
                return;
            }
            Pace::Learn => {
                let rate = Rate::new(seconds, LEARN);
                let pixels = self.usual.iter_mut().zip(&mut self.noise);
                for ((mean, noise), (&usual, &light)) in pixels.zip(usual.iter().zip(light)) {
                    *mean += rate.part(usual);
                    let distance =
                        usual.saturating_sub(light).saturating_abs().min(4 * FIRST_NOISE);
                    *noise += rate.part(distance - *noise);
                    *noise = (*noise).clamp(MIN_NOISE, MAX_NOISE);
                }
            }
            Pace::Follow | Pace::Disturbed => {
                let (follow, absorb) = (Rate::new(seconds, FOLLOW), Rate::new(seconds, ABSORB));
                let up = if pace == Pace::Disturbed { NOISE_UP_DISTURBED } else { NOISE_UP };
                let (up, down) = (Rate::new(seconds, up), Rate::new(seconds, NOISE_DOWN));
                let pixels = self.usual.iter_mut().zip(&mut self.noise);
                let differences = usual.iter().zip(light).zip(changed);
                for ((mean, noise), ((&usual, &light), &changed)) in pixels.zip(differences) {
                    let rate = if changed == 0 { follow } else { absorb };
                    *mean += rate.part(usual);
                    // A single large difference raises the noise only a little. It takes seconds of them.
                    let distance = usual.saturating_sub(light).saturating_abs().min(4 * *noise);
                    let difference = distance - *noise;
                    let rate = if difference > 0 { up } else { down };
                    *noise += rate.part(difference);
                    *noise = (*noise).clamp(MIN_NOISE, MAX_NOISE);
                }
            }
        }
        let rate = Rate::new(seconds, RECENT);
        for (mean, &pixel) in self.recent.iter_mut().zip(picture) {
            *mean += rate.part(pixel - *mean);
        }
    }
}

/// The part of a difference by which a mean changes.
#[derive(Debug, Clone, Copy)]
struct Rate(i32);

impl Rate {
    const BITS: u32 = 15;

    /// Returns the part after `seconds` of a mean that takes about `duration` seconds.
    fn new(seconds: f32, duration: f32) -> Self {
        let one: u16 = 1 << Self::BITS;
        #[expect(clippy::cast_possible_truncation, reason = "at most 1")]
        let part = (seconds / (seconds + duration) * f32::from(one)).round() as i32;
        Self(part)
    }

    /// Returns the part of a difference, rounded.
    fn part(self, difference: i16) -> i16 {
        let half = 1 << (Self::BITS - 1);
        #[expect(clippy::cast_possible_truncation, reason = "not greater than the difference")]
        let part = ((i32::from(difference) * self.0 + half) >> Self::BITS) as i16;
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a background of this tone, after a minute of pictures with this noise, `rate` pictures per second.
    fn known(tone: i16, noise: i16, rate: u64) -> Background {
        let mut background = Background::new();
        let light = vec![0; PIXELS];
        let mut usual = vec![0; PIXELS];
        let mut recent = vec![0; PIXELS];
        for index in 0..60 * rate {
            let sign = if index % 2 == 0 { 1 } else { -1 };
            let picture = vec![tone + sign * noise; PIXELS];
            let pace = if index == 0 { Pace::Replace } else { Pace::Follow };
            background.differences(&picture, &mut usual, &mut recent);
            let elapsed = Duration::from_millis(1000 / rate);
            background.update(&picture, (&usual, &light), &[0; PIXELS], elapsed, pace);
        }
        background
    }

    #[test]
    fn tone_and_noise_are_learnt_at_any_rate() {
        for rate in [1, 2, 5, 10] {
            let background = known(5000, 300, rate);
            assert!(background.usual.iter().all(|&tone| (tone - 5000).abs() < 150), "{rate}");
            assert!(background.noise.iter().all(|&noise| (200..450).contains(&noise)), "{rate}");
        }
    }

    #[test]
    fn noise_has_limits() {
        assert!(known(5000, 0, 5).noise.iter().all(|&noise| noise >= MIN_NOISE));
        assert!(known(12_000, 12_000, 5).noise.iter().all(|&noise| noise <= MAX_NOISE));
    }

    #[test]
    fn a_long_pause_changes_at_most_everything() {
        for seconds in [0.0, 0.2, 1e9] {
            let rate = Rate::new(seconds, FOLLOW);
            for difference in [i16::MIN, -1, 0, 1, i16::MAX] {
                assert!(rate.part(difference).unsigned_abs() <= difference.unsigned_abs());
            }
        }
    }
}
