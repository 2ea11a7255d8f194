//! Converts grey values to a logarithmic scale, on which a change of light is the same difference everywhere.

use super::shrink::PIXELS;

/// One grey value at a medium tone, on the logarithmic scale.
pub(super) const GREY: i16 = 64;
/// The medium tone.
const MEDIUM: f32 = 128.0;
/// Is added to each grey value. Cameras and encoders do not show the darkest tones in proportion, and a logarithm of them
/// would amplify noise without a limit.
const OFFSET: f32 = 16.0;

/// Tables with the logarithmic value of each grey value, and the distance to the next one.
#[derive(Debug)]
pub(super) struct Tones {
    table: Vec<(i16, i16)>,
}

impl Tones {
    /// Computes the tables.
    pub(super) fn new() -> Self {
        let scale = f32::from(GREY) * (MEDIUM + OFFSET);
        let tone = |grey: u8| {
            let grey = f32::from(grey);
            let (value, step) = (scale * (grey / OFFSET).ln_1p(), scale / (grey + OFFSET));
            #[expect(clippy::cast_possible_truncation, reason = "at most 26,218")]
            let tone = (value.round() as i16, step.round() as i16);
            tone
        };
        Self { table: (0..=u8::MAX).map(tone).collect() }
    }

    /// Converts a shrunk picture. `steps` gets the size of one grey value at each pixel.
    pub(super) fn convert(&self, picture: &[u8], tones: &mut [i16], steps: &mut [i16]) {
        for ((&grey, tone), step) in picture.iter().take(PIXELS).zip(tones).zip(steps) {
            (*tone, *step) = self.table.get(usize::from(grey)).copied().unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grey_value_at_a_medium_tone_has_the_promised_size() {
        let tones: Vec<_> = Tones::new().table.iter().map(|tone| tone.0).collect();
        assert_eq!(tones.len(), 256);
        assert_eq!(tones[0], 0);
        assert!((tones[129] - tones[127] - 2 * GREY).abs() <= 1);
        assert!(tones.is_sorted());
    }

    #[test]
    fn less_light_is_nearly_the_same_difference_at_all_tones() {
        let tones = Tones::new();
        let difference = |grey: usize| tones.table[grey].0 - tones.table[grey * 3 / 4].0;
        assert!((difference(200) - difference(100)).abs() < 4 * GREY);
    }
}
