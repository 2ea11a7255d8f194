"""Tests the frame-marker patch of the lean FFmpeg, with cameras that set different RTP markers.

The tests need the lean FFmpeg that deploy/ffmpeg/build makes. It is at target/ffmpeg/ffmpeg, or at
the path in TEST_FFMPEG_BIN.

python3 -m unittest discover tests/deploy
"""

import json
import os
import subprocess
import tempfile
import threading
import unittest
from contextlib import contextmanager
from pathlib import Path

from rtp_camera import H264, H265, MARKERS, Camera, Clip

ROOT = Path(__file__).resolve().parents[2]
LEAN = Path(os.environ.get("TEST_FFMPEG_BIN") or ROOT / "target/ffmpeg/ffmpeg").absolute()
DEBIAN = "ffmpeg"
SECONDS = 20
# The camera waits for FFmpeg only from the frame with this number on. By then, FFmpeg has
# probed the stream and has compared the markers with the frames.
FIRST_AWAITED = 12

GOP = ["-g", "10", "-bf", "0", "-sc_threshold", "0"]
X264 = ["-x264-params", "sliced-threads=0:aud=0"]
X265 = ["-x265-params", "log-level=error:keyint=10:bframes=0:repeat-headers=1:pools=none"]
CLIPS = {
    "H.264": lambda: Clip(H264, [*GOP, *X264]),
    "H.264 with 8 slices": lambda: Clip(H264, [*GOP, *X264, "-slices", "8"]),
    "H.264 with 8 small slices": lambda: Clip(H264, [*GOP, *X264, "-slices", "8", "-crf", "40"]),
    "H.264 with B-frames": lambda: Clip(H264, [*GOP, *X264, "-bf", "2"]),
    "H.264 with delimiters": lambda: Clip(H264, [*GOP, "-x264-params", "aud=1"]),
    "H.264 in aggregates": lambda: Clip(H264, [*GOP, *X264]).aggregated(),
    "H.265": lambda: Clip(H265, X265),
    "H.265 with 3 slices": lambda: Clip(H265, [X265[0], X265[1] + ":slices=3"]),
    "H.265 with B-frames": lambda: Clip(H265, [X265[0], X265[1].replace("=0:rep", "=2:rep")]),
    "H.265 in aggregates": lambda: Clip(H265, X265).aggregated(),
}


def script(url):
    """Return the source as the manager writes it to FFmpeg's standard input."""
    options = {"rtsp_transport": "tcp", "analyzeduration": 100_000, "probesize": 5_000}
    lines = [f"option {name} {value}" for name, value in options.items()]
    return "\n".join(["ffconcat version 1.0", f"file '{url}'", *lines, ""]).encode()


def copy(program):
    """Return a command that reads a script on stdin and copies its video to stdout, as NUT."""
    quiet = [program, "-v", "fatal", "-analyzeduration", "100000", "-probesize", "5000"]
    source = ["-f", "concat", "-safe", "0", "-protocol_whitelist", "pipe,rtp,rtsp,tcp,udp"]
    times = ["-bsf:v", r"setts=pts=if(eq(PTS\,NOPTS)\,0\,PTS)"]
    output = ["-c:v", "copy", *times, "-f", "nut", "-flush_packets", "1", "pipe:1"]
    return [*quiet, *source, "-i", "pipe:0", "-map", "0:v:0", *output]


class Reader:
    """Collects FFmpeg's output. Other threads can wait for certain bytes of it."""

    def __init__(self):
        self.data = bytearray()
        self._changed = threading.Condition()
        self._position = 0

    def fill(self, pipe):
        """Read until the pipe ends."""
        while part := pipe.read1(65536):
            with self._changed:
                self.data += part
                self._changed.notify_all()

    def wait_for(self, needle):
        """Wait until `needle` appears after the previous call's needle; return whether it does."""
        with self._changed:
            self._changed.wait_for(lambda: self.data.find(needle, self._position) >= 0, SECONDS)
            found = self.data.find(needle, self._position)
            if found >= 0:
                self._position = found + len(needle)
            return found >= 0


