//! Plans: how a camera is ingested, and how the lesson of a run changes the plan. Without I/O.
//!
//! The first plan suits most cameras. If a run shows that the plan does not suit the camera, the lesson of the run
//! changes the plan for the next run, within the operator's options. So a stream needs no separate connection to
//! the camera for probing.

use crate::base::error::{Error, ErrorKind};
use crate::camera::options::{AudioOption, StreamOptions, TransportOption, VideoOption};

/// The number of runs in a row that must find the camera busy before one run is tried without audio. A run without
/// audio helps if a camera refuses only the audio, but reports that it is busy. More often, a camera is busy because it
/// still has the session of a lost connection. The run without audio begins after about 9 s. By then, most cameras have
/// freed such a session.
pub(crate) const BUSY_RUNS: u32 = 3;

/// The treatment of the camera's video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Video {
    /// Packets are copied. For H.264, H.265 and Motion JPEG.
    Copy,
    /// The camera's FFmpeg converts the video to H.264. For codecs that only FFmpeg can decode, such as
    /// MPEG-4. The conversion uses a large part of a CPU core.
    ToH264,
}

/// The treatment of the camera's audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audio {
    /// Packets are copied. For AAC with a sample rate of 16 kHz or more, which every player can play.
    Copy,
    /// Packets are copied, and the audio is also converted to AAC. For G.711, Opus, and AAC with lower sample rates.
    CopyAndAac,
    /// The audio is only converted to AAC. For codecs whose packets cannot be copied.
    ToAac,
    /// The stream has no audio, because the operator does not want audio, the camera refuses to send audio, or
    /// FFmpeg cannot use the audio.
    Off,
}

/// The amount of data from which FFmpeg determines the parameters of video and audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeSize {
    /// Enough for nearly all cameras, because most parameters are in the description that the camera sends first
    /// (SDP). FFmpeg begins to write 0.2 s after it has connected.
    Small,
    /// For cameras with several video tracks for which [`ProbeSize::Small`] is not enough.
    Large,
    /// For cameras with one video track for which [`ProbeSize::Small`] is not enough. Some of them send audio, but
    /// only one frame of video every few seconds.
    Long,
}

/// The transport of the video and audio packets (RTP) from the camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP, within the RTSP connection.
    Tcp,
    /// UDP.
    Udp,
}

/// The clock from which the frames get their timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// The camera's clock.
    Camera,
    /// This machine's clock: the times at which packets arrive. For cameras whose timestamps cannot be used.
    Arrival,
}

/// The choice of the video track, if the camera has several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VideoChoice {
    /// The first track.
    First,
    /// The second track, because the first one sends nothing.
    Second,
}

/// The choice of the audio track, if the camera has several. One of them may be the track for sound that the client
/// sends to the camera's loudspeaker. The lean FFmpeg ignores that track; Debian's FFmpeg does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudioChoice {
    /// The first track.
    First,
    /// The second track, because the first one sends nothing.
    Second,
    /// The first track, because neither track sends anything. No other track is tried.
    FirstAgain,
}

/// The settings with which FFmpeg ingests a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The treatment of the video.
    pub video: Video,
    /// The video track that is used.
    pub video_track: VideoChoice,
    /// The treatment of the audio.
    pub audio: Audio,
    /// The audio track that is used.
    pub audio_track: AudioChoice,
    /// The amount of data from which FFmpeg determines the parameters.
    pub probe: ProbeSize,
    /// The transport of the packets.
    pub transport: Transport,
    /// The clock from which the frames get their timestamps.
    pub times: Times,
}

/// The setting `HEVC`: the treatment of H.265 from cameras whose option `video` is `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hevc {
    /// H.265 is copied. Viewers need browsers that can play H.265.
    Copy,
    /// H.265 is converted to H.264.
    ToH264,
}

