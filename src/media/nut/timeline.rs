//! The times of one stream's frames, most of which are coded relative to the previous frame or syncpoint.

use crate::media::nut::cursor::Cursor;
use crate::media::nut::error::NutError;
use crate::media::nut::main_header::MainHeader;
use crate::media::nut::stream::TimeBase;
use crate::media::nut::stream_header::StreamHeader;

/// The state that is needed to decode the times of a stream's frames.
#[derive(Clone, Copy)]
pub(super) struct Timeline {
    time_base: TimeBase,
    lsb_bits: u32,
    max_distance: u64,
    /// Time of the previous frame or syncpoint. The time of a syncpoint may be negative.
    pub(super) last: i64,
}

impl Timeline {
    pub(super) fn new(header: &StreamHeader) -> Self {
        Self {
            time_base: header.stream.time_base,
            lsb_bits: header.pts_lsb_bits,
            max_distance: header.max_pts_distance,
            last: 0,
        }
    }

    /// Returns the time of a frame whose header contains the number `coded`. Fails if the time is negative.
    pub(super) fn coded(&self, coded: u64) -> Result<i64, NutError> {
        let range = 1 << self.lsb_bits;
        let pts = if coded < range {
            // The time with these low bits that is closest to the last time.
            let mask = i128::from(range) - 1;
            let earliest = i128::from(self.last) - mask / 2;
            ((i128::from(coded) - earliest) & mask) + earliest
        } else {
            i128::from(coded - range)
        };
        non_negative(pts)
    }

    /// Returns the time that is `delta` ticks after the last one. Fails if this time is negative.
    pub(super) fn after(&self, delta: i32) -> Result<i64, NutError> {
        non_negative(i128::from(self.last) + i128::from(delta))
    }

    /// Returns true if a frame at `pts` must have a checksum in its header.
    pub(super) fn is_distant(&self, pts: i64) -> bool {
        self.last.abs_diff(pts) > self.max_distance
    }

    /// Returns the time of `syncpoint` in this stream's ticks, rounded down.
    pub(super) fn convert(&self, syncpoint: Syncpoint) -> Result<i64, NutError> {
        let (from, to) = (syncpoint.time_base, self.time_base);
        let product = |a: u32, b: u32| i128::from(a) * i128::from(b);
        // The product of a number of 64 bits and two numbers of 31 bits fits into 128 bits.
        let dividend = i128::from(syncpoint.time) * product(from.numerator(), to.denominator());
        let time = dividend.div_euclid(product(from.denominator(), to.numerator()));
        i64::try_from(time).map_err(|_| NutError::Time)
    }
}

/// A time to which the time of the next frame in every stream is relative.
#[derive(Clone, Copy)]
pub(super) struct Syncpoint {
    time: i64,
    time_base: TimeBase,
}

impl Syncpoint {
    pub(super) fn parse(content: &[u8], main: &MainHeader) -> Result<Self, NutError> {
        let mut fields = Cursor::new(content);
        let coded = fields.unsigned()?;
        fields.unsigned()?; // where the previous syncpoint is
        if main.is_broadcast {
            fields.unsigned()?; // the wall clock's time
        }
        // The first decode times from FFmpeg may be negative, and so may the time of a syncpoint. A negative time is
        // coded in two's complement.
        let coded = i128::from(coded.cast_signed());
        let count = i128::try_from(main.time_bases.len()).map_err(|_| NutError::Time)?;
        let time = i64::try_from(coded.div_euclid(count)).map_err(|_| NutError::Time)?;
        let index = usize::try_from(coded.rem_euclid(count)).map_err(|_| NutError::Time)?;
        Ok(Self { time, time_base: main.time_bases[index] })
    }
}

fn non_negative(pts: i128) -> Result<i64, NutError> {
    i64::try_from(pts).ok().filter(|&pts| pts >= 0).ok_or(NutError::Time)
}
