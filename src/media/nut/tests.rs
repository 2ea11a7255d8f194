//! Tests of the reader. Some of the streams use features of NUT that FFmpeg never uses. Other streams come from
//! the writer.

use bytes::Bytes;
use proptest::prelude::*;

use super::crc::crc32;
use super::error::NutError;
use super::main_header::{
    CHECKSUM, CODED_FLAGS, CODED_PTS, END_OF_RELEVANCE, HEADER_INDEX, INVALID, KEY, MATCH_TIME,
    RESERVED, SIDE_DATA, SIZE_MSB, STREAM_ID,
};
use super::packet_header::{MAIN, STREAM, SYNCPOINT};
use super::reader::{FILE_ID, NutReader};
use super::stream::{NutItem, NutKind, NutPacket, NutStream, TimeBase};
use super::writer::{element, nut_headers, string, unsigned, write_nut_frame};

const INFO: u64 = 0x4E49_AB68_B596_BA78;
const INDEX: u64 = 0x4E58_DD67_2F23_E64E;
/// A start code that no version defines.
const UNKNOWN: u64 = 0x4E5A_0102_0304_0506;
const WRONG_CHECKSUM: u64 = 1 << 63;

/// A stream under construction. Its frames have code 1, so all their flags are in their headers.
struct Nut(Vec<u8>);

impl Nut {
    /// Creates a stream of version 3 with headers only: video with times in milliseconds, and audio of 8 kHz. The
    /// header of a frame can contain only the lowest eight bits of a time.
    fn new() -> Self {
        let mut nut = Self(FILE_ID.to_vec());
        nut.element(MAIN, &main_header(3, &[], &[]));
        nut.element(STREAM, &video_header(&[])).element(STREAM, &audio_header());
        nut
    }

    /// Creates a stream with the same headers, and a syncpoint at time 0.
    fn with_syncpoint() -> Self {
        let mut nut = Self::new();
        nut.syncpoint(0, 0);
        nut
    }

    fn element(&mut self, start_code: u64, content: &[u8]) -> &mut Self {
        element(start_code, content, &mut self.0);
        self
    }

    fn syncpoint(&mut self, time: u64, time_base: u64) -> &mut Self {
        self.element(SYNCPOINT, &numbers(&[time * 2 + time_base, 0]))
    }

    /// Appends the header of a frame. `fields` are the fields that `flags` require, in the right order. The
    /// caller appends the data.
    fn frame(&mut self, flags: u64, fields: &[u64]) -> &mut Self {
        let mut header = vec![1];
        header.extend(numbers(&[flags & !WRONG_CHECKSUM]));
        header.extend(numbers(fields));
        if flags & CHECKSUM != 0 {
            let wrong = u32::from(flags & WRONG_CHECKSUM != 0);
            let checksum = crc32(&header) ^ wrong;
            header.extend(checksum.to_be_bytes());
        }
        self.data(&header)
    }

    fn data(&mut self, data: &[u8]) -> &mut Self {
        self.0.extend_from_slice(data);
        self
    }

    /// Returns all packets: stream, time, keyframe or not, and data.
    fn packets(&self) -> Vec<(usize, u64, bool, Vec<u8>)> {
        let (items, error) = read(&self.0);
        assert_eq!(error, None);
        let packets = items.into_iter().filter_map(|item| match item {
            NutItem::Packet(packet) => {
                Some((packet.stream, packet.pts, packet.is_keyframe, packet.data.to_vec()))
            }
            NutItem::Streams(_) => None,
        });
        packets.collect()
    }

    fn times(&self) -> Vec<u64> {
        self.packets().into_iter().map(|(_, pts, ..)| pts).collect()
    }

    fn error(&self) -> NutError {
        let (_, error) = read(&self.0);
        error.expect("an error")
    }
}

