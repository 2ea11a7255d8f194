//! Tests of the MP4 writer with streams of real encoders. FFmpeg's MP4 of the same stream is the reference: ffprobe
//! and GStreamer must read the same frames from the writer's MP4. FFmpeg must decode the writer's MP4 to the same
//! pictures and the same AAC sound as the encoder's stream. FFmpeg must also be able to decode Opus. mp4-atom must
//! decode all boxes.

mod ffmpeg;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ffmpeg::{Packet, decoded, ffmpeg, packets, qtdemux, stream, text};
use mp4_atom::{Any, Codec, Decode as _, Encode as _, Moof};
use stream_manager::parts::{
    AacConfig, AccessUnit, AudioConfig, Framing, OpusConfig, ParameterSets, Sample, SampleRun,
    VIDEO_TIMESCALE, VideoCodec, fragment, fragment_head, init_segment,
};
use tempfile::TempDir;

/// Two seconds of video. The width and height are not multiples of 8, so the encoders add
/// pixels, and the parameter sets tell decoders to crop the pictures.
const PICTURES: &[&str] =
    &["-f", "lavfi", "-i", "testsrc2=size=322x180:rate=25:duration=2", "-threads", "1"];
const SOUND: &[&str] = &["-f", "lavfi", "-i", "sine=sample_rate=48000:duration=2", "-vn"];

/// The frames of a track: their data in the form that MP4 needs, and FFmpeg's description of each.
struct Frames {
    data: Vec<Vec<u8>>,
    packets: Vec<Packet>,
}

impl Frames {
    /// Creates the frames, and shifts their times so that the first decode time is 0.
    fn new(data: Vec<Vec<u8>>, mut packets: Vec<Packet>) -> Self {
        assert_eq!(data.len(), packets.len());
        let first = packets[0].dts;
        for packet in &mut packets {
            (packet.dts, packet.pts) = (packet.dts - first, packet.pts - first);
        }
        Self { data, packets }
    }

    fn samples(&self) -> Vec<Sample<'_>> {
        let frames = self.packets.iter().zip(&self.data);
        let samples = frames.map(|(packet, data)| Sample {
            duration: packet.duration.try_into().expect("a duration"),
            composition_offset: (packet.pts - packet.dts).try_into().expect("an offset"),
            is_keyframe: packet.is_keyframe,
            data,
        });
        samples.collect()
    }

    /// Divides the samples into `count` runs.
    fn runs<'a>(&self, samples: &'a [Sample<'a>], count: usize) -> Vec<SampleRun<'a>> {
        let at = |index: usize| index * samples.len() / count;
        let run = |index: usize| {
            let samples = &samples[at(index)..at(index + 1)];
            let decode_time = self.packets.get(at(index)).map_or(0, |packet| packet.dts);
            SampleRun { decode_time: decode_time.try_into().expect("a time"), samples }
        };
        (0..count).map(run).collect()
    }
}

/// Video of one encoder, and its frames as [`AccessUnit::read`] returns them.
struct Video {
    folder: TempDir,
    codec: VideoCodec,
    pixels: &'static str,
    sets: ParameterSets,
    frames: Frames,
}