/// A fact about a camera that a run has shown, and that requires another plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lesson {
    /// The video has a codec other than H.264, H.265 and Motion JPEG.
    VideoCannotBeCopied,
    /// The video can be copied, although the plan converts it.
    VideoCanBeCopied,
    /// The audio can be copied, but is not AAC that HLS can use.
    AudioNeedsConversion,
    /// The plan requires that FFmpeg copies the audio or converts it, but FFmpeg cannot do so.
    AudioCannotBeCopied,
    /// The camera refuses to set up one of its tracks. The refused track is assumed to be the audio.
    TrackRefused,
    /// FFmpeg can neither copy nor convert the audio.
    AudioCannotBeUsed,
    /// The video track sends nothing, and the camera has another one.
    VideoIsSilent,
    /// The audio track sends nothing, and the camera has another one.
    AudioIsSilent,
    /// FFmpeg read too little to determine the parameters of the streams.
    ProbedTooLittle,
    /// FFmpeg read too little to determine the parameters of the streams, and the camera has only one video track.
    VideoIsRare,
    /// The camera refuses this transport.
    TransportRefused,
    /// The camera's timestamps advance much slower or faster than real time.
    TimesAreWrong,
}

impl VideoChoice {
    /// Returns the index of the track among the video tracks.
    pub(crate) fn index(self) -> usize {
        usize::from(self == Self::Second)
    }

    fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

impl AudioChoice {
    /// Returns the index of the track among the audio tracks.
    pub(crate) fn index(self) -> usize {
        usize::from(self == Self::Second)
    }

    fn next(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second | Self::FirstAgain => Self::FirstAgain,
        }
    }
}

impl Audio {
    /// Returns the first treatment to try.
    fn first(option: AudioOption) -> Self {
        match option {
            AudioOption::Auto => Self::Copy,
            AudioOption::Aac => Self::ToAac,
            AudioOption::Off => Self::Off,
        }
    }

    /// Returns whether the stream contains the camera's audio unchanged.
    pub(crate) fn is_copied(self) -> bool {
        matches!(self, Self::Copy | Self::CopyAndAac)
    }

    /// Returns whether the stream contains audio that is converted to AAC.
    pub(crate) fn is_converted(self) -> bool {
        matches!(self, Self::CopyAndAac | Self::ToAac)
    }
}

impl Plan {
    /// Returns the plan for the first run.
    pub fn first(options: StreamOptions) -> Self {
        Self {
            video: Video::Copy,
            video_track: VideoChoice::First,
            audio: Audio::first(options.audio),
            audio_track: AudioChoice::First,
            probe: ProbeSize::Small,
            transport: match options.transport {
                TransportOption::Auto | TransportOption::Tcp => Transport::Tcp,
                TransportOption::Udp => Transport::Udp,
            },
            times: Times::Camera,
        }
    }

