//! How a camera is ingested, and what a run that failed teaches about that. Pure.
//!
//! A camera is taken the way that suits most of them; what FFmpeg then says of it changes the plan
//! for the next run, within what the operator's options allow. No second connection to the camera
//! is made to look at it first.

use crate::base::error::{Error, ErrorKind};
use crate::camera::options::{AudioOption, StreamOptions, TransportOption, VideoOption};

/// What FFmpeg does with the camera's video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Video {
    /// Packets go into the MP4 as they are. For H.264, which every browser plays.
    Copy,
    /// The same for H.265, under the name (`hvc1`) that Apple's players ask for.
    CopyHevc,
    /// Anything FFmpeg can decode becomes H.264. Costs a good part of a processor core.
    ToH264,
}

/// What FFmpeg does with the camera's audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audio {
    /// Packets go into the MP4 as they are. Possible with AAC.
    Copy,
    /// Anything FFmpeg can decode becomes AAC, for cameras that send G.711.
    ToAac,
    /// It is not taken.
    Off,
}

/// How much FFmpeg reads before it says what the streams are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeSize {
    /// Enough for nearly every camera, whose SDP says most of it: the header is out 0.2 s after
    /// the connection.
    Small,
    /// For the others.
    Large,
}

/// How RTP travels from the camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Inside of the RTSP connection.
    Tcp,
    /// In datagrams.
    Udp,
}

/// Whose clock stamps the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// The camera's.
    Camera,
    /// This machine's, as packets arrive: for cameras whose own times make no sense.
    Arrival,
}

/// How to ingest a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// What to do with video.
    pub video: Video,
    /// What to do with audio.
    pub audio: Audio,
    /// How much to read first.
    pub probe: ProbeSize,
    /// How to ask for RTP.
    pub transport: Transport,
    /// Whose times to use.
    pub times: Times,
}

/// What may be done with H.265 whose camera has no option for it: the setting `HEVC`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hevc {
    /// It is copied, for viewers whose browsers can play it.
    Copy,
    /// It becomes H.264.
    ToH264,
}

/// What a run has taught about its camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lesson {
    /// The video cannot go into MP4 as it is, or no browser would play it.
    VideoCannotBeCopied,
    /// The video is H.265.
    VideoIsHevc,
    /// The video was expected to be H.265, and is not.
    VideoIsNotHevc,
    /// The video is H.264, which need not become what it is.
    VideoIsH264,
    /// The audio cannot go into MP4 as it is.
    AudioCannotBeCopied,
    /// FFmpeg read too little to know what the streams are.
    ProbedTooLittle,
    /// The camera does not send RTP this way.
    TransportRefused,
    /// The camera's times do not go with the clock.
    TimesAreWrong,
}

impl Plan {
    /// Whether the camera's video is converted into another codec.
    pub fn transcodes_video(self) -> bool {
        self.video == Video::ToH264
    }

    /// The plan to begin with.
    pub fn first(options: StreamOptions) -> Self {
        Self {
            video: match options.video {
                VideoOption::Auto | VideoOption::Copy => Video::Copy,
                VideoOption::H264 => Video::ToH264,
            },
            audio: match options.audio {
                AudioOption::Auto => Audio::Copy,
                AudioOption::Aac => Audio::ToAac,
                AudioOption::Off => Audio::Off,
            },
            probe: ProbeSize::Small,
            transport: match options.transport {
                TransportOption::Auto | TransportOption::Tcp => Transport::Tcp,
                TransportOption::Udp => Transport::Udp,
            },
            times: Times::Camera,
        }
    }

    /// The plan for the next run after a `lesson`; or, where there is nothing left to try, the
    /// cause for the operator.
    pub fn after(self, lesson: Lesson, options: StreamOptions, hevc: Hevc) -> Result<Self, Error> {
        let may_transcode = options.video != VideoOption::Copy;
        match lesson {
            Lesson::VideoIsHevc if !may_transcode || hevc == Hevc::Copy => {
                Ok(Self { video: Video::CopyHevc, ..self })
            }
            Lesson::VideoIsHevc | Lesson::VideoCannotBeCopied if self.video == Video::ToH264 => {
                Err(unsupported(
                    "the camera's video cannot be turned into H.264; set the camera to H.264",
                ))
            }
            Lesson::VideoIsHevc | Lesson::VideoCannotBeCopied if may_transcode => {
                Ok(Self { video: Video::ToH264, ..self })
            }
            Lesson::VideoIsHevc | Lesson::VideoCannotBeCopied => Err(unsupported(
                "browsers do not play the camera's video as it is, and its option video says \
                     copy; set that to auto, or the camera to H.264",
            )),
            Lesson::VideoIsNotHevc | Lesson::VideoIsH264 => Ok(Self { video: Video::Copy, ..self }),
            Lesson::AudioCannotBeCopied if self.audio == Audio::Copy => {
                Ok(Self { audio: Audio::ToAac, ..self })
            }
            Lesson::AudioCannotBeCopied => {
                Err(unsupported("the camera's audio cannot be used; set its option audio to off"))
            }
            Lesson::ProbedTooLittle if self.probe == ProbeSize::Small => {
                Ok(Self { probe: ProbeSize::Large, ..self })
            }
            Lesson::ProbedTooLittle => {
                Err(unsupported("the camera sends nothing that tells what its video is"))
            }
            Lesson::TransportRefused if options.transport == TransportOption::Auto => {
                Ok(Self { transport: self.transport.other(), ..self })
            }
            Lesson::TransportRefused => Err(unsupported(
                "the camera refuses the transport that its option transport names; set that \
                     to auto",
            )),
            Lesson::TimesAreWrong if self.times == Times::Camera => {
                Ok(Self { times: Times::Arrival, ..self })
            }
            Lesson::TimesAreWrong => {
                Err(unsupported("the times of the camera's frames make no sense"))
            }
        }
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self::first(StreamOptions::default())
    }
}