/// Returns the main header of two streams. `more_codes` follow the first frame codes, and `end` follows
/// all other fields.
fn main_header(version: u64, more_codes: &[u64], end: &[u8]) -> Vec<u8> {
    let minor_version = if version > 3 { vec![1] } else { vec![] };
    let mut header = numbers(&[version]);
    header.extend(numbers(&minor_version));
    header.extend(numbers(&[2, 1000, 2, 1, 1000, 1, 8000]));
    header.extend(numbers(&[INVALID, 6, 0, 1, 0, 0, 0, 1]));
    // The code of a frame of stream 0 that is one tick later than the frame before. FFmpeg writes such a code.
    header.extend(numbers(&[CODED_FLAGS, 1, 1]));
    header.extend(numbers(more_codes));
    if more_codes.is_empty() {
        header.extend(numbers(&[INVALID, 6, 0, 1, 0, 0, 0, 253]));
    }
    header.extend(end);
    header
}

fn video_header(end: &[u8]) -> Vec<u8> {
    let mut header = numbers(&[0, 0]);
    string(b"H264", &mut header);
    header.extend(numbers(&[0, 8, 500, 2, 0]));
    string(b"sets", &mut header);
    header.extend(numbers(&[640, 360, 1, 1, 0]));
    header.extend(end);
    header
}

fn audio_header() -> Vec<u8> {
    let mut header = numbers(&[1, 1]);
    string(b"\x06\0", &mut header);
    header.extend(numbers(&[1, 8, 8000, 0, 0, 0, 8000, 1, 1]));
    header
}

fn numbers(values: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    for &value in values {
        unsigned(value, &mut out);
    }
    out
}

/// Returns all items, and the error that ended reading, if any.
fn read(bytes: &[u8]) -> (Vec<NutItem>, Option<NutError>) {
    let mut reader = NutReader::new();
    reader.buffer().extend_from_slice(bytes);
    let mut items = Vec::new();
    loop {
        match reader.next_item() {
            Ok(Some(item)) => items.push(item),
            Ok(None) => return (items, None),
            Err(error) => return (items, Some(error)),
        }
    }
}

#[test]
fn streams_are_described() {
    let (items, error) = read(&Nut::new().0);
    let video = NutStream {
        kind: NutKind::Video { width: 640, height: 360 },
        tag: *b"H264",
        time_base: TimeBase::new(1, 1000).expect("a time base"),
        decode_delay: 2,
        codec_private: Bytes::from_static(b"sets"),
    };
    let audio = NutStream {
        kind: NutKind::Audio { sample_rate: (8000, 1), channels: 1 },
        tag: *b"\x06\0\0\0",
        time_base: TimeBase::new(1, 8000).expect("a time base"),
        decode_delay: 0,
        codec_private: Bytes::new(),
    };
    assert_eq!((items, error), (vec![NutItem::Streams(vec![video, audio])], None));
}

#[test]
fn every_field_of_a_frame_header_is_read() {
    let mut nut = Nut::with_syncpoint();
    nut.frame(SIZE_MSB, &[3]).data(b"abc");
    nut.frame(KEY | SIZE_MSB, &[2]).data(b"de");
    nut.frame(STREAM_ID | CODED_PTS | SIZE_MSB, &[1, 80, 1]).data(b"f");
    nut.frame(SIZE_MSB | MATCH_TIME, &[1, 7]).data(b"g");
    nut.frame(SIZE_MSB | HEADER_INDEX, &[1, 0]).data(b"h");
    nut.frame(SIZE_MSB | RESERVED, &[1, 3, 1, 1 << 62, 128]).data(b"i");
    nut.frame(SIZE_MSB | CHECKSUM, &[1]).data(b"j");
    let every = STREAM_ID | CODED_PTS | SIZE_MSB | MATCH_TIME | HEADER_INDEX | RESERVED | CHECKSUM;
    nut.frame(every, &[1, 256 + 99, 1, 2, 0, 1, 200]).data(b"k");
    // A frame without data.
    nut.frame(0, &[]);
    let expected: [(usize, u64, bool, &[u8]); 9] = [
        (0, 1, false, b"abc"),
        (0, 2, true, b"de"),
        (1, 80, false, b"f"),
        (0, 3, false, b"g"),
        (0, 4, false, b"h"),
        (0, 5, false, b"i"),
        (0, 6, false, b"j"),
        (1, 99, false, b"k"),
        (0, 7, false, b""),
    ];
    let expected = expected.map(|(stream, pts, key, data)| (stream, pts, key, data.to_vec()));
    assert_eq!(nut.packets(), expected);
}

