"""Checks the health checks of the images, with all spellings of the services' addresses.

python3 -m unittest discover tests/deploy
"""

import json
import os
import re
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from test_nginx import free_port

ROOT = Path(__file__).resolve().parents[2]
MANAGER = os.environ.get("MANAGER_BIN") or str(ROOT / "target/debug/stream-manager")
START_SECONDS = 20


def health_check(stage):
    """Return the command of a stage's health check."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    text = text.split(f" AS {stage}\n")[1].split("\nFROM ")[0]
    return json.loads(re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", text, re.MULTILINE)[1])


class HealthChecks(unittest.TestCase):
    """A health check succeeds while its service works, and fails when the service has ended."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def check(self, stage, service, environment):
        """Check that the health check succeeds until the service ends."""
        environment = {"PATH": os.environ["PATH"]} | environment
        log = (self.directory / "log").open("w+")
        self.addCleanup(log.close)
        child = subprocess.Popen(
            service, cwd=self.directory, env=environment, stdout=log, stderr=log
        )
        try:

            def result():
                command = health_check(stage)
                done = subprocess.run(command, env=environment, capture_output=True, timeout=10)
                return done.returncode

            deadline = time.monotonic() + START_SECONDS
            while result() != 0:
                is_late = time.monotonic() > deadline
                self.assertFalse(is_late, (self.directory / "log").read_text())
                time.sleep(0.1)
        finally:
            child.terminate()
            child.wait(START_SECONDS)
        self.assertNotEqual(result(), 0)

    def test_the_manager_is_healthy_on_every_address(self):
        for address in ["127.0.0.1", "0.0.0.0", "::1", "[::1]", "::", "[::]"]:
            with self.subTest(address):
                settings = {"BIND_ADDR": address, "PORT": str(free_port())}
                self.check("manager", [MANAGER], settings)

    def test_nginx_is_healthy_on_every_address(self):
        configuration = self.directory / "nginx.conf"
        (self.directory / "index.html").write_text("the page")
        port = free_port()
        for address in [str(port), f"127.0.0.1:{port}", f"[::1]:{port}", f"[::]:{port}"]:
            with self.subTest(address):
                variables = {
                    "NGINX_USER": os.environ.get("USER", "root"),
                    "NGINX_LISTEN": address,
                    "NGINX_RUN_DIR": self.directory,
                    "MANAGER_ADDR": "127.0.0.1:1",
                    "STREAM_DIR": self.directory,
                    "WEB_DIR": self.directory,
                    "CORS_ORIGINS": "*",
                    "START_WAIT_SECONDS": "10",
                    "NGINX_ACCESS_LOG": "/dev/null",
                    "NGINX_ERROR_LOG": "stderr",
                }
                values = [f"{name}={value}" for name, value in variables.items()]
                render = ["bash", "-euc", '. deploy/lib.sh; render_nginx "$@"', "bash"]
                subprocess.run([*render, configuration, *values], cwd=ROOT, check=True)
                nginx = ["nginx", "-e", "stderr", "-c", configuration, "-g", "daemon off;"]
                self.check("nginx", nginx, {"NGINX_LISTEN": address})


if __name__ == "__main__":
    unittest.main()
