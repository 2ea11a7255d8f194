//! The main header: time bases, frame codes, and bytes that many frames begin with.

use bytes::Bytes;

use crate::media::nut::cursor::Cursor;
use crate::media::nut::error::NutError;
use crate::media::nut::packet_header::START_CODE_BYTE;
use crate::media::nut::stream::{MAX_STREAMS, TimeBase};

/// Flag of a frame with which decoding can begin.
pub(super) const KEY: u64 = 1;
/// Flag of an empty frame at the end of a stream.
pub(super) const END_OF_RELEVANCE: u64 = 1 << 1;
/// Flag of a frame whose time is in its header.
pub(super) const CODED_PTS: u64 = 1 << 3;
/// Flag of a frame whose stream is in its header.
pub(super) const STREAM_ID: u64 = 1 << 4;
/// Flag of a frame whose header has the high part of the size.
pub(super) const SIZE_MSB: u64 = 1 << 5;
/// Flag of a header that ends with a checksum.
pub(super) const CHECKSUM: u64 = 1 << 6;
/// Flag of a header that has the number of its reserved fields.
pub(super) const RESERVED: u64 = 1 << 7;
/// Flag of data that begins with side data and metadata.
pub(super) const SIDE_DATA: u64 = 1 << 8;
/// Flag of a frame whose header has an index into [`MainHeader::omitted`]: the bytes that the frame begins with
/// and that its data omits.
pub(super) const HEADER_INDEX: u64 = 1 << 10;
/// Flag of a header with a field that helps programs seek. The reader skips this field.
pub(super) const MATCH_TIME: u64 = 1 << 11;
/// Flag of a header that changes the flags of its code.
pub(super) const CODED_FLAGS: u64 = 1 << 12;
/// Flag of a code that frames must not have.
pub(super) const INVALID: u64 = 1 << 13;

/// Flag of a stream whose syncpoints have a time of the wall clock.
const BROADCAST: u64 = 1;
/// Flag of a stream that has only one syncpoint, at the beginning.
pub(super) const PIPE: u64 = 1 << 1;

/// Largest value of [`MainHeader::max_distance`]. A larger value in a header is read as this one.
pub(super) const MAX_DISTANCE: u64 = 65536;
/// The most time bases of a stream. FFmpeg writes at most one for each stream and chapter.
const MAX_TIME_BASES: usize = 256;
/// The most strings of bytes that frames can omit.
const MAX_OMITTED_HEADERS: u64 = 127;
/// The most bytes that a frame can omit.
const MAX_OMITTED_HEADER: usize = 255;
/// Sizes in frame codes are smaller than this number.
const MAX_SMALL_NUMBER: u16 = 16384;

/// The main header.
pub(super) struct MainHeader {
    pub(super) stream_count: usize,
    pub(super) time_bases: Vec<TimeBase>,
    pub(super) frame_codes: Vec<FrameCode>,
    /// Bytes that some frames begin with and that their data omits. The first entry is empty.
    pub(super) omitted: Vec<Bytes>,
    /// True if syncpoints have a time of the wall clock.
    pub(super) is_broadcast: bool,
    /// Longest distance from a syncpoint to a frame, in bytes; `None` if there is only one syncpoint.
    pub(super) max_distance: Option<u64>,
}

/// The meaning of a frame's first byte.
#[derive(Clone, Copy)]
pub(super) struct FrameCode {
    pub(super) flags: u64,
    pub(super) stream: usize,
    pub(super) size_multiplier: u16,
    pub(super) size_lsb: u16,
    pub(super) pts_delta: i32,
    pub(super) reserved_count: u8,
    /// Index of the omitted bytes.
    pub(super) omitted: usize,
}

impl MainHeader {
    pub(super) fn parse(content: &[u8]) -> Result<Self, NutError> {
        let mut fields = Cursor::new(content);
        let version = fields.unsigned()?;
        match version {
            3 => {}
            4 => {
                fields.unsigned()?; // the minor version
            }
            _ => return Err(NutError::Version(version)),
        }
        let stream_count = fields.number("invalid number of streams")?;
        if stream_count == 0 || stream_count > MAX_STREAMS {
            return Err(NutError::Invalid("invalid number of streams"));
        }
        let max_distance = fields.unsigned()?.min(MAX_DISTANCE);
        let time_bases = time_bases(&mut fields)?;
        let frame_codes = frame_codes(&mut fields, stream_count)?;
        // Headers of older writers end here.
        let omitted =
            if fields.is_at_end() { vec![Bytes::new()] } else { omitted_headers(&mut fields)? };
        let flags = if version > 3 && !fields.is_at_end() { fields.unsigned()? } else { 0 };
        if frame_codes.iter().any(|code| code.omitted >= omitted.len()) {
            return Err(NutError::Invalid("frame code with unknown omitted bytes"));
        }
        Ok(Self {
            stream_count,
            time_bases,
            frame_codes,
            omitted,
            is_broadcast: flags & BROADCAST != 0,
            max_distance: (flags & PIPE == 0).then_some(max_distance),
        })
    }
}

