//! Tests of the NUT reader and writer with real output of FFmpeg, which is complete, truncated or damaged.
//! The reader must read the same as ffprobe, both from FFmpeg's and from the writer's output.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use stream_manager::parts::{
    NutError, NutItem, NutKind, NutPacket, NutReader, NutStream, nut_headers, write_nut_frame,
};

const VIDEO: &str = "-f lavfi -i testsrc2=size=160x120:rate=25";
const VIDEO_SLOW: &str = "-f lavfi -i testsrc2=size=160x120:rate=1/5";
const VIDEO_FAST: &str = "-f lavfi -i testsrc2=size=160x120:rate=120";
const VIDEO_LARGE: &str = "-f lavfi -i testsrc2=size=1920x1080:rate=25,noise=alls=100";
const AUDIO: &str = "-f lavfi -i sine=sample_rate=48000";
const VOICE: &str = "-f lavfi -i sine=sample_rate=8000";
const H264: &str = "-c:v libx264 -preset ultrafast -tune zerolatency -g 50";
const H264_B: &str = "-c:v libx264 -preset veryfast -bf 3 -b_strategy 0 -g 50";
const HEVC: &str = "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=50:bframes=3";
const NUT: &str = "-f nut -write_index 0 pipe:1";
const PIPE: &str = "-f nut -strict experimental -syncpoints none pipe:1";
const TIMESTAMPED: &str = "-f nut -strict experimental -syncpoints timestamped pipe:1";

/// FFmpeg's arguments for different kinds of cameras and for all variants of NUT that FFmpeg writes.
#[rustfmt::skip]
const CAMERAS: &[&[&str]] = &[
    &[VIDEO, AUDIO, "-t 5", H264, "-c:a aac", NUT],
    &[VIDEO, AUDIO, "-t 5", H264, "-c:a aac", PIPE],
    &[VIDEO, AUDIO, "-t 5", H264, "-c:a aac", TIMESTAMPED],
    &[VIDEO, AUDIO, "-t 5", H264_B, "-c:a libopus", NUT],
    &[VIDEO, AUDIO, "-t 5", H264_B, "-c:a libopus", PIPE],
    &[VIDEO, VOICE, "-t 5", HEVC, "-c:a pcm_alaw", NUT],
    &[VIDEO, VOICE, "-t 5", HEVC, "-c:a pcm_alaw", PIPE],
    &[VIDEO, VOICE, "-t 5", "-c:v mjpeg -c:a pcm_mulaw", NUT],
    &[VIDEO_SLOW, "-t 60", H264, NUT],
    &[VIDEO_SLOW, "-t 60", H264_B, PIPE],
    // Times in units of 1/90000 s, like those of RTP. The times of successive frames differ by large numbers.
    &[VIDEO_SLOW, "-t 60 -enc_time_base 1:90000", H264, NUT],
    &[VIDEO_SLOW, VOICE, "-t 20", "-c:v mjpeg -c:a pcm_alaw", NUT],
    &[VIDEO_FAST, AUDIO, "-t 4", H264, "-c:a aac", NUT],
    &[VIDEO_FAST, "-t 4", HEVC, NUT],
    // Hundreds of syncpoints.
    &[VIDEO, VOICE, "-t 60", "-c:v mjpeg -q:v 2 -c:a pcm_alaw", NUT],
    // Very large frames.
    &[VIDEO_LARGE, "-t 0.4", "-c:v mjpeg -q:v 1", NUT],
    // With an index at the end.
    &[VIDEO, "-t 5", H264, "-f nut pipe:1"],
    // All frames of these codecs begin with the same bytes, which FFmpeg writes only once, in the header.
    &[VIDEO, AUDIO, "-t 5", "-c:v mpeg4 -c:a libmp3lame", NUT],
    &[VOICE, "-t 3", "-c:a pcm_alaw", NUT],
    &[AUDIO, "-t 3", "-c:a aac", PIPE],
];

/// Two seconds of audio and of video with B-frames. The data is small enough to be read byte by byte.
static SMALL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    ffmpeg(&[VIDEO, AUDIO, "-t 2", H264_B, "-crf 40 -c:a aac -b:a 32k", NUT], &[])
});

