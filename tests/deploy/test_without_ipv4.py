"""Checks the service on a machine without IPv4: a network namespace whose loopback has only ::1.

python3 -m unittest discover tests/deploy
"""

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MANAGER = os.environ.get("MANAGER_BIN") or str(ROOT / "target/debug/stream-manager")
SECONDS = 60
# These ports do not have to be free outside of the namespace.
CAMERA_PORT, PORT, NGINX_PORT = 8554, 8088, 8080
# Starts a camera and the service, and prints the responses as lines of JSON: URL, status, size.
SCRIPT = f"""
ip link set lo up
ip address delete 127.0.0.1/8 dev lo
tests/camera/camera.py --address ::1 --port {CAMERA_PORT} >"$0/camera" 2>&1 &
camera=$!
deploy/run --no-demo >"$0/log" 2>&1 &
service=$!
trap 'kill "$service"; wait "$service"; kill "$camera"' EXIT
until grep -q '^open ' "$0/log"; do kill -0 "$service" || exit; sleep 0.1; done
fetch() {{
    curl --silent --show-error --max-time 20 --output "$0/body" \\
        --write-out '["%{{url_effective}}", %{{http_code}}, %{{size_download}}]\\n' "$@"
}}
page='http://[::1]:{NGINX_PORT}' link='{{"rtsp_link":"rtsp://[::1]:{CAMERA_PORT}/h264","indicator_id":"cam"}}'
fetch "$page/"
fetch "$page/api/stream/start" --json "$link"
fetch "$page/streams/cam/stream.m3u8"
fetch "$page/streams/cam/$(grep -m 1 '\\.m4s$' "$0/body")"
fetch "$page/streams/cam/snapshot.jpg"
fetch "http://[::1]:{PORT}/readyz"
"""


@unittest.skipUnless(os.geteuid() == 0, "needs root for a network namespace")
class WithoutIpv4(unittest.TestCase):
    """A camera, the manager with FFmpeg, and nginx, where only ::1 can be reached."""

    def test_all_parts_work(self):
        for address in ["::1", "[::1]"]:
            with self.subTest(address), tempfile.TemporaryDirectory() as directory:
                settings = {
                    "BIND_ADDR": address,
                    "NGINX_BIND_ADDR": address,
                    "PORT": str(PORT),
                    "NGINX_PORT": str(NGINX_PORT),
                    "ALLOW_ANONYMOUS": "true",
                    "API_KEYS": "",
                    "MANAGER_BIN": MANAGER,
                    "STREAM_DIR": f"{directory}/streams",
                    "DATABASE_URL": f"sqlite:{directory}/cameras.db",
                }
                result = subprocess.run(
                    ["unshare", "--net", "bash", "-eu", "-c", SCRIPT, directory],
                    cwd=ROOT,
                    env={**os.environ, **settings},
                    stdout=subprocess.PIPE,
                    text=True,
                    timeout=SECONDS,
                    check=False,
                )
                log = (Path(directory) / "log").read_text()
                responses = [json.loads(line) for line in result.stdout.splitlines()]
                self.assertEqual(len(responses), 6, log)
                for url, status, size in responses:
                    self.assertEqual(status, 200, f"{url}: {log}")
                    self.assertGreater(size, 10, f"{url}: {log}")


if __name__ == "__main__":
    unittest.main()