impl Video {
    /// Encodes [`PICTURES`] to MP4, copies the video to a stream with start codes, and reads that stream.
    fn encode(codec: VideoCodec, pixels: &'static str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (reference, raw) = (folder.path().join("reference.mp4"), folder.path().join("raw"));
        let timescale = VIDEO_TIMESCALE.to_string();
        let to_mp4 =
            [PICTURES, &["-pix_fmt", pixels], arguments, &["-video_track_timescale", &timescale]]
                .concat();
        ffmpeg(&to_mp4, &reference);
        ffmpeg(&["-i", text(&reference), "-c", "copy", "-f", format(codec)], &raw);
        let bytes = fs::read(&raw).expect("the stream");
        let mut sets = ParameterSets::new(codec);
        let units: Vec<_> = packets(&raw, "v")
            .iter()
            .map(|packet| &bytes[packet.position..packet.position + packet.size])
            .map(|bytes| AccessUnit::read(bytes.into(), Framing::StartCodes, &mut sets))
            .collect();
        let expected = folder.path().join("expected.mp4");
        ffmpeg(&["-i", text(&reference), "-c", "copy", "-bsf:v", only_pictures(codec)], &expected);
        let expected = packets(&expected, "v");
        let is_open = arguments.iter().any(|argument| argument.contains("open-gop=1"));
        for (unit, packet) in units.iter().zip(&expected) {
            // FFmpeg also marks recovery points as keyframes.
            let is_recovery_point = is_open && packet.is_keyframe;
            assert!(unit.is_keyframe == packet.is_keyframe || is_recovery_point);
        }
        assert_eq!(sets.version(), 1);
        let frames = Frames::new(units.iter().map(|unit| unit.data.to_vec()).collect(), expected);
        Self { folder, codec, pixels, sets, frames }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes MP4 with one frame in each fragment, and MP4 with all frames in one fragment, and asserts
    /// that both have the same content as FFmpeg's files.
    fn check(&self) {
        let init = init_segment(Some(&self.sets), None).expect("an init segment");
        for fragments in [self.frames.data.len(), 1] {
            let file = self.path("ours.mp4");
            fs::write(&file, file_of(&init, Some(&self.frames), None, fragments)).expect("a file");
            check_packets(&file, "v", &self.frames);
            self.check_stream(&file);
            assert_eq!(decoded(&file, "v"), decoded(&self.path("raw"), "v"));
            check_with_gstreamer(&file, "video_0", VIDEO_TIMESCALE, &self.frames);
            check_boxes(&file, fragments);
        }
    }

    /// Asserts that ffprobe describes the video of `file` and the video of FFmpeg's MP4 in the same way, and that
    /// [`ParameterSets::picture`] returns the same properties.
    fn check_stream(&self, file: &Path) {
        let (ours, reference) = (stream(file, "v"), stream(&self.path("reference.mp4"), "v"));
        for name in [
            "codec_name",
            "codec_tag_string",
            "profile",
            "level",
            "width",
            "height",
            "coded_width",
            "coded_height",
            "has_b_frames",
            "pix_fmt",
            "sample_aspect_ratio",
            "nal_length_size",
            "time_base",
        ] {
            assert_eq!(ours[name], reference[name], "{name}");
        }
        let picture = self.sets.picture().expect("a sequence parameter set");
        assert_eq!(
            (ours["width"].as_u64(), ours["height"].as_u64()),
            (Some(picture.width.into()), Some(picture.height.into()),)
        );
        let (chroma_format, depth) = match self.pixels {
            "gray" => (0, 8),
            "yuv420p" => (1, 8),
            "yuv420p10le" => (1, 10),
            "yuv422p10le" => (2, 10),
            "yuv444p" => (3, 8),
            other => panic!("{other}"),
        };
        let depths = (picture.luma_bit_depth, picture.chroma_bit_depth);
        assert_eq!((picture.chroma_format, depths), (chroma_format, (depth, depth)));
        let level = ours["level"].as_u64().expect("a level");
        let level = match self.codec {
            VideoCodec::H264 => format!("{level:02X}"),
            VideoCodec::H265 => format!(".L{level}."),
            VideoCodec::Mjpeg => panic!("MP4 for players has no Motion JPEG"),
        };
        assert!(picture.codec.contains(&level), "{}: {level}", picture.codec);
        assert_eq!(picture.frame_rate, Some(25.0));
        let reordered = ours["has_b_frames"].as_u64().expect("a number");
        assert_eq!(picture.max_reorder_frames.map(u64::from), Some(reordered));
        assert_eq!(picture.may_reorder, reordered > 0);
    }
}

fn format(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H264 => "h264",
        VideoCodec::H265 => "hevc",
        VideoCodec::Mjpeg => "mjpeg",
    }
}

/// Returns the bitstream filter with which FFmpeg writes MP4 without parameter sets, delimiters and filler data.
/// [`AccessUnit::read`] removes the same data.
fn only_pictures(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H264 => "filter_units=remove_types=7|8|9|12",
        VideoCodec::H265 => "filter_units=remove_types=32-35|38",
        VideoCodec::Mjpeg => "null",
    }
}