#[test]
fn a_frame_with_only_the_low_bits_of_a_time_has_the_closest_time_with_these_bits() {
    // The specification's example.
    let mut nut = Nut::with_syncpoint();
    for coded in [0, 3, 1, 2, 256 + 257, 255, 0, 4, 2, 3] {
        nut.frame(CODED_PTS, &[coded]);
    }
    assert_eq!(nut.times(), [0, 3, 1, 2, 257, 255, 256, 260, 258, 259]);
}

#[test]
fn syncpoints_set_the_time_of_every_stream() {
    let mut nut = Nut::with_syncpoint();
    nut.syncpoint(10_001, 0).frame(0, &[]);
    // The time is 80008 ticks of 8 kHz, and its eight low bits are 136.
    nut.frame(STREAM_ID | CODED_PTS, &[1, 136]).frame(STREAM_ID, &[1]);
    nut.syncpoint(15, 1);
    // 1.875 milliseconds, rounded down.
    nut.frame(0, &[]).frame(STREAM_ID, &[1]);
    // One tick before 0, in two's complement.
    nut.element(SYNCPOINT, &numbers(&[(-2_i64).cast_unsigned(), 0]));
    nut.frame(0, &[]).frame(0, &[]);
    assert_eq!(nut.times(), [10_002, 80_008, 80_009, 2, 16, 0, 1]);
}

#[test]
fn a_time_before_zero_or_beyond_63_bits_is_an_error() {
    let latest = i64::MAX.cast_unsigned();
    let frame_at = |coded| {
        let mut nut = Nut::with_syncpoint();
        nut.frame(CODED_PTS | CHECKSUM, &[coded]);
        nut
    };
    assert_eq!(frame_at(latest + 256).times(), [latest]);
    assert_eq!(frame_at(latest + 257).error(), NutError::Time);
    assert_eq!(frame_at(u64::MAX).error(), NutError::Time);
    // The closest time is before 0.
    assert_eq!(frame_at(200).error(), NutError::Time);
    assert_eq!(frame_at(latest + 256).frame(0, &[]).error(), NutError::Time);
    // In ticks of 8 kHz, the time has 64 bits.
    assert_eq!(Nut::new().syncpoint(latest / 4, 0).error(), NutError::Time);
}

#[test]
fn unknown_elements_and_fields_are_skipped() {
    let later_fields = numbers(&[0, 5, 1000]);
    let mut nut = Nut(FILE_ID.to_vec());
    nut.element(UNKNOWN, b"before everything").element(MAIN, &main_header(3, &[], &later_fields));
    nut.element(INFO, b"").element(STREAM, &video_header(&later_fields));
    nut.element(UNKNOWN, &[7; 5000]).element(STREAM, &audio_header()).element(INFO, &[b'N'; 100]);
    nut.element(SYNCPOINT, &numbers(&[0, 0, 1, 2, 3])).frame(0, &[]);
    nut.element(UNKNOWN, b"").frame(0, &[]).element(INDEX, &vec![0; 2 * 1024 * 1024]);
    // Repeated headers.
    nut.element(MAIN, &main_header(3, &[], &later_fields));
    nut.element(STREAM, &video_header(&later_fields)).element(STREAM, &audio_header());
    nut.syncpoint(2, 0).frame(0, &[]);
    assert_eq!(nut.times(), [1, 2, 3]);
}

#[test]
fn the_end_of_a_stream_is_not_a_packet() {
    let mut nut = Nut::with_syncpoint();
    nut.frame(0, &[]).frame(KEY | END_OF_RELEVANCE, &[]).frame(0, &[]);
    assert_eq!(nut.times(), [1, 3]);
}

