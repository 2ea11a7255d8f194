//! Streams and packets of NUT.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

/// The latest time of a packet: 285 years. This limit prevents overflows when durations are added. The ingest's
/// FFmpeg adds 139 years to all times, so that no time is negative; the limit is much later than that.
const MAX_TIME: Duration = Duration::from_hours(285 * 365 * 24);

/// The largest number of streams of media in a NUT stream that the reader accepts.
pub(crate) const MAX_STREAMS: usize = 8;

/// The description of the streams, or a packet of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NutItem {
    /// The description of all streams. This item comes once, before the first packet.
    Streams(Vec<NutStream>),
    /// The next packet.
    Packet(NutPacket),
}

/// Description of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NutStream {
    /// The kind of media, and the properties that only this kind has.
    pub kind: NutKind,
    /// The codec's tag, e.g. `H264`. Shorter tags have zeros at the end: AAC is `FF 00 00 00`.
    pub tag: [u8; 4],
    /// The unit of the packets' times.
    pub time_base: TimeBase,
    /// Number of frames by which a decoder delays its output, because of B-frames.
    pub decode_delay: u16,
    /// Parameters of the codec, which FFmpeg calls extradata.
    pub codec_private: Bytes,
}

/// Kind of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NutKind {
    /// Pictures.
    Video {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// Sound.
    Audio {
        /// Samples per second, as numerator and denominator.
        sample_rate: (u32, u32),
        /// Number of channels.
        channels: u32,
    },
    /// Subtitles or other data.
    Other,
}

/// Length of a tick in seconds: a fraction in its lowest terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeBase {
    numerator: u32,
    denominator: u32,
}

impl TimeBase {
    /// Creates a reduced fraction; `None` if one of the numbers is 0 or does not fit into 31 bits.
    pub fn new(numerator: u32, denominator: u32) -> Option<Self> {
        let is_valid = |number: u32| number != 0 && number < 1 << 31;
        if !is_valid(numerator) || !is_valid(denominator) {
            return None;
        }
        let divisor = greatest_common_divisor(numerator, denominator);
        Some(Self { numerator: numerator / divisor, denominator: denominator / divisor })
    }

    /// Returns the numerator, e.g. 1.
    pub fn numerator(self) -> u32 {
        self.numerator
    }

    /// Returns the denominator, e.g. 90000.
    pub fn denominator(self) -> u32 {
        self.denominator
    }

    /// Returns the duration of this number of ticks, at most [`MAX_TIME`].
    pub(crate) fn time(self, ticks: u64) -> Duration {
        let (numerator, denominator) = (u128::from(self.numerator), u128::from(self.denominator));
        let nanos = u128::from(ticks) * numerator * 1_000_000_000 / denominator;
        u64::try_from(nanos).map_or(MAX_TIME, Duration::from_nanos).min(MAX_TIME)
    }
}

/// A frame of video, or a packet of audio or of other data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NutPacket {
    /// Index of the stream.
    pub stream: usize,
    /// Time of presentation in ticks of the stream's time base. It fits into 63 bits.
    pub pts: u64,
    /// True if decoding can begin with this packet.
    pub is_keyframe: bool,
    /// The packet's bytes. They can be changed in place.
    pub data: BytesMut,
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