/// Runs FFmpeg with `input` on stdin, and returns its output. Each string has one or more arguments,
/// separated by spaces.
fn ffmpeg(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let arguments = arguments.iter().flat_map(|arguments| arguments.split(' '));
    run(Command::new("ffmpeg").args(["-v", "error"]).args(arguments), input)
}

/// Returns the streams and packets that ffprobe reads.
fn probe(bytes: &[u8]) -> (Vec<Value>, Vec<Value>) {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-of", "json", "-show_streams", "-show_packets"]);
    command.args(["-show_data_hash", "SHA256", "-f", "nut", "pipe:0"]);
    let mut output: Value = serde_json::from_slice(&run(&mut command, bytes)).expect("JSON");
    let mut list = |name: &str| match output[name].take() {
        Value::Array(values) => values,
        other => panic!("{name}: {other}"),
    };
    (list("streams"), list("packets"))
}

/// Runs a program and returns its output. Panics if the program fails or reports an error.
fn run(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("FFmpeg; install it with: apt-get install ffmpeg");
    let mut stdin = child.stdin.take().expect("a pipe");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).expect("the program reads all of its input"));
        child.wait_with_output().expect("the output")
    });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{command:?}: {errors}");
    output.stdout
}

/// Reads NUT that arrives in several pieces. Returns all items, and the error that ended reading, if any.
fn read<'a>(reads: impl IntoIterator<Item = &'a [u8]>) -> (Vec<NutItem>, Option<NutError>) {
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

/// Returns the streams and packets of a complete stream.
fn read_complete(bytes: &[u8]) -> (Vec<NutStream>, Vec<NutPacket>) {
    let mut reader = NutReader::new();
    reader.buffer().extend_from_slice(bytes);
    let Ok(Some(NutItem::Streams(streams))) = reader.next_item() else { panic!("no streams") };
    let mut packets = Vec::new();
    while let Some(item) = reader.next_item().expect("valid NUT") {
        let NutItem::Packet(packet) = item else { panic!("{item:?}") };
        packets.push(packet);
    }
    assert!(reader.is_between_items());
    (streams, packets)
}

fn hash(data: &[u8]) -> String {
    let mut text = "SHA256:".to_owned();
    for byte in Sha256::digest(data) {
        write!(text, "{byte:02x}").expect("text");
    }
    text
}

/// Asserts that ffprobe reads these streams and packets from `bytes`.
fn assert_is_as_probed(bytes: &[u8], streams: &[NutStream], packets: &[NutPacket], name: &str) {
    let (probed_streams, probed_packets) = probe(bytes);
    assert_eq!(streams.len(), probed_streams.len(), "{name}");
    for (stream, probed) in streams.iter().zip(&probed_streams) {
        let time_base =
            format!("{}/{}", stream.time_base.numerator(), stream.time_base.denominator());
        assert_eq!(time_base, probed["time_base"], "{name}");
        assert_eq!(format!("0x{:04x}", u32::from_le_bytes(stream.tag)), probed["codec_tag"]);
        match stream.kind {
            NutKind::Video { width, height } => {
                assert_eq!((width, height), (number(&probed["width"]), number(&probed["height"])));
            }
            NutKind::Audio { sample_rate: (numerator, denominator), channels } => {
                assert_eq!(denominator, 1, "{name}");
                assert_eq!(numerator.to_string(), probed["sample_rate"], "{name}");
                assert_eq!(channels, number(&probed["channels"]), "{name}");
            }
            NutKind::Other => panic!("{name}: {stream:?}"),
        }
        if stream.codec_private.is_empty() {
            assert!(probed["extradata_size"].is_null(), "{name}: {probed}");
        } else {
            assert_eq!(hash(&stream.codec_private), probed["extradata_hash"], "{name}");
        }
    }
    assert_eq!(packets.len(), probed_packets.len(), "{name}");
    for (packet, probed) in packets.iter().zip(&probed_packets) {
        assert_eq!(packet.stream as u64, probed["stream_index"], "{name}");
        assert_eq!(packet.pts, probed["pts"], "{name}");
        assert_eq!(packet.data.len().to_string(), probed["size"], "{name}");
        assert_eq!(hash(&packet.data), probed["data_hash"], "{name} at {}", packet.pts);
        let is_keyframe = probed["flags"].as_str().expect("flags").starts_with('K');
        assert_eq!(packet.is_keyframe, is_keyframe, "{name} at {}", packet.pts);
    }
}

fn number(value: &Value) -> u32 {
    value.as_u64().and_then(|number| number.try_into().ok()).expect("a number")
}

/// Returns the writer's output for streams and packets.
fn write(streams: &[NutStream], packets: &[NutPacket]) -> Vec<u8> {
    let mut bytes = nut_headers(streams);
    for NutPacket { stream, pts, is_keyframe, data } in packets {
        write_nut_frame(*stream, *pts, *is_keyframe, data, &mut bytes);
    }
    bytes
}

#[test]
fn the_reader_and_ffprobe_read_the_same_from_ffmpegs_and_the_writers_output() {
    for camera in CAMERAS {
        let name = camera.join(" ");
        let bytes = ffmpeg(camera, &[]);
        let (streams, packets) = read_complete(&bytes);
        assert_is_as_probed(&bytes, &streams, &packets, &name);
        let written = write(&streams, &packets);
        assert_is_as_probed(&written, &streams, &packets, &name);
        assert_eq!(read_complete(&written), (streams, packets), "{name}");
    }
}

#[test]
fn ffmpeg_decodes_every_frame_of_the_writer_without_probing() {
    for camera in [
        [VIDEO, "-t 5", H264, NUT],
        [VIDEO, "-t 5", H264_B, NUT],
        [VIDEO, "-t 5", HEVC, NUT],
        [VIDEO, "-t 5", "-c:v mjpeg", NUT],
        [AUDIO, "-t 5", "-c:a aac", NUT],
        [AUDIO, "-t 5", "-c:a libopus", NUT],
        [VOICE, "-t 5", "-c:a pcm_alaw", NUT],
    ] {
        let (streams, packets) = read_complete(&ffmpeg(&camera, &[]));
        let input = "-f nut -probesize 32 -analyzeduration 0 -i pipe:0";
        let decode = [input, "-fps_mode passthrough -f framehash pipe:1"];
        let output = ffmpeg(&decode, &write(&streams, &packets));
        let output = String::from_utf8(output).expect("text");
        let frames = output.lines().filter(|line| !line.starts_with('#')).count();
        // For audio, FFmpeg can decode one frame less than there are packets, because encoders of Opus and AAC have
        // a delay.
        let is_video = matches!(streams[0].kind, NutKind::Video { .. });
        let missing = packets.len() - frames;
        assert!(missing == 0 || !is_video && missing == 1, "{camera:?}: {missing} missing");
    }
}

/// MPEG-TS has the same time base as RTP. The main header of NUT lists usual distances between frames. With this time
/// base, FFmpeg lists longer distances than the specification allows.
#[test]
fn copied_frames_that_are_far_apart_are_read() {
    let slow = "-f lavfi -i testsrc2=size=160x120:rate=5";
    let transport_stream = ffmpeg(&[slow, "-t 10", H264, "-f mpegts pipe:1"], &[]);
    let bytes = ffmpeg(&["-f mpegts -i pipe:0 -c copy", NUT], &transport_stream);
    let (streams, packets) = read_complete(&bytes);
    assert_is_as_probed(&bytes, &streams, &packets, "copied at 5 frames per second");
    let distances = packets.windows(2).map(|pair| pair[1].pts - pair[0].pts);
    assert!(distances.eq([18_000; 49]), "{packets:?}");
}

#[test]
fn side_data_of_ffmpeg_is_removed() {
    // The last packet of Opus has side data: the number of samples to discard. Matroska keeps this side data.
    let matroska = ffmpeg(&[AUDIO, "-t 1.005 -c:a libopus -f matroska pipe:1"], &[]);
    let bytes = ffmpeg(&["-i pipe:0 -c copy", PIPE], &matroska);
    let (_, probed) = probe(&bytes);
    assert!(probed.iter().any(|packet| !packet["side_data_list"].is_null()), "no side data");
    let (streams, packets) = read_complete(&bytes);
    assert_is_as_probed(&bytes, &streams, &packets, "side data");
}

#[test]
fn a_gap_of_hours_is_written_with_exact_times() {
    let (streams, mut packets) = read_complete(&ffmpeg(&[VIDEO, "-t 4", H264, NUT], &[]));
    for packet in &mut packets[50..] {
        packet.pts += 5 * 3600 * u64::from(streams[0].time_base.denominator());
    }
    assert!(packets[50].is_keyframe);
    assert_is_as_probed(&write(&streams, &packets), &streams, &packets, "gap");
}

#[test]
fn a_stream_can_end_after_every_packet_but_not_inside_a_packet() {
    let (streams, packets) = read_complete(&SMALL);
    let mut expected = packets.iter();
    let mut reader = NutReader::new();
    let (mut is_started, mut ends) = (false, 0);
    assert!(reader.is_between_items());
    // Checks after each byte whether the stream could end there.
    for &byte in SMALL.iter() {
        reader.buffer().extend_from_slice(&[byte]);
        match reader.next_item().expect("valid NUT") {
            Some(NutItem::Streams(read)) => assert_eq!(read, streams),
            Some(NutItem::Packet(packet)) => assert_eq!(Some(&packet), expected.next()),
            None => {
                // The stream can also end after elements that are not items: information and syncpoints.
                ends += usize::from(is_started && reader.is_between_items());
                continue;
            }
        }
        is_started = true;
        assert!(reader.is_between_items());
    }
    assert_eq!(expected.next(), None);
    assert!(ends < 10, "the stream can end at {ends} other places");
}

#[test]
fn the_buffer_is_at_most_about_twice_as_large_as_the_largest_packet() {
    let bytes = ffmpeg(&[VIDEO_LARGE, "-t 0.4", "-c:v mjpeg -q:v 1", NUT], &[]);
    let (whole, _) = read([bytes.as_slice()]);
    let mut reader = NutReader::new();
    let mut items = Vec::new();
    for read in bytes.chunks(64 * 1024) {
        reader.buffer().extend_from_slice(read);
        while let Some(item) = reader.next_item().expect("valid NUT") {
            items.push(item);
        }
        let largest = whole.iter().map(|item| match item {
            NutItem::Packet(packet) => packet.data.len(),
            NutItem::Streams(_) => 0,
        });
        let largest = largest.max().expect("packets");
        assert!(reader.buffer().capacity() <= 2 * (largest + 64 * 1024));
    }
    assert_eq!(items, whole);
}

proptest! {
    #[test]
    fn the_items_do_not_depend_on_the_sizes_of_reads(
        sizes in prop::collection::vec(prop_oneof![1..40_usize, 1..5000_usize], 1..200)
    ) {
        let mut rest = SMALL.as_slice();
        let mut reads = Vec::new();
        for size in sizes.into_iter().cycle() {
            let (read, later) = rest.split_at(size.min(rest.len()));
            reads.push(read);
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(read(reads), read([SMALL.as_slice()]));
    }

    #[test]
    fn damage_does_not_change_the_packets_before_it(
        damage in prop::collection::vec((0..SMALL.len(), any::<u8>()), 1..20)
    ) {
        let first = damage.iter().map(|&(at, _)| at).min().expect("damage");
        let (before, _) = read([&SMALL[..first]]);
        let mut bytes = SMALL.clone();
        for (at, value) in damage {
            bytes[at] = value;
        }
        let (items, _) = read([bytes.as_slice()]);
        prop_assert!(items.starts_with(&before));
        prop_assert!(items.len() <= bytes.len());
    }

    #[test]
    fn damaged_headers_give_the_same_streams_or_none(
        at in 0..1000_usize, value in any::<u8>()
    ) {
        let mut bytes = SMALL.clone();
        bytes[at] = value;
        let (items, _) = read([bytes.as_slice()]);
        let (undamaged, _) = read([SMALL.as_slice()]);
        prop_assert!(items.is_empty() || items[0] == undamaged[0]);
    }

    #[test]
    fn random_bytes_are_rejected(noise in prop::collection::vec(any::<u8>(), 25..4096)) {
        prop_assert_eq!(read([noise.as_slice()]), (vec![], Some(NutError::NotNut)));
    }
}
