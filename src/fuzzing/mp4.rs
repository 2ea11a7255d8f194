//! Fuzz targets for the media that becomes MP4: access units, parameter sets, and audio.

use bytes::Bytes;
use mp4_atom::{Codec, Decode as _, Ftyp, Moof, Moov};

use crate::base::time_span::TimeSpan;
use crate::media::aac::AacConfig;
use crate::media::access_unit::AccessUnit;
use crate::media::codec::VideoCodec;
use crate::media::mp4::fragments::{Sample, SampleRun, fragment, fragment_head};
use crate::media::mp4::frame_table::{FrameTableWriter, FramesOfTrack, read_frame_table};
use crate::media::mp4::init::{AudioConfig, init_segment};
use crate::media::mp4::movie::{FileFrames, MovieWriter};
use crate::media::mp4::recorded::{box_head, describe_init, fragment_frames};
use crate::media::mp4::recorded_frames::{format_of_init, frames_of_fragments};
use crate::media::nal::{Framing, SetKind};
use crate::media::opus::OpusConfig;
use crate::media::parameter_set::sets::ParameterSets;
use crate::store::db::fragment_list;

/// Reads `data` as an access unit, and writes the access unit as MP4. In the first byte, the lowest bit
/// selects the codec (1 is H.265). The next three bits are the size in bytes of the lengths of NAL units;
/// a size other than 1 to 4 selects start codes instead of lengths.
///
/// Checks that the access unit is at most two and a half times as long as the input, that it is unchanged
/// when it is read again, and that another MP4 parser can decode the MP4.
pub fn annex_b(data: &[u8]) {
    let Some((head, bytes)) = data.split_first() else { return };
    let framing = match usize::from(head >> 1 & 7) {
        size @ 1..=4 => Framing::Lengths(size),
        _ => Framing::StartCodes,
    };
    let mut sets = ParameterSets::new(codec(*head));
    let unit = AccessUnit::read(bytes.into(), framing, &mut sets);
    assert!(unit.data.len() * 2 <= bytes.len() * 5, "{} bytes", unit.data.len());
    let found: usize = Framing::Lengths(4).units(&unit.data).map(|unit| 4 + unit.len()).sum();
    assert_eq!(found, unit.data.len());
    let mut again = sets.clone();
    assert_eq!(AccessUnit::read(unit.data.as_ref().into(), Framing::Lengths(4), &mut again), unit);
    assert_eq!(AccessUnit::read(bytes.into(), framing, &mut again), unit);
    assert_eq!((again.version(), &again), (sets.version(), &sets));
    if let Ok(init) = init_segment(Some(&sets), None) {
        let picture = sets.picture().expect("the picture that the init segment describes");
        match &decoded(&init).trak[0].mdia.minf.stbl.stsd.codecs[..] {
            [Codec::Avc1(entry)] => assert_eq!(entry.visual.width, picture.width),
            [Codec::Hvc1(entry)] => assert_eq!(entry.visual.width, picture.width),
            other => panic!("{other:?}"),
        }
    }
    assert_fragment(&unit);
}

/// Reads `data` as a sequence parameter set. The lowest bit of the first byte selects the codec: 1 is
/// H.265.
///
/// Checks that the values of an accepted parameter set are in range, and that its codec string is safe in
/// a playlist.
pub fn sps(data: &[u8]) {
    let Some((head, bytes)) = data.split_first() else { return };
    let codec = codec(*head);
    let mut sets = ParameterSets::new(codec);
    sets.update(&[(SetKind::Sequence, bytes)]);
    let Some(picture) = sets.picture() else { return };
    assert!(picture.width > 0 && picture.height > 0);
    assert!(picture.pixel_aspect.0 > 0 && picture.pixel_aspect.1 > 0);
    assert!((8..=16).contains(&picture.luma_bit_depth) && picture.chroma_format <= 3);
    assert!(picture.frame_rate.is_none_or(|rate| rate.is_finite() && rate > 0.0));
    // The codec string becomes part of a quoted attribute in a playlist.
    let is_of_codec = |c: char| c.is_ascii_alphanumeric() || c == '.';
    assert!(picture.codec.chars().all(is_of_codec), "{}", picture.codec);
    drop(ParameterSets::from_extradata(codec, bytes));
}

/// Reads `data` as the configurations of AAC and Opus.
///
/// Checks that the bytes of an accepted configuration of AAC give the same configuration again, and that another MP4
/// parser can decode init segments with all accepted configurations.
pub fn audio_config(data: &[u8]) {
    if let Some(config) = AacConfig::parse(data) {
        assert_eq!(AacConfig::parse(&config.bytes).as_ref(), Some(&config));
        assert_audio(&AudioConfig::Aac(config));
    }
    if let Some(config) = OpusConfig::parse(data) {
        assert_audio(&AudioConfig::Opus(config));
    }
}

