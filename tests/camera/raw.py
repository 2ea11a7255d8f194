#!/usr/bin/python3
"""A raw RTSP camera: it sends recorded RTP packets over the RTSP connection.

camera.py is a good camera with real encoders. The raw camera has no encoder, so that a test can
change each response and packet; habits.py lists the possible changes. On stdout the raw camera
reports requests and connections as JSON.
"""

import base64
import hashlib
import itertools
import random
import re
import signal
import socketserver
import struct
import sys
import threading
import time
from dataclasses import replace

import habits as habits_module
import recording

from events import emit

NTP_OF_1970 = 2_208_988_800
REASONS = {
    200: "OK",
    302: "Found",
    401: "Unauthorized",
    404: "Not Found",
    453: "Not Enough Bandwidth",
}
METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"
REALM, NONCE = "camera", "9d5f2b7c"
HASHES = {"md5": ("MD5", hashlib.md5), "sha256": ("SHA-256", hashlib.sha256)}
# Types of a keyframe's NAL units: the picture and the parameter sets.
KEYFRAMES = (5, 7, 8)


class Track:
    """A track as the SDP describes it, with or without packets."""

    def __init__(self, name, media, attributes, source=None):
        self.name, self.media, self.attributes, self.source = name, media, attributes, source

    @classmethod
    def of(cls, name, source, attributes=None):
        """Return the track of a recording."""
        lines = source.attributes if attributes is None else attributes
        return cls(name, f"m={source.kind} 0 RTP/AVP {source.payload_type}", lines, source)

    def description(self):
        """Return the section of the SDP."""
        return "\r\n".join([self.media, *self.attributes, f"a=control:{self.name}", ""])


def tracks_of(options, habits):
    """Return the tracks that the camera announces, in their order."""
    tracks = []
    if options.video != "none":
        video = recording.video(options.video, options.size, options.fps)
        if habits.silent_video_first:
            tracks.append(
                Track("video0", f"m=video 0 RTP/AVP {video.payload_type}", video.attributes)
            )
        tracks.append(Track.of("video", video))
    if options.audio:
        audio = recording.audio(options.audio)
        lines = [
            it for it in audio.attributes if "fmtp" not in it or not habits.no_audio_parameters
        ]
        # Both recordings can have the same payload type.
        number = audio.payload_type if audio.payload_type < 96 else 97
        lines = [re.sub(r":(9[67])\b", f":{number}", it) for it in lines]
        lines = [wrong_parameters(it, habits.audio_parameters) for it in lines]
        track = Track.of("audio", replace(audio, payload_type=number), lines)
        tracks.insert(0 if habits.audio_first else len(tracks), track)
    if habits.backchannel:
        back = Track("backchannel", "m=audio 0 RTP/AVP 0", ["a=rtpmap:0 PCMU/8000", "a=sendonly"])
        tracks.insert(0 if habits.backchannel == "first" else len(tracks), back)
    if habits.metadata:
        lines = ["a=rtpmap:107 vnd.onvif.metadata/90000", "a=recvonly"]
        tracks.insert(0, Track("metadata", "m=application 0 RTP/AVP 107", lines))
    return tracks


def wrong_parameters(line, fault):
    """Return an attribute of the audio, with the fault if the fault is in this attribute."""
    if fault == "unknown-codec":
        return re.sub(r"(rtpmap:\d+) [^/]+", r"\1 X-UNKNOWN", line)
    if not fault or "fmtp" not in line:
        return line
    if fault == "other-type":
        return re.sub(r"fmtp:\d+", "fmtp:105", line)
    config = "" if fault == "no-config" else "config=0000"
    return re.sub(r"config=\w+", config, line)


class Camera(socketserver.ThreadingTCPServer):
    """The RTSP server, with the state that all connections share."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 64

    def __init__(self, address, tracks, habits):
        super().__init__(address, Connection)
        self.tracks, self.habits = tracks, habits
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()
        self.session_of, self.free_at = None, 0.0

    def refusal(self, method, track):
        """Return the status with which --answer overrides the response, or None."""
        with self.lock:
            for rule in self.habits.answer:
                if rule[0] in (method, f"{method}/{track}") and rule[2] != 0:
                    rule[2] = rule[2] and rule[2] - 1
                    return rule[1]
        return None

    def take_session(self, connection):
        """Give this connection the session if possible. Return whether the connection has it."""
        if self.habits.one_session is None and self.habits.dead_session is None:
            return True
        with self.lock:
            if self.session_of not in (None, connection) or time.monotonic() < self.free_at:
                return False
            self.session_of = connection
            return True

    def end_session(self, connection, *, is_dead):
        """End a connection's session. `is_dead` means that the client has sent no TEARDOWN."""
        hold = self.habits.dead_session if is_dead else None
        with self.lock:
            if self.session_of == connection:
                self.session_of = None
                self.free_at = time.monotonic() + (hold or self.habits.one_session or 0)


