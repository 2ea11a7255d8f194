//! The causes of FFmpeg's end, as its messages show them.

use std::time::Duration;

use crate::base::error::{Error, ErrorKind};
use crate::camera::plan::Lesson;
use crate::ingest::ffmpeg::tracks::Tracks;

/// The cause of FFmpeg's end, as its messages show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The camera or the machine is the cause. The text is the error's detail: what happened, and what
    /// to do.
    Camera(ErrorKind, &'static str),
    /// Another plan may work better.
    Lesson(Lesson),
    /// The response is not RTSP, or there is no response. FFmpeg's message is the same in both cases, but
    /// without a response it appears only after the socket timeout.
    NoRtspResponse,
}

impl Verdict {
    /// Returns the error of a run that lasted `ran_for` with the socket timeout `socket_timeout`;
    /// `None` if another plan may work better.
    pub(crate) fn error(self, ran_for: Duration, socket_timeout: Duration) -> Option<Error> {
        let (kind, detail) = match self {
            Self::Camera(kind, detail) => (kind, detail),
            Self::Lesson(_) => return None,
            Self::NoRtspResponse if ran_for >= socket_timeout => {
                (ErrorKind::SourceTimeout, NO_RESPONSE)
            }
            Self::NoRtspResponse => (ErrorKind::SourceUnsupported, NOT_RTSP),
        };
        Some(Error::new(kind, detail))
    }

    /// Returns the rank of the strongest verdict in a message of FFmpeg; `None` if the message contains none. A
    /// lower rank is stronger. `tracks` are the camera's tracks.
    pub(super) fn rank(raw: &str, tracks: &Tracks) -> Option<usize> {
        let words = if is_about_audio(raw, tracks) { AUDIO_FAULT } else { raw };
        let is_about_packet = PACKET_ERRORS.iter().any(|error| raw.contains(error));
        let mut verdicts = VERDICTS.iter();
        verdicts.position(|(cause, _)| words.contains(cause) && !is_about_packet)
    }

    /// Returns the verdict with this rank.
    pub(super) fn with_rank(rank: usize) -> Option<Self> {
        VERDICTS.get(rank).map(|&(_, verdict)| verdict)
    }
}

/// The messages of FFmpeg 5 to 7, strongest first. FFmpeg may print several messages about one failure. This table
/// lists the message that states the cause before the messages that only follow from it.
const VERDICTS: &[(&str, Verdict)] = &[
    ("Cannot allocate memory", OUT_OF_MEMORY),
    ("malloc of size", OUT_OF_MEMORY),
    // 453 is "Not Enough Bandwidth", which cameras send when they have too many clients.
    ("failed: 453", BUSY),
    ("failed: 503", BUSY),
    ("401 Unauthorized", UNAUTHORIZED),
    ("403 Forbidden", FORBIDDEN),
    ("404 Not Found", NOT_FOUND),
    ("454 Session Not Found", NOT_FOUND),
    (
        "Failed to resolve hostname",
        Verdict::Camera(
            ErrorKind::SourceUnreachable,
            "the camera's host name cannot be resolved; check the address",
        ),
    ),
    (
        "Connection refused",
        Verdict::Camera(
            ErrorKind::SourceUnreachable,
            "the camera refuses connections; check address and port, and that RTSP is switched on",
        ),
    ),
    // The messages of OpenSSL and of GnuTLS.
    ("SSL routines::wrong version number", NO_TLS),
    ("unexpected TLS packet", NO_TLS),
    ("No route to host", UNREACHABLE),
    ("Network is unreachable", UNREACHABLE),
    (
        "Connection reset by peer",
        Verdict::Camera(ErrorKind::SourceUnreachable, "the camera closed the connection"),
    ),
    ("Connection timed out", TIMEOUT),
    ("Operation timed out", TIMEOUT),
    ("in stream #0, codec not currently supported", Verdict::Lesson(Lesson::VideoCannotBeCopied)),
    (AUDIO_FAULT, Verdict::Lesson(Lesson::AudioCannotBeCopied)),
    ("dimensions not set", Verdict::Lesson(Lesson::ProbedTooLittle)),
    ("unspecified size", Verdict::Lesson(Lesson::ProbedTooLittle)),
    ("461 Unsupported", Verdict::Lesson(Lesson::TransportRefused)),
    (
        "matches no streams",
        Verdict::Camera(
            ErrorKind::SourceUnsupported,
            "the camera sends no video at this path, or video with a codec that FFmpeg does not know; check the \
             path of the link, or set the camera to H.264",
        ),
    ),
    (
        "Server returned 5XX",
        Verdict::Camera(
            ErrorKind::SourceUnreachable,
            "the camera responds with a server error; it may be overloaded or starting up",
        ),
    ),
    ("Server returned 4XX", REFUSED),
    ("400 Bad Request", REFUSED),
    ("Invalid data found", Verdict::NoRtspResponse),
    // libx264 does not always report that it ran out of memory.
    ("Error while opening encoder", OUT_OF_MEMORY),
    (
        "Protocol not found",
        Verdict::Camera(
            ErrorKind::SourceUnsupported,
            "this FFmpeg does not support the link's protocol; install an FFmpeg that supports it",
        ),
    ),
];

