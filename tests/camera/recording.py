"""Recordings of RTP packets for the raw camera. FFmpeg encodes the media.

FFmpeg also makes the packets, except for AC-3. Each recording is made only once, and kept in
target/camera/ under a hash of FFmpeg's options. A recording of AC-3 is not kept, so each camera
process makes its own.
"""

import fcntl
import hashlib
import itertools
import pickle
import re
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / "target" / "camera"
SECONDS = 4
# FFmpeg sends as fast as it encodes, so the socket must hold a whole recording.
RECEIVE_BUFFER = 64 * 1024 * 1024
SO_RCVBUFFORCE = 33

PICTURE = "testsrc2=size={size}:rate={rate},noise=alls=9:allf=t"
# A dark box crosses a grey wall in the first seconds. Nothing moves for the rest of the time,
# apart from noise.
WALK = (
    "color=c=0x909090:size={size}:rate={rate}[wall];color=c=0x202020:size=40x80:rate={rate}[box];"
    "[wall][box]overlay=x='if(between(t,3,5),(t-3)*140,-100)':y=60,noise=alls=9:allf=t"
)
TONE = "sine=frequency=440:sample_rate={rate}"
H264 = (
    "-c:v libx264 -preset veryfast -threads 1 -bf 0 -g 50 -x264-params repeat-headers=1 "
    "-flags +global_header "
)

# The options of FFmpeg for each video, after its input.
VIDEOS = {
    "h264": H264 + "-pix_fmt yuv420p",
    "h264-bframes": H264 + "-pix_fmt yuv420p -bf 2 -g 50",
    "h264-intra": H264 + "-pix_fmt yuv420p -g 1",
    # A keyframe every 0.2 s, 0.52 s or 0.84 s. The last GOP of the recording can be shorter.
    "h264-gop-5": H264 + "-pix_fmt yuv420p -g 5",
    "h264-gop-13": H264 + "-pix_fmt yuv420p -g 13",
    "h264-gop-21": H264 + "-pix_fmt yuv420p -g 21",
    # With a size of 1920x1088, each frame has about 2 MB.
    "h264-large": H264 + "-pix_fmt yuv420p -g 1 -qp 4",
    "h264-10bit": H264 + "-pix_fmt yuv420p10le",
    "h264-422": H264 + "-pix_fmt yuv422p",
    "h264-444": H264 + "-pix_fmt yuv444p",
    "h264-interlaced": H264 + "-pix_fmt yuv420p -flags +ilme+ildct+global_header",
    "hevc": "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=50:bframes=0:"
    "repeat-headers=1 -flags +global_header -pix_fmt yuv420p",
    "h264-walk": H264 + "-pix_fmt yuv420p",
    "mpeg4": "-flags +global_header -c:v mpeg4 -g 50 -q:v 6",
    "mjpeg": "-c:v mjpeg -huffman default -pix_fmt yuvj420p -q:v 6",
}
# The pictures and the duration in seconds of videos that do not show the usual pictures.
SCENES = {"h264-walk": (WALK, 16)}
# The sample rate and the options of FFmpeg for each sound.
AUDIOS = {
    "pcmu": (8000, "-c:a pcm_mulaw"),
    "pcma": (8000, "-c:a pcm_alaw"),
    "aac": (48000, "-c:a aac -b:a 64k"),
    # With one frame in each packet.
    "aac-16k": (16000, "-c:a aac -b:a 32k -muxdelay 0"),
    "aac-8k": (8000, "-c:a aac -b:a 16k -muxdelay 0"),
    "opus": (48000, "-c:a libopus -b:a 48k"),
    "mp2": (48000, "-c:a mp2 -b:a 64k"),
    "mp3": (48000, "-c:a libmp3lame -b:a 64k"),
    "speex": (16000, "-c:a libspeex"),
    "g722": (16000, "-c:a g722"),
    "g726": (8000, "-c:a g726 -b:a 32k"),
    "g726le": (8000, "-c:a g726le -b:a 32k"),
    "l16": (16000, "-c:a pcm_s16be"),
    "latm": (48000, "-c:a aac -b:a 64k -rtpflags latm"),
    "vorbis": (48000, "-c:a libvorbis -ac 2"),
}

# The clocks of the payload types that need no rtpmap (RFC 3551).
STATIC_CLOCKS = {0: 8000, 8: 8000, 9: 8000, 14: 90000, 26: 90000}


@dataclass(frozen=True)
class Packet:
    """An RTP packet without its header."""

    marker: bool
    time: int  # in units of the track's clock, from 0 at the first packet
    payload: bytes


@dataclass(frozen=True)
class Recording:
    """The packets of one track, and its description."""

    kind: str  # "video" or "audio"
    payload_type: int
    clock: int
    attributes: tuple[str, ...]  # the lines of the SDP that begin with a=, except a=control
    packets: tuple[Packet, ...]
    # The duration of the track in units of its clock. After this time, the camera sends the track
    # again.
    duration: int