fn codec(head: u8) -> VideoCodec {
    if head & 1 == 1 { VideoCodec::H265 } else { VideoCodec::H264 }
}

/// H.264 parameter sets of x264 for 640×360 pixels.
const PARAMETER_SETS: &[u8] =
    b"\0\0\0\x01\x67\x42\xc0\x1e\xd9\x00\xa0\x2f\xf9\x70\x11\x00\x00\x03\x00\x01\x00\x00\
      \x03\x00\x32\x0f\x16\x2e\x48\0\0\0\x01\x68\xcb\x83\xcb\x20";

/// Makes a movie of frames, and checks that its data is that of the frames.
fn export(tracks: &[FramesOfTrack]) {
    let sets = ParameterSets::from_extradata(VideoCodec::H264, PARAMETER_SETS);
    let init = init_segment(Some(&sets), None).expect("an init segment");
    for (from, to) in [(0, 10_000_000), (1000, 11_000)] {
        let mut writer = MovieWriter::new(&init, TimeSpan { from, to }).expect("an init segment");
        for file in 0..2 {
            let (decode_time, start_at, is_continuous) = (0, 0, false);
            writer.add(&FileFrames { file, tracks, decode_time, start_at, is_continuous });
        }
        if let Some(movie) = writer.finish().expect("a movie") {
            assert!(!movie.pieces.is_empty());
        }
    }
}

/// Reads `data` as the parts of a recorded file: the head of a box, an init segment, a fragment, the table of frames,
/// and the list of fragments in the database.
///
/// Checks that lists are not longer than the input, and that the table and the list are unchanged when they are written
/// and read again.
pub fn recorded_file(data: &[u8]) {
    if let Some(head) = box_head(data) {
        assert!(head.size >= 8);
    }
    drop(describe_init(data));
    if let Some(format) = format_of_init(data) {
        drop(frames_of_fragments(Bytes::copy_from_slice(data), &format));
    }
    for track in fragment_frames(data, 1000).unwrap_or_default() {
        assert!(track.frames.len() <= data.len());
    }
    if let Some(tracks) = read_frame_table(data) {
        assert!(tracks.iter().map(|track| track.frames.len()).sum::<usize>() <= data.len());
        export(&tracks);
        if let [video, audio] = tracks.as_slice()
            && (video.track_id, audio.track_id) == (1, 2)
        {
            let mut writer = FrameTableWriter::new(video.timescale, Some(audio.timescale));
            for track in &tracks {
                for frame in &track.frames {
                    writer.add(track.track_id, *frame);
                }
            }
            assert_eq!(read_frame_table(&writer.finish()).as_ref(), Some(&tracks));
        }
    }
    if let Some(fragments) = fragment_list::decode(data, 1000) {
        assert!(fragments.len() <= data.len());
        let list = fragment_list::encode(&fragments);
        assert_eq!(fragment_list::decode(&list, 1000), Some(fragments));
    }
}

/// Asserts that another MP4 parser can decode an init segment with this audio.
fn assert_audio(config: &AudioConfig) {
    let init = init_segment(None, Some(config)).expect("an init segment");
    let moov = decoded(&init);
    assert_eq!(moov.trak[0].mdia.mdhd.timescale, config.timescale());
    assert!(config.codec().is_ascii());
}

/// Asserts that `fragment` writes the same bytes as `fragment_head`, followed by the picture, and that another MP4
/// parser finds the picture in these bytes.
fn assert_fragment(unit: &AccessUnit) {
    let sample = Sample {
        duration: 3600,
        composition_offset: -1,
        is_keyframe: unit.is_keyframe,
        data: &unit.data,
    };
    let video = SampleRun { decode_time: u64::MAX, samples: &[sample] };
    let bytes = fragment(7, video, SampleRun::default()).expect("a fragment");
    let head = fragment_head(7, video, SampleRun::default()).expect("a fragment");
    assert_eq!(bytes, [head, unit.data.to_vec()].concat());
    let moof = Moof::decode(&mut bytes.as_slice()).expect("a moof");
    let run = &moof.traf[0].trun[0];
    let begin = usize::try_from(run.data_offset.expect("an offset")).expect("a position");
    assert_eq!(bytes[begin..], unit.data);
}

fn decoded(init: &[u8]) -> Moov {
    let mut rest = init;
    Ftyp::decode(&mut rest).expect("an ftyp");
    let moov = Moov::decode(&mut rest).expect("a moov");
    assert!(rest.is_empty());
    moov
}
