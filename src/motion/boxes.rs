//! Boxes around the things that move.

use super::blocks::{BlockSet, SIDE};
use super::shrink::{HEIGHT, WIDTH};

/// A box on the shrunk picture of 160×90 pixels. The right and the lower border are outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MotionBox {
    /// Left border in pixels.
    pub left: u8,
    /// Upper border in pixels.
    pub top: u8,
    /// Right border in pixels.
    pub right: u8,
    /// Lower border in pixels.
    pub bottom: u8,
}

impl MotionBox {
    /// Returns left, top, width and height in parts of the picture's width and height.
    pub fn parts(&self) -> [f32; 4] {
        #[expect(clippy::cast_precision_loss, reason = "160 and 90")]
        let (width, height) = (WIDTH as f32, HEIGHT as f32);
        let (left, top) = (f32::from(self.left) / width, f32::from(self.top) / height);
        [left, top, f32::from(self.width()) / width, f32::from(self.height()) / height]
    }

    /// Returns the width in pixels.
    pub(super) fn width(self) -> u8 {
        self.right.saturating_sub(self.left)
    }

    /// Returns the height in pixels.
    pub(super) fn height(self) -> u8 {
        self.bottom.saturating_sub(self.top)
    }

    /// Returns the number of pixels.
    pub(super) fn pixels(self) -> u32 {
        u32::from(self.width()) * u32::from(self.height())
    }

    /// Returns the number of pixels that are in both boxes.
    pub(super) fn overlap(self, other: Self) -> u32 {
        let both = Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        };
        both.pixels()
    }

    /// Returns twice the place of the centre, in pixels.
    pub(super) fn centre2(self) -> (i32, i32) {
        let sum = |a: u8, b: u8| i32::from(a) + i32::from(b);
        (sum(self.left, self.right), sum(self.top, self.bottom))
    }

    /// Returns the distance between two boxes in pixels; 0 if they touch or overlap.
    pub(super) fn gap(self, other: Self) -> u8 {
        let along = |low: u8, high: u8, other_low: u8, other_high: u8| {
            other_low.saturating_sub(high).max(low.saturating_sub(other_high))
        };
        let x = along(self.left, self.right, other.left, other.right);
        let y = along(self.top, self.bottom, other.top, other.bottom);
        x.max(y)
    }
}

/// A connected part of the picture that moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blob {
    /// The box around the changed pixels.
    pub(super) area: MotionBox,
    /// Number of pixels that differ from the background.
    pub(super) changed: u32,
    /// Whether the differences have no sharp edge, as at the border of a shadow of clouds.
    pub(super) is_soft: bool,
}

/// The distance from a box up to which its edges are searched, in pixels.
const MARGIN: u8 = 2;
/// The part of all differences that is a sharp edge, as a divisor.
const SHARP: i32 = 4;
/// The part of a box's border, as a divisor, for which there must be a sharp edge.
const SHARP_BORDER: usize = 4;
/// The least border of a box in this comparison, in pixels.
const MIN_BORDER: usize = 24;
/// The largest number of boxes in a picture.
pub(super) const MAX_BOXES: usize = 12;

/// Returns the connected parts of `changed` that contain a block of `moving`, the largest ones first. `pixels` has a 1
/// for each changed pixel, and `differences` the difference of each pixel from the background.
pub(super) fn blobs(
    pixels: &[u8],
    differences: &[i16],
    changed: BlockSet,
    moving: BlockSet,
) -> Vec<Blob> {
    let mut blobs = Vec::new();
    let mut left = moving;
    // Each round removes at least one block. Parts beyond this limit are so many that they are not reported anyway.
    while blobs.len() < 4 * MAX_BOXES {
        let Some(first) = left.first() else { break };
        let part = first.connected(changed.or(moving));
        left = left.without(part);
        blobs.extend(measure(pixels, part));
    }
    blobs.sort_by_key(|blob| std::cmp::Reverse(blob.changed));
    blobs.truncate(MAX_BOXES);
    for blob in &mut blobs {
        blob.is_soft = is_soft(differences, blob.area);
    }
    blobs
}

/// Measures the changed pixels of the blocks. Returns `None` if there is no such pixel.
fn measure(pixels: &[u8], part: BlockSet) -> Option<Blob> {
    let mut changed = 0;
    let (mut left, mut top, mut right, mut bottom) = (WIDTH, HEIGHT, 0, 0);
    let strips = pixels.chunks_exact(WIDTH * SIDE);
    for (index, (&blocks, strip)) in part.rows().iter().zip(strips).enumerate() {
        if blocks == 0 {
            continue;
        }
        for (row, pixels) in strip.chunks_exact(WIDTH).enumerate() {
            let (groups, _) = pixels.as_chunks::<SIDE>();
            for (column, group) in groups.iter().enumerate() {
                if (blocks >> column) & 1 == 0 || group == &[0; SIDE] {
                    continue;
                }
                changed += group.iter().map(|&pixel| u32::from(pixel)).sum::<u32>();
                let from = group.iter().position(|&pixel| pixel != 0).unwrap_or(0);
                let to = group.iter().rposition(|&pixel| pixel != 0).unwrap_or(0);
                left = left.min(column * SIDE + from);
                right = right.max(column * SIDE + to + 1);
                top = top.min(index * SIDE + row);
                bottom = bottom.max(index * SIDE + row + 1);
            }
        }
    }
    let side = |value: usize| u8::try_from(value).unwrap_or(u8::MAX);
    let area =
        MotionBox { left: side(left), top: side(top), right: side(right), bottom: side(bottom) };
    (changed > 0).then_some(Blob { area, changed, is_soft: false })
}

