#!/usr/bin/python3
"""A real RTSP camera for the tests, the demo and the benchmarks.

It serves the mounts of MOUNTS, each to any number of clients, every client from
a pipeline of its own, and reports on stdout, one JSON object a line, when it is
ready and which clients play what. README.md tells how to use it.

Only what a camera does belongs in here. The only faults built in are habits of
real cameras that a test cannot bring about from outside: a test that wants a
dead, frozen or restarted camera signals the process or cuts the connection. No
knowledge of the project's own interfaces belongs in here either.
"""

import argparse
import array
import collections
import json
import math
import os
import queue
import signal
import socket
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")

from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

from picture import Picture, check_size  # noqa: E402

PRIVATE = "private"
UDP_ONLY = "h264-udp"
ANONYMOUS = "anonymous"
MEMBER = "member"
REALM = "camera"

# Clients that share a thread would have to wait for each other's pipelines.
UNLIMITED = -1

SESSION_SWEEP_SECONDS = 2
# Of a running encoder, for clients that are held up for a moment.
UNITS_KEPT = 25
SHRINK_SECONDS = 6
# A frame of this many is lost.
LOSS_PERIOD = 20
# How much faster than its RTP timestamps a camera's time goes by.
MILLISECOND_STAMPS = 90
STANDSTILL = 1e12
SOUND_CHUNK_MS = 20
BEEP_MS = 100
BEEP_HERTZ = 1000


class Beep:
    """Sound to see the time in: a short tone at every full second."""

    def __init__(self, rate):
        count = rate * SOUND_CHUNK_MS // 1000
        step = 2 * math.pi * BEEP_HERTZ / rate
        tone = array.array("h", (int(8000 * math.sin(step * i)) for i in range(count)))
        self._tone = tone.tobytes()
        self._silence = bytes(len(self._tone))

    def paint(self, now_ms):
        """The chunk of samples that starts at this Unix time in milliseconds."""
        return self._tone if now_ms % 1000 < BEEP_MS else self._silence