/// Returns MP4 with this number of fragments. Asserts that the output of `fragment` is the output of `fragment_head`
/// followed by the samples, and that neither function leaves unused capacity.
fn file_of(
    init: &[u8],
    video: Option<&Frames>,
    audio: Option<&Frames>,
    fragments: usize,
) -> Vec<u8> {
    let samples = [video, audio].map(|frames| frames.map(Frames::samples).unwrap_or_default());
    let runs = |frames: Option<&Frames>, track: usize| {
        let none = || vec![SampleRun::default(); fragments];
        frames.map_or_else(none, |frames| frames.runs(&samples[track], fragments))
    };
    let runs = runs(video, 0).into_iter().zip(runs(audio, 1));
    let mut bytes = init.to_vec();
    for (number, (video, audio)) in (1..).zip(runs) {
        let whole = fragment(number, video, audio).expect("a fragment");
        assert_eq!(whole.len(), whole.capacity(), "the fragment has unused capacity");
        let mut parts = fragment_head(number, video, audio).expect("a fragment");
        assert_eq!(parts.len(), parts.capacity(), "the head has unused capacity");
        for sample in video.samples.iter().chain(audio.samples) {
            parts.extend_from_slice(sample.data);
        }
        assert_eq!(parts, whole);
        bytes.extend_from_slice(&whole);
    }
    bytes
}

/// Asserts that ffprobe reads the expected frames from a file. Their positions in the file can differ.
fn check_packets(file: &Path, kind: &str, frames: &Frames) {
    let found = packets(file, kind);
    assert_eq!(found.len(), frames.packets.len());
    for (mut found, expected) in found.into_iter().zip(&frames.packets) {
        // ffprobe reports no duration for the first frames of a fragmented file without video.
        if kind == "a" && found.duration < 0 {
            found.duration = expected.duration;
        }
        assert_eq!(&Packet { position: expected.position, ..found }, expected);
    }
}

/// Asserts that GStreamer reads the expected frames from a file, with times that differ from the expected ones by
/// at most 2 ns.
fn check_with_gstreamer(file: &Path, track: &str, timescale: u32, frames: &Frames) {
    let tracks = qtdemux(file);
    let found = tracks[track]["frames"].as_array().expect("frames");
    assert_eq!(found.len(), frames.packets.len());
    let caps = tracks[track]["caps"].as_str().expect("a description");
    if track.starts_with("video") {
        assert!(
            caps.contains("stream-format=(string)avc") || caps.contains("=(string)hvc1"),
            "{caps}"
        );
        assert!(caps.contains("width=(int)322, height=(int)180"), "{caps}");
    }
    for (found, packet) in found.iter().zip(&frames.packets) {
        for (name, ticks) in
            [("pts", packet.pts), ("dts", packet.dts), ("duration", packet.duration)]
        {
            let expected = ticks * 1_000_000_000 / i64::from(timescale);
            let time = found[name].as_i64().expect("a time");
            assert!((time - expected).abs() <= 2, "{name}: {time} for {packet:?}");
        }
        assert_eq!(found["is_keyframe"], packet.is_keyframe, "{packet:?}");
        assert_eq!(format!("MD5:{}", found["md5"].as_str().expect("a hash")), packet.hash);
    }
}

/// Asserts that mp4-atom can decode all boxes, writes the same bytes for `ftyp` and `moov`, and finds the
/// data of all samples in the `mdat` boxes.
fn check_boxes(file: &Path, fragments: usize) {
    let bytes = fs::read(file).expect("the file");
    let (mut rest, mut kinds) = (bytes.as_slice(), Vec::new());
    let mut expected_data = 0..0;
    while !rest.is_empty() {
        let begin = bytes.len() - rest.len();
        let found = Any::decode(&mut rest).expect("a box");
        let kind: [u8; 4] = found.kind().into();
        kinds.push(String::from_utf8_lossy(&kind).into_owned());
        match found {
            Any::Unknown(..) => panic!("{kinds:?}"),
            Any::Moof(moof) => expected_data = data_of(&moof, begin),
            Any::Mdat(data) => {
                assert_eq!(expected_data, begin + 8..begin + 8 + data.data.len());
            }
            found => {
                let mut written = Vec::new();
                found.encode(&mut written).expect("a box");
                assert_eq!(written, bytes[begin..bytes.len() - rest.len()], "{kinds:?}");
            }
        }
    }
    let expected = [vec!["ftyp", "moov"], ["moof", "mdat"].repeat(fragments)].concat();
    assert_eq!(kinds, expected);
}

