//! Writes a NUT stream for FFmpeg to read from a pipe.
//!
//! Every frame has its complete time and a checksum in its header, so that no frame depends on earlier
//! ones. The stream has only one syncpoint, at its start, because FFmpeg keeps every syncpoint in memory.
//! NUT permits this only in version 4, and only if the main header contains the flag `PIPE`.

use crate::media::nut::crc::crc32;
use crate::media::nut::main_header::{
    CHECKSUM, CODED_PTS, INVALID, KEY, MAX_DISTANCE, PIPE, SIZE_MSB, STREAM_ID,
};
use crate::media::nut::packet_header::{MAIN, STREAM, SYNCPOINT};
use crate::media::nut::reader::FILE_ID;
use crate::media::nut::stream::{NutKind, NutStream, TimeBase};
use crate::media::nut::stream_header::{AUDIO, VIDEO};

/// The code of frames that are not keyframes. Keyframes have the next code.
const FRAME_CODE: u8 = 1;
/// Class of a stream that is neither video nor audio.
const DATA: u64 = 3;

/// Returns the beginning of NUT data that contains these streams: all headers, and the syncpoint.
///
/// There must be one to [`MAX_STREAMS`](super::stream::MAX_STREAMS) streams.
pub fn nut_headers(streams: &[NutStream]) -> Vec<u8> {
    let mut time_bases: Vec<TimeBase> = Vec::new();
    let mut stream_headers = Vec::new();
    for (id, stream) in streams.iter().enumerate() {
        let known = time_bases.iter().position(|&time_base| time_base == stream.time_base);
        let time_base = known.unwrap_or_else(|| {
            time_bases.push(stream.time_base);
            time_bases.len() - 1
        });
        stream_headers.push(stream_header(id, stream, time_base));
    }
    let mut out = FILE_ID.to_vec();
    element(MAIN, &main_header(streams.len(), &time_bases), &mut out);
    for header in stream_headers {
        element(STREAM, &header, &mut out);
    }
    // The time is 0, and there is no previous syncpoint.
    element(SYNCPOINT, &[0, 0], &mut out);
    out
}

/// Appends a frame with the time `pts`, in ticks of its stream's time base.
pub fn write_nut_frame(stream: usize, pts: u64, is_keyframe: bool, data: &[u8], out: &mut Vec<u8>) {
    out.reserve(30 + data.len());
    let start = out.len();
    out.push(FRAME_CODE + u8::from(is_keyframe));
    unsigned(stream as u64, out);
    // The number is one more than the time, because 0 means the time of the previous frame.
    unsigned(pts.saturating_add(1), out);
    unsigned(data.len() as u64, out);
    let crc = crc32(&out[start..]);
    out.extend_from_slice(&crc.to_be_bytes());
    out.extend_from_slice(data);
}

fn main_header(stream_count: usize, time_bases: &[TimeBase]) -> Vec<u8> {
    let mut out = Vec::new();
    // Version 4, revision 1.
    for field in [4, 1, stream_count as u64, MAX_DISTANCE, time_bases.len() as u64] {
        unsigned(field, &mut out);
    }
    for time_base in time_bases {
        unsigned(time_base.numerator().into(), &mut out);
        unsigned(time_base.denominator().into(), &mut out);
    }
    let flags = STREAM_ID | CODED_PTS | SIZE_MSB | CHECKSUM;
    frame_codes(INVALID, FRAME_CODE.into(), &mut out);
    frame_codes(flags, 1, &mut out);
    frame_codes(flags | KEY, 1, &mut out);
    // All other codes, except for the first byte of start codes, which the table leaves out.
    frame_codes(INVALID, 256 - u64::from(FRAME_CODE) - 2 - 1, &mut out);
    unsigned(0, &mut out); // omitted headers
    unsigned(PIPE, &mut out);
    out
}

/// Appends a run of frame codes with the same flags.
fn frame_codes(flags: u64, count: u64, out: &mut Vec<u8>) {
    // Flags, number of fields, time difference, size multiplier, stream, size, reserved fields, count.
    for field in [flags, 6, 0, 1, 0, 0, 0, count] {
        unsigned(field, out);
    }
}

fn stream_header(id: usize, stream: &NutStream, time_base: usize) -> Vec<u8> {
    let class = match stream.kind {
        NutKind::Video { .. } => VIDEO,
        NutKind::Audio { .. } => AUDIO,
        NutKind::Other => DATA,
    };
    let mut out = Vec::new();
    unsigned(id as u64, &mut out);
    unsigned(class, &mut out);
    string(&stream.tag, &mut out);
    unsigned(time_base as u64, &mut out);
    // Low bits of times, longest time difference without a checksum, decode delay, flags.
    for field in [0, 0, stream.decode_delay.into(), 0] {
        unsigned(field, &mut out);
    }
    string(&stream.codec_private, &mut out);
    let fields = match stream.kind {
        // Aspect ratio and colours are unknown.
        NutKind::Video { width, height } => vec![width, height, 0, 0, 0],
        NutKind::Audio { sample_rate: (numerator, denominator), channels } => {
            vec![numerator, denominator, channels]
        }
        NutKind::Other => vec![],
    };
    for field in fields {
        unsigned(field.into(), &mut out);
    }
    out
}

/// Appends an element that is not a frame.
pub(super) fn element(start_code: u64, content: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&start_code.to_be_bytes());
    let size = content.len() as u64 + 4;
    unsigned(size, out);
    if size > 4096 {
        let crc = crc32(&out[start..]);
        out.extend_from_slice(&crc.to_be_bytes());
    }
    out.extend_from_slice(content);
    out.extend_from_slice(&crc32(content).to_be_bytes());
}

/// Appends a number: seven bits per byte, the highest bits first.
pub(super) fn unsigned(value: u64, out: &mut Vec<u8>) {
    let highest = value.checked_ilog2().unwrap_or(0) / 7;
    for group in (0..=highest).rev() {
        let [.., byte] = (value >> (7 * group)).to_be_bytes();
        let continues = if group > 0 { 0x80 } else { 0 };
        out.push(byte & 0x7F | continues);
    }
}

/// Appends a string with its length.
pub(super) fn string(bytes: &[u8], out: &mut Vec<u8>) {
    unsigned(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}
