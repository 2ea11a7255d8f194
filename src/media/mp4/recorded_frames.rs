//! The frames in recorded fragments, as they were in the stream, so that they can be decoded.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use mp4_atom::{Codec, Decode as _, Ftyp, Moov};
use tokio::time::Instant;

use super::frame_table::TableFrame;
use super::recorded::{box_head, fragment_frames};
use super::track::{AUDIO, VIDEO, VIDEO_TIMESCALE};
use crate::media::codec::VideoCodec;
use crate::media::frame::{Format, Frame, Track};
use crate::media::parameter_set::sets::ParameterSets;

/// A start code, which separates units of video.
const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Reads the description of the video in an init segment. Returns `None` if it is damaged, or if it has no video in H.264
/// or H.265.
pub(crate) fn format_of_init(mut init: &[u8]) -> Option<Arc<Format>> {
    Ftyp::decode(&mut init).ok()?;
    let moov = Moov::decode(&mut init).ok()?;
    let video = moov.trak.iter().find(|track| track.tkhd.track_id == VIDEO)?;
    let (codec, units) = match video.mdia.minf.stbl.stsd.codecs.first()? {
        Codec::Avc1(entry) => {
            let sets = &entry.avcc.sequence_parameter_sets;
            (
                VideoCodec::H264,
                [sets, &entry.avcc.picture_parameter_sets].map(Clone::clone).concat(),
            )
        }
        Codec::Hvc1(entry) => {
            let units = entry.hvcc.arrays.iter().flat_map(|array| array.nalus.clone());
            (VideoCodec::H265, units.collect())
        }
        _ => return None,
    };
    let extradata: Vec<u8> =
        units.iter().flat_map(|unit| START_CODE.iter().chain(unit).copied()).collect();
    let parameter_sets = ParameterSets::from_extradata(codec, &extradata);
    Some(Arc::new(Format {
        epoch: 0,
        version: 0,
        is_converted: false,
        picture: parameter_sets.picture()?,
        parameter_sets,
        audio: None,
        aac: None,
        awaits_audio: false,
    }))
}

/// A frame of a recorded track, and its bytes.
pub(crate) type RecordedFrame = (TableFrame, Bytes);

/// Reads the frames of video in consecutive fragments. Times are those of the media. Returns `None` if a fragment is
/// damaged or incomplete.
pub(crate) fn frames_of_fragments(
    fragments: Bytes,
    format: &Arc<Format>,
) -> Option<Vec<Arc<Frame>>> {
    let frame = |(frame, data): RecordedFrame| {
        let shown = frame.decode_time.checked_add_signed(frame.composition_offset.into())?;
        Some(Arc::new(Frame {
            format: Arc::clone(format),
            track: Track::Video,
            decode_time: video_time(frame.decode_time),
            presentation_time: video_time(shown),
            duration: video_time(frame.duration.into()),
            is_keyframe: frame.is_keyframe,
            received_at: Instant::now(),
            taken_at: SystemTime::UNIX_EPOCH,
            data,
        }))
    };
    track_of_fragments(fragments, VIDEO)?.into_iter().map(frame).collect()
}

/// Reads the audio in consecutive fragments. Returns `None` if a fragment is damaged or incomplete.
pub(crate) fn sounds_of_fragments(fragments: Bytes) -> Option<Vec<RecordedFrame>> {
    track_of_fragments(fragments, AUDIO)
}

/// Reads the frames of one track in consecutive fragments.
fn track_of_fragments(mut fragments: Bytes, track_id: u32) -> Option<Vec<RecordedFrame>> {
    let mut frames = Vec::new();
    while !fragments.is_empty() {
        let moof = usize::try_from(box_head(&fragments)?.size).ok()?;
        let mdat = usize::try_from(box_head(fragments.get(moof..)?)?.size).ok()?;
        let end = moof.checked_add(mdat).filter(|end| *end <= fragments.len())?;
        let fragment = fragments.split_to(end);
        let tracks = fragment_frames(fragment.get(..moof)?, 0)?;
        let track = tracks.into_iter().filter(|track| track.track_id == track_id);
        for frame in track.flat_map(|track| track.frames) {
            let begin = usize::try_from(frame.offset).ok()?;
            let end = begin.checked_add(usize::try_from(frame.size).ok()?)?;
            let data = (end <= fragment.len()).then(|| fragment.slice(begin..end))?;
            frames.push((frame, data));
        }
    }
    Some(frames)
}

/// Converts ticks of the video track to a time.
pub(crate) fn video_time(ticks: u64) -> Duration {
    let scale = u64::from(VIDEO_TIMESCALE);
    let (seconds, rest) = (ticks / scale, ticks % scale);
    Duration::from_secs(seconds) + Duration::from_nanos(rest * 1_000_000_000 / scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::testing;
    use crate::media::mp4::fragments::{Sample, SampleRun, fragment};
    use crate::media::mp4::init::init_segment;

    #[test]
    fn the_parameter_sets_are_read_from_the_init_segment() {
        let format = testing::format(1);
        let init = init_segment(Some(&format.parameter_sets), None).expect("an init segment");
        let read = format_of_init(&init).expect("a format");
        assert_eq!(read.parameter_sets, format.parameter_sets);
        assert_eq!((read.picture.width, read.picture.height), (640, 360));
        assert!(format_of_init(&init[..init.len() - 1]).is_none());
    }

    #[test]
    fn frames_are_read_as_they_were_written() {
        let sample = |data, is_keyframe, composition_offset| Sample {
            duration: 3600,
            composition_offset,
            is_keyframe,
            data,
        };
        let (first, second) = (
            [sample(b"keyframe", true, 0)],
            [sample(b"other", false, 3600), sample(b"frame", false, -3600)],
        );
        let sounds = [sample(b"sound", true, 0)];
        let silence = SampleRun { decode_time: 0, samples: &[] };
        let one = fragment(1, SampleRun { decode_time: 90_000, samples: &first }, silence);
        let sound = SampleRun { decode_time: 48_000, samples: &sounds };
        let two = fragment(2, SampleRun { decode_time: 93_600, samples: &second }, sound);
        let bytes = [one.expect("a fragment"), two.expect("a fragment")].concat();
        let format = testing::format(1);
        let frames = frames_of_fragments(bytes.clone().into(), &format).expect("frames");
        let summary: Vec<_> = frames
            .iter()
            .map(|it| (it.data.to_vec(), it.presentation_time.as_millis(), it.is_keyframe))
            .collect();
        let expected = [
            (b"keyframe".to_vec(), 1000, true),
            (b"other".to_vec(), 1080, false),
            (b"frame".to_vec(), 1040, false),
        ];
        assert_eq!(summary, expected);
        for length in 1..bytes.len() {
            let cut = Bytes::copy_from_slice(&bytes[..length]);
            assert!(frames_of_fragments(cut, &format).is_none_or(|frames| frames.len() == 1));
        }
    }
}
