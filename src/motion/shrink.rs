//! Shrinks pictures of any size to 160×90 grey pixels.

/// Width of a shrunk picture in pixels.
pub const WIDTH: usize = 160;
/// Height of a shrunk picture in pixels.
pub const HEIGHT: usize = 90;
/// Number of pixels of a shrunk picture.
pub const PIXELS: usize = WIDTH * HEIGHT;
/// The greatest width and height of a picture, in pixels.
const MAX_SIDE: usize = 16_384;

/// The luma plane of a picture: one byte for each pixel, row by row.
#[derive(Debug, Clone, Copy)]
pub struct Luma<'a> {
    bytes: &'a [u8],
    width: usize,
    height: usize,
    stride: usize,
}

impl<'a> Luma<'a> {
    /// Returns a picture whose rows follow each other without a gap. `bytes` can have other planes after the luma
    /// plane. Returns `None` if a side is zero or too large, or if there are too few bytes.
    pub fn new(bytes: &'a [u8], width: usize, height: usize) -> Option<Self> {
        Self::with_stride(bytes, width, height, width)
    }

    /// Returns a picture whose rows begin every `stride` bytes. The conditions of [`Luma::new`] apply.
    pub fn with_stride(
        bytes: &'a [u8],
        width: usize,
        height: usize,
        stride: usize,
    ) -> Option<Self> {
        let is_valid = (1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height);
        if !is_valid || stride < width {
            return None;
        }
        let needed = stride.checked_mul(height - 1)?.checked_add(width)?;
        (bytes.len() >= needed).then_some(Self { bytes, width, height, stride })
    }

    /// Returns a row of pixels; an empty row below the picture.
    fn row(&self, y: usize) -> &'a [u8] {
        let start = y * self.stride;
        self.bytes.get(start..start + self.width).unwrap_or_default()
    }
}

/// Shrinks a picture to the first [`PIXELS`] bytes of `out`. Each pixel is the exact mean of the area that it covers, rounded.
/// Smaller pictures are enlarged in the same way. The aspect ratio is not kept.
pub fn shrink(picture: Luma<'_>, out: &mut [u8]) {
    let is_multiple = picture.width.is_multiple_of(WIDTH) && picture.height.is_multiple_of(HEIGHT);
    // The sums of a column have 16 bits up to this height.
    if is_multiple && picture.height / HEIGHT <= 256 {
        shrink_multiple(picture, out);
    } else {
        shrink_any(picture, out);
    }
}

/// Shrinks a picture whose size is a multiple of 160×90, so that no pixel is divided.
fn shrink_multiple(picture: Luma<'_>, out: &mut [u8]) {
    let (columns, rows) = (picture.width / WIDTH, picture.height / HEIGHT);
    let divide = Division::by(columns * rows);
    let mut sums = vec![0_u16; picture.width];
    for (y, out) in out.chunks_exact_mut(WIDTH).take(HEIGHT).enumerate() {
        sums.fill(0);
        for row in y * rows..(y + 1) * rows {
            for (sum, &pixel) in sums.iter_mut().zip(picture.row(row)) {
                *sum += u16::from(pixel);
            }
        }
        match columns {
            // The usual sizes have loops of their own, because the compiler unrolls them.
            4 => add_columns::<4>(&sums, out, divide),
            8 => add_columns::<8>(&sums, out, divide),
            12 => add_columns::<12>(&sums, out, divide),
            _ => {
                for (out, sums) in out.iter_mut().zip(sums.chunks_exact(columns)) {
                    *out = divide.round(sums.iter().map(|&sum| u64::from(sum)).sum());
                }
            }
        }
    }
}

/// Divides the sums of `COLUMNS` columns for each pixel of a row.
fn add_columns<const COLUMNS: usize>(sums: &[u16], out: &mut [u8], divide: Division) {
    let (chunks, _) = sums.as_chunks::<COLUMNS>();
    for (out, sums) in out.iter_mut().zip(chunks) {
        let sum: u32 = sums.iter().map(|&sum| u32::from(sum)).sum();
        *out = divide.round(u64::from(sum));
    }
}

/// Shrinks a picture of any size. Lengths are counted in parts of a pixel, of which a row has `WIDTH` times its width, and
/// a column `HEIGHT` times its height, so that all weights are whole numbers.
fn shrink_any(picture: Luma<'_>, out: &mut [u8]) {
    let (width, height) = (picture.width, picture.height);
    let divide = Division::by(width * height);
    // Sums of the complete rows, and of the parts of the first and the last row. Both have 16 bits: at most 183 rows of 255, and
    // two rows of 255 with a weight of 90.
    let (mut whole, mut parts) = (vec![0_u16; width], vec![0_u16; width]);
    // The column at each border of a pixel, and the part of the column that is left of the border.
    let borders: Vec<_> =
        (0..=WIDTH).map(|x| x * width).map(|x| (x / WIDTH, (x % WIDTH) as u64)).collect();
    for (y, out) in out.chunks_exact_mut(WIDTH).take(HEIGHT).enumerate() {
        let (top, bottom) = (y * height, (y + 1) * height);
        whole.fill(0);
        parts.fill(0);
        for row in top / HEIGHT..=(bottom - 1) / HEIGHT {
            let weight = bottom.min((row + 1) * HEIGHT) - top.max(row * HEIGHT);
            if weight == HEIGHT {
                for (sum, &pixel) in whole.iter_mut().zip(picture.row(row)) {
                    *sum += u16::from(pixel);
                }
            } else {
                let weight = u16::try_from(weight).unwrap_or_default();
                for (sum, &pixel) in parts.iter_mut().zip(picture.row(row)) {
                    *sum += weight * u16::from(pixel);
                }
            }
        }
        let mut columns = whole.iter().zip(&parts).map(|(&whole, &part)| {
            let height = u64::try_from(HEIGHT).unwrap_or_default();
            height * u64::from(whole) + u64::from(part)
        });
        // The sum of everything to the left of a border, in parts of a pixel.
        let (mut passed, mut sum, mut here) = (0, 0, columns.next().unwrap_or_default());
        let mut previous = 0;
        for (out, &(column, part)) in out.iter_mut().zip(borders.iter().skip(1)) {
            while passed < column {
                sum += here;
                here = columns.next().unwrap_or_default();
                passed += 1;
            }
            let total = sum * WIDTH as u64 + here * part;
            *out = divide.round(total - previous);
            previous = total;
        }
    }
}