/// Returns the range of the file that contains the data of all samples of a `moof`, which is at `begin`.
fn data_of(moof: &Moof, begin: usize) -> Range<usize> {
    let mut range: Option<Range<usize>> = None;
    for traf in &moof.traf {
        assert!(traf.tfhd.default_base_is_moof);
        let run = &traf.trun[0];
        let offset = usize::try_from(run.data_offset.expect("an offset")).expect("an offset");
        let default = traf.tfhd.default_sample_size;
        let size = run.samples.iter().map(|sample| sample.size.or(default).expect("a size"));
        let size = usize::try_from(size.sum::<u32>()).expect("a size");
        let here = begin + offset..begin + offset + size;
        let range = range.get_or_insert(here.start..here.start);
        assert_eq!(range.end, here.start);
        range.end = here.end;
    }
    range.unwrap_or_default()
}

const X264: &[&str] = &["-c:v", "libx264"];

#[test]
fn mp4_of_h264_baseline_matches_ffmpegs_mp4() {
    let arguments = ["-profile:v", "baseline", "-g", "25", "-tune", "zerolatency"];
    Video::encode(VideoCodec::H264, "yuv420p", &[X264, &arguments].concat()).check();
}

#[test]
fn mp4_of_h264_with_b_frames_matches_ffmpegs_mp4() {
    Video::encode(VideoCodec::H264, "yuv420p", &[X264, &["-bf", "3", "-g", "20"]].concat()).check();
}

#[test]
fn mp4_of_h264_with_slices_and_delimiters_matches_ffmpegs_mp4() {
    for parameters in ["slices=8:aud=1:bframes=0:keyint=10", "slices=8:keyint=30"] {
        let arguments = [X264, &["-x264-params", parameters]].concat();
        let video = Video::encode(VideoCodec::H264, "yuv420p", &arguments);
        let units = Framing::Lengths(4).units(&video.frames.data[1]).count();
        assert!(units >= 8, "{units} units");
        video.check();
    }
}

#[test]
fn mp4_of_h264_with_recovery_points_matches_ffmpegs_mp4() {
    let open = ["-x264-params", "open-gop=1:bframes=2:keyint=10:scenecut=0"];
    let video = Video::encode(VideoCodec::H264, "yuv420p", &[X264, &open].concat());
    assert!(video.frames.packets[1..].iter().any(|packet| packet.is_keyframe));
    video.check();
}

#[test]
fn mp4_of_h264_with_filler_data_matches_ffmpegs_mp4() {
    let filler = ["-x264-params", "filler=1:vbv-maxrate=4000:vbv-bufsize=400:bitrate=4000"];
    Video::encode(VideoCodec::H264, "yuv420p", &[X264, &filler].concat()).check();
}

#[test]
fn mp4_of_h264_that_browsers_cannot_play_matches_ffmpegs_mp4() {
    for pixels in ["gray", "yuv422p10le", "yuv444p"] {
        Video::encode(VideoCodec::H264, pixels, X264).check();
    }
}

#[test]
fn mp4_of_interlaced_h264_with_oblong_pixels_matches_ffmpegs_mp4() {
    let arguments = ["-vf", "setsar=4/3", "-flags", "+ildct+ilme", "-x264-params", "tff=1"];
    Video::encode(VideoCodec::H264, "yuv420p", &[X264, &arguments].concat()).check();
}

#[test]
fn mp4_of_h265_matches_ffmpegs_mp4() {
    for (pixels, parameters) in [
        ("yuv420p", "keyint=20:bframes=3"),
        ("yuv420p10le", "keyint=10:bframes=0:aud=1:slices=2"),
        ("yuv422p10le", "keyint=10:bframes=0:repeat-headers=1:scaling-list=default"),
    ] {
        let parameters = format!("log-level=none:info=0:{parameters}");
        let encoder = ["-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1"];
        let arguments = [&encoder[..], &["-x265-params", &parameters]].concat();
        Video::encode(VideoCodec::H265, pixels, &arguments).check();
    }
}