/// A camera has taught so many lessons that trying yet another plan makes no sense.
pub fn exhausted() -> Error {
    unsupported("the camera refuses, or contradicts, every way that it was asked in")
}

fn unsupported(cause: &str) -> Error {
    Error::new(ErrorKind::SourceUnsupported, cause)
}

impl Transport {
    fn other(self) -> Self {
        match self {
            Self::Tcp => Self::Udp,
            Self::Udp => Self::Tcp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(video: VideoOption, audio: AudioOption) -> StreamOptions {
        StreamOptions { video, audio, ..StreamOptions::default() }
    }

    #[test]
    fn what_becomes_of_video() {
        use Lesson::{VideoCannotBeCopied, VideoIsH264, VideoIsHevc, VideoIsNotHevc};
        let table = [
            (Video::Copy, VideoIsHevc, VideoOption::Auto, Hevc::ToH264, Some(Video::ToH264)),
            (Video::Copy, VideoIsHevc, VideoOption::Auto, Hevc::Copy, Some(Video::CopyHevc)),
            (Video::Copy, VideoIsHevc, VideoOption::Copy, Hevc::ToH264, Some(Video::CopyHevc)),
            (Video::Copy, VideoCannotBeCopied, VideoOption::Auto, Hevc::Copy, Some(Video::ToH264)),
            (Video::Copy, VideoCannotBeCopied, VideoOption::Copy, Hevc::Copy, None),
            (Video::ToH264, VideoCannotBeCopied, VideoOption::Auto, Hevc::Copy, None),
            (Video::CopyHevc, VideoIsNotHevc, VideoOption::Auto, Hevc::Copy, Some(Video::Copy)),
            (Video::ToH264, VideoIsH264, VideoOption::Auto, Hevc::Copy, Some(Video::Copy)),
        ];
        for (video, lesson, option, hevc, expected) in table {
            let plan = Plan { video, ..Plan::default() };
            let next = plan.after(lesson, options(option, AudioOption::Auto), hevc);
            assert_eq!(next.ok().map(|plan| plan.video), expected, "{video:?} {lesson:?}");
        }
        assert_eq!(Plan::first(options(VideoOption::H264, AudioOption::Off)).video, Video::ToH264);
    }

    #[test]
    fn everything_else_is_tried_once() {
        let table = [
            (Lesson::AudioCannotBeCopied, Plan { audio: Audio::ToAac, ..Plan::default() }),
            (Lesson::ProbedTooLittle, Plan { probe: ProbeSize::Large, ..Plan::default() }),
            (Lesson::TimesAreWrong, Plan { times: Times::Arrival, ..Plan::default() }),
        ];
        let options = StreamOptions::default();
        for (lesson, expected) in table {
            let next = Plan::default().after(lesson, options, Hevc::ToH264);
            assert_eq!(next, Ok(expected), "{lesson:?}");
            next.and_then(|plan| plan.after(lesson, options, Hevc::ToH264)).expect_err("a cause");
        }
    }

    #[test]
    fn the_transport_follows_the_camera_unless_it_was_chosen() {
        let auto = StreamOptions::default();
        let udp = Plan::default().after(Lesson::TransportRefused, auto, Hevc::ToH264);
        assert_eq!(udp, Ok(Plan { transport: Transport::Udp, ..Plan::default() }));
        for transport in [TransportOption::Tcp, TransportOption::Udp] {
            let chosen = StreamOptions { transport, ..auto };
            let plan = Plan::first(chosen);
            plan.after(Lesson::TransportRefused, chosen, Hevc::ToH264).expect_err("a cause");
        }
    }
}