fn time_bases(fields: &mut Cursor<'_>) -> Result<Vec<TimeBase>, NutError> {
    let count: usize = fields.number("invalid number of time bases")?;
    if count == 0 || count > MAX_TIME_BASES {
        return Err(NutError::Invalid("invalid number of time bases"));
    }
    let mut time_base = || {
        let (numerator, denominator) =
            (fields.number("invalid time base")?, fields.number("invalid time base")?);
        TimeBase::new(numerator, denominator).ok_or(NutError::Invalid("invalid time base"))
    };
    (0..count).map(|_| time_base()).collect()
}

/// Reads the table of frame codes: runs of codes that differ only in the size.
fn frame_codes(fields: &mut Cursor<'_>, stream_count: usize) -> Result<Vec<FrameCode>, NutError> {
    let mut codes = Vec::with_capacity(256);
    let mut code = FrameCode {
        flags: INVALID,
        stream: 0,
        size_multiplier: 1,
        size_lsb: 0,
        pts_delta: 0,
        reserved_count: 0,
        omitted: 0,
    };
    while codes.len() < 256 {
        let count = frame_code_run(fields, &mut code)?;
        if code.stream >= stream_count {
            return Err(NutError::Invalid("frame code of an unknown stream"));
        }
        for size_lsb in (code.size_lsb..).take(count) {
            if codes.len() == usize::from(START_CODE_BYTE) {
                codes.push(FrameCode { flags: INVALID, ..code });
            }
            codes.push(FrameCode { size_lsb, ..code });
        }
        if count == 0 || codes.len() > 256 {
            return Err(NutError::Invalid("invalid number of frame codes"));
        }
    }
    Ok(codes)
}

/// Reads the first code of a run into `code`, and returns the number of codes. Fields that are
/// missing keep the value of the previous run, or have a default.
fn frame_code_run(fields: &mut Cursor<'_>, code: &mut FrameCode) -> Result<usize, NutError> {
    code.flags = fields.unsigned()?;
    let field_count = fields.unsigned()?;
    if field_count > 0 {
        // The specification permits less than 16,384. FFmpeg exceeds this limit, because it writes the distance
        // of two frames, which is 18,000 ticks at 5 frames per second.
        let delta = i32::try_from(fields.signed()?).ok();
        code.pts_delta = delta.ok_or(NutError::Invalid("invalid time of a frame code"))?;
    }
    if field_count > 1 {
        code.size_multiplier = small_number(fields)?;
    }
    if field_count > 2 {
        code.stream = fields.number("invalid stream number of a frame code")?;
    }
    code.size_lsb = if field_count > 3 { small_number(fields)? } else { 0 };
    code.reserved_count =
        if field_count > 4 { fields.number("invalid number of reserved fields")? } else { 0 };
    let count = if field_count > 5 {
        fields.unsigned()?
    } else {
        code.size_multiplier.saturating_sub(code.size_lsb).into()
    };
    if field_count > 6 {
        fields.unsigned()?; // helps programs seek
    }
    if field_count > 7 {
        code.omitted = fields.number("invalid index of omitted bytes in a frame code")?;
    }
    for _ in 8..field_count {
        fields.unsigned()?;
    }
    // There are 256 codes. With 257, the caller sees that there are too many.
    Ok(usize::try_from(count.min(257)).unwrap_or(257))
}

fn small_number(fields: &mut Cursor<'_>) -> Result<u16, NutError> {
    let number = fields.number("invalid size of a frame code")?;
    if number < MAX_SMALL_NUMBER {
        Ok(number)
    } else {
        Err(NutError::Invalid("invalid size of a frame code"))
    }
}

fn omitted_headers(fields: &mut Cursor<'_>) -> Result<Vec<Bytes>, NutError> {
    let count = fields.unsigned()?;
    if count > MAX_OMITTED_HEADERS {
        return Err(NutError::Invalid("invalid number of omitted headers"));
    }
    let mut headers = vec![Bytes::new()];
    for _ in 0..count {
        let header = fields.string()?;
        if header.len() > MAX_OMITTED_HEADER {
            return Err(NutError::Invalid("invalid size of an omitted header"));
        }
        headers.push(Bytes::copy_from_slice(header));
    }
    Ok(headers)
}
