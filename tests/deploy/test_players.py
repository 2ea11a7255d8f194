"""Plays a stream with FFmpeg and GStreamer, and interrupts the camera.

python3 -m unittest discover tests/deploy
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MANAGER = os.environ.get("MANAGER_BIN") or str(ROOT / "target/debug/stream-manager")
IS_LONG = bool(os.environ.get("LONG_TESTS"))
SECONDS = 60
# The time within which a player must show new pictures after the camera is back. It includes the
# pause before the manager reconnects, and the wait for a keyframe.
CONTINUES_SECONDS = 15
# The pictures after which a player counts as playing. The camera sends 25 of them in a second.
PICTURES = 50

# Plays a URL with GStreamer, and prints a line for each picture.
GSTREAMER = """
import sys
import gi
gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst
Gst.init(None)
# Otherwise, GStreamer uses the older hlsdemux.
Gst.ElementFactory.find("hlsdemux2").set_rank(Gst.Rank.PRIMARY + 100)
sink = Gst.ElementFactory.make("fakesink")
sink.set_property("sync", True)
sink.set_property("signal-handoffs", True)
sink.connect("handoff", lambda *_: print("picture", flush=True))
player = Gst.ElementFactory.make("playbin3")
player.set_property("uri", sys.argv[1])
player.set_property("video-sink", sink)
player.set_property("flags", 1)
loop = GLib.MainLoop()
player.get_bus().add_signal_watch()
player.get_bus().connect("message::error", lambda _, it: sys.exit(str(it.parse_error())))
player.get_bus().connect("message::eos", lambda *_: sys.exit("the stream has ended"))
player.set_state(Gst.State.PLAYING)
loop.run()
"""


def free_port():
    """Return a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait_until(what, condition, seconds=SECONDS):
    """Wait until `condition` is true. Return how many seconds that took."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)
    return time.monotonic() - began


class Player:
    """A player. Each line of its output that matches `mark` reports one or more pictures."""

    def __init__(self, command, mark):
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self.mark, self.times, self.last_lines = re.compile(mark), [], []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        """Note the time of each picture."""
        shown = 0
        for line in self.process.stdout:
            found = self.mark.search(line)
            if not found:
                self.last_lines = [*self.last_lines[-20:], line]
                continue
            # FFmpeg prints the number of pictures so far. GStreamer prints a line for each picture.
            total = int(found[1]) if found.groups() else shown + 1
            self.times += [time.monotonic()] * (total - shown)
            shown = total

    def end(self):
        """End the player."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def ffmpeg(url):
    """Play with FFmpeg, as fast as pictures arrive."""
    command = ["ffmpeg", "-v", "error", "-progress", "pipe:1", "-stats_period", "0.2", "-i", url]
    return Player([*command, "-an", "-f", "null", "-"], r"^frame=(\d+)")


def gstreamer(url):
    """Play with GStreamer's hlsdemux2."""
    return Player([sys.executable, "-c", GSTREAMER, url], "^picture$")


