//! Tests of renditions with a real FFmpeg, which converts the frames of several cameras. Every frame must
//! keep its time and its date, and the audio must not change.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use stream_manager::parts::{
    Arrival, Demuxer, Frame, NutItem, NutReader, RenditionDemuxer, Shape, Track, Transcode,
    VideoCodec, VideoMuxer, rendition_arguments,
};
use tokio::time::Instant;

const FRAMES: u32 = 100;
const EPOCH: u64 = 7;

/// Runs FFmpeg with these arguments and this input, and returns the output. With an input, runs the program that
/// `FFMPEG_BIN` names, or `ffmpeg` if the variable is not set. Without an input, always runs `ffmpeg`: the arguments
/// then encode the video of a camera, which the lean FFmpeg cannot do.
fn ffmpeg(arguments: &[&str], input: Vec<u8>) -> Vec<u8> {
    let program = std::env::var("FFMPEG_BIN").unwrap_or_else(|_| "ffmpeg".into());
    let program = if input.is_empty() { "ffmpeg" } else { &program };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("FFmpeg");
    let mut stdin = child.stdin.take().expect("a pipe");
    let writing = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("FFmpeg");
    writing.join().expect("a thread").expect("FFmpeg reads everything");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn items(nut: &[u8]) -> Vec<NutItem> {
    let mut reader = NutReader::new();
    reader.buffer().extend_from_slice(nut);
    std::iter::from_fn(|| reader.next_item().expect("NUT")).collect()
}

/// Returns the frames of a camera with this encoder.
fn camera(encoder: &str) -> Vec<Frame> {
    let input = format!("-v error -f lavfi -i testsrc2=size=320x180:rate=25 -frames:v {FRAMES}");
    let command = format!("{input} {encoder} -f nut -write_index 0 pipe:1");
    let nut = ffmpeg(&command.split_whitespace().collect::<Vec<_>>(), Vec::new());
    let began = Instant::now();
    let mut demuxer = Demuxer::new(EPOCH, false, false, false);
    let mut frames = Vec::new();
    for item in items(&nut) {
        let arrival = Arrival { at: began, wall: SystemTime::UNIX_EPOCH };
        let frame = demuxer.video(item, arrival).expect("usable video");
        frames.extend(frame.map(|frame| {
            let taken_at =
                SystemTime::UNIX_EPOCH + Duration::from_hours(9) + frame.presentation_time;
            Frame { taken_at, ..frame }
        }));
    }
    assert_eq!(frames.len(), FRAMES as usize, "{encoder}");
    frames
}

/// Converts frames, each followed by a packet of audio of the same time.
fn convert(frames: &[Frame]) -> Vec<Frame> {
    let first = &frames[0].format;
    let shape = Shape {
        segment_time: Duration::from_secs(1),
        transcode: Transcode { preset: "ultrafast".into(), max_height: 90, max_bit_rate: 1000 },
    };
    let mut input = Vec::new();
    let mut muxer = VideoMuxer::begin_on_epoch_clock(&frames[0], &mut input);
    let mut demuxer = RenditionDemuxer::new(first, 3);
    for frame in frames {
        muxer.write(frame, &mut input);
        demuxer.note_video(frame);
        let audio =
            Frame { track: Track::Audio, data: b"sound".as_slice().into(), ..frame.clone() };
        demuxer.take_audio(Arc::new(audio));
    }
    let arguments = rendition_arguments(&first.picture, &shape);
    let output = ffmpeg(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), input);
    let mut converted = Vec::new();
    let now = Instant::now();
    for item in items(&output) {
        demuxer.take_video(item, now, &mut converted).expect("H.264");
    }
    assert!(converted.iter().all(|frame| frame.received_at == now), "published now");
    converted
}

fn check(encoder: &str) {
    let original = camera(encoder);
    let converted = convert(&original);
    let of = |track: Track| converted.iter().filter(move |frame| frame.track == track);
    let ms = |time: Duration| time.as_millis();
    let mut expected: Vec<_> = original.iter().map(|it| ms(it.presentation_time)).collect();
    expected.sort_unstable();
    let shown: Vec<_> = of(Track::Video).map(|it| ms(it.presentation_time)).collect();
    assert_eq!(shown, expected, "{encoder}");
    for frame in of(Track::Video) {
        let format = &frame.format;
        assert_eq!((format.epoch, format.version, format.codec()), (EPOCH, 3, VideoCodec::H264));
        assert_eq!((format.picture.width, format.picture.height), (160, 90));
        assert_eq!((format.picture.chroma_format, format.picture.luma_bit_depth), (1, 8));
        assert!(format.is_converted);
        assert_eq!(frame.decode_time, frame.presentation_time);
        let since_taken = frame.taken_at.duration_since(SystemTime::UNIX_EPOCH).expect("a date");
        let expected = Duration::from_hours(9) + frame.presentation_time;
        assert_eq!(ms(since_taken), ms(expected), "{encoder}");
    }
    let keyframes: Vec<_> =
        of(Track::Video).filter(|it| it.is_keyframe).map(|it| ms(it.presentation_time)).collect();
    let begin = keyframes[0];
    assert_eq!(keyframes, [begin, begin + 1000, begin + 2000, begin + 3000], "{encoder}");
    assert!(of(Track::Audio).all(|audio| audio.data == b"sound".as_slice()));
    assert!(of(Track::Audio).count() > FRAMES as usize - 5, "{encoder}");
    assert!(converted.is_sorted_by_key(|frame| frame.decode_time), "{encoder}");
}

#[test]
fn h265_is_converted() {
    check("-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=50:bframes=0");
    check("-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=50:bframes=3");
}

#[test]
fn motion_jpeg_is_converted() {
    check("-c:v mjpeg -pix_fmt yuvj422p");
    check("-c:v mjpeg -pix_fmt yuvj420p");
}

#[test]
fn h264_with_10_bits_or_4_2_2_or_b_frames_is_converted() {
    check("-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p10le -g 50");
    check("-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv422p -g 50");
    check("-c:v libx264 -preset veryfast -bf 3 -g 50");
}
