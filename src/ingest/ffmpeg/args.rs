//! FFmpeg's arguments for a run with a plan, for a rendition, and for a single picture of a camera, and the script
//! with the camera's URL. The functions have no side effects.
//!
//! Every user of the machine can read the arguments, so they never contain the source's URL. FFmpeg
//! gets the URL in an ffconcat script on its stdin.

use std::net::SocketAddr;
use std::time::Duration;

use crate::camera::plan::{Audio, Plan, ProbeSize, Times, Transport, Video};
use crate::camera::source::Source;
use crate::child::spawner::output_pipe;
use crate::media::aac::CONVERTED_RATE;
use crate::media::parameter_set::picture::PictureParameters;

impl ProbeSize {
    /// Returns `analyzeduration` in microseconds and `probesize` in bytes.
    fn limits(self) -> (&'static str, &'static str) {
        match self {
            Self::Small => ("100000", "5000"),
            Self::Large => ("4000000", "2000000"),
            // Some cameras send audio, but only one frame of video every 5 s. Two frames may be necessary.
            Self::Long => ("12000000", "2000000"),
        }
    }
}

/// Returns FFmpeg's timeout for a silent connection. While FFmpeg connects, it gives up after this time, well before
/// `start_timeout`. In mid-stream, it gives up after about twice this time, which is at most about `stale_timeout`.
pub(crate) fn socket_timeout(start_timeout: Duration, stale_timeout: Duration) -> Duration {
    (start_timeout / 3).min(stale_timeout / 2)
}

/// The settings that determine transcoded video.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Wanted duration of a segment. Transcoded video has keyframes at this interval.
    pub segment_time: Duration,
    /// How video is transcoded.
    pub transcode: Transcode,
}

/// The settings of the H.264 encoder.
#[derive(Debug, Clone)]
pub struct Transcode {
    /// The preset of libx264, such as `veryfast`.
    pub preset: String,
    /// Greatest height in pixels. Larger pictures are scaled down.
    pub max_height: u32,
    /// Greatest bit rate in kbit/s, measured over any second.
    pub max_bit_rate: u32,
}

/// The limit of the frame rate. After a short probe, FFmpeg may guess a rate of up to 90,000, from which libx264
/// would derive a level that is much too high.
const MAX_FRAME_RATE: &str = "60";

/// The protocols that FFmpeg can open: the protocols of the script and of cameras, but not files.
const PROTOCOLS: &str = "pipe,rtp,rtsp,rtsps,tcp,udp,tls";

/// The greatest width of the picture of a camera test, in pixels.
pub(crate) const STILL_WIDTH: u32 = 640;

/// The largest number of threads of a decoder, and the number of threads of an encoder. Four are enough for H.265
/// in 4K.
const MAX_THREADS: &str = "4";

/// The number of pixels above which one thread may be too slow to decode a picture. Pictures of 1080p
/// never exceed this number, although some encoders pad them to 1088 lines.
const LARGE_PICTURE: u32 = 1920 * 1088;

/// The arguments for logging. At this level, FFmpeg logs the properties of the streams.
const LOGGING: [&str; 5] = ["-hide_banner", "-nostats", "-nostdin", "-loglevel", "level+info"];