#[test]
fn access_units_are_the_same_with_lengths_as_with_start_codes() {
    let arguments = [X264, &["-x264-params", "slices=3"]].concat();
    let video = Video::encode(VideoCodec::H264, "yuv420p", &arguments);
    let (reference, data) = (video.path("reference.mp4"), video.path("data"));
    ffmpeg(&["-i", text(&reference), "-map", "0:v", "-c", "copy", "-f", "data"], &data);
    let mut avcc = Vec::new();
    let bytes = fs::read(&reference).expect("a file");
    let at = bytes.windows(4).position(|kind| kind == b"moov").expect("a moov") - 4;
    let Any::Moov(moov) = Any::decode(&mut &bytes[at..]).expect("a box") else { panic!("no moov") };
    let Codec::Avc1(entry) = &moov.trak[0].mdia.minf.stbl.stsd.codecs[0] else { panic!("no avc1") };
    entry.avcc.encode(&mut avcc).expect("a box");
    let framing = Framing::of_extradata(VideoCodec::H264, &avcc[8..]);
    let mut sets = ParameterSets::from_extradata(VideoCodec::H264, &avcc[8..]);
    assert_eq!((framing, &sets), (Framing::Lengths(4), &video.sets));
    let bytes = fs::read(&data).expect("a file");
    let mut rest = bytes.as_slice();
    for (packet, data) in video.frames.packets.iter().zip(&video.frames.data) {
        let (bytes, after) = rest.split_at(packet.size);
        assert_eq!(AccessUnit::read(bytes.into(), framing, &mut sets).data, data);
        rest = after;
    }
    assert_eq!(sets.version(), 0);
}

#[test]
fn the_init_segment_after_a_change_of_the_picture_size_fits_the_new_pictures() {
    let mut first = Video::encode(VideoCodec::H264, "yuv420p", X264);
    let scaled = [X264, &["-vf", "scale=200:100"]].concat();
    let second = Video::encode(VideoCodec::H264, "yuv420p", &scaled);
    let bytes = fs::read(second.path("raw")).expect("the stream");
    AccessUnit::read(bytes.as_slice().into(), Framing::StartCodes, &mut first.sets);
    assert_eq!((first.sets.version(), &first.sets), (2, &second.sets));
    let init = init_segment(Some(&first.sets), None).expect("an init segment");
    let file = second.path("ours.mp4");
    fs::write(&file, file_of(&init, Some(&second.frames), None, 5)).expect("a file");
    assert_eq!(decoded(&file, "v"), decoded(&second.path("raw"), "v"));
}

/// Returns the ADTS header at the beginning of `bytes` (ISO/IEC 14496-3, 1.A.3.2), the frame after it, and the bytes
/// after the frame.
fn adts_frame(bytes: &[u8]) -> (&[u8], &[u8], &[u8]) {
    const HEADER: usize = 7;
    let length =
        usize::from(bytes[3] & 3) << 11 | usize::from(bytes[4]) << 3 | usize::from(bytes[5] >> 5);
    let (frame, rest) = bytes.split_at(length);
    (&frame[..HEADER], &frame[HEADER..], rest)
}

/// Returns the configuration (1.6.2.1) that an ADTS header describes.
fn config_of(header: &[u8]) -> [u8; 2] {
    let object_type = (header[2] >> 6) + 1;
    let rate_index = header[2] >> 2 & 0xf;
    let channels = (header[2] & 1) << 2 | header[3] >> 6;
    [object_type << 3 | rate_index >> 1, (rate_index & 1) << 7 | channels << 3]
}

/// Returns the configuration and the frames of AAC that FFmpeg has encoded with ADTS headers.
fn aac(folder: &Path, arguments: &[&str]) -> (AudioConfig, Frames) {
    let (raw, reference) = (folder.join("raw.aac"), folder.join("reference.mp4"));
    let encoder = ["-c:a", "aac", "-f", "adts"];
    ffmpeg(&[SOUND, arguments, &encoder].concat(), &raw);
    ffmpeg(&["-i", text(&raw), "-c", "copy", "-map_metadata", "-1"], &reference);
    let bytes = fs::read(&raw).expect("the stream");
    let (mut rest, mut data, mut config) = (bytes.as_slice(), Vec::new(), None);
    while !rest.is_empty() {
        let (header, frame, after) = adts_frame(rest);
        let here = AacConfig::parse(&config_of(header)).expect("a configuration");
        assert_eq!(config.get_or_insert_with(|| here.clone()), &here);
        data.push(frame.to_vec());
        rest = after;
    }
    let config = AudioConfig::Aac(config.expect("a frame"));
    (config, Frames::new(data, packets(&reference, "a")))
}

