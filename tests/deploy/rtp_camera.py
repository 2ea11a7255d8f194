"""An RTSP camera for tests of FFmpeg.

A test chooses which RTP packets have the marker, and can make the camera wait before a frame or
leave out packets.
"""

import base64
import re
import socket
import socketserver
import struct
import subprocess
import threading
from dataclasses import dataclass

# Largest size of an RTP payload in bytes, without headers. It is small, so that most frames need
# several packets.
MAX_PAYLOAD = 300
CLOCK = 90_000
PAYLOAD_TYPE = 96


class H264:
    """The NAL units of H.264 and their RTP payloads (RFC 6184)."""

    name = "H264"
    parameter_types = (7, 8)
    header_bytes = 1

    @staticmethod
    def type(nal):
        """Return the type of a NAL unit."""
        return nal[0] & 0x1F

    @classmethod
    def is_slice(cls, nal):
        """Return whether a NAL unit is a slice."""
        return cls.type(nal) in (1, 5)

    @classmethod
    def is_key(cls, nal):
        """Return whether a NAL unit is a slice of a keyframe."""
        return cls.type(nal) == 5

    @staticmethod
    def is_first(nal):
        """Return whether a slice is the first one of its frame."""
        return bool(nal[1] & 0x80)

    @classmethod
    def fragment_header(cls, nal, flags):
        """Return the header of a payload that contains one piece of a NAL unit."""
        return bytes([nal[0] & 0xE0 | 28, flags | cls.type(nal)])

    @staticmethod
    def aggregate(nals):
        """Return a payload with several NAL units."""
        return bytes([nals[0][0] & 0x60 | 24]) + sized(nals)

    @staticmethod
    def format(parameters):
        """Return the parameters of the format for the SDP."""
        sets = ",".join(base64.b64encode(nal).decode() for nal in parameters)
        return f"packetization-mode=1;sprop-parameter-sets={sets}"


class H265(H264):
    """The NAL units of H.265 and their RTP payloads (RFC 7798)."""

    name = "H265"
    parameter_types = (32, 33, 34)
    header_bytes = 2

    @staticmethod
    def type(nal):
        """Return the type of a NAL unit."""
        return nal[0] >> 1 & 0x3F

    @classmethod
    def is_slice(cls, nal):
        """Return whether a NAL unit is a slice segment."""
        return cls.type(nal) < 32

    @classmethod
    def is_key(cls, nal):
        """Return whether a NAL unit is a slice segment of a keyframe."""
        return 16 <= cls.type(nal) <= 21

    @staticmethod
    def is_first(nal):
        """Return whether a slice segment is the first one of its frame."""
        return bool(nal[2] & 0x80)

    @classmethod
    def fragment_header(cls, nal, flags):
        """Return the header of a payload that contains one piece of a NAL unit."""
        return bytes([nal[0] & 0x81 | 49 << 1, nal[1], flags | cls.type(nal)])

    @staticmethod
    def aggregate(nals):
        """Return a payload with several NAL units."""
        return bytes([48 << 1, nals[0][1]]) + sized(nals)

    @classmethod
    def format(cls, parameters):
        """Return the parameters of the format for the SDP."""
        names = ("sprop-vps", "sprop-sps", "sprop-pps")
        sets = (base64.b64encode(nal).decode() for nal in parameters)
        return ";".join(f"{name}={value}" for name, value in zip(names, sets, strict=True))


def sized(nals):
    """Return the bytes of NAL units, each after its size."""
    return b"".join(struct.pack(">H", len(nal)) + nal for nal in nals)


def tail(nals):
    """Return the last bytes of a frame in FFmpeg's output, by which a test recognizes the frame."""
    return b"\0\0\0\1".join(nals)[-64:]


@dataclass
class Packet:
    """An RTP payload, and the facts by which a test chooses whether its packet has the marker."""

    payload: bytes
    is_slice: bool
    is_last_of_nal: bool
    is_last_of_frame: bool
    is_key: bool
    time: int


def encode(codec, options, frames):
    """Encode a picture that changes, and return the stream's NAL units."""
    encoder = {"H264": "libx264", "H265": "libx265"}[codec.name]
    output = ["-f", {"H264": "h264", "H265": "hevc"}[codec.name], "pipe:1"]
    source = f"testsrc2=size=256x192:rate=25,noise=alls=9:allf=t,trim=end_frame={frames}"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p"]
    stream = subprocess.run(
        [*command, "-c:v", encoder, "-preset", "veryfast", "-threads", "1", *options, *output],
        check=True,
        capture_output=True,
    ).stdout
    # Zeros at the end of a NAL unit belong to the next start code.
    return [part.rstrip(b"\0") for part in stream.split(b"\0\0\1")[1:]]