/// Returns the arguments of a run, without the program's name.
pub(crate) fn arguments(plan: Plan, shape: &Shape) -> Vec<String> {
    let mut arguments = first_arguments(plan);
    let mut add = |more: &[&str]| arguments.extend(more.iter().map(|&text| text.to_owned()));
    if plan.times == Times::Arrival {
        // If this option were in the script, the concat reader would drop the times of arrival.
        add(&["-use_wallclock_as_timestamps", "1"]);
    }
    if plan.video == Video::ToH264 {
        // By default, FFmpeg uses one thread per processor, and each thread after the first one delays the
        // video by a frame.
        add(&["-threads", MAX_THREADS, "-filter_threads", "2"]);
    }
    // FFmpeg must not drop a frame's times only because the camera's clock was set.
    add(&["-dts_error_threshold", MAX_JUMP_SECONDS]);
    // The source, from the script on stdin.
    add(&["-f", "concat", "-safe", "0"]);
    add(&["-protocol_whitelist", PROTOCOLS, "-i", "pipe:0"]);
    add(&["-map", &video_track(plan)]);
    match plan.video {
        // Frames before the first keyframe are passed on as well, because they show that the camera sends video.
        Video::Copy => {
            add(&["-c:v", "copy", "-copyinkf:v"]);
        }
        Video::ToH264 => arguments.extend(to_h264(shape, CONTINUOUS_TIMES)),
    }
    arguments.extend(["-bsf:v", PLAIN_TIMES].map(str::to_owned));
    arguments.extend(nut("pipe:1"));
    let audio = [("copy", plan.audio.is_copied()), ("aac", plan.audio.is_converted())];
    let codecs = audio.into_iter().filter(|(_, is_wanted)| *is_wanted).map(|(codec, _)| codec);
    for (index, codec) in codecs.enumerate() {
        arguments.extend(audio_output(plan, codec, &output_pipe(index)));
    }
    arguments
}

/// Returns the arguments of an FFmpeg that reads frames from its stdin, converts them to H.264, and keeps
/// their times. `picture` describes the first frame.
pub fn rendition_arguments(picture: &PictureParameters, shape: &Shape) -> Vec<String> {
    conversion_arguments(picture, shape, "")
}

/// Does the same as [`rendition_arguments`] for the frames from the time `from` on, in ticks of the input. Earlier frames
/// are only decoded.
pub(crate) fn conversion_arguments_from(
    picture: &PictureParameters,
    shape: &Shape,
    from: u64,
) -> Vec<String> {
    conversion_arguments(picture, shape, &format!("select='gte(pts,{from})',"))
}

/// Returns the arguments of a conversion to H.264. `filters` come first.
fn conversion_arguments(picture: &PictureParameters, shape: &Shape, filters: &str) -> Vec<String> {
    let mut arguments: Vec<String> = LOGGING.map(str::to_owned).into();
    let mut add = |more: &[&str]| arguments.extend(more.iter().map(|&text| text.to_owned()));
    // The stream's header contains all parameters, so FFmpeg need not probe the stream.
    add(&["-probesize", "32", "-analyzeduration", "0", "-fpsprobesize", "0"]);
    // Each further thread delays the video by a frame.
    let is_large = u32::from(picture.width) * u32::from(picture.height) > LARGE_PICTURE;
    add(&["-threads", if is_large { MAX_THREADS } else { "1" }, "-filter_threads", "1"]);
    add(&["-copyts", "-protocol_whitelist", "pipe", "-f", "nut", "-i", "pipe:0"]);
    add(&["-map", "0:v:0"]);
    let deinterlace = if picture.is_interlaced { DEINTERLACE } else { "" };
    arguments.extend(to_h264(shape, &format!("{filters}{deinterlace}")));
    arguments.extend(nut("pipe:1"));
    arguments
}

/// Returns the number of pipes that a run needs for audio, in addition to stdout.
pub(crate) fn audio_outputs(plan: Plan) -> usize {
    usize::from(plan.audio.is_copied()) + usize::from(plan.audio.is_converted())
}

/// The largest jump of a camera's clock that FFmpeg accepts, in seconds. No clock can jump that far, because the
/// times in RTCP sender reports wrap after 136 years.
const MAX_JUMP_SECONDS: &str = "9e9";

/// The bitstream filter with which the NUT muxer keeps the distances between all presentation times.
///
/// The muxer refuses packets without a presentation time. The first packet over RTSP may have none, so the filter
/// gives this packet the time 0. The muxer also changes presentation times that are before the decode time, and
/// decode times that go back, as they do if the camera's clock is set back. So the filter replaces the decode times
/// with numbers that count the packets and begin at -4.4e9 seconds (139 years before the time 0). Because NUT has no
/// negative times, the muxer adds the same time, 4.4e9 seconds, to the times of all packets. The manager does not
/// use the decode times.
const PLAIN_TIMES: &str = "setts=pts=if(eq(PTS\\,NOPTS)\\,0\\,PTS):dts=N-trunc(4.4e9/TB)";