class Connection(socketserver.StreamRequestHandler):
    """One RTSP connection."""

    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.number = next(self.server.numbers)
        self.habits = self.server.habits
        self.channels, self.sending = {}, threading.Lock()
        self.ended, self.is_torn_down = threading.Event(), False
        self.request.settimeout(self.habits.session_timeout + 10)
        emit("connected", connection=self.number)

    def handle(self):
        try:
            while (request := self.read()) is not None and self.answer(*request):
                pass
        except (OSError, ValueError):
            pass

    def finish(self):
        self.ended.set()
        self.server.end_session(self.number, is_dead=not self.is_torn_down)
        emit("closed", connection=self.number)

    def read(self):
        """Return the next request: method, URL and headers. Skip packets from the client."""
        while (first := self.rfile.read(1)) == b"$":
            self.rfile.read(int.from_bytes(self.rfile.read(3)[1:], "big"))
        line = (first + self.rfile.readline()).decode().strip()
        if not line:
            return None
        headers = {}
        while header := self.rfile.readline().decode().strip():
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        self.rfile.read(int(headers.get("content-length", 0)))
        method, url, _ = line.split()
        return method, url, headers

    def answer(self, method, url, headers):
        """Respond to a request. Return whether the connection stays open."""
        status, lines, body = self.respond(method, url, headers)
        fields = {"method": method, "url": url, "status": status, "connection": self.number}
        emit(
            "request",
            **fields,
            **({"agent": headers["user-agent"]} if "user-agent" in headers else {}),
        )
        lines = [
            f"RTSP/1.0 {status} {REASONS.get(status, 'Refused')}",
            f"CSeq: {headers.get('cseq', 0)}",
            *lines,
            *([f"Content-Length: {len(body)}"] if body else []),
            "",
            body,
        ]
        with self.sending:
            self.wfile.write("\r\n".join(lines).encode())
        if method == "PLAY" and status == 200:
            for track in self.server.tracks:
                if track.source and track.name in self.channels:
                    threading.Thread(target=self.play, args=(track,), daemon=True).start()
        return method != "TEARDOWN"

    def respond(self, method, url, headers):
        """Return the status, the headers and the body of the response."""
        track = url.rstrip("/").rsplit("/", 1)[-1]
        if (refusal := self.server.refusal(method, track)) is not None:
            return refusal, [], ""
        if method == "OPTIONS":
            return 200, [f"Public: {METHODS}"], ""
        if self.habits.auth and not self.is_authorized(method, headers.get("authorization", "")):
            return (
                401,
                [f"WWW-Authenticate: {offer}" for offer in map(self.offer, self.habits.auth)],
                "",
            )
        session = [f"Session: {self.number};timeout={self.habits.session_timeout}"]
        if method == "DESCRIBE":
            return self.describe(url)
        if method == "SETUP":
            return self.set_up(track, headers, session)
        if method == "PLAY":
            return 200, [*session, "Range: npt=0.000-", f"RTP-Info: {self.rtp_info(url)}"], ""
        if method in ("GET_PARAMETER", "TEARDOWN"):
            self.is_torn_down = method == "TEARDOWN"
            return 200, session, ""
        return 405, [], ""

    def describe(self, url):
        if self.habits.redirect:
            port = self.server.server_address[1]
            return 302, [f"Location: {self.habits.redirect.format(port=port)}"], ""
        media = "".join(track.description() for track in self.server.tracks)
        head = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
        body = self.habits.sdp.replace("{media}", media) if self.habits.sdp else head + media
        return 200, [f"Content-Base: {url.rstrip('/')}/", "Content-Type: application/sdp"], body

    def set_up(self, track, headers, session):
        if not self.server.take_session(self.number):
            return self.habits.busy_code, [], ""
        channels = re.search(r"interleaved=(\d+)", headers.get("transport", ""))
        if not channels:
            return 461, [], ""
        first = self.channels[track] = int(channels[1])
        return (
            200,
            [*session, f"Transport: RTP/AVP/TCP;unicast;interleaved={first}-{first + 1}"],
            "",
        )

    def rtp_info(self, url):
        time = (self.habits.rtp_start + self.habits.rtptime_ahead) & 0xFFFFFFFF
        return ",".join(f"url={url.rstrip('/')}/{it};seq=0;rtptime={time}" for it in self.channels)

    @staticmethod
    def offer(scheme):
        """Return the challenge of an authentication scheme."""
        if scheme == "basic":
            return f'Basic realm="{REALM}"'
        return f'Digest realm="{REALM}", nonce="{NONCE}", algorithm={HASHES[scheme][0]}'

    def is_authorized(self, method, header):
        """Return whether the credentials are right and use a scheme that the camera offers."""
        user, password = self.habits.user, self.habits.password
        if header.startswith("Basic "):
            right = base64.b64encode(f"{user}:{password}".encode()).decode()
            return "basic" in self.habits.auth and header[6:] == right
        values = dict(re.findall(r'(\w+)="?([^",]*)"?', header))
        for scheme in self.habits.auth:
            name, algorithm = HASHES.get(scheme, (None, None))
            if not name or values.get("algorithm", "MD5") != name:
                continue

            def digest(*parts, algorithm=algorithm):
                return algorithm(":".join(parts).encode()).hexdigest()

            first, second = digest(user, REALM, password), digest(method, values.get("uri", ""))
            if values.get("response") == digest(first, NONCE, second):
                return True
        return False

    def play(self, track):
        """Send the packets of a track, again and again, until the connection ends."""
        start, source = time.monotonic(), track.source
        sender = Sender(self, track)
        seconds = recording.schedule(source)
        try:
            for lap in itertools.count():
                for packet, second in zip(source.packets, seconds, strict=True):
                    at = lap * source.duration / source.clock + second
                    due = self.due(track, at)
                    if self.ended.wait(max(0.0, start + due - time.monotonic())):
                        return
                    sender.send(packet, lap * source.duration + packet.time, at)
        except OSError:
            self.ended.set()

    def due(self, track, at):
        """Return the time at which to send a packet that is due at `at`, in seconds after PLAY.

        With --audio-every, audio waits for the end of its interval.
        """
        every = self.habits.audio_every
        is_together = track.source.kind == "audio" and every
        return (at // every + 1) * every if is_together else at


def unit_type(packet):
    """Return the type of the NAL unit in a packet of H.264, or 24 for a packet of several units."""
    kind = packet.payload[0] & 0x1F
    return packet.payload[1] & 0x1F if kind == 28 else kind


class Sender:
    """Sends the packets of one track, except packets that a habit leaves out."""

    def __init__(self, connection, track):
        self.connection, self.habits = connection, connection.habits
        self.source, self.channel = track.source, connection.channels[track.name]
        self.identity, self.number = random.getrandbits(32), 0
        self.sent = self.sent_bytes = 0
        self.reported_at, self.frame_at, self.frame = -1.0, None, None

    def send(self, packet, ticks, at):
        """Send a packet `at` seconds after PLAY, unless a habit leaves it out."""
        if self.source.kind == "audio":
            if self.is_silent(at):
                return
        elif self.is_left_out(packet, ticks, at):
            return
        jumps = sum(by for by, since in self.habits.jump if at >= since)
        stamp = round(ticks * self.habits.speed + jumps * self.source.clock) + self.habits.rtp_start
        if (self.habits.reports or self.habits.report_jump) and at - self.reported_at >= 1:
            self.reported_at = at
            self.report(stamp, at)
        marker = {"all": True, "none": False}.get(self.habits.marker, packet.marker)
        if self.habits.marker == "key":
            marker = marker and unit_type(packet) == 5
        head = struct.pack(
            ">BBHII",
            0x80,
            marker << 7 | self.source.payload_type,
            self.number & 0xFFFF,
            stamp & 0xFFFFFFFF,
            self.identity,
        )
        self.number += 1
        self.sent, self.sent_bytes = self.sent + 1, self.sent_bytes + len(packet.payload)
        self.write(self.channel, head + packet.payload)

    def is_silent(self, at):
        habits = self.habits
        is_over = habits.audio_until is not None and at >= habits.audio_until
        length, since = habits.audio_gap or (0, 0)
        return at < habits.audio_from or is_over or since <= at < since + length

    def is_left_out(self, packet, ticks, at):
        if at < self.habits.keyframe_after and unit_type(packet) in (*KEYFRAMES, 24):
            return True
        if self.habits.frame_interval is None:
            return False
        if ticks != self.frame:
            is_due = (
                self.frame_at is None or at - self.frame_at >= self.habits.frame_interval - 0.001
            )
            if not is_due:
                return True
            self.frame, self.frame_at = ticks, at
        return False

    def report(self, stamp, at):
        """Send an RTCP sender report."""
        by, since = self.habits.report_jump or (0, 0)
        now = time.time() + NTP_OF_1970 + self.habits.report_from
        now += by if at >= since else 0
        seconds, fraction = int(now) & 0xFFFFFFFF, int(now % 1 * 2**32)
        counts = (stamp & 0xFFFFFFFF, self.sent, self.sent_bytes & 0xFFFFFFFF)
        report = struct.pack(">BBHIIIIII", 0x80, 200, 6, self.identity, seconds, fraction, *counts)
        self.write(self.channel + 1, report)

    def write(self, channel, data):
        with self.connection.sending:
            self.connection.wfile.write(struct.pack(">BBH", 0x24, channel, len(data)) + data)


def main():
    """Run the camera until it is terminated."""
    options, habits = habits_module.parse()
    with Camera((options.address, options.port), tracks_of(options, habits), habits) as camera:
        emit("ready", port=camera.server_address[1])
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        camera.serve_forever()


if __name__ == "__main__":
    main()