    /// Returns the plan for the next run after a `lesson`. Error: `SourceUnsupported`, with advice for
    /// the operator, if the options or earlier lessons leave no other plan.
    ///
    /// ```
    /// use stream_manager::parts::{Audio, Lesson, Plan, StreamOptions};
    ///
    /// let options = StreamOptions::default();
    /// let first = Plan::first(options);
    /// assert_eq!(first.audio, Audio::Copy);
    /// let second = first.after(Lesson::AudioCannotBeCopied, options).unwrap();
    /// assert_eq!(second.audio, Audio::ToAac);
    /// let third = second.after(Lesson::AudioCannotBeCopied, options).unwrap();
    /// assert_eq!(third.audio, Audio::Off);
    /// ```
    pub fn after(self, lesson: Lesson, options: StreamOptions) -> Result<Self, Error> {
        match lesson {
            Lesson::VideoCannotBeCopied if self.video == Video::ToH264 => Err(unsupported(
                "the camera's video cannot be converted to H.264; set the camera to H.264",
            )),
            Lesson::VideoCannotBeCopied if options.video == VideoOption::Copy => {
                Err(not_playable())
            }
            Lesson::VideoCannotBeCopied => Ok(Self { video: Video::ToH264, ..self }),
            Lesson::VideoCanBeCopied => Ok(Self { video: Video::Copy, ..self }),
            Lesson::AudioNeedsConversion => Ok(Self { audio: Audio::CopyAndAac, ..self }),
            Lesson::AudioCannotBeCopied if self.audio.is_copied() => {
                Ok(Self { audio: Audio::ToAac, ..self })
            }
            Lesson::AudioCannotBeCopied | Lesson::AudioCannotBeUsed if self.audio != Audio::Off => {
                Ok(Self { audio: Audio::Off, ..self })
            }
            Lesson::TrackRefused if options.audio == AudioOption::Auto => {
                Ok(Self { audio: Audio::Off, ..self })
            }
            Lesson::TrackRefused => Err(unsupported(
                "the camera refuses to set up a track, which is probably the audio; set the option audio \
                 to auto or off",
            )),
            Lesson::AudioCannotBeCopied | Lesson::AudioCannotBeUsed => Err(unsupported(
                "FFmpeg fails because of the camera's audio, although the audio is left out; switch off the audio \
                 in the camera",
            )),
            // The other track may have another codec.
            Lesson::VideoIsSilent => Ok(Self {
                video_track: self.video_track.other(),
                video: Video::Copy,
                probe: ProbeSize::Small,
                ..self
            }),
            Lesson::AudioIsSilent => Ok(Self {
                audio_track: self.audio_track.next(),
                audio: Audio::first(options.audio),
                ..self
            }),
            Lesson::ProbedTooLittle if self.probe == ProbeSize::Small => {
                Ok(Self { probe: ProbeSize::Large, ..self })
            }
            Lesson::VideoIsRare if self.probe != ProbeSize::Long => {
                Ok(Self { probe: ProbeSize::Long, ..self })
            }
            Lesson::ProbedTooLittle | Lesson::VideoIsRare => Err(unsupported(
                "FFmpeg cannot determine the parameters of the camera's video; set the camera to \
                     H.264 with a keyframe at least every 2 seconds",
            )),
            // The camera may have refused both transports only because of the audio.
            Lesson::TransportRefused
                if self.transport == Transport::Udp
                    && self.audio != Audio::Off
                    && options.audio == AudioOption::Auto
                    && options.transport == TransportOption::Auto =>
            {
                let transport = Self::first(options).transport;
                Ok(Self { transport, audio: Audio::Off, ..self })
            }
            Lesson::TransportRefused if options.transport == TransportOption::Auto => {
                Ok(Self { transport: self.transport.other(), ..self })
            }
            Lesson::TransportRefused => Err(unsupported(
                "the camera refuses the transport that the option `transport` requires; set the option to `auto`",
            )),
            Lesson::TimesAreWrong if self.times == Times::Camera => {
                Ok(Self { times: Times::Arrival, ..self })
            }
            Lesson::TimesAreWrong => Err(unsupported(
                "the timestamps of the camera's video cannot be used; restart the camera",
            )),
        }
    }
}

/// Returns the error of a stream from which the camera's audio is missing; `None` if the stream has audio, or if the
/// option `audio` is `off`.
pub(crate) fn missing_audio(plan: Plan, options: StreamOptions) -> Option<Error> {
    let is_missing = plan.audio == Audio::Off && options.audio != AudioOption::Off;
    is_missing.then(|| {
        let detail = "the stream has no audio, because the camera refuses to send it or FFmpeg cannot use it; \
                      the log of FFmpeg shows the reason; set the camera's audio to AAC or G.711";
        Error::new(ErrorKind::AudioUnsupported, detail)
    })
}

impl Default for Plan {
    fn default() -> Self {
        Self::first(StreamOptions::default())
    }
}

/// Creates the error of a camera with which too many plans have failed.
pub(crate) fn exhausted() -> Error {
    unsupported(
        "the manager tried several combinations of transport and codecs, but the camera works with none of \
         them; set the camera to H.264, or set the options transport, video and audio to fixed values",
    )
}