/// Returns the arguments of a NUT output that writes each packet at once. The output has no index,
/// because for an index the muxer would keep the position of every syncpoint in memory.
fn nut(pipe: &str) -> Vec<String> {
    let arguments = ["-f", "nut", "-write_index", "0", "-flush_packets", "1", pipe];
    arguments.map(str::to_owned).into()
}

/// Returns the arguments of an output for audio. FFmpeg refuses an output without streams, and some
/// cameras have no audio. So the output also has the video, whose packets are all dropped. With
/// `-max_interleave_delta` (in microseconds), the muxer does not wait for the dropped packets.
fn audio_output(plan: Plan, codec: &str, pipe: &str) -> Vec<String> {
    let (video, audio) = (video_track(plan), format!("0:a:{}?", plan.audio_track.index()));
    let streams = ["-map", &audio, "-map", &video, "-c:a", codec, "-c:v", "copy"];
    // Browsers play AAC with one or two channels. FFmpeg's encoder needs a channel layout, which Speex does not
    // specify.
    let format = format!("aformat=channel_layouts=mono|stereo:sample_rates={CONVERTED_RATE}");
    let format = ["-af", &format].into_iter().filter(|_| codec != "copy");
    let times = ["-bsf:a", PLAIN_TIMES];
    let dropped = ["-bsf:v", "noise=drop=1", "-max_interleave_delta", "1"];
    streams
        .into_iter()
        .chain(format)
        .chain(times)
        .chain(dropped)
        .map(str::to_owned)
        .chain(nut(pipe))
        .collect()
}

/// Returns the specifier of the video track that is used.
fn video_track(plan: Plan) -> String {
    format!("0:v:{}", plan.video_track.index())
}

/// Returns the arguments that come first: the arguments for logging, and the limits of FFmpeg's probe.
fn first_arguments(plan: Plan) -> Vec<String> {
    let (analyze_duration, probe_size) = plan.probe.limits();
    // FFmpeg's concat reader contains an RTSP reader. The RTSP reader probes the stream, and then the concat reader
    // probes it again. With FFmpeg's defaults, this second probe takes 20 frames.
    let probe = ["-analyzeduration", analyze_duration, "-probesize", probe_size];
    LOGGING.into_iter().chain(probe).map(str::to_owned).collect()
}

/// Returns the arguments for one picture as JPEG, without the program's name.
pub(crate) fn still_arguments(plan: Plan) -> Vec<String> {
    let mut arguments = first_arguments(plan);
    let mut add = |more: &[&str]| arguments.extend(more.iter().map(|&text| text.to_owned()));
    add(&["-f", "concat", "-safe", "0", "-protocol_whitelist", PROTOCOLS]);
    // Frames before the first keyframe cannot be decoded completely. Each further thread would delay
    // the picture by a frame.
    add(&["-skip_frame", "nokey", "-threads", "1", "-i", "pipe:0"]);
    // Sizes are even, as 4:2:0 requires.
    let size = format!("scale='trunc(min(iw,{STILL_WIDTH})/2)*2':-2");
    add(&["-map", &video_track(plan), "-frames:v", "1", "-vf", &size]);
    add(&["-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-q:v", "5", "-f", "image2pipe", "pipe:1"]);
    arguments
}

/// The filter for video that can be interlaced. It deinterlaces the pictures that are marked as interlaced.
const DEINTERLACE: &str = "yadif=deint=interlaced,";

/// The filter for video whose times come from the camera. If the camera's clock is set back, FFmpeg would drop all
/// pictures until the clock has caught up. So if time goes back, or forward by more than 10 s, the next picture
/// follows 40 ms after the last one.
const CONTINUOUS_TIMES: &str = "setpts=if(isnan(PREV_OUTPTS)\\,PTS\\,PREV_OUTPTS\
    +if(between((PTS-PREV_INPTS)*TB\\,0\\,10)\\,PTS-PREV_INPTS\\,0.04/TB)),";