class Clip:
    """Encoded video as frames, each of which is a list of RTP packets."""

    def __init__(self, codec, options, frames=30):
        nals = encode(codec, options, frames)
        self.codec = codec
        kinds = codec.parameter_types
        self.parameters = [next(nal for nal in nals if codec.type(nal) == kind) for kind in kinds]
        self.units = self._split(nals)
        self.tails = [tail(unit) for unit in self.units]
        self.frames = [self._packets(number, unit) for number, unit in enumerate(self.units)]

    def _split(self, nals):
        """Group NAL units by frame. Units that are not slices belong to the frame that follows."""
        units, leading = [], []
        for nal in nals:
            if not self.codec.is_slice(nal):
                leading.append(nal)
            elif self.codec.is_first(nal):
                units.append([*leading, nal])
                leading = []
            else:
                units[-1].append(nal)
        return units

    def _packets(self, number, unit):
        is_key = any(map(self.codec.is_key, unit))
        time = number * CLOCK // 25
        packets = []
        for index, nal in enumerate(unit):
            pieces = self._pieces(nal)
            for piece in pieces:
                is_last = piece is pieces[-1]
                is_end = is_last and index == len(unit) - 1
                is_slice = self.codec.is_slice(nal)
                packets.append(Packet(piece, is_slice, is_last, is_end, is_key, time))
        return packets

    def _pieces(self, nal):
        """Return the payloads of a NAL unit: one for the whole unit, or one for each piece."""
        if len(nal) <= MAX_PAYLOAD:
            return [nal]
        body = nal[self.codec.header_bytes :]
        starts = range(0, len(body), MAX_PAYLOAD)
        return [
            self.codec.fragment_header(nal, 0x80 * (at == 0) | 0x40 * (at == starts[-1]))
            + body[at : at + MAX_PAYLOAD]
            for at in starts
        ]

    def aggregated(self):
        """Put each frame into one packet. Some frames share the packet of the previous frame."""
        self.frames, self.tails, number = [], [], 0
        while number < len(self.units):
            count = 2 if number % 11 == 5 and number + 1 < len(self.units) else 1
            units = self.units[number : number + count]
            nals = [nal for unit in units for nal in unit]
            is_key = any(map(self.codec.is_key, nals))
            payload = self.codec.aggregate(nals)
            time = number * CLOCK // 25
            self.frames.append([Packet(payload, True, True, True, is_key, time)])
            self.tails.append(tail(nals))
            number += count
        return self

    def description(self):
        """Return the description of the stream in SDP."""
        return "\r\n".join(
            [
                "v=0",
                "o=- 0 0 IN IP4 127.0.0.1",
                "s=camera",
                "c=IN IP4 0.0.0.0",
                "t=0 0",
                "a=control:*",
                f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
                f"a=rtpmap:{PAYLOAD_TYPE} {self.codec.name}/{CLOCK}",
                f"a=fmtp:{PAYLOAD_TYPE} {self.codec.format(self.parameters)}",
                "a=control:video",
                "",
            ]
        )


# Places of the marker. Each function returns whether a packet has the marker.
MARKERS = {
    "at each frame's end": lambda packet: packet.is_last_of_frame,
    "on no packet": lambda _: False,
    "on keyframes only": lambda packet: packet.is_last_of_frame and packet.is_key,
    "at the end of units that are not slices": lambda packet: (
        packet.is_last_of_nal and not packet.is_slice
    ),
    "on every packet": lambda _: True,
    "at each NAL unit's end": lambda packet: packet.is_last_of_nal,
}


class Camera(socketserver.ThreadingTCPServer):
    """An RTSP server that sends a clip once, over TCP, and then closes the connection.

    Before each frame the camera calls `before_frame` with the frame's number. `lost` contains the
    packets that the camera does not send, each as (number of the frame, number of the packet in
    the frame).
    """

    daemon_threads = True

    def __init__(self, clip, has_marker, before_frame=lambda _: None, lost=()):
        super().__init__(("127.0.0.1", 0), Connection)
        self.clip = clip
        self.has_marker = has_marker
        self.before_frame = before_frame
        self.lost = lost
        self.url = f"rtsp://127.0.0.1:{self.server_address[1]}/"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Connection(socketserver.StreamRequestHandler):
    """A client's connection."""

    disable_nagle_algorithm = True

    def handle(self):
        """Respond to requests until the clip has been sent."""
        while request := self._request():
            method, url = request.split()[:2]
            fields = {"CSeq": re.search(r"CSeq: *(\d+)", request)[1], "Session": "1"}
            body = ""
            if method == "DESCRIBE":
                body = self.server.clip.description()
                fields |= {"Content-Base": url, "Content-Type": "application/sdp"}
                fields |= {"Content-Length": len(body)}
            elif method == "SETUP":
                fields |= {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}
            lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
            self.wfile.write(f"RTSP/1.0 200 OK\r\n{lines}\r\n{body}".encode())
            if method == "PLAY":
                self._send()
                return

    def _request(self):
        request = b""
        while line := self.rfile.readline():
            request += line
            if line == b"\r\n":
                return request.decode()
        return None

    def _send(self):
        sequence = 0
        for number, packets in enumerate(self.server.clip.frames):
            self.server.before_frame(number)
            for index, packet in enumerate(packets):
                marker = 0x80 if self.server.has_marker(packet) else 0
                head = (0x80, marker | PAYLOAD_TYPE, sequence & 0xFFFF, 1000 + packet.time, 1)
                data = struct.pack(">BBHII", *head) + packet.payload
                if (number, index) not in self.server.lost:
                    self.wfile.write(struct.pack(">cBH", b"$", 0, len(data)) + data)
                sequence += 1
        self.connection.shutdown(socket.SHUT_WR)
        # Wait until the client closes the connection, so that the client can read everything.
        while self.rfile.read(4096):
            pass
