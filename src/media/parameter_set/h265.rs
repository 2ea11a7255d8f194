//! The sequence parameter set of H.265 (7.3.2.2.1).

use mp4_atom::Hvcc;

use super::picture::{Cropping, PictureParameters, Usability};
use crate::media::bits::BitReader;
use crate::media::codec::h265_name;

/// Reads a set, which begins with its NAL unit header. Returns the picture's parameters, and `hvcC` with
/// the fields that come from the set. Ignores errors in the fields after `sps_max_latency_increase_plus1`.
pub(crate) fn parse(unit: &[u8]) -> Option<(PictureParameters, Hvcc)> {
    let mut bits = BitReader::new(unit);
    let (mut hvcc, sub_layers) = start(&mut bits)?;
    bits.unsigned(15)?; // sps_seq_parameter_set_id
    hvcc.chroma_format_idc = bits.small(3)?;
    let has_separate_planes = hvcc.chroma_format_idc == 3 && bits.flag()?;
    let subsampling = if has_separate_planes { 0 } else { hvcc.chroma_format_idc };
    let (width, height) = size(&mut bits, subsampling)?;
    // hvcC has three bits for each bit depth.
    hvcc.bit_depth_luma_minus8 = bits.small(7)?;
    hvcc.bit_depth_chroma_minus8 = bits.small(7)?;
    let order_bits = 4 + bits.unsigned(12)?; // log2_max_pic_order_cnt_lsb_minus4
    let max_reorder_frames = reordering(&mut bits, sub_layers)?;
    let mut usability = Usability::default();
    let _ = read_usability(&mut bits, order_bits, &mut usability);
    let picture = PictureParameters {
        codec: h265_name(&hvcc),
        width,
        height,
        pixel_aspect: usability.pixel_aspect(),
        chroma_format: hvcc.chroma_format_idc,
        luma_bit_depth: 8 + hvcc.bit_depth_luma_minus8,
        chroma_bit_depth: 8 + hvcc.bit_depth_chroma_minus8,
        frame_rate: usability.tick_rate,
        is_interlaced: false,
        max_reorder_frames: Some(max_reorder_frames),
        may_reorder: max_reorder_frames > 0,
    };
    Some((picture, hvcc))
}

/// Reads the part of a set before its id: the NAL unit header, profile, tier and level (7.3.3). Also
/// returns the number of sub-layers below the highest one.
pub(super) fn start(bits: &mut BitReader<'_>) -> Option<(Hvcc, u8)> {
    bits.skip(16 + 4)?; // the header, sps_video_parameter_set_id
    let sub_layers = u8::try_from(bits.bits(3)?).ok().filter(|layers| *layers <= 6)?;
    let temporal_id_nested = bits.flag()?;
    let head = bits.byte()?;
    let hvcc = Hvcc {
        general_profile_space: head >> 6,
        general_tier_flag: head & 0x20 != 0,
        general_profile_idc: head & 0x1f,
        general_profile_compatibility_flags: bits.bytes()?,
        general_constraint_indicator_flags: bits.bytes()?,
        general_level_idc: bits.byte()?,
        num_temporal_layers: sub_layers + 1,
        temporal_id_nested,
        length_size_minus_one: 3,
        ..Hvcc::new()
    };
    let mut length = 0;
    for _ in 0..sub_layers {
        length += if bits.flag()? { 88 } else { 0 };
        length += if bits.flag()? { 8 } else { 0 };
    }
    if sub_layers > 0 {
        length += 2 * (8 - u32::from(sub_layers));
    }
    bits.skip(length)?; // profiles and levels of the sub-layers
    Some((hvcc, sub_layers))
}

fn size(bits: &mut BitReader<'_>, subsampling: u8) -> Option<(u16, u16)> {
    let width = bits.unsigned(u16::MAX.into())?;
    let height = bits.unsigned(u16::MAX.into())?;
    let (unit_x, unit_y) = match subsampling {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    Cropping::read(bits, unit_x, unit_y)?.apply(width, height)
}

/// Returns `sps_max_num_reorder_pics` of the highest sub-layer.
fn reordering(bits: &mut BitReader<'_>, sub_layers: u8) -> Option<u8> {
    let is_given_for_all = bits.flag()?;
    let mut reordered = 0;
    for _ in if is_given_for_all { 0 } else { sub_layers }..=sub_layers {
        bits.skip_numbers(1)?; // sps_max_dec_pic_buffering_minus1
        reordered = bits.small(16)?;
        bits.skip_numbers(1)?; // sps_max_latency_increase_plus1
    }
    Some(reordered)
}

/// Skips the fields before the video usability information (E.2.1), and reads this information up to the
/// frame rate. Fields before an error stay in `usability`.
fn read_usability(
    bits: &mut BitReader<'_>,
    order_bits: u32,
    usability: &mut Usability,
) -> Option<()> {
    bits.skip_numbers(6)?; // sizes of blocks, depths of their hierarchy
    if bits.flag()? && bits.flag()? {
        skip_scaling_lists(bits)?;
    }
    bits.skip(2)?; // amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if bits.flag()? {
        bits.skip(8)?; // bit depths of PCM samples
        bits.skip_numbers(2)?; // sizes of their blocks
        bits.skip(1)?; // pcm_loop_filter_disabled_flag
    }
    skip_reference_sets(bits)?;
    if bits.flag()? {
        let count = bits.unsigned(32)?;
        bits.skip(count * (order_bits + 1))?; // lt_ref_pic_poc_lsb_sps, used_by_curr_pic_lt_sps_flag
    }
    bits.skip(2)?; // sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
    if !bits.flag()? {
        return Some(());
    }
    usability.read_start(bits)?;
    bits.skip(3)?; // neutral_chroma_indication_flag, field_seq_flag, frame_field_info_present_flag
    if bits.flag()? {
        bits.skip_numbers(4)?; // default display window
    }
    if bits.flag()? { usability.read_tick_rate(bits) } else { Some(()) }
}

/// Skips the scaling lists (7.3.4).
fn skip_scaling_lists(bits: &mut BitReader<'_>) -> Option<()> {
    for size in 0..4_u32 {
        let matrices = if size == 3 { 2 } else { 6 };
        for _ in 0..matrices {
            let is_coded = bits.flag()?;
            let has_mean = is_coded && size > 1;
            let coefficients = if is_coded { 64.min(1 << (4 + 2 * size)) } else { 1 };
            bits.skip_numbers(coefficients + u32::from(has_mean))?;
        }
    }
    Some(())
}

/// Skips the short-term reference picture sets (7.3.7). Each can be coded as a change of the previous one.
fn skip_reference_sets(bits: &mut BitReader<'_>) -> Option<()> {
    let count = bits.unsigned(64)?;
    // The number of pictures in the previous set.
    let mut pictures = 0;
    for index in 0..count {
        let is_change = index > 0 && bits.flag()?;
        if is_change {
            bits.skip(1)?; // delta_rps_sign
            bits.skip_numbers(1)?; // abs_delta_rps_minus1
            let mut remaining = 0;
            for _ in 0..=pictures {
                // A picture that is not used now may still be kept for later.
                let is_used = bits.flag()?;
                remaining += u32::from(is_used || bits.flag()?);
            }
            pictures = remaining;
        } else {
            pictures = bits.unsigned(16)? + bits.unsigned(16)?;
            for _ in 0..pictures {
                bits.skip_numbers(1)?; // delta_poc_s0_minus1 or delta_poc_s1_minus1
                bits.skip(1)?; // used_by_curr_pic_flag
            }
        }
    }
    Some(())
}
