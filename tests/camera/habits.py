"""The habits of the raw camera. Each option makes the camera differ from a good camera."""

import argparse
from dataclasses import dataclass, field


def pair(text):
    """Parse A:B or A@B as two numbers."""
    first, second = text.replace("@", ":").split(":")
    return float(first), float(second)


def coded(text):
    """Parse METHOD[/TRACK]:CODE[:COUNT]. Return the method, the status, and the count or None."""
    name, code, *count = text.split(":")
    method, *track = name.split("/")
    return ["/".join([method.upper(), *track]), int(code), int(count[0]) if count else None]


PARAMETER_FAULTS = ("no-config", "bad-config", "other-type", "unknown-codec")


@dataclass
class Habits:
    """All habits. With the defaults, the camera is a good camera."""

    answer: list = field(default_factory=list)
    auth: tuple[str, ...] = ()
    user: str = "admin"
    password: str = ""
    redirect: str | None = None
    one_session: float | None = None
    dead_session: float | None = None
    busy_code: int = 453
    session_timeout: int = 60
    metadata: bool = False
    backchannel: str | None = None
    silent_video_first: bool = False
    audio_first: bool = False
    audio_from: float = 0
    audio_until: float | None = None
    audio_gap: tuple[float, float] | None = None
    audio_every: float | None = None
    frame_interval: float | None = None
    keyframe_after: float = 0
    speed: float = 1
    jump: list = field(default_factory=list)
    reports: bool = False
    report_from: float = 0
    report_jump: tuple[float, float] | None = None
    rtp_start: int = 0
    rtptime_ahead: int = 0
    marker: str | None = None
    sdp: str | None = None
    no_audio_parameters: bool = False
    audio_parameters: str | None = None


def arguments():
    """Return the parser of the camera's options."""
    parser = argparse.ArgumentParser(description="A raw RTSP camera with habits of real cameras.")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--video", default="h264", help="a video of recording.py, or none")
    parser.add_argument("--audio", help="a sound of recording.py")
    parser.add_argument("--size", default="320x192")
    parser.add_argument("--fps", default="25")
    login = parser.add_argument_group("login")
    login.add_argument(
        "--auth",
        type=lambda text: tuple(text.split("+")),
        help="basic, md5, sha256, or several in the order in which they are offered: md5+sha256",
    )
    login.add_argument("--user")
    login.add_argument("--password")
    rtsp = parser.add_argument_group("RTSP")
    rtsp.add_argument(
        "--answer",
        type=coded,
        action="append",
        metavar="METHOD[/TRACK]:CODE[:COUNT]",
        help="respond to the next COUNT requests of this method, or to all, with this status; "
        "SETUP/audio, SETUP/backchannel or SETUP/video for one track",
    )
    rtsp.add_argument("--redirect", help="redirect DESCRIBE; {port} is this camera's port")
    rtsp.add_argument(
        "--one-session",
        type=float,
        metavar="S",
        help="refuse a second session, also for S seconds after the first one has ended",
    )
    rtsp.add_argument(
        "--dead-session",
        type=float,
        metavar="S",
        help="permit one session; if its connection ends without TEARDOWN, refuse others for S "
        "seconds",
    )
    rtsp.add_argument("--busy-code", type=int, help="status with which a session is refused")
    rtsp.add_argument("--session-timeout", type=int, metavar="S")
    rtsp.add_argument("--sdp", help="the text of the SDP; the tracks replace {media}")
    tracks = parser.add_argument_group("tracks")
    tracks.add_argument("--metadata", action="store_true", help="announce ONVIF metadata first")
    tracks.add_argument("--backchannel", choices=("first", "last"), help="a sendonly track")
    tracks.add_argument(
        "--silent-video-first", action="store_true", help="announce video without packets first"
    )
    tracks.add_argument("--audio-first", action="store_true")
    tracks.add_argument("--no-audio-parameters", action="store_true", help="audio without fmtp")
    sound = parser.add_argument_group("audio; times are in seconds after PLAY")
    sound.add_argument(
        "--audio-from", type=float, metavar="S", help="no audio before S; inf: no audio at all"
    )
    sound.add_argument("--audio-until", type=float, metavar="S", help="no audio after S")
    sound.add_argument("--audio-gap", type=pair, metavar="S@T", help="no audio for S s from T")
    sound.add_argument("--audio-every", type=float, metavar="S", help="send S s of audio at once")
    sound.add_argument(
        "--audio-parameters",
        choices=PARAMETER_FAULTS,
        help="a fault in the parameters of AAC: an fmtp without config, with a damaged config or "
        "of another payload type, or an unknown name of the codec",
    )
    video = parser.add_argument_group("video")
    video.add_argument("--frame-interval", type=float, metavar="S", help="one frame every S s")
    video.add_argument("--keyframe-after", type=float, metavar="S", help="no keyframe before S")
    video.add_argument(
        "--marker",
        choices=("all", "none", "key"),
        help="set the RTP marker in all packets, in none, or only at the end of keyframes",
    )
    clock = parser.add_argument_group("clock; S@T is a jump by S seconds, T seconds after PLAY")
    clock.add_argument("--speed", type=float, help="timestamps run this many times as fast")
    clock.add_argument("--jump", type=pair, action="append", metavar="S@T", help="timestamps jump")
    clock.add_argument("--reports", action="store_true", help="send RTCP reports every second")
    clock.add_argument(
        "--report-from", type=float, metavar="S", help="the times in RTCP reports are S s ahead"
    )
    clock.add_argument(
        "--report-jump", type=pair, metavar="S@T", help="the times in RTCP reports jump"
    )
    clock.add_argument("--rtp-start", type=int, help="the first RTP timestamp of all tracks")
    clock.add_argument(
        "--rtptime-ahead", type=int, metavar="N", help="rtptime in RTP-Info is N ticks ahead"
    )
    return parser


def parse(argv=None):
    """Return the options, and the habits among them."""
    options = arguments().parse_args(argv)
    names = Habits.__dataclass_fields__
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return options, Habits(**given)
