//! The sensitivity of a camera's motion detection, and the thresholds that follow from it.

use super::tone::GREY;

/// A sensitivity from 1 (only large and clear motion) to 100 (small and faint motion).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sensitivity(u8);

impl Sensitivity {
    /// The lowest sensitivity.
    pub const MIN: Self = Self(1);
    /// The highest sensitivity.
    pub const MAX: Self = Self(100);

    /// Returns a sensitivity, or `None` if the number is not in the range from 1 to 100.
    pub fn new(percent: u8) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&percent).then_some(Self(percent))
    }

    /// Returns the number from 1 to 100.
    pub fn percent(self) -> u8 {
        self.0
    }

    /// Returns the thresholds. 50 steps double or halve the contrast that is needed, and change the area by a factor of four.
    pub(super) fn thresholds(self) -> Thresholds {
        let steps = (50.0 - f32::from(self.0)) / 50.0;
        let contrast = steps.exp2();
        let scaled = |value: f32| {
            #[expect(clippy::cast_possible_truncation, reason = "at most some thousands")]
            let value = (value * contrast).round() as i16;
            value
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
        let area = (AREA * contrast * contrast).round() as u32;
        Thresholds {
            contrast: scaled(CONTRAST * f32::from(GREY)),
            steps: scaled(STEPS * 16.0),
            noise: scaled(NOISE * 16.0),
            area: area.max(MIN_AREA),
        }
    }
}

impl Default for Sensitivity {
    fn default() -> Self {
        Self(50)
    }
}

/// The least difference of a changed pixel at the default sensitivity, in grey values.
const CONTRAST: f32 = 5.0;
/// The least difference of a changed dark pixel at the default sensitivity, in grey values. Matters where the logarithmic
/// scale has large steps.
const STEPS: f32 = 5.0;
/// The least difference of a changed pixel at the default sensitivity, as a multiple of the pixel's noise.
const NOISE: f32 = 4.0;
/// The least number of changed pixels of something that moves, at the default sensitivity.
const AREA: f32 = 12.0;
/// The least number of changed pixels at any sensitivity.
const MIN_AREA: u32 = 4;

/// Thresholds of the detection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Thresholds {
    /// The least difference of a changed pixel, on the logarithmic scale.
    pub(super) contrast: i16,
    /// The least difference of a changed pixel, in sixteenths of the pixel's step from one grey value to the next.
    pub(super) steps: i16,
    /// The least difference of a changed pixel, in sixteenths of the pixel's noise.
    pub(super) noise: i16,
    /// The least number of changed pixels of something that moves.
    pub(super) area: u32,
}

impl Thresholds {
    /// Returns thresholds at which the differences of pixels must be greater, by `sixteenths` of the usual differences.
    pub(super) fn raised(self, sixteenths: i16) -> Self {
        let raised = |value: i16| {
            let value = i32::from(value) * i32::from(sixteenths) / 16;
            i16::try_from(value).unwrap_or(i16::MAX)
        };
        Self {
            contrast: raised(self.contrast),
            steps: raised(self.steps),
            noise: raised(self.noise),
            area: self.area,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_sensitivity_has_lower_thresholds() {
        let thresholds = |percent| Sensitivity::new(percent).expect("a sensitivity").thresholds();
        for pair in [1, 20, 50, 80, 100].windows(2) {
            let (low, high) = (thresholds(pair[0]), thresholds(pair[1]));
            assert!(low.contrast > high.contrast, "{pair:?}");
            assert!(low.noise > high.noise, "{pair:?}");
            assert!(low.area >= high.area, "{pair:?}");
        }
        assert_eq!(thresholds(50).contrast, 320);
    }

    #[test]
    fn other_numbers_are_refused() {
        assert_eq!(Sensitivity::new(0), None);
        assert_eq!(Sensitivity::new(101), None);
        assert_eq!(Sensitivity::new(100), Some(Sensitivity::MAX));
    }
}
