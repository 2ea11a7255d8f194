//! Changes of light: estimates them for each block, and detects sudden changes of the whole picture.

use std::time::Duration;

use super::blocks::{BLOCKS, COLUMNS, ROWS, SIDE};
use super::shrink::WIDTH;
use super::tone::GREY;

/// The least change of a block in a sudden change of light, on the logarithmic scale.
const SUDDEN: i32 = 5 * GREY as i32;
/// The part of the blocks that change in a sudden change of light: one of two.
const SUDDEN_BLOCKS: usize = BLOCKS / 2;
/// The time that separates two series of sudden changes.
const PAUSE: Duration = Duration::from_secs(2);
/// The longest series of sudden changes.
const MAX_SERIES: Duration = Duration::from_secs(10);

/// The change of light in each block. Each block is compared with blocks at a distance of `REACH` blocks. Something that
/// covers less than half of this area is not mistaken for light.
#[derive(Debug)]
pub(super) struct LightField<const REACH: usize> {
    /// The change of each block, with the first and the last block of each row repeated `REACH` times at its ends.
    padded: Vec<Vec<i16>>,
    /// The change of light of each block, without what moves.
    blocks: Vec<[i16; COLUMNS]>,
    /// How fast the light of each block has changed in the last second.
    speeds: Vec<[i16; COLUMNS]>,
}

/// How much the change of light varies at a block, on the logarithmic scale.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variation {
    /// The difference between the blocks on two sides of the block.
    pub(super) slope: u32,
    /// The change of light.
    pub(super) change: u32,
    /// The change of light from one picture to the next, in the last second.
    pub(super) speed: u32,
}

impl<const REACH: usize> LightField<REACH> {
    /// Creates a field without any change.
    pub(super) fn new() -> Self {
        Self {
            padded: (0..ROWS).map(|_| Vec::with_capacity(COLUMNS + 2 * REACH)).collect(),
            blocks: vec![[0; COLUMNS]; ROWS],
            speeds: vec![[0; COLUMNS]; ROWS],
        }
    }

    /// Estimates the change of light. `sums` has the sum of all differences of each block. The median of nine blocks is a
    /// change that a block shares with its surroundings.
    pub(super) fn estimate(&mut self, sums: &[i32]) {
        for (row, sums) in self.padded.iter_mut().zip(sums.chunks_exact(COLUMNS)) {
            let first = sums.iter().take(1).cycle().take(REACH);
            let last = sums.iter().skip(COLUMNS - 1).cycle().take(REACH);
            row.clear();
            row.extend(first.chain(sums).chain(last).map(|&sum| mean(sum)));
        }
        for (index, (medians, speeds)) in self.blocks.iter_mut().zip(&mut self.speeds).enumerate() {
            let row = |index: usize| self.padded.get(index.min(ROWS - 1)).into_iter();
            let rows = row(index.saturating_sub(REACH)).zip(row(index)).zip(row(index + REACH));
            for ((above, here), below) in rows {
                let window = 2 * REACH + 1;
                let windows = above.windows(window).zip(here.windows(window));
                let windows = windows.zip(below.windows(window));
                let medians = medians.iter_mut().zip(speeds.iter_mut());
                for ((median, speed), ((above, here), below)) in medians.zip(windows) {
                    let three = |row: &[i16]| {
                        let middle = row.get(REACH).copied().unwrap_or_default();
                        let (first, last) = (row.first().copied(), row.last().copied());
                        [first.unwrap_or_default(), middle, last.unwrap_or_default()]
                    };
                    let last = *median;
                    *median = median_of_nine([three(above), three(here), three(below)]);
                    *speed =
                        (*speed - *speed / 4).max(median.saturating_sub(last).saturating_abs());
                }
            }
        }
    }