@unittest.skipUnless(Path(MANAGER).exists(), f"{MANAGER} is missing")
class Players(unittest.TestCase):
    """Players that are not browsers, and that get a stream from nginx and the manager."""

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.camera_port = 0
        self.start_camera()
        manager = self.start_manager()
        self.url = f"{self.start_nginx(manager)}/streams/cam/index.m3u8"
        request = urllib.request.Request(
            f"http://{manager}/api/cameras/cam",
            method="PUT",
            data=json.dumps({"rtsp_link": f"rtsp://127.0.0.1:{self.camera_port}/h264"}).encode(),
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=SECONDS).close()

    def start(self, command, **options):
        """Start a process that is ended at the end of the test."""
        process = subprocess.Popen(command, **options)
        self.stack.callback(process.wait)
        self.stack.callback(process.terminate)
        return process

    def start_camera(self):
        """Start the camera, on the same port as before."""
        command = [ROOT / "tests/camera/camera.py", "--running", "h264"]
        command += ["--port", str(self.camera_port)]
        self.camera = self.start(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.stack.callback(self.camera.stdout.close)
        self.camera_port = json.loads(self.camera.stdout.readline())["port"]

    def start_manager(self):
        """Start the manager. Return its address."""
        port = free_port()
        settings = {
            "PORT": str(port),
            "ALLOW_ANONYMOUS": "true",
            "STREAM_DIR": f"{self.folder}/streams",
            "DATABASE_URL": f"sqlite:{self.folder}/cameras.db",
        }
        environment = os.environ | settings
        process = self.start([MANAGER], env=environment, cwd=self.folder, stderr=subprocess.DEVNULL)
        self.assert_responds(process, f"http://127.0.0.1:{port}/readyz")
        return f"127.0.0.1:{port}"

    def start_nginx(self, manager):
        """Start nginx in front of the manager. Return its URL."""
        address = f"127.0.0.1:{free_port()}"
        configuration = f"{self.folder}/nginx.conf"
        variables = {
            "NGINX_USER": os.environ.get("USER", "root"),
            "NGINX_LISTEN": address,
            "NGINX_RUN_DIR": self.folder,
            "MANAGER_ADDR": manager,
            "STREAM_DIR": f"{self.folder}/streams",
            "WEB_DIR": self.folder,
            "CORS_ORIGINS": "*",
            "START_WAIT_SECONDS": "20",
            "NGINX_ACCESS_LOG": "/dev/null",
            "NGINX_ERROR_LOG": "stderr",
        }
        values = [f"{name}={value}" for name, value in variables.items()]
        render = ["bash", "-euc", '. deploy/lib.sh; render_nginx "$@"', "bash", configuration]
        subprocess.run([*render, *values], cwd=ROOT, check=True)
        command = ["nginx", "-e", "stderr", "-c", configuration, "-g", "daemon off;"]
        process = self.start(command, stderr=subprocess.DEVNULL)
        self.assert_responds(process, f"http://{address}/readyz", status=404)
        return f"http://{address}"

    def assert_responds(self, process, url, status=200):
        """Wait until a URL responds with this status."""

        def responds():
            self.assertIsNone(process.poll(), f"{process.args[0]} has ended")
            try:
                return urllib.request.urlopen(url, timeout=1).status == status
            except urllib.error.HTTPError as error:
                return error.code == status
            except OSError:
                return False

        wait_until(f"{url} responds", responds)

    def continues(self, play, outage):
        """Play, end the camera for `outage` seconds, and check that the player continues."""
        player = play(self.url)
        self.stack.callback(player.end)

        def shows_pictures_since(begin):
            self.assertIsNone(player.process.poll(), f"the player has ended: {player.last_lines}")
            return sum(at > begin for at in list(player.times)) >= PICTURES

        wait_until("pictures", lambda: shows_pictures_since(0))
        self.camera.send_signal(signal.SIGKILL)
        self.camera.wait()
        stopped = time.monotonic()
        # The player first shows the pictures that it has loaded.
        wait_until("no more pictures", lambda: time.monotonic() - player.times[-1] > 1, outage)
        time.sleep(max(0, stopped + outage - time.monotonic()))
        seen = len(player.times)
        self.start_camera()
        began = time.monotonic()
        try:
            wait_until("new pictures", lambda: shows_pictures_since(began), CONTINUES_SECONDS)
        except AssertionError as error:
            count = len(player.times) - seen
            raise AssertionError(f"{error}: {count} pictures, {player.last_lines}") from None

    def test_ffmpeg_continues_after_an_outage_of_the_camera(self):
        """FFmpeg can always load the playlist, so it does not treat the stream as complete."""
        self.continues(ffmpeg, 5)

    def test_gstreamer_continues_after_an_outage_of_the_camera(self):
        """The playlist keeps its earlier segments, so hlsdemux2 finds its position again."""
        self.continues(gstreamer, 10)

    @unittest.skipUnless(IS_LONG, "takes more than a minute; LONG_TESTS=1 runs it")
    def test_ffmpeg_continues_after_a_long_outage_of_the_camera(self):
        """The camera is unreachable for a minute."""
        self.continues(ffmpeg, 60)

    @unittest.skipUnless(IS_LONG, "takes more than a minute; LONG_TESTS=1 runs it")
    def test_gstreamer_continues_after_a_long_outage_of_the_camera(self):
        """The camera is unreachable for a minute."""
        self.continues(gstreamer, 60)


if __name__ == "__main__":
    unittest.main()
