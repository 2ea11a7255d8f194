"""The mounts of the camera, and the streams of each mount."""

from gst import GLib, Gst, GstRtsp, GstRtspServer
from picture import Picture
from quirks import (
    LateParameters,
    LostFrames,
    Quirk,
    ShrinkingPicture,
    SlowTimestamps,
    UnsteadyPicture,
)
from sources import AUDIO_CHUNK_MS, Beep, LiveSource, SharedEncoder, SharedSource

PRIVATE = "private"
UDP_ONLY = "h264-udp"
ANONYMOUS = "anonymous"
MEMBER = "member"

# One frame in this many frames is lost.
LOSS_PERIOD = 20
# Factors by which RTP timestamps advance too slowly. The first makes a camera count milliseconds
# instead of 1/90000 s. With the second, the timestamps practically do not advance.
MILLISECOND_CLOCK = 90
STUCK_CLOCK = 1e12


# Options of x264enc with which no frame waits for later frames.
LOW_LATENCY = "tune=zerolatency bframes=0"


class Stream:
    """One stream of a mount: its generator, its encoder and its payloader."""

    def __init__(self, caps, period, make_generator, encoder, payloader, quirk=Quirk()):
        self._caps = caps
        self._period = period
        self._make_generator = make_generator
        self._encoder = quirk.elements + encoder
        self._payloader = payloader
        self._quirk = quirk
        self._shared = None

    def share(self, mount):
        """Start an encoder that runs all the time and that all clients share."""
        launch = f"{self._appsrc('source', self._caps)} ! {self._encoder}"
        source = LiveSource(self._make_generator(mount), self._period)
        self._shared = SharedEncoder(launch, source, self._quirk)

    def make_keyframe(self):
        """Make a keyframe immediately if the encoder is shared, otherwise do nothing."""
        if self._shared:
            self._shared.make_keyframe()

    def launch(self, index):
        """Return the launch line of this stream. `index` is the stream's number in its mount.

        Without the tee, a stream that a client does not set up would fail with the
        error "not linked". That error sometimes stops the other stream as well.
        """
        tee = "tee allow-not-linked=true"
        if self._shared:
            parts = [self._appsrc(f"source{index}", self._shared.caps.to_string()), tee]
        else:
            parts = [self._appsrc(f"source{index}", self._caps), tee, self._encoder]
        return f"{' ! '.join(parts)} ! {self._payloader} name=pay{index}"

    def attach(self, media, index, mount):
        """Connect a source to a client's new pipeline."""
        pipeline = media.get_element()
        appsrc = pipeline.get_by_name(f"source{index}")
        if self._shared:
            source = SharedSource(self._shared)
        else:
            source = LiveSource(self._make_generator(mount), self._period)
            self._quirk.on_encoder(pipeline)
        self._quirk.on_payloader(media, pipeline.get_by_name(f"pay{index}"))
        appsrc.connect("need-data", source.feed)

    @staticmethod
    def _appsrc(name, caps):
        # Unescaped quotes in the caps would end the property's value.
        caps = caps.replace('"', '\\"')
        return f'appsrc name={name} is-live=true format=time caps="{caps}"'


