"""Tests the sendonly patch of the lean FFmpeg.

A backchannel is a track that carries sound to the camera. With the patch, FFmpeg ignores it if
there is other audio.

The test needs the lean FFmpeg that deploy/ffmpeg/build makes. It is at target/ffmpeg/ffmpeg, or at
the path in TEST_FFMPEG_BIN.

python3 -m unittest discover tests/deploy
"""

import json
import subprocess
import sys
import unittest

from test_frame_marker import LEAN, ROOT, is_lean

CAMERA = ROOT / "tests/camera/raw.py"
SOURCE = "ffconcat version 1.0\nfile 'rtsp://127.0.0.1:{port}/live'\noption rtsp_transport tcp\n"
INPUT = ["-f", "concat", "-safe", "0", "-protocol_whitelist", "pipe,rtp,rtsp,tcp,udp"]
TIMES = r"setts=pts=if(eq(PTS\,NOPTS)\,0\,PTS)"
OUTPUT = ["-t", "0.5", "-map", "0:v:0", "-c", "copy", "-bsf:v", TIMES, "-f", "nut", "pipe:1"]
# Options of the camera, and the tracks that FFmpeg sets up.
CASES = {
    "--audio aac --backchannel first": ["video", "audio"],
    "--audio aac --backchannel last": ["video", "audio"],
    "--audio aac": ["video", "audio"],
    # If there is no other audio, the track can be a microphone that the camera describes wrongly.
    "--backchannel last": ["video", "backchannel"],
}


def tracks_set_up(options):
    """Return the tracks that FFmpeg sets up at a camera with these options."""
    command = [sys.executable, CAMERA, *options.split()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as camera:
        try:
            port = json.loads(camera.stdout.readline())["port"]
            ffmpeg = [LEAN, "-v", "error", *INPUT, "-i", "pipe:0", *OUTPUT]
            script = SOURCE.format(port=port).encode()
            subprocess.run(ffmpeg, input=script, stdout=subprocess.DEVNULL, check=True, timeout=60)
        finally:
            camera.terminate()
        events = [json.loads(line) for line in camera.stdout]
    urls = [event["url"] for event in events if event.get("method") == "SETUP"]
    return [url.rsplit("/", 1)[-1] for url in urls]


@unittest.skipUnless(is_lean(), "the lean FFmpeg is missing; build it with: ./deploy/ffmpeg/build")
class Sendonly(unittest.TestCase):
    """The tracks of a camera with a backchannel."""

    def test_ffmpeg_sets_up_only_the_expected_tracks(self):
        """FFmpeg ignores a backchannel if there is other audio."""
        for options, expected in CASES.items():
            with self.subTest(options):
                self.assertEqual(tracks_set_up(options), expected)


if __name__ == "__main__":
    unittest.main()