def video(name, size="320x192", rate=25):
    """Return a recording of a video in VIDEOS."""
    picture, seconds = SCENES.get(name, (PICTURE, SECONDS))
    source = ["-f", "lavfi", "-i", picture.format(size=size, rate=rate), "-t", str(seconds)]
    return recorded("video", [*source, *VIDEOS[name].split()], seconds)


def audio(name):
    """Return a recording of a sound in AUDIOS, or of AC-3."""
    if name == "ac3":
        return ac3()
    rate, options = AUDIOS[name]
    return recorded("audio", ["-f", "lavfi", "-i", TONE.format(rate=rate), *options.split()])


def ac3():
    """Record AC-3. FFmpeg cannot make the packets (RFC 4184), so this function makes them."""
    rate, bit_rate, samples = 48000, 96000, 1536
    source = ["-f", "lavfi", "-i", TONE.format(rate=rate), "-t", str(SECONDS), "-ac", "2"]
    command = [
        "ffmpeg",
        "-v",
        "error",
        *source,
        "-c:a",
        "ac3",
        "-b:a",
        str(bit_rate),
        "-f",
        "ac3",
        "-",
    ]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    size = samples * bit_rate // rate // 8
    frames = [data[at : at + size] for at in range(0, len(data), size)]
    whole_frame = b"\x00\x01"
    packets = [
        Packet(True, number * samples, whole_frame + frame) for number, frame in enumerate(frames)
    ]
    lines = (f"a=rtpmap:97 AC3/{rate}/2",)
    return Recording("audio", 97, rate, lines, tuple(packets), len(frames) * samples)


def recorded(kind, options, seconds=SECONDS):
    """Return the recording of a track with these FFmpeg options. Make it if necessary."""
    key = hashlib.sha256(repr((kind, options, seconds)).encode()).hexdigest()[:16]
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / f"{key}.pickle"
    # Cameras that start at the same time make a recording only once.
    with (CACHE / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            new = path.with_suffix(".new")
            new.write_bytes(pickle.dumps(record(kind, options, seconds)))
            new.rename(path)
    return pickle.loads(path.read_bytes())


def record(kind, options, seconds):
    """Make FFmpeg send a track to a socket. Return the recording of the packets that arrive."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(type=socket.SOCK_DGRAM) as sink:
        sdp = Path(folder) / "sdp"
        try:
            sink.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        except PermissionError:
            sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sink.bind(("127.0.0.1", 0))
        target = f"rtp://127.0.0.1:{sink.getsockname()[1]}?pkt_size=1400"
        command = ["ffmpeg", "-v", "error", "-y", *options, "-t", str(seconds), "-strict", "-2"]
        subprocess.run([*command, "-f", "rtp", "-sdp_file", sdp, target], check=True)
        sink.setblocking(False)
        datagrams = []
        while True:
            try:
                datagrams.append(sink.recv(65536))
            except BlockingIOError:
                break
        return recording(kind, sdp.read_text(), datagrams, seconds)


def recording(kind, sdp, datagrams, seconds):
    """Return the recording of a track from its SDP and its packets."""
    packets, numbers, first = [], [], None
    payload_type = int(re.search(r"^m=\w+ \d+ \S+ (\d+)", sdp, re.M)[1])
    for data in datagrams:
        if data[1] & 0x7F != payload_type:  # RTCP
            continue
        numbers.append(int.from_bytes(data[2:4], "big"))
        time = int.from_bytes(data[4:8], "big")
        first = time if first is None else first
        # With B-frames, a packet can be earlier than the first one.
        relative = (time - first + 2**31) % 2**32 - 2**31
        packets.append(Packet(bool(data[1] & 0x80), relative, data[12:]))
    lost = [n for n, m in itertools.pairwise(numbers) if m != (n + 1) & 0xFFFF]
    if not packets or lost:
        raise RuntimeError(
            f"the recording is incomplete: {len(packets)} packets arrived from FFmpeg; "
            f"packets are missing after these sequence numbers: {lost}"
        )
    section = sdp[sdp.index("m=") :].splitlines()
    attributes = tuple(it for it in section if it.startswith("a=") and "control" not in it)
    rates = re.search(r"^a=rtpmap:\d+ [^/]+/(\d+)", sdp, re.M)
    clock = int(rates[1]) if rates else STATIC_CLOCKS[payload_type]
    return Recording(kind, payload_type, clock, attributes, tuple(packets), seconds * clock)


def schedule(track):
    """Return the time at which each packet is sent, in seconds after the first packet.

    All packets of a frame are sent at the same time. With B-frames, the times in the packets are
    not in ascending order. So the first frame is sent at the earliest of these times, the second
    frame at the second earliest time, and so on.
    """
    frames = [
        number
        for number, packet in enumerate(track.packets)
        if number == 0 or packet.time != track.packets[number - 1].time
    ]
    times = sorted(track.packets[number].time for number in frames)
    seconds, frame = [], -1
    for number in range(len(track.packets)):
        if frame + 1 < len(frames) and frames[frame + 1] == number:
            frame += 1
        seconds.append((times[frame] - times[0]) / track.clock)
    return seconds
