//! From a camera to FFmpeg's arguments. Pure.
//!
//! The source's URL never stands in the arguments, which every user of the machine can read:
//! FFmpeg gets it as an ffconcat script on its stdin.

use std::time::Duration;

use crate::stream::source::Source;

/// What FFmpeg does with the camera's audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audio {
    /// Packets go into the MP4 as they are. Possible with AAC.
    Copy,
    /// Anything FFmpeg can decode becomes AAC, for cameras that send G.711.
    ToAac,
}

/// What FFmpeg does with the camera's video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Video {
    /// Packets go into the MP4 as they are. For H.264, which every browser plays.
    Copy,
    /// Anything FFmpeg can decode becomes H.264. Costs a good part of a processor core.
    ToH264,
}

/// How much FFmpeg reads before it says what the streams are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Enough for nearly every camera, whose SDP says most of it: the header is out 0.2 s after
    /// the connection.
    Small,
    /// For the others.
    Large,
}

/// How to ingest a camera. Begins with what suits most and learns from failed runs; what was
/// learned is kept for the camera's next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// What to do with video.
    pub video: Video,
    /// What to do with audio.
    pub audio: Audio,
    /// How much to read first.
    pub probe: Probe,
}

impl Probe {
    /// `analyzeduration` in microseconds and `probesize` in bytes.
    fn limits(self) -> (&'static str, &'static str) {
        match self {
            Self::Small => ("100000", "5000"),
            Self::Large => ("3000000", "2000000"),
        }
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self { video: Video::Copy, audio: Audio::Copy, probe: Probe::Small }
    }
}

/// FFmpeg's own patience with a silent connection. While it connects FFmpeg gives up after this
/// time, in mid-stream after about twice as long, so that half of the manager's own limits lets
/// FFmpeg say the cause before it is ended.
pub fn socket_timeout(start_timeout: Duration, stale_timeout: Duration) -> Duration {
    (start_timeout / 3).min(stale_timeout / 2)
}

/// What of the settings shapes the arguments.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Wanted length of a fragment.
    pub part_time: Duration,
    /// Wanted length of a segment: video that is made here gets a keyframe as often.
    pub segment_time: Duration,
    /// Preset of libx264.
    pub transcode_preset: String,
}

/// The arguments, without the program's name.
pub fn arguments(plan: Plan, shape: &Shape) -> Vec<String> {
    let (analyze_duration, probe_size) = plan.probe.limits();
    let mut arguments = Vec::new();
    let mut add = |more: &[&str]| arguments.extend(more.iter().map(|&text| text.to_owned()));
    add(&["-hide_banner", "-nostats", "-nostdin", "-loglevel", "level+warning"]);
    // The concat reader probes once more what the reader inside of it has probed already; with
    // FFmpeg's defaults that alone takes 20 frames.
    add(&["-analyzeduration", analyze_duration, "-probesize", probe_size]);
    // The source, by the script on stdin. The whitelist keeps FFmpeg from opening files.
    add(&["-f", "concat", "-safe", "0"]);
    add(&["-protocol_whitelist", "pipe,rtp,rtsp,rtsps,tcp,udp,tls", "-i", "pipe:0"]);
    add(&["-map", "0:v:0", "-map", "0:a:0?"]);
    match plan.video {
        Video::Copy => add(&["-c:v", "copy"]),
        Video::ToH264 => {
            let seconds = shape.segment_time.as_secs_f64();
            add(&["-c:v", "libx264", "-preset", &shape.transcode_preset, "-tune", "zerolatency"]);
            // Every browser plays 4:2:0; cameras with MJPEG send 4:2:2.
            add(&["-pix_fmt", "yuv420p", "-sc_threshold", "0", "-g", "100000"]);
            // A frame rate is a guess after so short a probe; frames keep their own times.
            add(&["-fps_mode", "vfr"]);
            add(&["-force_key_frames", &format!("expr:gte(t,n_forced*{seconds})")]);
        }
    }
    match plan.audio {
        Audio::Copy => add(&["-c:a", "copy"]),
        Audio::ToAac => add(&["-c:a", "aac"]),
    }
    // Video waits this long at most for audio that is late or never comes; FFmpeg's default is
    // 10 s. Microseconds.
    add(&["-max_interleave_delta", "200000"]);
    add(&["-f", "mp4", "-movflags", "+frag_keyframe+empty_moov+default_base_moof"]);
    let fragment = shape.part_time.as_micros().to_string();
    add(&["-frag_duration", &fragment, "-flush_packets", "1", "pipe:1"]);
    arguments
}

/// The ffconcat script that names the source. [`Source`] has made sure that the URL cannot end
/// the quotation.
pub fn script(source: &Source, plan: Plan, socket_timeout: Duration) -> String {
    let (analyze_duration, probe_size) = plan.probe.limits();
    format!(
        "ffconcat version 1.0\n\
         file '{}'\n\
         option rtsp_transport tcp\n\
         option timeout {}\n\
         option analyzeduration {analyze_duration}\n\
         option probesize {probe_size}\n",
        source.expose(),
        socket_timeout.as_micros(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> Shape {
        Shape {
            part_time: Duration::from_millis(200),
            segment_time: Duration::from_secs(2),
            transcode_preset: "veryfast".into(),
        }
    }

    #[test]
    fn the_source_is_in_the_script_and_not_in_the_arguments() {
        let source = Source::parse("rtsp://admin:secret@cam:8554/live").expect("a link");
        let plan = Plan::default();
        let script = script(&source, plan, Duration::from_secs(5));
        assert!(script.contains("\nfile 'rtsp://admin:secret@cam:8554/live'\n"), "{script}");
        assert!(script.contains("\noption timeout 5000000\n"), "{script}");
        let arguments = arguments(plan, &shape()).join(" ");
        assert!(!arguments.contains("secret") && !arguments.contains("cam"), "{arguments}");
        assert!(arguments.contains("-frag_duration 200000 "), "{arguments}");
        assert!(arguments.contains("-c:v copy -c:a copy "), "{arguments}");
    }

    #[test]
    fn a_plan_decides_video_audio_and_probe() {
        let source = Source::parse("rtsp://cam/").expect("a link");
        let plan = Plan { video: Video::ToH264, audio: Audio::ToAac, probe: Probe::Large };
        let arguments = arguments(plan, &shape()).join(" ");
        for part in ["-c:v libx264 -preset veryfast ", "gte(t,n_forced*2) ", "-c:a aac "] {
            assert!(arguments.contains(part), "{arguments}");
        }
        assert!(script(&source, plan, Duration::from_secs(1)).contains("option probesize 2000000"));
    }

    #[test]
    fn ffmpeg_gives_up_before_the_manager_does() {
        let seconds = Duration::from_secs;
        assert_eq!(socket_timeout(seconds(15), seconds(10)), seconds(5));
        assert_eq!(socket_timeout(seconds(6), seconds(10)), seconds(2));
    }
}