/// A division by a number that is known in advance, as a multiplication.
#[derive(Debug, Clone, Copy)]
struct Division {
    half: u64,
    factor: u64,
}

impl Division {
    /// Number of bits after the point. Quotients of 8 bits are exact for divisors up to 2²³; beyond, they can be wrong by one
    /// if they are a whole number and a half.
    const BITS: u32 = 55;

    /// Returns a division by `divisor`, which is greater than zero.
    fn by(divisor: usize) -> Self {
        let divisor = divisor as u64;
        Self { half: divisor / 2, factor: (1 << Self::BITS) / divisor + 1 }
    }

    /// Returns the rounded quotient, at most 255.
    fn round(self, sum: u64) -> u8 {
        u8::try_from(((sum + self.half) * self.factor) >> Self::BITS).unwrap_or(u8::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shrunk(width: usize, height: usize, pixel: impl Fn(usize, usize) -> u8) -> Vec<u8> {
        let bytes: Vec<_> = (0..width * height).map(|i| pixel(i % width, i / width)).collect();
        let mut out = vec![0; PIXELS];
        shrink(Luma::new(&bytes, width, height).expect("a picture"), &mut out);
        out
    }

    /// Returns the mean of an area by adding up every part of every pixel.
    fn mean(
        x: usize,
        y: usize,
        width: usize,
        height: usize,
        pixel: impl Fn(usize, usize) -> u8,
    ) -> u8 {
        let mut sum = 0;
        for v in y * height..(y + 1) * height {
            for u in x * width..(x + 1) * width {
                sum += usize::from(pixel(u / WIDTH, v / HEIGHT));
            }
        }
        u8::try_from((sum + width * height / 2) / (width * height)).expect("a mean")
    }

    fn texture(x: usize, y: usize) -> u8 {
        u8::try_from((x * 37 + y * 101 + x * y * 13) % 256).expect("a byte")
    }

    #[test]
    fn each_pixel_is_the_mean_of_its_area() {
        for (width, height) in [
            (640, 360),
            (640, 480),
            (704, 576),
            (161, 91),
            (160, 90),
            (320, 90),
            (97, 53),
            (1, 1),
            (3, 200),
        ] {
            let out = shrunk(width, height, texture);
            for (x, y) in [(0, 0), (1, 0), (159, 89), (80, 45), (37, 61), (0, 89), (159, 0)] {
                let expected = mean(x, y, width, height, texture);
                assert_eq!(out[y * WIDTH + x], expected, "{width}×{height} at {x}, {y}");
            }
        }
    }

    #[test]
    fn plain_pictures_keep_their_tone() {
        for tone in [0, 1, 127, 254, 255] {
            for (width, height) in [(1920, 1080), (2592, 1944), (3840, 2160), (7, 5), (1, 999)] {
                let out = shrunk(width, height, |_, _| tone);
                assert!(out.iter().all(|&pixel| pixel == tone), "{tone} at {width}×{height}");
            }
        }
    }

    #[test]
    fn a_stride_is_skipped() {
        let bytes: Vec<_> = (0..400 * 100).map(|i| texture(i % 400, i / 400)).collect();
        let mut padded = vec![0; PIXELS];
        let luma = Luma::with_stride(&bytes, 333, 100, 400).expect("a picture");
        shrink(luma, &mut padded);
        assert_eq!(padded, shrunk(333, 100, texture));
    }

    #[test]
    fn invalid_sizes_are_refused() {
        let bytes = [0; 100];
        for (width, height) in
            [(0, 0), (0, 10), (10, 0), (10, 11), (MAX_SIDE + 1, 1), (usize::MAX, usize::MAX)]
        {
            assert!(Luma::new(&bytes, width, height).is_none(), "{width}×{height}");
        }
        assert!(Luma::with_stride(&bytes, 10, 2, 9).is_none());
        assert!(Luma::with_stride(&bytes, 10, 2, usize::MAX).is_none());
        assert!(Luma::with_stride(&bytes, 10, 10, 10).is_some());
        assert!(Luma::with_stride(&bytes, 10, 5, 22).is_some());
    }
}