#[test]
fn side_data_and_metadata_are_removed() {
    let mut data = numbers(&[4]);
    for (name, value) in [("text", 2), ("kind", 4), ("signed", 6), ("time", 8)] {
        string(name.as_bytes(), &mut data);
        unsigned(value, &mut data);
        match name {
            "text" => string(b"value", &mut data),
            "kind" => {
                string(b"bin", &mut data);
                string(&[0xFF; 300], &mut data);
            }
            _ => unsigned(1 << 40, &mut data),
        }
    }
    data.extend(numbers(&[2]));
    string(b"fraction", &mut data);
    data.extend(numbers(&[20, 300]));
    string(b"number", &mut data);
    data.extend(numbers(&[9]));
    let size = data.len() as u64;
    let mut nut = Nut::with_syncpoint();
    nut.frame(SIDE_DATA | SIZE_MSB, &[size + 5]).data(&data).data(b"media");
    nut.frame(SIDE_DATA | SIZE_MSB, &[2]).data(&[0, 0]);
    let packets = nut.packets();
    assert_eq!(
        (packets[0].3.as_slice(), packets[1].3.as_slice()),
        (b"media".as_slice(), b"".as_slice())
    );
    // Side data that goes beyond the end of the frame, or is endless.
    let mut nut = Nut::with_syncpoint();
    nut.frame(SIDE_DATA | SIZE_MSB, &[size - 1]).data(&data).data(b"media");
    assert_eq!(nut.error(), NutError::Truncated);
    let mut nut = Nut::with_syncpoint();
    nut.frame(SIDE_DATA | SIZE_MSB, &[9]).data(&numbers(&[u64::MAX >> 1]));
    assert_eq!(nut.error(), NutError::Truncated);
}

#[test]
fn omitted_bytes_are_restored() {
    let mut end = numbers(&[2]);
    string(&[0, 0, 1], &mut end);
    string(b"xy", &mut end);
    // Codes 2 to 77 and 79 to 254: sizes from 6 on, stream 1, five ticks, the second omitted string.
    let codes = [KEY, 8, 9, 1, 1, 6, 0, 252, 0, 2, INVALID, 8, 0, 1, 0, 0, 0, 1, 0, 0];
    let mut nut = Nut(FILE_ID.to_vec());
    nut.element(MAIN, &main_header(3, &codes, &end));
    nut.element(STREAM, &video_header(&[])).element(STREAM, &audio_header()).syncpoint(0, 0);
    nut.frame(HEADER_INDEX | SIZE_MSB, &[4, 1]).data(b"\x65");
    nut.data(b"\x02abcd")
        .data(b"\x4D")
        .data(&[b'm'; 6 + 75 - 2])
        .data(b"\x4F")
        .data(&[b'n'; 6 + 76 - 2]);
    let before = nut.0.clone();
    // Frames of more than 4096 bytes omit nothing.
    nut.frame(HEADER_INDEX | SIZE_MSB | CHECKSUM, &[4097, 1]).data(&[1; 4097]);
    let packets = nut.packets();
    assert_eq!(packets[0], (0, 1, false, b"\0\0\x01\x65".to_vec()));
    assert_eq!(packets[1], (1, 5, true, b"xyabcd".to_vec()));
    assert_eq!(packets[2], (1, 10, true, [b"xy".as_slice(), &[b'm'; 79]].concat()));
    assert_eq!(packets[3], (1, 15, true, [b"xy".as_slice(), &[b'n'; 80]].concat()));
    assert_eq!(packets[4], (0, 2, false, vec![1; 4097]));
    for (fields, error) in
        [([2, 1], "frame shorter than the bytes it omits"), ([9, 3], "unknown omitted bytes")]
    {
        let mut nut = Nut(before.clone());
        nut.frame(HEADER_INDEX | SIZE_MSB, &fields);
        assert_eq!(nut.error(), NutError::Invalid(error));
    }
}

