//! Fuzz targets for parsers of FFmpeg's standard output.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};

use super::support::{after, ready};
use crate::ingest::clock_check::ClockCheck;
use crate::media::fragment::Fragment;
use crate::media::hub::FragmentHub;
use crate::media::nut::error::NutError;
use crate::media::nut::reader::NutReader;
use crate::media::nut::stream::NutItem;
use crate::media::nut::writer::{nut_headers, write_nut_frame};
use crate::media::parameter_set::{Format, NalUnits};
use crate::media::reader::FragmentReader;

/// Reads `data` as fragmented MP4.
///
/// Checks that the fragments are consecutive pieces of the input, that the sizes of reads do not change
/// them, and that times of fragments can be added without overflow.
pub fn fragment_reader(data: &[u8]) {
    let (fragments, error) = read_fragments(data);
    let (cut, cut_error) = read_fragments(SmallReads { data, turn: 0 });
    let bytes = |fragments: &[Fragment]| -> Vec<Bytes> {
        fragments.iter().map(|fragment| fragment.bytes.clone()).collect()
    };
    assert_eq!((bytes(&fragments), &error), (bytes(&cut), &cut_error), "reads of other sizes");
    let mut rest = data;
    if let Some(first) = fragments.first() {
        rest = after(rest, &first.init.bytes);
        let is_of_codec = |c: char| c.is_ascii_alphanumeric() || c == '.';
        // The codec becomes part of a quoted attribute in a playlist.
        assert!(first.init.video.codec.chars().all(is_of_codec), "{}", first.init.video.codec);
    }
    let (hub, mut clock) = (FragmentHub::default(), ClockCheck::default());
    for fragment in fragments {
        rest = after(rest, &fragment.bytes);
        assert!(fragment.duration <= Duration::from_mins(1));
        assert!(fragment.decode_time <= Duration::MAX / 2, "it is added to durations");
        clock.is_plausible(fragment.decode_time);
        hub.publish(fragment);
        let flow = hub.flow().expect("a flow");
        assert!(flow.bit_rate.is_finite() && flow.frame_rate.is_finite());
    }
}

/// Reads `data` as the sample of a keyframe. The first byte selects the codec and the size of the lengths
/// of NAL units.
///
/// Checks that only H.264 samples have an H.264 format, and that the parameter sets of other formats are
/// parts of the sample.
pub fn parameter_set(data: &[u8]) {
    let Some((head, sample)) = data.split_first() else { return };
    let length_size = usize::from(head >> 1 & 3) + 1;
    let units = NalUnits { is_hevc: head & 1 == 1, length_size };
    match units.format(sample) {
        Some(Format::H264 { .. }) => assert!(!units.is_hevc),
        Some(Format::Other(set)) => drop(after(sample, &set)),
        None => {}
    }
}

/// Reads `data` as NUT.
///
/// The items are the same, however the input is cut into reads. What the writer writes from them is
/// read as the same items.
pub fn nut(data: &[u8]) {
    let (items, error) = read_nut([data]);
    let whole = (items, error);
    for size in [1, 13, 1021] {
        assert_eq!(whole, read_nut(data.chunks(size)), "reads of {size} bytes");
    }
    let (items, _) = whole;
    let mut written = Vec::new();
    let mut size = 0;
    for item in &items {
        match item {
            NutItem::Streams(streams) => written = nut_headers(streams),
            NutItem::Packet(packet) => {
                size += packet.data.len();
                let (stream, pts) = (packet.stream, packet.pts);
                assert!(pts <= u64::MAX >> 1, "it fits into 63 bits");
                write_nut_frame(stream, pts, packet.is_keyframe, &packet.data, &mut written);
            }
        }
    }
    // A frame of one byte can omit at most 255.
    assert!(size <= data.len() * 256, "{size} bytes out of {}", data.len());
    assert_eq!(read_nut([written.as_slice()]), (items, None));
}

fn read_nut<'a>(reads: impl IntoIterator<Item = &'a [u8]>) -> (Vec<NutItem>, Option<NutError>) {
    let mut reader = NutReader::new();
    let mut items = Vec::new();
    for read in reads {
        reader.buffer().extend_from_slice(read);
        loop {
            match reader.next_item() {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => return (items, Some(error)),
            }
        }
    }
    (items, None)
}

fn read_fragments(source: impl AsyncRead + Unpin) -> (Vec<Fragment>, Option<String>) {
    let mut reader = FragmentReader::new(source, 7);
    let mut fragments = Vec::new();
    loop {
        match ready(reader.next()) {
            Ok(Some(fragment)) => fragments.push(fragment),
            Ok(None) => return (fragments, None),
            Err(error) => return (fragments, Some(error.to_string())),
        }
    }
}

/// A reader of `data` in reads of different small sizes.
struct SmallReads<'a> {
    data: &'a [u8],
    turn: usize,
}

impl AsyncRead for SmallReads<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        const SIZES: [usize; 5] = [7, 1, 64, 3, 1021];
        self.turn += 1;
        let size = SIZES[self.turn % SIZES.len()].min(buffer.remaining()).min(self.data.len());
        let (now, later) = self.data.split_at(size);
        buffer.put_slice(now);
        self.data = later;
        Poll::Ready(Ok(()))
    }
}