/// Returns the arguments that transcode to H.264. Frames keep their times, keyframes come once per
/// segment, and the encoder delays no frame. `filters` come before the scaling.
fn to_h264(shape: &Shape, filters: &str) -> Vec<String> {
    let Transcode { preset, max_height, max_bit_rate } = &shape.transcode;
    let bit_rate = format!("{max_bit_rate}k");
    // Sizes are even, as 4:2:0 requires.
    let scale = format!("{filters}scale=-2:'trunc(min(ih,{max_height})/2)*2'");
    // The first frame is a keyframe, and may have any time.
    let seconds = shape.segment_time.as_secs_f64();
    let keyframes = format!("expr:isnan(prev_forced_t)+gte(t,prev_forced_t+{seconds})");
    let arguments = [
        ["-c:v", "libx264"],
        ["-preset", preset],
        ["-threads", MAX_THREADS],
        ["-tune", "zerolatency"],
        ["-vf", &scale],
        // All browsers play 4:2:0, but cameras with MJPEG send 4:2:2.
        ["-pix_fmt", "yuv420p"],
        ["-sc_threshold", "0"],
        ["-g", "100000"],
        ["-force_key_frames", &keyframes],
        ["-maxrate", &bit_rate],
        ["-bufsize", &bit_rate],
        ["-fpsmax", MAX_FRAME_RATE],
        ["-fps_mode", "vfr"],
        ["-enc_time_base", "1:90000"],
    ];
    arguments.concat().into_iter().map(str::to_owned).collect()
}