    /// Writes, for each pixel, how wrong the estimated change of light can be. It is less exact where light changes strongly,
    /// and at the border of a shadow.
    pub(super) fn uncertainty(&self, pixels: &mut [i16], of: impl Fn(Variation) -> u32) {
        let below = self.blocks.iter().skip(1).chain(self.blocks.last());
        let mut above = self.blocks.first();
        let strips = pixels.chunks_exact_mut(WIDTH * SIDE);
        let rows = self.blocks.iter().zip(&self.speeds).zip(below);
        for (((row, speeds), below), strip) in rows.zip(strips) {
            let vertical = above.unwrap_or(row).iter().zip(below);
            let left = row.iter().take(1).chain(row);
            let right = row.iter().skip(1).chain(row.last());
            let mut limits = [0; COLUMNS];
            let blocks = row.iter().zip(speeds).zip(vertical).zip(left.zip(right));
            for (limit, (((&here, &speed), (&above, &below)), (&left, &right))) in
                limits.iter_mut().zip(blocks)
            {
                let slope = i32::from(above).abs_diff(i32::from(below));
                let slope = slope.max(i32::from(left).abs_diff(i32::from(right)));
                let change = i32::from(here).unsigned_abs();
                let speed = i32::from(speed).unsigned_abs();
                let uncertainty = of(Variation { slope, change, speed });
                *limit = i16::try_from(uncertainty).unwrap_or(i16::MAX);
            }
            for pixels in strip.chunks_exact_mut(WIDTH) {
                let (groups, _) = pixels.as_chunks_mut::<SIDE>();
                for (group, &limit) in groups.iter_mut().zip(&limits) {
                    *group = [limit; SIDE];
                }
            }
            above = Some(row);
        }
    }

    /// Writes the change of light of each pixel, interpolated between the centres of the blocks.
    pub(super) fn interpolate(&self, pixels: &mut [i16]) {
        for (y, pixels) in pixels.chunks_exact_mut(WIDTH).enumerate() {
            let row = y / SIDE;
            let (weight, far) = neighbour(y % SIDE, row);
            let (Some(near), Some(far)) = (self.blocks.get(row), self.blocks.get(far)) else {
                continue;
            };
            let mut blocks = [0; COLUMNS];
            for ((block, &near), &far) in blocks.iter_mut().zip(near).zip(far) {
                *block = weighted(near, far, weight);
            }
            let (groups, _) = pixels.as_chunks_mut::<SIDE>();
            // The gradient continues at the borders.
            let [first, second, .., before_last, last] = blocks;
            let mut left = weighted(first, second, -5);
            let beyond = weighted(last, before_last, -5);
            let rights = blocks.iter().skip(1).chain(std::iter::once(&beyond));
            for ((group, &here), &right) in groups.iter_mut().zip(&blocks).zip(rights) {
                *group = [
                    weighted(here, left, 2),
                    weighted(here, left, 1),
                    here,
                    weighted(here, right, 1),
                    weighted(here, right, 2),
                ];
                left = here;
            }
        }
    }
}

/// Returns how many fifths of the value of a line of pixels in a row of blocks come from another row, and from which one.
/// Beyond the centres of the first and the last row, the gradient continues.
fn neighbour(line: usize, row: usize) -> (i32, usize) {
    let (weight, is_above) = match line {
        0 => (2, true),
        1 => (1, true),
        3 => (1, false),
        4 => (2, false),
        _ => return (0, row),
    };
    match (is_above, row) {
        (true, 0) => (-weight, 1),
        (true, _) => (weight, row - 1),
        (false, row) if row + 1 == ROWS => (-weight, row - 1),
        (false, _) => (weight, row + 1),
    }
}

/// Returns a value between two others, or beyond `near`. `weight` is how many fifths come from `far`.
fn weighted(near: i16, far: i16, weight: i32) -> i16 {
    let value = (i32::from(near) * (5 - weight) + i32::from(far) * weight) / 5;
    #[expect(clippy::cast_possible_truncation, reason = "limited to 16 bits")]
    let value = value.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
    value
}

/// Returns the mean of a block's pixels from their sum.
fn mean(sum: i32) -> i16 {
    let pixels = i32::try_from(SIDE * SIDE).unwrap_or(1);
    i16::try_from(sum / pixels).unwrap_or_default()
}

