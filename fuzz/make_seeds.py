#!/usr/bin/env python3
"""Creates the binary seeds of the fuzz targets with the installed FFmpeg.

All other seeds are written by hand.
"""

import subprocess
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
VIDEO = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=5"]
AUDIO = ["-f", "lavfi", "-i", "sine=sample_rate=8000"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "5", "-crf", "45"]
HEVC = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=5:crf=45"]
# NUT of version 3, and NUT of version 4, which can contain side data. The option -syncpoints
# selects version 4. Its value follows NUT_4.
NUT = ["-f", "nut", "-write_index", "0"]
NUT_4 = [*NUT, "-strict", "experimental", "-syncpoints"]
PACKETS = {
    "h264": [*VIDEO, *H264, *NUT],
    "h264-opus-pipe": [*VIDEO, *AUDIO, *H264, "-c:a", "libopus", "-b:a", "8k", *NUT_4, "none"],
    "h264-timestamped": [*VIDEO, *H264, *NUT_4, "timestamped"],
    "hevc-index": [*VIDEO, *HEVC, "-f", "nut"],
    "mjpeg-alaw": [*VIDEO, *AUDIO, "-c:v", "mjpeg", "-q:v", "31", "-c:a", "pcm_alaw", *NUT],
}
# The first byte of a seed is 1 for H.265, and 0 for H.264.
SETS = {
    "h264-baseline": (0, [*VIDEO, *H264, "-f", "h264"]),
    "h264-high": (0, [*VIDEO, "-c:v", "libx264", "-profile:v", "high", "-f", "h264"]),
    "h264-high422": (0, [*VIDEO, "-c:v", "libx264", "-pix_fmt", "yuv422p10", "-f", "h264"]),
    "hevc": (1, [*VIDEO, *HEVC, "-f", "hevc"]),
}
# Open GOPs: the keyframes are recovery points instead of IDR pictures, because later pictures can
# refer to pictures before the keyframe.
OPEN = ["-x264-params", "open-gop=1:scenecut=0:keyint=2"]
# The first byte of a seed is 1 for H.265, and 0 for H.264.
ACCESS_UNITS = {
    "h264-baseline": (0, [*VIDEO, *H264, "-f", "h264"]),
    "h264-slices": (0, [*VIDEO, *H264, "-x264-params", "slices=3:aud=1", "-f", "h264"]),
    "h264-recovery-point": (0, [*VIDEO, *H264, "-bf", "1", *OPEN, "-f", "h264"]),
    "hevc": (1, [*VIDEO, *HEVC, "-f", "hevc"]),
}


def ffmpeg(arguments: list[str], time: str) -> bytes:
    """Runs FFmpeg for `time` seconds of media, and returns its output."""
    command = ["ffmpeg", "-v", "error", *arguments, "-fflags", "+bitexact", "-t", time, "pipe:1"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def sequence_set(head: int, stream: bytes) -> bytes:
    """Returns a seed: the byte `head`, then the stream's first sequence parameter set."""
    units = [unit.rstrip(b"\0") for unit in stream.split(b"\0\0\1")]
    is_set = (lambda first: first >> 1 == 33) if head & 1 else (lambda first: first & 31 == 7)
    return bytes([head & 1]) + next(unit for unit in units if unit and is_set(unit[0]))


def write(target: str, name: str, content: bytes) -> None:
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    print(f"{target}/{name}: {len(content)} bytes")


for name, arguments in PACKETS.items():
    write("nut", name, ffmpeg(arguments, "0.6"))
for name, (head, arguments) in SETS.items():
    write("sps", name, sequence_set(head, ffmpeg(arguments, "0.2")))
for name, (head, arguments) in ACCESS_UNITS.items():
    write("annex_b", name, bytes([head]) + ffmpeg(arguments, "0.8"))