/// Creates the error of a camera whose video browsers cannot play, if the option `video` forbids a conversion.
pub(crate) fn not_playable() -> Error {
    unsupported(
        "browsers cannot play the camera's video; set the option video to auto, or set the camera to \
         H.264",
    )
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
    fn lessons_about_video_change_the_plan_within_the_options() {
        use Lesson::{VideoCanBeCopied, VideoCannotBeCopied};
        let table = [
            (Video::Copy, VideoCannotBeCopied, VideoOption::Auto, Some(Video::ToH264)),
            (Video::Copy, VideoCannotBeCopied, VideoOption::H264, Some(Video::ToH264)),
            (Video::Copy, VideoCannotBeCopied, VideoOption::Copy, None),
            (Video::ToH264, VideoCannotBeCopied, VideoOption::Auto, None),
            (Video::ToH264, VideoCanBeCopied, VideoOption::Auto, Some(Video::Copy)),
            (Video::ToH264, VideoCanBeCopied, VideoOption::H264, Some(Video::Copy)),
        ];
        for (video, lesson, option, expected) in table {
            let plan = Plan { video, ..Plan::default() };
            let next = plan.after(lesson, options(option, AudioOption::Auto));
            assert_eq!(next.ok().map(|plan| plan.video), expected, "{video:?} {lesson:?}");
        }
        assert_eq!(Plan::first(options(VideoOption::H264, AudioOption::Off)).video, Video::Copy);
    }

    #[test]
    fn other_lessons_change_the_plan_once() {
        let table = [
            (Lesson::ProbedTooLittle, Plan { probe: ProbeSize::Large, ..Plan::default() }),
            (Lesson::VideoIsRare, Plan { probe: ProbeSize::Long, ..Plan::default() }),
            (Lesson::TimesAreWrong, Plan { times: Times::Arrival, ..Plan::default() }),
        ];
        let options = StreamOptions::default();
        for (lesson, expected) in table {
            let next = Plan::default().after(lesson, options);
            assert_eq!(next, Ok(expected), "{lesson:?}");
            next.and_then(|plan| plan.after(lesson, options)).expect_err("a cause");
        }
    }

    #[test]
    fn audio_that_is_refused_is_left_out_if_the_option_is_auto() {
        let auto = StreamOptions::default();
        let without = Plan { audio: Audio::Off, ..Plan::default() };
        assert_eq!(Plan::default().after(Lesson::TrackRefused, auto), Ok(without));
        let udp = Plan { transport: Transport::Udp, ..Plan::default() };
        assert_eq!(udp.after(Lesson::TransportRefused, auto), Ok(without));
        let chosen = options(VideoOption::Auto, AudioOption::Aac);
        Plan::first(chosen).after(Lesson::TrackRefused, chosen).expect_err("a cause");
    }

    #[test]
    fn another_track_is_tried_if_one_is_silent() {
        let options = StreamOptions::default();
        let learn = |plan: Plan, lesson| plan.after(lesson, options).expect("another plan");
        let tried = Plan { probe: ProbeSize::Large, ..Plan::default() };
        let second = learn(tried, Lesson::VideoIsSilent);
        assert_eq!(second, Plan { video_track: VideoChoice::Second, ..Plan::default() });
        assert_eq!(learn(second, Lesson::VideoIsSilent), Plan::default());
        let g711 = Plan { audio: Audio::CopyAndAac, ..Plan::default() };
        let second = learn(g711, Lesson::AudioIsSilent);
        assert_eq!(second, Plan { audio_track: AudioChoice::Second, ..Plan::default() });
        let again = Plan { audio_track: AudioChoice::FirstAgain, ..Plan::default() };
        assert_eq!(learn(second, Lesson::AudioIsSilent), again);
    }

    #[test]
    fn audio_that_cannot_be_used_is_left_out_and_reported() {
        use Lesson::{AudioCannotBeCopied, AudioCannotBeUsed, AudioNeedsConversion};
        let table = [
            (AudioOption::Auto, &[AudioCannotBeCopied, AudioCannotBeCopied][..], Audio::Off),
            (AudioOption::Auto, &[AudioNeedsConversion, AudioCannotBeCopied], Audio::ToAac),
            (AudioOption::Auto, &[AudioCannotBeUsed], Audio::Off),
            (AudioOption::Aac, &[AudioCannotBeCopied], Audio::Off),
        ];
        for (option, lessons, expected) in table {
            let options = options(VideoOption::Auto, option);
            let learn = |plan: Plan, lesson: &Lesson| plan.after(*lesson, options);
            let plan = lessons.iter().try_fold(Plan::first(options), learn).expect("another plan");
            assert_eq!(plan.audio, expected, "{option:?} {lessons:?}");
            let note = missing_audio(plan, options).map(|error| error.kind);
            assert_eq!(note, (expected == Audio::Off).then_some(ErrorKind::AudioUnsupported));
        }
        let off = options(VideoOption::Auto, AudioOption::Off);
        assert_eq!(missing_audio(Plan::first(off), off), None);
    }

    #[test]
    fn the_transport_changes_only_if_the_option_is_auto() {
        let auto = StreamOptions::default();
        let udp = Plan::default().after(Lesson::TransportRefused, auto);
        assert_eq!(udp, Ok(Plan { transport: Transport::Udp, ..Plan::default() }));
        for transport in [TransportOption::Tcp, TransportOption::Udp] {
            let chosen = StreamOptions { transport, ..auto };
            let plan = Plan::first(chosen);
            plan.after(Lesson::TransportRefused, chosen).expect_err("a cause");
        }
    }
}