/// Returns the median of nine values, with the least number of comparisons.
fn median_of_nine([first, second, third]: [[i16; 3]; 3]) -> i16 {
    let sorted = |[a, b, c]: [i16; 3]| {
        let (low, high) = (a.min(b), a.max(b));
        let (middle, high) = (high.min(c), high.max(c));
        (low.min(middle), low.max(middle), high)
    };
    let (low1, middle1, high1) = sorted(first);
    let (low2, middle2, high2) = sorted(second);
    let (low3, middle3, high3) = sorted(third);
    let (_, _, low) = sorted([low1, low2, low3]);
    let (_, middle, _) = sorted([middle1, middle2, middle3]);
    let (high, _, _) = sorted([high1, high2, high3]);
    sorted([low, middle, high]).1
}

/// Detects sudden changes of the whole picture: a lamp, a change to infrared, a camera that turns.
#[derive(Debug, Default)]
pub(super) struct LightWatch {
    /// The time of the first and of the last sudden change of a series.
    series: Option<(Duration, Duration)>,
}

impl LightWatch {
    /// Returns whether the light has changed suddenly. `sums` has, for each block, the sum of the differences from the last
    /// pictures. A series of changes without a pause counts for [`MAX_SERIES`] only, so that a lamp that blinks does not
    /// hide all motion.
    pub(super) fn has_changed(&mut self, sums: &[i32], at: Duration) -> bool {
        let limit = SUDDEN * i32::try_from(SIDE * SIDE).unwrap_or(1);
        let changed = sums.iter().filter(|sum| sum.abs() > limit).count();
        if changed <= SUDDEN_BLOCKS {
            return false;
        }
        let series = self.series.filter(|(_, last)| at.saturating_sub(*last) < PAUSE);
        let first = series.map_or(at, |(first, _)| first);
        self.series = Some((first, at));
        at.saturating_sub(first) < MAX_SERIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motion::shrink::PIXELS;

    fn field(difference: impl Fn(usize, usize) -> i32) -> Vec<i16> {
        let sums: Vec<_> = (0..BLOCKS).map(|i| 25 * difference(i % COLUMNS, i / COLUMNS)).collect();
        let mut field = LightField::<3>::new();
        field.estimate(&sums);
        let mut pixels = vec![0; PIXELS];
        field.interpolate(&mut pixels);
        pixels
    }

    #[test]
    fn the_median_is_the_fifth_of_nine() {
        let mut values = [7, -3, 12, 0, 5, 5, 100, -40, 6];
        for _ in 0..values.len() {
            values.rotate_left(1);
            let (rows, _) = values.as_chunks();
            assert_eq!(median_of_nine([rows[0], rows[1], rows[2]]), 5);
            values.swap(0, 4);
        }
    }

    #[test]
    fn a_change_of_light_is_kept_and_a_person_is_left_out() {
        assert!(field(|_, _| -700).iter().all(|&light| light == -700));
        let person = |x: usize, y: usize| {
            if (10..13).contains(&x) && (5..11).contains(&y) { 3000 } else { 0 }
        };
        assert!(field(person).iter().all(|&light| light == 0));
    }

    #[test]
    fn a_gradient_is_interpolated() {
        let light = field(|x, _| i32::try_from(x).expect("a column") * 100);
        // At the border, the median of the blocks flattens it.
        for x in 25..135 {
            let expected = (i32::try_from(x).expect("a pixel") - 2) * 20;
            assert_eq!(i32::from(light[40 * WIDTH + x]), expected, "{x}");
        }
    }

    #[test]
    fn a_lamp_that_blinks_suppresses_motion_for_a_limited_time() {
        let mut watch = LightWatch::default();
        let lamp = vec![SUDDEN * 26; BLOCKS];
        let steady = vec![0; BLOCKS];
        let at = |tenths: u64| Duration::from_millis(tenths * 100);
        assert!(!watch.has_changed(&steady, at(0)));
        assert!(watch.has_changed(&lamp, at(10)));
        assert!(!watch.has_changed(&steady, at(12)));
        let suppressed = (100..300).filter(|&t| watch.has_changed(&lamp, at(t))).count();
        assert_eq!(suppressed, 100);
        assert!(!watch.has_changed(&lamp[..BLOCKS / 2], at(400)));
        assert!(watch.has_changed(&lamp, at(500)));
    }
}
