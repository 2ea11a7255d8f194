//! The header of a frame, and the side data at the beginning of its data.

use crate::media::nut::crc::crc32;
use crate::media::nut::cursor::Cursor;
use crate::media::nut::error::NutError;
use crate::media::nut::main_header::{
    CHECKSUM, CODED_FLAGS, CODED_PTS, END_OF_RELEVANCE, FrameCode, HEADER_INDEX, INVALID, KEY,
    MATCH_TIME, MainHeader, RESERVED, SIDE_DATA, SIZE_MSB, STREAM_ID,
};
use crate::media::nut::timeline::Timeline;

/// The most bytes that a frame's header can have. Real headers have fewer than 30.
pub(super) const MAX_FRAME_HEADER: usize = 4096;
/// Largest frame, in bytes: more than two seconds at 100 Mbit/s.
const MAX_FRAME: u64 = 32 * 1024 * 1024;
/// The largest size, in bytes, of a frame whose data can omit bytes.
const MAX_FRAME_WITH_OMITTED_BYTES: u64 = 4096;

/// The header of a frame.
pub(super) struct FrameHeader {
    /// Index of the stream.
    pub(super) stream: usize,
    /// Time of presentation in ticks, not negative.
    pub(super) pts: i64,
    pub(super) is_keyframe: bool,
    /// True if the frame only marks the end of its stream.
    pub(super) is_end: bool,
    /// True if the data begins with side data and metadata.
    pub(super) has_side_data: bool,
    /// Index of the bytes that the frame begins with and that its data omits; see [`MainHeader::omitted`].
    pub(super) omitted: usize,
    /// Size of the header itself in bytes.
    pub(super) header_size: usize,
    /// Size of the data that follows, in bytes.
    pub(super) data_size: usize,
}

impl FrameHeader {
    /// Reads the header at the beginning of `bytes`. `timelines` has one entry for each stream.
    pub(super) fn parse(
        bytes: &[u8],
        main: &MainHeader,
        timelines: &[Timeline],
    ) -> Result<Self, NutError> {
        let mut fields = Cursor::new(bytes);
        let [code] = fields.array()?;
        let code = main.frame_codes[usize::from(code)];
        let flags = flags(&mut fields, code)?;
        let stream = stream(&mut fields, code, flags, timelines.len())?;
        let timeline = timelines[stream];
        let pts = if flags & CODED_PTS == 0 {
            timeline.after(code.pts_delta)?
        } else {
            timeline.coded(fields.unsigned()?)?
        };
        let size = size(&mut fields, code, flags)?;
        let omitted = skip_to_checksum(&mut fields, code, flags)?;
        let omitted = if size > MAX_FRAME_WITH_OMITTED_BYTES { 0 } else { omitted };
        check(&mut fields, flags, timeline.is_distant(pts) || main.is_large(size))?;
        Ok(Self {
            stream,
            pts,
            is_keyframe: flags & KEY != 0,
            is_end: flags & END_OF_RELEVANCE != 0,
            has_side_data: flags & SIDE_DATA != 0,
            omitted,
            header_size: fields.position(),
            data_size: main.data_size(size, omitted)?,
        })
    }
}

impl MainHeader {
    /// Returns true if the header of a frame of this size must have a checksum.
    fn is_large(&self, size: u64) -> bool {
        self.max_distance.is_some_and(|distance| size > 2 * distance)
    }

    /// Returns the size of a frame's data without the bytes that the data omits.
    fn data_size(&self, size: u64, omitted: usize) -> Result<usize, NutError> {
        let omitted =
            self.omitted.get(omitted).ok_or(NutError::Invalid("unknown omitted bytes"))?;
        let size = usize::try_from(size).ok().and_then(|size| size.checked_sub(omitted.len()));
        size.ok_or(NutError::Invalid("frame shorter than the bytes it omits"))
    }
}

fn flags(fields: &mut Cursor<'_>, code: FrameCode) -> Result<u64, NutError> {
    let mut flags = code.flags;
    if flags & INVALID == 0 && flags & CODED_FLAGS != 0 {
        flags ^= fields.unsigned()?;
    }
    if flags & INVALID == 0 { Ok(flags) } else { Err(NutError::Invalid("invalid frame code")) }
}

fn stream(
    fields: &mut Cursor<'_>,
    code: FrameCode,
    flags: u64,
    count: usize,
) -> Result<usize, NutError> {
    let stream = if flags & STREAM_ID == 0 {
        code.stream
    } else {
        fields.number("invalid stream number of a frame")?
    };
    if stream < count { Ok(stream) } else { Err(NutError::Invalid("frame of an unknown stream")) }
}

/// Returns the frame's size, including the bytes that the data omits.
fn size(fields: &mut Cursor<'_>, code: FrameCode, flags: u64) -> Result<u64, NutError> {
    let msb = if flags & SIZE_MSB == 0 { 0 } else { fields.unsigned()? };
    let size = msb.saturating_mul(code.size_multiplier.into()).saturating_add(code.size_lsb.into());
    if size > MAX_FRAME {
        return Err(NutError::TooLarge { what: "a frame", size });
    }
    Ok(size)
}

/// Reads the fields between size and checksum. Returns the index of the bytes that the data omits.
fn skip_to_checksum(
    fields: &mut Cursor<'_>,
    code: FrameCode,
    flags: u64,
) -> Result<usize, NutError> {
    if flags & MATCH_TIME != 0 {
        fields.unsigned()?;
    }
    let omitted = if flags & HEADER_INDEX == 0 {
        code.omitted
    } else {
        fields.number("invalid index of omitted bytes")?
    };
    let reserved =
        if flags & RESERVED == 0 { code.reserved_count.into() } else { fields.unsigned()? };
    for _ in 0..reserved {
        fields.unsigned()?;
    }
    Ok(omitted)
}

/// Verifies the checksum, if the header has one.
fn check(fields: &mut Cursor<'_>, flags: u64, is_required: bool) -> Result<(), NutError> {
    if flags & CHECKSUM != 0 {
        let crc = crc32(fields.consumed());
        if u32::from_be_bytes(fields.array()?) != crc {
            return Err(NutError::Checksum("a frame's header"));
        }
    } else if is_required {
        return Err(NutError::Invalid("frame without the checksum that its size or time requires"));
    }
    Ok(())
}

/// Returns the size of the side data and metadata at the beginning of `data`, in bytes.
pub(super) fn side_data_size(data: &[u8]) -> Result<usize, NutError> {
    let mut fields = Cursor::new(data);
    for _ in ["side data", "metadata"] {
        let count = fields.unsigned()?;
        for _ in 0..count {
            skip_property(&mut fields)?;
        }
    }
    Ok(fields.position())
}

/// Skips a name and a value. A negative number in place of the value announces the value's type. The value then
/// follows.
fn skip_property(fields: &mut Cursor<'_>) -> Result<(), NutError> {
    fields.string()?;
    match fields.signed()? {
        -1 => {
            fields.string()?;
        }
        -2 => {
            fields.string()?; // the type
            fields.string()?;
        }
        // A number, which has the same size with and without a sign.
        ..=-3 => {
            fields.unsigned()?;
        }
        _ => {} // the value itself
    }
    Ok(())
}