@contextmanager
def ffmpeg(program):
    """Run FFmpeg, and kill it at the end of the block."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(copy(program), **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def run(program, clip, has_marker, is_awaited=lambda _: False, lost=()):
    """Copy a clip; return FFmpeg's output, and the number of the first awaited frame that was late.

    The number is in a list, which is empty if no frame was late. After an awaited frame, the camera
    sends nothing until FFmpeg has written that frame, or until SECONDS have passed. `is_awaited`
    gets the last packet of a frame, and returns whether the frame is awaited.
    """
    reader, late = Reader(), []

    def before_frame(number):
        previous = number - 1
        if previous < FIRST_AWAITED or late or not is_awaited(clip.frames[previous][-1]):
            return
        if not reader.wait_for(clip.tails[previous]):
            late.append(previous)

    with Camera(clip, has_marker, before_frame, lost) as camera, ffmpeg(program) as process:
        process.stdin.write(script(camera.url))
        process.stdin.close()
        reader.fill(process.stdout)
    return bytes(reader.data), late


def frames(nut):
    """Return the times, sizes, flags and checksums of all frames but the last.

    The last frame of H.265 can differ: the patch leaves a zero at the frame's end, which belongs
    to the next start code.
    """
    with tempfile.NamedTemporaryFile() as file:
        file.write(nut)
        file.flush()
        options = ["-v", "error", "-show_packets", "-show_data_hash", "md5", "-of", "json"]
        output = subprocess.run(["ffprobe", *options, file.name], check=True, capture_output=True)
    packets = json.loads(output.stdout)["packets"]
    keys = ("pts", "dts", "duration", "size", "flags", "data_hash")
    return [tuple(packet.get(key) for key in keys) for packet in packets][:-1]


def is_lean():
    """Return whether LEAN is a lean FFmpeg. TEST_FFMPEG_BIN can also name another FFmpeg."""
    if not LEAN.exists():
        return False
    version = subprocess.run([LEAN, "-version"], check=True, capture_output=True).stdout
    return b"-lean" in version.splitlines()[0]


@unittest.skipUnless(is_lean(), "the lean FFmpeg is missing; build it with: ./deploy/ffmpeg/build")
class FrameMarker(unittest.TestCase):
    """Compares the lean FFmpeg with Debian's FFmpeg."""

    @classmethod
    def setUpClass(cls):
        """Make the clips, and copy each clip with Debian's FFmpeg."""
        cls.clips = {name: make() for name, make in CLIPS.items()}
        none = MARKERS["on no packet"]
        cls.expected = {
            name: frames(run(DEBIAN, clip, none)[0]) for name, clip in cls.clips.items()
        }

    def test_debian_copies_all_frames(self):
        """The frames with which the other tests compare are complete."""
        for name, clip in self.clips.items():
            with self.subTest(name):
                self.assertGreaterEqual(len(self.expected[name]), len(clip.units) - 1)

    def test_frames_are_the_same_as_without_the_patch_wherever_the_markers_are(self):
        """The comparison includes bytes, times and flags."""
        for name, clip in self.clips.items():
            for place, has_marker in MARKERS.items():
                with self.subTest(name, markers=place):
                    copied = frames(run(LEAN, clip, has_marker)[0])
                    self.assertEqual(copied, self.expected[name])

    def test_a_frame_comes_out_before_the_next_one_is_sent(self):
        """From FIRST_AWAITED on, the camera waits after each frame until FFmpeg has written it."""
        for name, clip in self.clips.items():
            with self.subTest(name):
                every = MARKERS["at each frame's end"]
                copied, late = run(LEAN, clip, every, is_awaited=lambda _: True)
                self.assertEqual(late, [])
                self.assertEqual(frames(copied), self.expected[name])

    def test_keyframes_come_out_before_the_next_frame_if_only_keyframes_have_markers(self):
        """After a keyframe, the camera waits until FFmpeg has written the keyframe."""
        for name in ("H.264", "H.265"):
            with self.subTest(name):
                keys = MARKERS["on keyframes only"]
                copied, late = run(LEAN, self.clips[name], keys, lambda packet: packet.is_key)
                self.assertEqual(late, [])
                self.assertEqual(frames(copied), self.expected[name])

    def test_markers_that_become_wrong_split_at_most_one_frame(self):
        """At first the last packet of each frame has the marker, and later every packet."""

        def has_marker(packet):
            return packet.is_last_of_frame or packet.time >= 15 * 3600

        for name, split in (("H.264", 0), ("H.264 with 8 small slices", 1), ("H.265", 0)):
            with self.subTest(name):
                copied = frames(run(LEAN, self.clips[name], has_marker)[0])
                expected = self.expected[name]
                self.assertEqual(len(copied), len(expected) + split)
                self.assertEqual(copied[:15], expected[:15])
                self.assertEqual(copied[16 + split :], expected[16:])

    def test_frames_come_out_before_the_next_one_is_sent_even_after_lost_packets(self):
        """The camera awaits the frames after the damaged frames."""
        clip = self.clips["H.264 with 8 slices"]
        # The first packets of a frame, and the last packet of another frame, which has the marker.
        lost = {(14, 0), (14, 1), (14, 2), (16, len(clip.frames[16]) - 1)}
        every = MARKERS["at each frame's end"]
        _, late = run(LEAN, clip, every, lambda packet: packet.time >= 18 * 3600, lost)
        self.assertEqual(late, [])


if __name__ == "__main__":
    unittest.main()
