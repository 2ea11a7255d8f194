//! The sequence parameter set of H.264 (7.3.2.1.1).

use super::picture::{Cropping, PictureParameters, Usability};
use crate::media::bits::BitReader;
use crate::media::codec::h264_name;

/// Profiles whose sets state chroma format and bit depth. Other profiles have 8 bits and 4:2:0.
const HIGH_PROFILES: [u8; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];
const BASELINE: u8 = 66;

/// Reads a set, which begins with its NAL unit header. Ignores errors in the fields that follow the picture's
/// size, because some cameras write wrong values in these fields.
pub(crate) fn parse(unit: &[u8]) -> Option<PictureParameters> {
    let mut bits = BitReader::new(unit);
    bits.skip(8)?;
    let [profile, constraints, level] = bits.bytes()?;
    bits.unsigned(31)?; // seq_parameter_set_id
    let samples = if is_high_profile(profile) { Samples::read(&mut bits)? } else { Samples::BASE };
    bits.unsigned(12)?; // log2_max_frame_num_minus4
    let order_type = skip_order_count(&mut bits)?;
    bits.skip_numbers(1)?; // max_num_ref_frames
    bits.skip(1)?; // gaps_in_frame_num_value_allowed_flag
    let (width, height, is_interlaced) = size(&mut bits, &samples)?;
    let mut usability = Usability::default();
    let _ = read_usability(&mut bits, &mut usability);
    let can_reorder = profile != BASELINE && order_type != 2;
    Some(PictureParameters {
        codec: h264_name(profile, constraints, level),
        width,
        height,
        pixel_aspect: usability.pixel_aspect(),
        chroma_format: samples.chroma_format,
        is_interlaced,
        luma_bit_depth: samples.luma_depth,
        chroma_bit_depth: samples.chroma_depth,
        // A tick is the duration of a field, and a frame has two fields.
        frame_rate: usability.tick_rate.map(|rate| rate / 2.0),
        max_reorder_frames: usability.max_reorder_frames,
        may_reorder: can_reorder && usability.max_reorder_frames != Some(0),
    })
}

/// Returns true if `avcC` states chroma format and bit depth for this profile.
pub(crate) fn is_high_profile(profile: u8) -> bool {
    HIGH_PROFILES.contains(&profile)
}

/// The format of a picture's samples.
struct Samples {
    chroma_format: u8,
    has_separate_planes: bool,
    luma_depth: u8,
    chroma_depth: u8,
}

impl Samples {
    const BASE: Self =
        Self { chroma_format: 1, has_separate_planes: false, luma_depth: 8, chroma_depth: 8 };

    fn read(bits: &mut BitReader<'_>) -> Option<Self> {
        let chroma_format = bits.small(3)?;
        let has_separate_planes = chroma_format == 3 && bits.flag()?;
        let luma_depth = 8 + bits.small(6)?;
        let chroma_depth = 8 + bits.small(6)?;
        bits.skip(1)?; // qpprime_y_zero_transform_bypass_flag
        if bits.flag()? {
            let lists = if chroma_format == 3 { 12 } else { 8 };
            for list in 0..lists {
                if bits.flag()? {
                    skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
        Some(Self { chroma_format, has_separate_planes, luma_depth, chroma_depth })
    }
}

/// Skips a scaling list (7.3.2.1.1.1). A list ends early if the next scale is 0.
fn skip_scaling_list(bits: &mut BitReader<'_>, size: u32) -> Option<()> {
    let mut scale = 8;
    for _ in 0..size {
        scale = (scale + bits.signed()?).rem_euclid(256);
        if scale == 0 {
            break;
        }
    }
    Some(())
}

/// Skips the fields of the picture order count, and returns `pic_order_cnt_type`. With type 2, pictures are
/// shown in the order in which they are decoded.
fn skip_order_count(bits: &mut BitReader<'_>) -> Option<u32> {
    let order_type = bits.unsigned(2)?;
    match order_type {
        0 => drop(bits.unsigned(12)?), // log2_max_pic_order_cnt_lsb_minus4
        1 => {
            bits.skip(1)?; // delta_pic_order_always_zero_flag
            bits.skip_numbers(2)?; // offset_for_non_ref_pic, offset_for_top_to_bottom_field
            let cycle = bits.unsigned(255)?;
            bits.skip_numbers(cycle)?; // offset_for_ref_frame
        }
        _ => {}
    }
    Some(order_type)
}

/// Returns width and height, and whether pictures can consist of two fields.
fn size(bits: &mut BitReader<'_>, samples: &Samples) -> Option<(u16, u16, bool)> {
    const MAX_MACROBLOCKS: u32 = 4096;
    let columns = bits.unsigned(MAX_MACROBLOCKS)? + 1;
    let rows = bits.unsigned(MAX_MACROBLOCKS)? + 1;
    // If pictures can consist of two fields, the set states the number of rows of one field.
    let fields = if bits.flag()? { 1 } else { 2 };
    if fields == 2 {
        bits.skip(1)?; // mb_adaptive_frame_field_flag
    }
    bits.skip(1)?; // direct_8x8_inference_flag
    let (unit_x, unit_y) = match samples.chroma_format {
        _ if samples.has_separate_planes => (1, 1),
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let cropping = Cropping::read(bits, unit_x, unit_y * fields)?;
    let (width, height) = cropping.apply(16 * columns, 16 * rows * fields)?;
    Some((width, height, fields == 2))
}

/// Reads the video usability information (E.1.1). Fields before an error stay in `usability`.
fn read_usability(bits: &mut BitReader<'_>, usability: &mut Usability) -> Option<()> {
    if !bits.flag()? {
        return Some(());
    }
    usability.read_start(bits)?;
    if bits.flag()? {
        usability.read_tick_rate(bits)?;
        bits.skip(1)?; // fixed_frame_rate_flag
    }
    let has_nal_buffer = skip_buffer(bits)?;
    let has_vcl_buffer = skip_buffer(bits)?;
    if has_nal_buffer || has_vcl_buffer {
        bits.skip(1)?; // low_delay_hrd_flag
    }
    bits.skip(1)?; // pic_struct_present_flag
    if bits.flag()? {
        bits.skip(1)?; // motion_vectors_over_pic_boundaries_flag
        bits.skip_numbers(4)?; // max_bytes_per_pic_denom … log2_max_mv_length_vertical
        usability.max_reorder_frames = Some(bits.small(16)?);
    }
    Some(())
}

/// Skips the parameters of the hypothetical reference decoder (E.1.2). Returns true if there are any.
fn skip_buffer(bits: &mut BitReader<'_>) -> Option<bool> {
    let is_present = bits.flag()?;
    if is_present {
        let count = bits.unsigned(31)? + 1;
        bits.skip(8)?; // bit_rate_scale, cpb_size_scale
        for _ in 0..count {
            bits.skip_numbers(2)?; // bit_rate_value_minus1, cpb_size_value_minus1
            bits.skip(1)?; // cbr_flag
        }
        bits.skip(20)?; // lengths of delays and of time_offset
    }
    Some(is_present)
}