#[test]
fn every_checksum_is_verified() {
    let mut nut = Nut::with_syncpoint();
    let headers = nut.0.len();
    nut.frame(0, &[]);
    for at in 0..headers {
        let mut bytes = nut.0.clone();
        bytes[at] ^= 1;
        let (items, _) = read(&bytes);
        let is_packet = |item: &NutItem| matches!(item, NutItem::Packet(_));
        assert!(!items.iter().any(is_packet), "byte {at}: {items:?}");
    }
    let mut nut = Nut::with_syncpoint();
    nut.frame(CHECKSUM | WRONG_CHECKSUM, &[]);
    assert_eq!(nut.error(), NutError::Checksum("a frame's header"));
    let mut nut = Nut::new();
    nut.element(INFO, &[0; 5000]);
    let at = nut.0.len() - 5000 - 4 - 1;
    nut.0[at] ^= 1;
    assert_eq!(nut.error(), NutError::Checksum("a size"));
}

#[test]
fn elements_of_excessive_size_are_errors_before_they_are_buffered() {
    let four_gigabytes = u64::from(u32::MAX);
    for size in [four_gigabytes, u64::MAX, 1024 * 1024 + 1] {
        for start_code in [MAIN, STREAM, SYNCPOINT, INFO, UNKNOWN] {
            let mut nut = Nut(FILE_ID.to_vec());
            nut.data(&start_code.to_be_bytes()).data(&numbers(&[size]));
            assert_eq!(nut.error(), NutError::TooLarge { what: "an element", size });
        }
    }
    for size in [four_gigabytes, u64::MAX, 32 * 1024 * 1024 + 1] {
        let mut nut = Nut::with_syncpoint();
        nut.frame(SIZE_MSB, &[size]);
        assert_eq!(nut.error(), NutError::TooLarge { what: "a frame", size });
    }
    // The limit itself is not excessive.
    let mut nut = Nut::with_syncpoint();
    nut.frame(SIZE_MSB | CHECKSUM, &[32 * 1024 * 1024]);
    assert!(nut.packets().is_empty());
}

#[test]
fn endless_fields_and_headers_are_errors() {
    let mut nut = Nut::with_syncpoint();
    nut.data(&[1]).data(&[0x80; 5000]);
    assert_eq!(nut.error(), NutError::Truncated);
    let mut nut = Nut::with_syncpoint();
    nut.frame(RESERVED, &[u64::MAX]).data(&[0; 5000]);
    assert_eq!(nut.error(), NutError::Truncated);
    let mut nut = Nut(FILE_ID.to_vec());
    nut.data(&MAIN.to_be_bytes()).data(&[0x80; 40]);
    assert_eq!(nut.error(), NutError::Truncated);
    let mut nut = Nut::with_syncpoint();
    nut.data(&[1]).data(&[0xFF; 11]);
    assert_eq!(nut.error(), NutError::Invalid("a number of more than 64 bits"));
    // A number can begin with superfluous zeros.
    let mut nut = Nut::with_syncpoint();
    nut.data(&[1]).data(&[0x80, 0x80, 0x80, 0]);
    assert_eq!(nut.times(), [1]);
}

#[test]
fn elements_in_the_wrong_place_and_unknown_references_are_errors() {
    let invalid = |nut: &mut Nut| match nut.error() {
        NutError::Invalid(error) => error,
        error => panic!("{error}"),
    };
    assert_eq!(Nut(b"nut/multimedia containers".to_vec()).error(), NutError::NotNut);
    assert_eq!(Nut(b"RIFF".to_vec()).error(), NutError::NotNut);
    let start = || Nut(FILE_ID.to_vec());
    assert_eq!(
        invalid(start().element(STREAM, &video_header(&[]))),
        "no main header at the beginning"
    );
    assert_eq!(invalid(start().data(b"\x01")), "frame before the first syncpoint");
    let mut nut = start();
    nut.element(MAIN, &main_header(3, &[], &[]));
    assert_eq!(
        invalid(Nut(nut.0.clone()).syncpoint(0, 0)),
        "syncpoint before the streams' headers"
    );
    assert_eq!(
        invalid(nut.element(STREAM, &audio_header())),
        "the streams' headers are out of order"
    );
    assert_eq!(invalid(Nut::new().frame(0, &[])), "frame before the first syncpoint");
    assert_eq!(invalid(Nut::with_syncpoint().frame(STREAM_ID, &[2])), "frame of an unknown stream");
    assert_eq!(invalid(Nut::with_syncpoint().frame(INVALID, &[])), "invalid frame code");
    assert_eq!(invalid(Nut::with_syncpoint().data(&[0])), "invalid frame code");
    for version in [0, 2, 5, u64::MAX] {
        let mut nut = start();
        nut.element(MAIN, &numbers(&[version, 1, 1, 1]));
        assert_eq!(nut.error(), NutError::Version(version));
    }
    assert_eq!(start().element(MAIN, &[3]).error(), NutError::Truncated);
    let mut nut = start();
    nut.data(&MAIN.to_be_bytes()).data(&[3, 0, 0, 0]);
    assert_eq!(invalid(&mut nut), "element without a checksum");
}

