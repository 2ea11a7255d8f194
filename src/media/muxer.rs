//! Writes video, or AAC, as NUT, which an FFmpeg reads from a pipe. Pure.

use std::time::Duration;

use crate::media::aac::AacConfig;
use crate::media::annex_b::{append_sets, append_units};
use crate::media::codec::VideoCodec;
use crate::media::frame::{Format, Frame};
use crate::media::nut::stream::{NutKind, NutStream, TimeBase};
use crate::media::nut::writer::{nut_headers, write_nut_frame};

/// Ticks per second of the times in the stream.
const TICKS_PER_SECOND: u32 = 1_000_000;

/// The tag of AAC in NUT.
const AAC_TAG: [u8; 4] = [0xff, 0, 0, 0];

/// Writes the video of one epoch as NUT.
#[derive(Debug)]
pub struct VideoMuxer {
    /// The presentation time, in ticks, that becomes time 0 in the stream.
    starts_at: u64,
    /// Version of the format whose parameter sets were written last.
    version: Option<u32>,
}

impl VideoMuxer {
    /// Begins a stream whose first frame is `first`, a keyframe, at time 0. Writes the headers to `out`, but
    /// not the frame.
    pub(crate) fn begin(first: &Frame, out: &mut Vec<u8>) -> Self {
        if let Some(time_base) = TimeBase::new(1, TICKS_PER_SECOND) {
            out.extend(nut_headers(&[description(&first.format, time_base)]));
        }
        Self { starts_at: ticks(first.presentation_time), version: None }
    }

    /// Begins a stream as [`VideoMuxer::begin`] does, but with the times of the epoch's clock.
    pub fn begin_on_epoch_clock(first: &Frame, out: &mut Vec<u8>) -> Self {
        Self { starts_at: 0, ..Self::begin(first, out) }
    }

    /// Returns the time of a frame in the stream, in ticks; 0 for a frame that is presented before the
    /// stream begins.
    pub(crate) fn time(&self, frame: &Frame) -> u64 {
        ticks(frame.presentation_time).saturating_sub(self.starts_at)
    }

    /// Writes a frame to `out`. The first frame, and each frame whose format differs from the format of the
    /// previous frame, contains the parameter sets of its format, except with Motion JPEG.
    pub fn write(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        self.write_at(frame, self.time(frame), out);
    }

    /// Writes a frame to `out` as [`VideoMuxer::write`] does, but with another time, in ticks.
    pub(crate) fn write_at(&mut self, frame: &Frame, time: u64, out: &mut Vec<u8>) {
        if frame.format.codec() == VideoCodec::Mjpeg {
            return write_nut_frame(0, time, frame.is_keyframe, &frame.data, out);
        }
        let mut unit = Vec::with_capacity(frame.data.len());
        let version = Some(frame.format.version);
        if self.version != version {
            self.version = version;
            append_sets(&frame.format, &mut unit);
        }
        append_units(&frame.data, &mut unit);
        write_nut_frame(0, time, frame.is_keyframe, &unit, out);
    }
}

/// Returns the headers of a stream of AAC with this configuration.
pub(crate) fn aac_headers(config: &AacConfig) -> Vec<u8> {
    let sample_rate = (config.sample_rate, 1);
    let kind = NutKind::Audio { sample_rate, channels: config.channels.into() };
    let codec_private = config.bytes.clone().into();
    let stream = TimeBase::new(1, TICKS_PER_SECOND).map(|time_base| NutStream {
        kind,
        tag: AAC_TAG,
        time_base,
        decode_delay: 0,
        codec_private,
    });
    stream.map(|stream| nut_headers(&[stream])).unwrap_or_default()
}

/// Writes a frame of AAC to `out`, with its time.
pub(crate) fn write_aac(time: Duration, data: &[u8], out: &mut Vec<u8>) {
    write_nut_frame(0, ticks(time), true, data, out);
}

fn description(format: &Format, time_base: TimeBase) -> NutStream {
    let picture = &format.picture;
    let mut codec_private = Vec::new();
    append_sets(format, &mut codec_private);
    NutStream {
        kind: NutKind::Video { width: picture.width.into(), height: picture.height.into() },
        tag: match format.codec() {
            VideoCodec::H264 => *b"H264",
            VideoCodec::H265 => *b"HEVC",
            VideoCodec::Mjpeg => *b"MJPG",
        },
        time_base,
        decode_delay: picture.max_reorder_frames.unwrap_or(0).into(),
        codec_private: codec_private.into(),
    }
}

fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use bytes::Bytes;
    use tokio::time::Instant;

    use super::*;
    use crate::media::demuxer::{Arrival, Demuxer};
    use crate::media::frame::testing;
    use crate::media::nut::reader::NutReader;
    use crate::media::nut::stream::NutItem;

    /// Returns all items of a NUT stream.
    fn read(bytes: &[u8]) -> Vec<NutItem> {
        let mut reader = NutReader::new();
        reader.buffer().extend_from_slice(bytes);
        std::iter::from_fn(|| reader.next_item().expect("NUT")).collect()
    }

    #[test]
    fn written_frames_are_demuxed_to_the_same_frames() {
        let format = testing::format(7);
        let frames: Vec<_> = (0..5_u8)
            .map(|n| {
                let data = [0, 0, 0, 2, 0x65 - 0x24 * u8::from(n > 0), 0x80 + n];
                let frame = testing::video(&format, n == 0, 1000 + u64::from(n) * 40, 40);
                Frame { data: Bytes::copy_from_slice(&data), ..frame }
            })
            .collect();
        let mut out = Vec::new();
        let mut muxer = VideoMuxer::begin(&frames[0], &mut out);
        for frame in &frames {
            muxer.write(frame, &mut out);
        }
        assert_eq!(muxer.time(&frames[4]), 160_000);
        let early = Frame { presentation_time: Duration::ZERO, ..frames[0].clone() };
        assert_eq!(muxer.time(&early), 0);

        let mut demuxer = Demuxer::new(7, false, false, false);
        let arrival = Arrival { at: Instant::now(), wall: SystemTime::now() };
        let again = read(&out).into_iter().filter_map(|item| {
            let frame = demuxer.video(item, arrival).expect("video")?;
            Some((frame.data, frame.is_keyframe))
        });
        let expected = frames.iter().map(|frame| (frame.data.clone(), frame.is_keyframe));
        assert_eq!(again.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }

    #[test]
    fn parameter_sets_are_written_first_and_when_the_format_changes() {
        let first = testing::format(7);
        let other = Arc::new(Format {
            epoch: 7,
            version: 1,
            is_converted: false,
            parameter_sets: first.parameter_sets.clone(),
            picture: first.picture.clone(),
            audio: None,
            aac: None,
            awaits_audio: false,
        });
        let mut out = Vec::new();
        let frames = [&first, &first, &other].map(|format| {
            let frame = testing::video(format, true, 0, 40);
            Frame { data: Bytes::from_static(&[0, 0, 0, 1, 0x65]), ..frame }
        });
        let mut muxer = VideoMuxer::begin(&frames[0], &mut out);
        for frame in &frames {
            muxer.write(frame, &mut out);
        }
        let has_sets = read(&out).into_iter().filter_map(|item| match item {
            NutItem::Packet(packet) => Some(packet.data.len() > 5),
            NutItem::Streams(_) => None,
        });
        assert_eq!(has_sets.collect::<Vec<_>>(), [true, false, true]);
    }
}