#[test]
fn mp4_of_aac_with_adts_headers_matches_ffmpegs_mp4() {
    for (arguments, rate, channels) in
        [(&["-ar", "8000"][..], 8000, 1), (&["-ac", "2"], 48000, 2), (&["-ar", "96000"], 96000, 1)]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let (config, frames) = aac(folder.path(), arguments);
        assert_eq!((config.codec().as_str(), config.timescale()), ("mp4a.40.2", rate));
        let AudioConfig::Aac(aac) = &config else { panic!("{config:?}") };
        assert_eq!(AacConfig::parse(&aac.bytes).as_ref(), Some(aac));
        assert_eq!((aac.object_type, aac.channels), (2, channels));
        let init = init_segment(None, Some(&config)).expect("an init segment");
        let file = folder.path().join("ours.mp4");
        fs::write(&file, file_of(&init, None, Some(&frames), 5)).expect("a file");
        check_packets(&file, "a", &frames);
        check_audio(&file, &folder.path().join("reference.mp4"));
        assert_eq!(decoded(&file, "a"), decoded(&folder.path().join("raw.aac"), "a"));
        check_with_gstreamer(&file, "audio_0", rate, &frames);
        check_boxes(&file, 5);
    }
}

/// Asserts that ffprobe describes the audio of both files in the same way.
fn check_audio(file: &Path, reference: &Path) {
    let (ours, reference) = (stream(file, "a"), stream(reference, "a"));
    for name in
        ["codec_name", "codec_tag_string", "profile", "sample_rate", "channels", "time_base"]
    {
        assert_eq!(ours[name], reference[name], "{name}");
    }
}

#[test]
fn mp4_of_opus_matches_ffmpegs_mp4() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    ffmpeg(&[SOUND, &["-ac", "2", "-c:a", "libopus"]].concat(), &path("raw.ogg"));
    let copy = ["-i", text(&path("raw.ogg")), "-c", "copy"].map(str::to_owned);
    let copy = copy.each_ref().map(String::as_str);
    ffmpeg(&copy, &path("reference.mp4"));
    ffmpeg(&[&copy[..], &["-map", "0:a", "-f", "data"]].concat(), &path("data"));
    let bytes = fs::read(path("raw.ogg")).expect("the stream");
    let at = bytes.windows(8).position(|head| head == b"OpusHead").expect("a header");
    let config = OpusConfig::parse(&bytes[at..]).expect("a header");
    let pre_skip = config.pre_skip;
    assert_eq!(config, OpusConfig { channels: 2, pre_skip, input_sample_rate: 48000, gain: 0 });
    let bytes = fs::read(path("data")).expect("the packets");
    let (mut rest, mut data) = (bytes.as_slice(), Vec::new());
    let expected = packets(&path("reference.mp4"), "a");
    for packet in &expected {
        let (frame, after) = rest.split_at(packet.size);
        data.push(frame.to_vec());
        rest = after;
    }
    let (config, frames) = (AudioConfig::Opus(config), Frames::new(data, expected));
    let init = init_segment(None, Some(&config)).expect("an init segment");
    fs::write(path("ours.mp4"), file_of(&init, None, Some(&frames), 7)).expect("a file");
    check_packets(&path("ours.mp4"), "a", &frames);
    check_audio(&path("ours.mp4"), &path("reference.mp4"));
    assert!(!decoded(&path("ours.mp4"), "a").is_empty());
    check_with_gstreamer(&path("ours.mp4"), "audio_0", config.timescale(), &frames);
    check_boxes(&path("ours.mp4"), 7);
}

#[test]
fn mp4_of_video_and_audio_matches_ffmpegs_mp4() {
    let video = Video::encode(VideoCodec::H264, "yuv420p", &[X264, &["-bf", "2"]].concat());
    let folder = tempfile::tempdir().expect("a folder");
    let (config, audio) = aac(folder.path(), &[]);
    let init = init_segment(Some(&video.sets), Some(&config)).expect("an init segment");
    let file = folder.path().join("ours.mp4");
    for fragments in [10, 50] {
        let bytes = file_of(&init, Some(&video.frames), Some(&audio), fragments);
        fs::write(&file, bytes).expect("a file");
        check_packets(&file, "v", &video.frames);
        check_packets(&file, "a", &audio);
        assert_eq!(decoded(&file, "v"), decoded(&video.path("raw"), "v"));
        assert_eq!(decoded(&file, "a"), decoded(&folder.path().join("raw.aac"), "a"));
        check_with_gstreamer(&file, "video_0", VIDEO_TIMESCALE, &video.frames);
        check_with_gstreamer(&file, "audio_0", config.timescale(), &audio);
        check_boxes(&file, fragments);
    }
}

#[test]
fn an_init_segment_without_tracks_or_parameter_sets_is_refused() {
    assert!(init_segment(None, None).is_err());
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        assert!(init_segment(Some(&ParameterSets::new(codec)), None).is_err());
    }
}