/// Returns the ffconcat script with the URL of the `source`, in which `address` replaces a host name and its
/// port. [`Source`] guarantees that the URL contains no quotation mark that would end the string.
pub(crate) fn script(
    source: &Source,
    address: SocketAddr,
    plan: Plan,
    socket_timeout: Duration,
) -> String {
    let (analyze_duration, probe_size) = plan.probe.limits();
    // FFmpeg does not set up other tracks, such as ONVIF metadata, which it could not use.
    let media = if plan.audio == Audio::Off { "video" } else { "video+audio" };
    let transport = match plan.transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    };
    format!(
        "ffconcat version 1.0\n\
         file '{}'\n\
         option rtsp_transport {transport}\n\
         option timeout {}\n\
         option analyzeduration {analyze_duration}\n\
         option probesize {probe_size}\n\
         option allowed_media_types {media}\n",
        source.expose_at(address),
        socket_timeout.as_micros(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::plan::{AudioChoice, VideoChoice};
    use crate::media::frame::testing;

    fn address() -> SocketAddr {
        "192.0.2.7:8554".parse().expect("an address")
    }

    fn shape() -> Shape {
        Shape {
            segment_time: Duration::from_secs(2),
            transcode: Transcode {
                preset: "veryfast".into(),
                max_height: 1080,
                max_bit_rate: 4000,
            },
        }
    }

    #[test]
    fn the_source_is_in_the_script_and_not_in_the_arguments() {
        let source = Source::parse("rtsp://admin:secret@cam:8554/live").expect("a link");
        let plan = Plan::default();
        let script = script(&source, address(), plan, Duration::from_secs(5));
        assert!(script.contains("\nfile 'rtsp://admin:secret@192.0.2.7:8554/live'\n"), "{script}");
        assert!(script.contains("\noption timeout 5000000\n"), "{script}");
        let arguments = arguments(plan, &shape()).join(" ");
        assert!(!arguments.contains("secret") && !arguments.contains("cam"), "{arguments}");
        assert!(
            arguments.contains("-map 0:v:0 -c:v copy -copyinkf:v -bsf:v setts="),
            "{arguments}"
        );
        assert!(arguments.contains("-bsf:a setts="), "{arguments}");
        assert!(arguments.contains("-map 0:a:0? -map 0:v:0 -c:a copy "), "{arguments}");
        assert_eq!(audio_outputs(plan), 1);
    }

    #[test]
    fn a_plan_determines_the_arguments_and_the_script() {
        let source = Source::parse("rtsp://cam/").expect("a link");
        let plan = Plan {
            video: Video::ToH264,
            video_track: VideoChoice::Second,
            audio: Audio::ToAac,
            audio_track: AudioChoice::Second,
            probe: ProbeSize::Large,
            transport: Transport::Udp,
            times: Times::Arrival,
        };
        let arguments_of = |plan| arguments(plan, &shape()).join(" ");
        let transcoding = arguments_of(plan);
        for part in [
            "-c:v libx264 -preset veryfast ",
            "min(ih,1080)",
            "-maxrate 4000k ",
            "gte(t,prev_forced_t+2) ",
            "-map 0:a:1? -map 0:v:1 -c:a aac ",
            "-map 0:v:1 -c:v libx264 ",
            "-use_wallclock_as_timestamps 1 ",
        ] {
            assert!(transcoding.contains(part), "{transcoding}");
        }
        let script = script(&source, address(), plan, Duration::from_secs(1));
        for line in ["probesize 2000000", "rtsp_transport udp"] {
            assert!(script.contains(&format!("\noption {line}\n")), "{script}");
        }
        let plan = Plan { audio: Audio::Off, ..Plan::default() };
        let copying = arguments_of(plan);
        assert!(copying.contains("-c:v copy ") && !copying.contains(":a"), "{copying}");
    }

    #[test]
    fn ffmpegs_timeout_is_shorter_than_the_managers() {
        let seconds = Duration::from_secs;
        assert_eq!(socket_timeout(seconds(15), seconds(10)), seconds(5));
        assert_eq!(socket_timeout(seconds(6), seconds(10)), seconds(2));
    }

    /// Returns the kind and the name of the components that `deploy/ffmpeg/build` includes in its FFmpeg.
    fn components() -> Vec<(&'static str, &'static str)> {
        let lines = include_str!("../../../deploy/ffmpeg/components").lines();
        lines
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once(' '))
            .flat_map(|(kind, names)| names.split_whitespace().map(move |name| (kind, name)))
            .collect()
    }

    /// Returns the components that one argument requires.
    fn needed<'a>(option: &str, value: &'a str, is_of_input: bool) -> Vec<(&'static str, &'a str)> {
        match option {
            "-f" if is_of_input => vec![("demuxer", value)],
            "-f" => vec![("muxer", value)],
            "-c:v" | "-c:a" if value != "copy" => vec![("encoder", value)],
            "-vf" | "-af" => {
                let filters = value.split(',').filter_map(|filter| filter.split_once('='));
                filters.map(|(name, _)| ("filter", name)).collect()
            }
            "-bsf:v" | "-bsf:a" => vec![("bsf", value.split('=').next().unwrap_or_default())],
            // In FFmpeg, `rtsp` and `rtsps` are one demuxer, not protocols.
            "-protocol_whitelist" => value
                .split(',')
                .map(|name| match name {
                    "rtsp" | "rtsps" => ("demuxer", "rtsp"),
                    name => ("protocol", name),
                })
                .collect(),
            _ => value.strip_prefix("pipe:").map(|_| ("protocol", "pipe")).into_iter().collect(),
        }
    }

    #[test]
    fn the_lean_ffmpeg_includes_all_components_that_the_arguments_require() {
        let components = components();
        let progressive = testing::format(7).picture.clone();
        let interlaced = PictureParameters { is_interlaced: true, ..progressive.clone() };
        let pictures = [progressive, interlaced];
        let mut commands = pictures.map(|it| rendition_arguments(&it, &shape())).to_vec();
        for video in [Video::Copy, Video::ToH264] {
            for audio in [Audio::Copy, Audio::CopyAndAac, Audio::ToAac, Audio::Off] {
                commands.push(arguments(Plan { video, audio, ..Plan::default() }, &shape()));
            }
        }
        commands.push(still_arguments(Plan::default()));
        for arguments in commands {
            let input = arguments.iter().position(|a| a == "-i").expect("an input");
            for (place, pair) in arguments.windows(2).enumerate() {
                for component in needed(&pair[0], &pair[1], place < input) {
                    assert!(components.contains(&component), "{component:?} is not built in");
                }
            }
        }
    }
}