/// Returns whether the differences in a box have no sharp edge: hardly any neighbours differ by a fourth of the difference
/// between the darkest and the brightest pixel.
fn is_soft(differences: &[i16], area: MotionBox) -> bool {
    let columns = usize::from(area.left.saturating_sub(MARGIN))
        ..usize::from(area.right.saturating_add(MARGIN)).min(WIDTH);
    let top = usize::from(area.top.saturating_sub(MARGIN));
    let height = usize::from(area.bottom.saturating_add(MARGIN)).min(HEIGHT) - top;
    let rows = differences.chunks_exact(WIDTH).skip(top).take(height);
    let rows = rows.map(|row| row.get(columns.clone()).unwrap_or_default());
    let values = rows.clone().flatten().copied();
    let (low, high) =
        values.fold((i16::MAX, i16::MIN), |(low, high), value| (low.min(value), high.max(value)));
    let limit = (i32::from(high) - i32::from(low)) / SHARP;
    let is_sharp = |a: i16, b: i16| usize::from((i32::from(a) - i32::from(b)).abs() > limit);
    let mut sharp = 0;
    let mut above = rows.clone().next().unwrap_or_default();
    for row in rows {
        sharp += above.iter().zip(row).map(|(&a, &b)| is_sharp(a, b)).sum::<usize>();
        sharp += row.iter().zip(row.iter().skip(1)).map(|(&a, &b)| is_sharp(a, b)).sum::<usize>();
        above = row;
    }
    let border = 2 * (usize::from(area.width()) + usize::from(area.height()));
    sharp * SHARP_BORDER < border.max(MIN_BORDER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motion::blocks::{self, BLOCKS};
    use crate::motion::shrink::PIXELS;

    fn area(left: u8, top: u8, right: u8, bottom: u8) -> MotionBox {
        MotionBox { left, top, right, bottom }
    }

    fn found(areas: &[MotionBox]) -> Vec<Blob> {
        let mut pixels = vec![0; PIXELS];
        for area in areas {
            for y in area.top..area.bottom {
                for x in area.left..area.right {
                    pixels[usize::from(y) * WIDTH + usize::from(x)] = 1;
                }
            }
        }
        let mut sums = vec![0; BLOCKS];
        blocks::sums(&pixels, &mut sums);
        let set = BlockSet::filter(&sums, |&sum| sum > 0);
        blobs(&pixels, &vec![0; PIXELS], set, set)
    }

    #[test]
    fn boxes_fit_the_pixels() {
        let areas = [area(3, 4, 20, 40), area(100, 50, 107, 90), area(157, 0, 160, 1)];
        let blobs = found(&areas);
        assert_eq!(blobs.iter().map(|blob| blob.area).collect::<Vec<_>>(), areas);
        assert_eq!(blobs[0].changed, 17 * 36);
    }

    #[test]
    fn near_parts_are_merged() {
        assert_eq!(
            found(&[area(10, 10, 15, 15), area(21, 10, 24, 15)])[0].area,
            area(10, 10, 24, 15)
        );
    }

    #[test]
    fn the_number_of_boxes_is_limited() {
        let areas: Vec<_> = (0..9)
            .flat_map(|x| (0..5).map(move |y| area(x * 17, y * 18, x * 17 + 2, y * 18 + 2)))
            .collect();
        assert_eq!(found(&areas).len(), MAX_BOXES);
        assert!(found(&[]).is_empty());
    }

    #[test]
    fn the_gap_is_the_greater_of_both_distances() {
        let first = area(10, 10, 20, 20);
        assert_eq!(first.gap(area(25, 12, 30, 13)), 5);
        assert_eq!(first.gap(area(0, 0, 5, 2)), 8);
        assert_eq!(first.gap(area(15, 15, 50, 50)), 0);
    }

    #[test]
    fn a_ramp_is_soft_and_an_edge_is_not() {
        let differences = |tone: fn(usize) -> i16| -> Vec<i16> {
            (0..PIXELS).map(|index| tone(index % WIDTH)).collect()
        };
        let shadow = |x: usize| i16::try_from(x.clamp(40, 60) - 40).expect("a tone") * 100;
        let person = |x: usize| if (45..55).contains(&x) { 2000 } else { 0 };
        let place = area(42, 30, 58, 60);
        assert!(is_soft(&differences(shadow), place));
        assert!(!is_soft(&differences(person), place));
        assert!(is_soft(&vec![0; PIXELS], area(150, 80, 160, 90)));
    }
}