class LiveSource:
    """Feeds one appsrc in real time, the way a camera's sensor would.

    Timestamps lie on an exact grid of periods. Whatever could not be taken in
    time (a slow client, a stopped process) is left out and never made up for.
    """

    def __init__(self, maker, period):
        self._maker = maker
        self._period = period
        self._next_tick = 0

    def feed(self, appsrc, _wanted_bytes):
        """Wait for the next tick and push what there is to see or hear then."""
        now = appsrc.get_current_running_time()
        tick = max(self._next_tick, now // self._period)
        time.sleep(max(0, tick * self._period - now) / Gst.SECOND)
        appsrc.emit("push-buffer", self._buffer(tick))
        self._next_tick = tick + 1

    def _buffer(self, tick):
        """The data of this moment, stamped for this tick."""
        data = self._maker.paint(time.time_ns() // 1_000_000)
        buffer = Gst.Buffer.new_wrapped(data)
        buffer.pts = tick * self._period
        buffer.duration = self._period
        if tick != self._next_tick:
            buffer.set_flags(Gst.BufferFlags.DISCONT)
        return buffer


class RunningEncoder:
    """An encoder that runs all the time, as a real camera's does.

    It keeps its newest units for whoever sends them on, and waits for nobody.
    """

    def __init__(self, launch, source, habit):
        self._pipeline = Gst.parse_launch(f"{launch} ! appsink name=units sync=false")
        habit.encodes(self._pipeline)
        self._pipeline.get_by_name("source").connect("need-data", source.feed)
        self._units = collections.deque(maxlen=UNITS_KEPT)
        self._made = 0
        self._news = threading.Condition()
        self._sink = self._pipeline.get_by_name("units")
        self._pipeline.set_state(Gst.State.PLAYING)
        self._keep_next()
        threading.Thread(target=self._keep_all, daemon=True).start()

    @property
    def caps(self):
        """What the newest unit is, with all that a decoder has to know in advance."""
        return self._units[-1].get_caps()

    @property
    def made(self):
        """The number of units made so far."""
        return self._made

    def after(self, number):
        """Wait for the first unit behind this one; its number and its sample.

        The sample's time stamps are times of the system clock.
        """
        with self._news:
            self._news.wait_for(lambda: self._made > number)
            oldest = self._made - len(self._units) + 1
            # Who is too late for that one has lost its place, and begins anew.
            number = number + 1 if number + 1 >= oldest else self._made
            return number, self._units[number - oldest]

    def make_keyframe(self):
        """Have the next picture be one that needs no other."""
        wanted = Gst.Structure.new_from_string("GstForceKeyUnit, all-headers=(boolean)true")
        self._sink.send_event(Gst.Event.new_custom(Gst.EventType.CUSTOM_UPSTREAM, wanted))

    def _keep_all(self):
        while True:
            self._keep_next()

    def _keep_next(self):
        sample = self._sink.emit("pull-sample")
        # copy() of a buffer is the same buffer once more.
        unit = sample.get_buffer().copy_deep()
        segment, base = sample.get_segment(), self._pipeline.get_base_time()
        unit.pts = base + segment.to_running_time(Gst.Format.TIME, unit.pts)
        unit.dts = Gst.CLOCK_TIME_NONE
        with self._news:
            self._units.append(Gst.Sample.new(unit, sample.get_caps(), None, None))
            self._made += 1
            self._news.notify_all()


class JoinedSource:
    """Feeds one appsrc from a running encoder, from wherever that is just now."""

    def __init__(self, encoder):
        self._encoder = encoder
        self._last = None

    def feed(self, appsrc, _wanted_bytes):
        """Push the next unit."""
        before = self._encoder.made if self._last is None else self._last
        self._last, unit = self._encoder.after(before)
        while unit.get_buffer().pts < appsrc.get_base_time():
            # Of a time before there was this client.
            self._last, unit = self._encoder.after(self._last)
        buffer = unit.get_buffer().copy_deep()
        buffer.pts -= appsrc.get_base_time()
        if self._last != before + 1:
            buffer.set_flags(Gst.BufferFlags.DISCONT)
        appsrc.emit("push-sample", Gst.Sample.new(buffer, unit.get_caps(), None, None))


class Habit:
    """What a stream does unlike others; this one does nothing."""

    # Elements it needs in front of the encoder.
    elements = ""

    def encodes(self, pipeline):
        """A new pipeline has the stream's encoder in it."""

    def sends(self, media, payloader):
        """A new pipeline of a client has the stream's payloader in it."""


class Shrinking(Habit):
    """Halves the picture's size while the camera runs: once, for all and for good.

    It does so a while after the first client started to play, like somebody who
    changes the settings of a camera that does not drop its clients for that.
    """

    elements = "videoscale ! capsfilter name=size caps-change-mode=delayed ! "

    def __init__(self, width, height):
        size = f"width={width // 2},height={height // 4 * 2}"
        self._small = Gst.Caps.from_string(f"video/x-raw,{size}")
        self._caps = Gst.Caps.from_string("video/x-raw")
        self._filters = []
        self._begun = False

    def encodes(self, pipeline):
        """Have it encode the size of now, and of later."""
        size = pipeline.get_by_name("size")
        self._filters.append(size.weak_ref())
        size.set_property("caps", self._caps)

    def sends(self, media, _payloader):
        """Watch out for the first one that plays."""
        media.connect("new-state", self._on_state)

    def _on_state(self, _media, state):
        if state == Gst.State.PLAYING and not self._begun:
            self._begun = True
            GLib.timeout_add_seconds(SHRINK_SECONDS, self._shrink)

    def _shrink(self):
        self._caps = self._small
        for size in filter(None, (reference() for reference in self._filters)):
            size.set_property("caps", self._small)
        return GLib.SOURCE_REMOVE


class SlowStamps(Habit):
    """RTP timestamps that run so many times slower than they should.

    The payloader is made to believe that the pictures are played this fast. The
    elements behind it go on with the right time.
    """

    def __init__(self, factor):
        self._factor = factor

    def sends(self, _media, payloader):
        """Change what the payloader takes the time stamps for."""
        amend(payloader.get_static_pad("sink"), self._with_rate(self._factor))
        amend(payloader.get_static_pad("src"), self._with_rate(1))

    @staticmethod
    def _with_rate(rate):
        def change(event):
            if event.type != Gst.EventType.SEGMENT or event.parse_segment().rate == rate:
                return None
            segment = event.parse_segment().copy()
            segment.rate = rate
            return Gst.Event.new_segment(segment)

        return change


class LateParameters(Habit):
    """No parameter sets in the SDP, only among the pictures."""

    FIELD = "sprop-parameter-sets"

    def sends(self, _media, payloader):
        """Change what the payloader says about its packets."""
        amend(payloader.get_static_pad("src"), self._without_parameters)

    def _without_parameters(self, event):
        if event.type != Gst.EventType.CAPS:
            return None
        # A structure that is part of caps cannot be changed from Python.
        structure = event.parse_caps().get_structure(0).copy()
        if not structure.has_field(self.FIELD):
            return None
        structure.remove_field(self.FIELD)
        caps = Gst.Caps.new_empty()
        caps.append_structure(structure)
        return Gst.Event.new_caps(caps)


class Lossy(Habit):
    """Loses what the payloader makes of every so many frames."""

    def __init__(self, period):
        self._period = period
        self._count = 0

    def sends(self, _media, payloader):
        """Drop packets behind the payloader: what comes in one go is one frame's."""
        kinds = Gst.PadProbeType.BUFFER | Gst.PadProbeType.BUFFER_LIST
        payloader.get_static_pad("src").add_probe(kinds, self._on_packets)

    def _on_packets(self, _pad, _info):
        self._count += 1
        lost = self._count % self._period == 0
        return Gst.PadProbeReturn.DROP if lost else Gst.PadProbeReturn.OK


def amend(pad, change):
    """Replace events on their way through a pad.

    `change` gets every event and returns the one to have instead, or None if the
    event is all right. It gets to see the new one, too.
    """
    give = pad.send_event if pad.get_direction() == Gst.PadDirection.SINK else pad.push_event

    def on_event(_pad, info):
        event = change(info.get_event())
        if not event:
            return Gst.PadProbeReturn.OK
        give(event)
        return Gst.PadProbeReturn.DROP

    pad.add_probe(Gst.PadProbeType.EVENT_DOWNSTREAM, on_event)


class Stream:
    """One stream of a mount: what makes it, what encodes it and what sends it."""

    def __init__(self, caps, period, maker, encoder, sender, habit=Habit()):
        self._caps = caps
        self._period = period
        self._maker = maker
        self._encoder = habit.elements + encoder
        self._sender = sender
        self._habit = habit
        self._running = None

    def run(self, mount):
        """Encode all the time from now on, once for all clients."""
        launch = f"{self._source('source', self._caps)} ! {self._encoder}"
        source = LiveSource(self._maker(mount), self._period)
        self._running = RunningEncoder(launch, source, self._habit)

    def make_keyframe(self):
        """Make one now, if it is encoded all the time."""
        if self._running:
            self._running.make_keyframe()

    def launch(self, index):
        """The launch line of this stream as number `index` of its mount.

        The tee keeps a stream that a client does not set up from failing as
        "not linked", which would now and then stop its neighbour as well.
        """
        tee = "tee allow-not-linked=true"
        if self._running:
            parts = [self._source(f"source{index}", self._running.caps.to_string()), tee]
        else:
            parts = [self._source(f"source{index}", self._caps), tee, self._encoder]
        return f"{' ! '.join(parts)} ! {self._sender} name=pay{index}"

    def attach(self, media, index, mount):
        """Bring the stream to life in a newly built pipeline."""
        pipeline = media.get_element()
        appsrc = pipeline.get_by_name(f"source{index}")
        if self._running:
            source = JoinedSource(self._running)
        else:
            source = LiveSource(self._maker(mount), self._period)
            self._habit.encodes(pipeline)
        self._habit.sends(media, pipeline.get_by_name(f"pay{index}"))
        appsrc.connect("need-data", source.feed)

    @staticmethod
    def _source(name, caps):
        # Quotes inside of the caps would end the value.
        caps = caps.replace('"', '\\"')
        return f'appsrc name={name} is-live=true format=time caps="{caps}"'


def picture_stream(options, encoder, sender, habit=Habit()):
    """A stream of pictures."""
    caps = (
        f"video/x-raw,format=I420,width={options.width},height={options.height},"
        f"framerate={options.fps}/1,pixel-aspect-ratio=1/1,colorimetry=bt709"
    )
    maker = lambda mount: Picture(mount.upper(), options.width, options.height)
    return Stream(caps, Gst.SECOND // options.fps, maker, encoder, sender, habit)


def sound_stream(rate, encoder, sender):
    """A stream of beeps."""
    caps = f"audio/x-raw,format=S16LE,rate={rate},channels=1,layout=interleaved"
    return Stream(caps, SOUND_CHUNK_MS * Gst.MSECOND, lambda _mount: Beep(rate), encoder, sender)


def gop_frames(options):
    """The distance between two key frames."""
    return max(1, round(options.gop_seconds * options.fps))


def h264_stream(options, profile, tuning, habit=Habit()):
    """H.264, one slice a frame."""
    return picture_stream(
        options,
        f"x264enc {tuning} speed-preset=ultrafast threads=1 "
        f"sliced-threads=false aud=false key-int-max={gop_frames(options)} "
        f"bitrate={options.bitrate} option-string=scenecut=0 "
        f"! video/x-h264,profile={profile} "
        "! h264parse ! video/x-h264,stream-format=avc",
        "rtph264pay pt=96 config-interval=-1",
        habit,
    )


def h264(options, habit=Habit()):
    """H.264 as browsers take it everywhere."""
    return h264_stream(options, "constrained-baseline", "tune=zerolatency bframes=0", habit)


def h264_bframes(options):
    """H.264 with two B-frames between any two others, and no delay but theirs."""
    return h264_stream(
        options,
        "main",
        "bframes=2 b-adapt=false b-pyramid=false rc-lookahead=0 sync-lookahead=0 mb-tree=false",
    )


def h264_resize(options):
    """H.264 whose pictures become smaller on the way."""
    return h264(options, Shrinking(options.width, options.height))


def h264_stuck_clock(options):
    """H.264 whose RTP timestamps stand still."""
    return h264(options, SlowStamps(STANDSTILL))


def h264_slow_clock(options):
    """H.264 with RTP timestamps in milliseconds, which ought to be 1/90000 s."""
    return h264(options, SlowStamps(MILLISECOND_STAMPS))


def h264_late_parameters(options):
    """H.264 that tells its size only in band."""
    return h264(options, LateParameters())


def h264_lossy(options):
    """H.264 of which packets get lost all the time."""
    return h264(options, Lossy(LOSS_PERIOD))


def hevc(options):
    """H.265, with closed GOPs and one slice a frame."""
    return picture_stream(
        options,
        "x265enc tune=zerolatency speed-preset=ultrafast "
        f"key-int-max={gop_frames(options)} bitrate={options.bitrate} "
        "option-string=scenecut=0:bframes=0:open-gop=0:pools=none:frame-threads=1 "
        "! h265parse ! video/x-h265,stream-format=hvc1",
        "rtph265pay pt=96 config-interval=-1",
    )


def mjpeg(options):
    """Motion JPEG."""
    return picture_stream(options, "jpegenc", "rtpjpegpay pt=26")


def pcma(_options):
    """G.711 A-law."""
    return sound_stream(8000, "alawenc", "rtppcmapay pt=8")


def pcmu(_options):
    """G.711 mu-law."""
    return sound_stream(8000, "mulawenc", "rtppcmupay pt=0")


def aac(_options):
    """AAC-LC."""
    return sound_stream(48000, "voaacenc bitrate=64000 ! aacparse", "rtpmp4gpay pt=97")


MOUNTS = {
    "h264": (h264,),
    "h264-pcma": (h264, pcma),
    "h264-pcmu": (h264, pcmu),
    "h264-aac": (h264, aac),
    "h264-bframes": (h264_bframes,),
    "h264-resize": (h264_resize,),
    "h264-stuck-clock": (h264_stuck_clock,),
    "h264-slow-clock": (h264_slow_clock,),
    "h264-late-parameters": (h264_late_parameters,),
    "h264-lossy": (h264_lossy,),
    UDP_ONLY: (h264,),
    PRIVATE: (h264,),
    "audio-only": (pcma,),
    "hevc": (hevc,),
    "mjpeg": (mjpeg,),
}


class Mount:
    """One path of the server: a factory of pipelines, one for each client."""

    def __init__(self, name, streams):
        self._name = name
        self._streams = streams

    def run(self):
        """Encode all the time from now on; clients join wherever that is."""
        for stream in self._streams:
            stream.run(self._name)

    def make_keyframe(self):
        """Have all its streams make a key frame at once."""
        for stream in self._streams:
            stream.make_keyframe()
        return GLib.SOURCE_CONTINUE

    def factory(self, roles):
        """The media factory of this mount, open to these roles."""
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
    """The right to use a mount, for these roles.

    The others may know that it is there. Without that right they would be told
    404 instead of being asked for a password.
    """
    granted = GstRtspServer.RTSPPermissions.new()
    for role in (ANONYMOUS, MEMBER):
        allowed = role in roles
        granted.add_permission_for_role(role, "media.factory.access", True)
        granted.add_permission_for_role(role, "media.factory.construct", allowed)
    return granted


def role_token(role):
    """What a client of this role carries."""
    token = GstRtspServer.RTSPToken.new()
    token.set_string("media.factory.role", role)
    return token


def authentication(options):
    """Everybody may in, the member with the password may into more."""
    auth = GstRtspServer.RTSPAuth.new()
    auth.set_realm(REALM)
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    auth.set_default_token(role_token(ANONYMOUS))
    auth.add_digest(options.user, options.password, role_token(MEMBER))
    return auth


class Events:
    """JSON lines on stdout, written by a thread of their own.

    A reader that is slow or gone must not hold up the camera.
    """

    def __init__(self, stream):
        self._stream = stream
        self._lines = queue.SimpleQueue()
        threading.Thread(target=self._write, daemon=True).start()

    def emit(self, event, **facts):
        """Report one event."""
        self._lines.put(json.dumps({"event": event, **facts}, separators=(",", ":")))

    def _write(self):
        while self._stream:
            try:
                print(self._lines.get(), file=self._stream, flush=True)
            except OSError:
                self._stream = None


def send_at_once(_server, client):
    """Let no packet of this client wait in the kernel for the next one."""
    connection = client.get_connection()
    connection.get_write_socket().set_option(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Players:
    """Reports who starts and who stops playing."""

    def __init__(self, events):
        self._events = events
        self._playing = {}

    def watch(self, server):
        """Report the clients of this server from now on."""
        pool = server.get_session_pool()
        pool.connect("session-removed", self._on_session_removed)
        server.connect("client-connected", self._on_client, pool)

    def _on_client(self, _server, client, pool):
        sessions = []
        client.connect("new-session", self._on_session, sessions)
        client.connect("play-request", self._on_play)
        client.connect("closed", self._on_closed, pool, sessions)

    def _on_session(self, _client, session, sessions):
        sessions.append(session)

    def _on_play(self, client, context):
        session = context.session.get_sessionid()
        if session in self._playing:
            return
        path = context.uri.abspath.rstrip("/")
        player = {"path": path, "client": client.get_connection().get_ip()}
        self._playing[session] = player
        self._events.emit("play", **player)

    def _on_closed(self, _client, pool, sessions):
        """End what the client left behind, instead of letting it time out."""
        for session in sessions:
            pool.remove(session)

    def _on_session_removed(self, _pool, session):
        player = self._playing.pop(session.get_sessionid(), None)
        if player:
            self._events.emit("teardown", **player)


def build_server(options):
    """The server with all its mounts."""
    server = GstRtspServer.RTSPServer()
    server.set_address(options.address)
    server.set_service(str(options.port))
    server.set_auth(authentication(options))
    server.get_thread_pool().set_max_threads(UNLIMITED)
    aliases = {name: MOUNTS[mount] for name, mount in options.alias}
    private = [PRIVATE, *(name for name, mount in options.alias if mount == PRIVATE)]
    for name, streams in {**MOUNTS, **aliases}.items():
        roles = [MEMBER] if name in private else [MEMBER, ANONYMOUS]
        mount = Mount(name, [stream(options) for stream in streams])
        if name in options.running:
            mount.run()
            GLib.unix_signal_add(GLib.PRIORITY_HIGH, signal.SIGUSR1, mount.make_keyframe)
        server.get_mount_points().add_factory(f"/{name}", mount.factory(roles))
    return server


def serve(options, events):
    """Run the camera until it is told to stop."""
    loop = GLib.MainLoop()
    server = build_server(options)
    server.connect("client-connected", send_at_once)
    Players(events).watch(server)
    if not server.attach(None):
        sys.exit(f"camera: cannot listen on {options.address}:{options.port}")
    GLib.timeout_add_seconds(SESSION_SWEEP_SECONDS, sweep, server.get_session_pool())
    for number in (signal.SIGINT, signal.SIGTERM):
        GLib.unix_signal_add(GLib.PRIORITY_HIGH, number, loop.quit)
    events.emit("ready", port=server.get_bound_port())
    loop.run()


def sweep(pool):
    """Drop the sessions of clients that went away without a word."""
    pool.cleanup()
    return GLib.SOURCE_CONTINUE


def port_number(text):
    """A port of the command line; the server takes a wrong one for any port."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError
    return number


def positive(text):
    """A whole number of the command line that must not be zero."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def alias(text):
    """A second name for a mount."""
    name, _, mount = text.partition("=")
    if not name or mount not in MOUNTS:
        raise ValueError
    return name, mount


def parse_options():
    """The command line."""
    parser = argparse.ArgumentParser(description="RTSP test camera")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=port_number, default=0, help="0: a free one")
    parser.add_argument("--user", default="viewer")
    parser.add_argument("--password", default="secret")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--fps", type=positive, default=25)
    parser.add_argument("--gop-seconds", type=float, default=2)
    parser.add_argument("--bitrate", type=positive, help="kbit/s, default by picture size")
    parser.add_argument(
        "--alias",
        action="append",
        type=alias,
        default=[],
        metavar="NAME=MOUNT",
        help="serve this mount under another name as well; may be repeated",
    )
    parser.add_argument(
        "--running",
        action="append",
        choices=MOUNTS,
        default=[],
        help="encode this mount all the time, once for all clients; may be repeated",
    )
    options = parser.parse_args()
    try:
        check_size(options.width, options.height)
    except ValueError as error:
        parser.error(str(error))
    if options.bitrate is None:
        options.bitrate = options.width * options.height * options.fps // 8000
    return options


def main():
    """Serve, then leave at once, whatever the pipelines are busy with."""
    options = parse_options()
    Gst.init(None)
    serve(options, Events(sys.stdout))
    os._exit(0)


if __name__ == "__main__":
    main()