def video_stream(options, encoder, payloader, quirk=Quirk()):
    """Return a stream of pictures."""
    caps = (
        f"video/x-raw,format=I420,width={options.width},height={options.height},"
        f"framerate={options.fps}/1,pixel-aspect-ratio=1/1,colorimetry=bt709"
    )

    def make_generator(mount):
        return Picture(mount.upper(), options.width, options.height)

    return Stream(caps, Gst.SECOND // options.fps, make_generator, encoder, payloader, quirk)


def audio_stream(rate, encoder, payloader):
    """Return a stream of beeps."""
    caps = f"audio/x-raw,format=S16LE,rate={rate},channels=1,layout=interleaved"
    period = AUDIO_CHUNK_MS * Gst.MSECOND
    return Stream(caps, period, lambda _mount: Beep(rate), encoder, payloader)


def gop_frames(options):
    """Return the number of frames from one keyframe to the next."""
    return max(1, round(options.gop_seconds * options.fps))


def h264_stream(options, profile, tuning, quirk=Quirk(), pixels="I420"):
    """Return a stream of H.264 with one slice per frame. The encoder gets pixels of this format."""
    return video_stream(
        options,
        f"videoconvert ! video/x-raw,format={pixels} "
        f"! x264enc {tuning} speed-preset=ultrafast threads=1 "
        f"sliced-threads=false aud=false key-int-max={gop_frames(options)} "
        f"bitrate={options.bitrate} option-string=scenecut=0 "
        f"! video/x-h264,profile={profile} "
        "! h264parse ! video/x-h264,stream-format=avc",
        "rtph264pay pt=96 config-interval=-1",
        quirk,
    )


def h264(options, quirk=Quirk()):
    """Return a stream of H.264 that all browsers can play."""
    return h264_stream(options, "constrained-baseline", LOW_LATENCY, quirk)


def h264_bframes(options):
    """Return a stream of H.264 with two B-frames in a row, and no lookahead."""
    return h264_stream(
        options,
        "main",
        "bframes=2 b-adapt=false b-pyramid=false rc-lookahead=0 sync-lookahead=0 mb-tree=false",
    )


def h264_10bit(options):
    """Return a stream of H.264 with 10 bits per sample."""
    return h264_stream(options, "high-10", LOW_LATENCY, pixels="I420_10LE")


def h264_422(options):
    """Return a stream of H.264 with 4:2:2 sampling."""
    return h264_stream(options, "high-4:2:2", LOW_LATENCY, pixels="Y42B")


def h264_resize(options):
    """Return a stream of H.264 whose picture size changes."""
    return h264(options, ShrinkingPicture(options.width, options.height))


def h264_unsteady(options):
    """Return a stream of H.264 whose picture size changes all the time."""
    return h264(options, UnsteadyPicture(options.width, options.height))


def h264_stuck_clock(options):
    """Return a stream of H.264 whose RTP timestamps hardly advance."""
    return h264(options, SlowTimestamps(STUCK_CLOCK))


def h264_slow_clock(options):
    """Return a stream of H.264 with RTP timestamps in milliseconds instead of 1/90000 s."""
    return h264(options, SlowTimestamps(MILLISECOND_CLOCK))


def h264_late_parameters(options):
    """Return a stream of H.264 without parameter sets in the SDP."""
    return h264(options, LateParameters())


def h264_lossy(options):
    """Return a stream of H.264 with lost packets."""
    return h264(options, LostFrames(LOSS_PERIOD))


def hevc(options):
    """Return a stream of H.265 with closed GOPs and one slice per frame."""
    return video_stream(
        options,
        "x265enc tune=zerolatency speed-preset=ultrafast "
        f"key-int-max={gop_frames(options)} bitrate={options.bitrate} "
        "option-string=scenecut=0:bframes=0:open-gop=0:pools=none:frame-threads=1 "
        "! h265parse ! video/x-h265,stream-format=hvc1",
        "rtph265pay pt=96 config-interval=-1",
    )


def mjpeg(options):
    """Return a stream of Motion JPEG."""
    return video_stream(options, "jpegenc", "rtpjpegpay pt=26")


def pcma(_options):
    """Return a stream of G.711 A-law."""
    return audio_stream(8000, "alawenc", "rtppcmapay pt=8")


def pcmu(_options, packet_ms=AUDIO_CHUNK_MS):
    """Return a stream of G.711 mu-law, with packets of this many milliseconds."""
    nanoseconds = packet_ms * Gst.MSECOND
    packets = f"min-ptime={nanoseconds} max-ptime={nanoseconds}"
    return audio_stream(8000, "mulawenc", f"rtppcmupay pt=0 {packets}")


def pcmu_bursts(options):
    """Return a stream of G.711 mu-law with a packet every 200 ms."""
    return pcmu(options, 200)


def opus(_options):
    """Return a stream of Opus."""
    return audio_stream(48000, "opusenc", "rtpopuspay pt=98")


def aac(_options, rate=48000):
    """Return a stream of AAC-LC with this sample rate."""
    encoder = f"voaacenc bitrate={min(64000, rate * 2)} ! aacparse"
    return audio_stream(rate, encoder, "rtpmp4gpay pt=97")


def aac_16k(options):
    """Return a stream of AAC-LC, whose frames last for 64 ms."""
    return aac(options, 16000)


def aac_8k(options):
    """Return a stream of AAC-LC, whose frames last for 128 ms."""
    return aac(options, 8000)


MOUNTS = {
    "h264": (h264,),
    "h264-pcma": (h264, pcma),
    "h264-pcmu": (h264, pcmu),
    "h264-pcmu-bursts": (h264, pcmu_bursts),
    "h264-opus": (h264, opus),
    "h264-aac": (h264, aac),
    "h264-aac-16k": (h264, aac_16k),
    "h264-aac-8k": (h264, aac_8k),
    "h264-bframes": (h264_bframes,),
    "h264-resize": (h264_resize,),
    "h264-unsteady": (h264_unsteady,),
    "h264-stuck-clock": (h264_stuck_clock,),
    "h264-slow-clock": (h264_slow_clock,),
    "h264-late-parameters": (h264_late_parameters,),
    "h264-lossy": (h264_lossy,),
    UDP_ONLY: (h264,),
    PRIVATE: (h264,),
    "audio-only": (pcma,),
    "h264-10bit": (h264_10bit,),
    "h264-422": (h264_422,),
    "hevc": (hevc,),
    "hevc-aac": (hevc, aac),
    "mjpeg": (mjpeg,),
}


class Mount:
    """One path of the server, which creates a pipeline for each client."""

    def __init__(self, name, streams):
        self._name = name
        self._streams = streams

    def share(self):
        """Encode all the time, once for all clients."""
        for stream in self._streams:
            stream.share(self._name)

    def make_keyframe(self):
        """Make a keyframe in all streams immediately."""
        for stream in self._streams:
            stream.make_keyframe()
        return GLib.SOURCE_CONTINUE

    def factory(self, roles):
        """Return the media factory of this mount, which these roles can use."""
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(self._launch())
        factory.set_shared(False)
        factory.set_protocols(self._protocols())
        factory.set_permissions(permissions(roles))
        factory.connect("media-configure", self._on_media)
        return factory

    def _protocols(self):
        if self._name == UDP_ONLY:
            return GstRtsp.RTSPLowerTrans.UDP
        return GstRtsp.RTSPLowerTrans.UDP | GstRtsp.RTSPLowerTrans.TCP

    def _launch(self):
        lines = (stream.launch(i) for i, stream in enumerate(self._streams))
        return f"( {' '.join(lines)} )"

    def _on_media(self, _factory, media):
        for index, stream in enumerate(self._streams):
            stream.attach(media, index, self._name)


def permissions(roles):
    """Return permissions with which only these roles can use a mount.

    All roles can see that the mount exists. Otherwise the server would respond with
    404 instead of 401, which makes the client send a password.
    """
    result = GstRtspServer.RTSPPermissions.new()
    for role in (ANONYMOUS, MEMBER):
        is_allowed = role in roles
        result.add_permission_for_role(role, "media.factory.access", True)
        result.add_permission_for_role(role, "media.factory.construct", is_allowed)
    return result