pub(super) const OUT_OF_MEMORY: Verdict = Verdict::Camera(
    ErrorKind::FfmpegUnavailable,
    "FFmpeg ran out of memory; the machine has no free memory, or FFMPEG_MAX_MEMORY_MB is too small \
     for this video",
);
const UNAUTHORIZED: Verdict =
    Verdict::Camera(ErrorKind::SourceUnauthorized, "the camera rejected the user name or password");
const FORBIDDEN: Verdict = Verdict::Camera(
    ErrorKind::SourceUnauthorized,
    "the camera forbids access to the stream; check user name and password, and that the user is permitted \
     to watch this stream",
);
const BUSY: Verdict = Verdict::Camera(
    ErrorKind::SourceBusy,
    "the camera has reached its limit of connections; close other clients, or wait until the camera has \
     closed a lost connection",
);
const NOT_FOUND: Verdict = Verdict::Camera(
    ErrorKind::SourceNotFound,
    "the camera has no stream at this path; check the path of the link",
);
const NO_TLS: Verdict = Verdict::Camera(
    ErrorKind::SourceUnsupported,
    "the device at this address does not use TLS on this port; begin the link with rtsp://, or check the port",
);
const REFUSED: Verdict = Verdict::Camera(
    ErrorKind::SourceUnsupported,
    "the camera refuses the request; check the path of the link",
);
const UNREACHABLE: Verdict = Verdict::Camera(
    ErrorKind::SourceUnreachable,
    "no route to the camera; check the address and the network",
);
const TIMEOUT: Verdict = Verdict::Camera(ErrorKind::SourceTimeout, NO_RESPONSE);

/// The error's detail if there was no response at all.
const NO_RESPONSE: &str =
    "the camera does not respond; check address and port, and that the camera is switched on";

/// The error's detail if the response was not RTSP.
const NOT_RTSP: &str = "the device at this address is not an RTSP server; check the port";

/// Messages about single packets, which do not explain FFmpeg's end.
const PACKET_ERRORS: [&str; 2] = ["Error while decoding stream", "Error submitting packet"];

/// The cause in [`VERDICTS`] for messages about audio.
const AUDIO_FAULT: &str = "in stream #1, codec not currently supported";

/// Returns true if a message reports that an output for audio, or the decoder of the input's audio, cannot be set
/// up. Output 0 has the video, outputs 1 and 2 have audio.
fn is_about_audio(raw: &str, tracks: &Tracks) -> bool {
    let is_setup = ["Error while opening", "Could not write header", "Error initializing output"]
        .iter()
        .any(|words| raw.contains(words));
    let outputs =
        ["output file #1", "output file #2", "stream 1:", "stream 2:", "stream #1:", "stream #2:"];
    let is_output = outputs.iter().chain(&["[out#1/", "[out#2/", "[aost#", "[aist#"]);
    let is_memory = raw.contains("Cannot allocate memory");
    is_setup
        && !is_memory
        && (is_output.copied().any(|words| raw.contains(words)) || tracks.names_audio(raw))
}
