//! The properties of pictures, and the fields that the sequence parameter sets of H.264 and H.265 share.

use crate::media::bits::BitReader;

/// The properties of a stream's pictures, from its sequence parameter set or from a JPEG.
#[derive(Debug, Clone, PartialEq)]
pub struct PictureParameters {
    /// RFC 6381 codec, e.g. `avc1.42C01E`.
    pub codec: String,
    /// Width in pixels, after cropping.
    pub width: u16,
    /// Height in pixels, after cropping.
    pub height: u16,
    /// Ratio of a pixel's width to its height.
    pub pixel_aspect: (u16, u16),
    /// Chroma format: 0 is monochrome, 1 is 4:2:0, 2 is 4:2:2, 3 is 4:4:4.
    pub chroma_format: u8,
    /// True if pictures may consist of two fields, which were taken at different times. With H.264 only.
    pub is_interlaced: bool,
    /// Bits of a sample of brightness: 8 to 15 with H.264 and H.265.
    pub luma_bit_depth: u8,
    /// Bits of a sample of colour: 8 to 15 with H.264 and H.265.
    pub chroma_bit_depth: u8,
    /// Frames per second, if the set states the rate. The rate at which a camera sends is often different.
    pub frame_rate: Option<f64>,
    /// The largest number of pictures that are decoded before a picture but shown after it, if the set
    /// states the number.
    pub max_reorder_frames: Option<u8>,
    /// True if pictures may be shown in another order than they are decoded, that is, with B-frames.
    /// Most cameras that announce B-frames never send any.
    pub may_reorder: bool,
}

/// The number of pixels that are cropped: left and right together, and top and bottom together.
pub(super) struct Cropping {
    pub horizontal: u32,
    pub vertical: u32,
}

impl Cropping {
    /// Reads the flag and the offsets left, right, top and bottom. An offset of 1 is `unit_x` or `unit_y` pixels.
    pub(super) fn read(bits: &mut BitReader<'_>, unit_x: u32, unit_y: u32) -> Option<Self> {
        if !bits.flag()? {
            return Some(Self { horizontal: 0, vertical: 0 });
        }
        let mut both = || Some(bits.unsigned(u16::MAX.into())? + bits.unsigned(u16::MAX.into())?);
        Some(Self { horizontal: both()? * unit_x, vertical: both()? * unit_y })
    }

    /// Returns the size that remains; `None` if one side is 0 or has more than 65535 pixels.
    pub(super) fn apply(&self, width: u32, height: u32) -> Option<(u16, u16)> {
        let width = u16::try_from(width.checked_sub(self.horizontal)?).ok()?;
        let height = u16::try_from(height.checked_sub(self.vertical)?).ok()?;
        (width > 0 && height > 0).then_some((width, height))
    }
}

/// Fields of the video usability information.
#[derive(Debug, Default)]
pub(super) struct Usability {
    pixel_aspect: Option<(u16, u16)>,
    /// Ticks per second. A tick is the duration of a field in H.264, and the duration of a frame in H.265.
    pub tick_rate: Option<f64>,
    pub max_reorder_frames: Option<u8>,
}

impl Usability {
    /// Returns the ratio of a pixel's width to its height; 1:1 if the set does not state the ratio.
    pub(super) fn pixel_aspect(&self) -> (u16, u16) {
        self.pixel_aspect.unwrap_or(SQUARE)
    }

    /// Reads the first fields, up to the position of chroma samples (H.264, E.1.1; H.265, E.2.1).
    pub(super) fn read_start(&mut self, bits: &mut BitReader<'_>) -> Option<()> {
        if bits.flag()? {
            self.pixel_aspect = Some(pixel_aspect(bits)?);
        }
        if bits.flag()? {
            bits.skip(1)?; // overscan_appropriate_flag
        }
        if bits.flag()? {
            bits.skip(4)?; // video_format, video_full_range_flag
            if bits.flag()? {
                bits.skip(24)?; // colour_primaries, transfer_characteristics, matrix_coefficients
            }
        }
        if bits.flag()? {
            bits.skip_numbers(2)?; // chroma_sample_loc_type_…
        }
        Some(())
    }

    /// Reads `num_units_in_tick` and `time_scale`.
    pub(super) fn read_tick_rate(&mut self, bits: &mut BitReader<'_>) -> Option<()> {
        let (units, scale) = (bits.bits(32)?, bits.bits(32)?);
        self.tick_rate = (units > 0 && scale > 0).then(|| f64::from(scale) / f64::from(units));
        Some(())
    }
}

const SQUARE: (u16, u16) = (1, 1);

/// Reads the ratio of a pixel's width to its height (Table E-1 of both standards).
fn pixel_aspect(bits: &mut BitReader<'_>) -> Option<(u16, u16)> {
    const EXTENDED: u8 = 255;
    #[rustfmt::skip]
    const ASPECTS: [(u16, u16); 17] = [
        SQUARE, SQUARE, (12, 11), (10, 11), (16, 11), (40, 33), (24, 11), (20, 11), (32, 11),
        (80, 33), (18, 11), (15, 11), (64, 33), (160, 99), (4, 3), (3, 2), (2, 1),
    ];
    let index = bits.byte()?;
    if index != EXTENDED {
        return Some(ASPECTS.get(usize::from(index)).copied().unwrap_or(SQUARE));
    }
    let (width, height) = (u16::from_be_bytes(bits.bytes()?), u16::from_be_bytes(bits.bytes()?));
    Some(if width == 0 || height == 0 { SQUARE } else { (width, height) })
}