#[test]
fn frames_far_from_a_syncpoint_or_without_a_required_checksum_are_errors() {
    let missing = NutError::Invalid("frame without the checksum that its size or time requires");
    let mut nut = Nut::with_syncpoint();
    nut.frame(SIZE_MSB, &[2000]).data(&[0; 2000]);
    assert_eq!(
        Nut(nut.0.clone()).frame(0, &[]).error(),
        NutError::Invalid("frame too far from a syncpoint")
    );
    nut.syncpoint(0, 0).frame(CODED_PTS, &[256 + 500]);
    assert_eq!(nut.times(), [1, 500]);
    assert_eq!(Nut::with_syncpoint().frame(CODED_PTS, &[256 + 501]).error(), missing);
    assert_eq!(Nut::with_syncpoint().frame(SIZE_MSB, &[2001]).error(), missing);
    let mut nut = Nut::with_syncpoint();
    nut.frame(SIZE_MSB | CODED_PTS | CHECKSUM, &[256 + 501, 2001]).data(&[0; 2001]);
    assert_eq!(nut.times(), [501]);
    // A stream for pipes has only one syncpoint. In such a stream, only distant times need checksums.
    let mut nut = Nut(FILE_ID.to_vec());
    nut.element(MAIN, &main_header(4, &[], &[0, 2])).element(STREAM, &video_header(&[]));
    nut.element(STREAM, &audio_header()).syncpoint(0, 0);
    nut.frame(SIZE_MSB, &[2001]).data(&[0; 2001]).frame(0, &[]);
    assert_eq!(nut.times(), [1, 2]);
    assert_eq!(nut.frame(CODED_PTS, &[256 + 503]).error(), missing);
}

#[test]
fn syncpoints_can_have_a_time_of_the_wall_clock() {
    let mut nut = Nut(FILE_ID.to_vec());
    nut.element(MAIN, &main_header(4, &[], &[0, 1])).element(STREAM, &video_header(&[]));
    nut.element(STREAM, &audio_header());
    nut.element(SYNCPOINT, &numbers(&[200, 0, 3_400_000_000_000])).frame(0, &[]);
    assert_eq!(nut.times(), [101]);
    let mut nut = Nut(nut.0[..nut.0.len() - 2].to_vec());
    nut.element(SYNCPOINT, &numbers(&[200, 0]));
    assert_eq!(nut.error(), NutError::Truncated);
}

#[test]
fn invalid_main_headers_are_errors() {
    let error = |codes: &[u64], end: &[u8]| {
        let mut nut = Nut(FILE_ID.to_vec());
        nut.element(MAIN, &main_header(3, codes, end)).error()
    };
    let codes = |codes: &[u64]| error(codes, &[]);
    assert_eq!(
        codes(&[KEY, 6, 0, 1, 2, 0, 0, 253]),
        NutError::Invalid("frame code of an unknown stream")
    );
    assert_eq!(
        codes(&[KEY, 6, 0, 1, 0, 0, 0, 254]),
        NutError::Invalid("invalid number of frame codes")
    );
    assert_eq!(
        codes(&[KEY, 6, 0, 1, 0, 0, 0, u64::MAX]),
        NutError::Invalid("invalid number of frame codes")
    );
    assert_eq!(
        codes(&[KEY, 6, 0, 1, 0, 0, 0, 0]),
        NutError::Invalid("invalid number of frame codes")
    );
    assert_eq!(codes(&[KEY, 4, 0, 1, 0, 1]), NutError::Invalid("invalid number of frame codes"));
    assert_eq!(codes(&[KEY, 2, 0, 16384]), NutError::Invalid("invalid size of a frame code"));
    assert_eq!(codes(&[KEY, 1, 1 << 33]), NutError::Invalid("invalid time of a frame code"));
    assert_eq!(
        codes(&[KEY, 8, 0, 1, 0, 0, 0, 253, 0, 1]),
        NutError::Invalid("frame code with unknown omitted bytes")
    );
    assert_eq!(codes(&[KEY, u64::MAX]), NutError::Truncated);
    assert_eq!(
        error(&[], &numbers(&[128])),
        NutError::Invalid("invalid number of omitted headers")
    );
    assert_eq!(error(&[], &numbers(&[1, 2000])), NutError::Truncated);
    let mut large = numbers(&[1]);
    string(&[0; 256], &mut large);
    assert_eq!(error(&[], &large), NutError::Invalid("invalid size of an omitted header"));
    let mut start = numbers(&[3, 1, 1000, 1, 0, 25]);
    let mut nut = Nut(FILE_ID.to_vec());
    assert_eq!(nut.element(MAIN, &start).error(), NutError::Invalid("invalid time base"));
    for count in [0, 9, u64::MAX] {
        let mut nut = Nut(FILE_ID.to_vec());
        start.splice(1.., numbers(&[count, 1000, 1, 1, 25]));
        assert_eq!(
            nut.element(MAIN, &start).error(),
            NutError::Invalid("invalid number of streams")
        );
    }
}

#[test]
fn a_buffer_for_large_frames_is_not_kept() {
    let mut nut = Nut::with_syncpoint();
    nut.frame(SIZE_MSB | CHECKSUM, &[1 << 20]).data(&vec![0; 1 << 20]);
    let mut reader = NutReader::new();
    reader.buffer().extend_from_slice(&nut.0);
    while reader.next_item().expect("valid NUT").is_some() {}
    assert!(reader.is_between_items());
    assert_eq!(reader.buffer().capacity(), 0);
}

fn bytes() -> impl Strategy<Value = Bytes> {
    (any::<u8>(), 0..9000_usize).prop_map(|(byte, size)| vec![byte; size].into())
}

fn streams() -> impl Strategy<Value = Vec<NutStream>> {
    let kind = prop_oneof![
        (1_u32.., 1_u32..).prop_map(|(width, height)| NutKind::Video { width, height }),
        (1_u32.., 1_u32.., 1_u32..).prop_map(|(numerator, denominator, channels)| {
            NutKind::Audio { sample_rate: (numerator, denominator), channels }
        }),
        Just(NutKind::Other),
    ];
    let time_base = (1_u32..1 << 31, 1_u32..1 << 31);
    let codec_private = bytes();
    let stream = (kind, any::<[u8; 4]>(), time_base, 0_u16..1000, codec_private);
    let stream = stream.prop_map(|(kind, tag, (numerator, denominator), decode_delay, private)| {
        let time_base = TimeBase::new(numerator, denominator).expect("a time base");
        NutStream { kind, tag, time_base, decode_delay, codec_private: private }
    });
    prop::collection::vec(stream, 1..=8)
}

proptest! {
    #[test]
    fn the_reader_reads_what_the_writer_writes(
        streams in streams(),
        packets in prop::collection::vec(
            (0..8_usize, 0..u64::MAX >> 1, any::<bool>(), bytes()),
            0..20,
        ),
    ) {
        let mut bytes = nut_headers(&streams);
        let mut expected = vec![NutItem::Streams(streams.clone())];
        for (stream, pts, is_keyframe, data) in packets {
            let stream = stream % streams.len();
            write_nut_frame(stream, pts, is_keyframe, &data, &mut bytes);
            expected.push(NutItem::Packet(NutPacket { stream, pts, is_keyframe, data: data.into() }));
        }
        let (items, error) = read(&bytes);
        prop_assert_eq!(error, None);
        prop_assert_eq!(items, expected);
    }
}
