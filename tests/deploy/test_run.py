"""Checks that deploy/run starts nothing if a port is taken.

python3 -m unittest discover tests/deploy
"""

import os
import socket
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 20


def run(settings):
    """Run deploy/run with these settings until it exits. Return its exit code and its output."""
    result = subprocess.run(
        [ROOT / "deploy/run", "--no-demo"],
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return result.returncode, result.stdout


class TakenPort(unittest.TestCase):
    """deploy/run with a port on which this test listens."""

    def test_the_error_names_the_setting_and_the_process(self):
        """The error names the setting and this process. Nothing else is printed or started."""
        for family, address, spelling in [
            (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
            (socket.AF_INET, "127.0.0.1", "0.0.0.0"),
            (socket.AF_INET6, "::1", "::1"),
            (socket.AF_INET6, "::1", "[::1]"),
            (socket.AF_INET6, "::1", "[::]"),
        ]:
            for setting, address_setting in [
                ("PORT", "BIND_ADDR"),
                ("NGINX_PORT", "NGINX_BIND_ADDR"),
            ]:
                with (
                    self.subTest(setting=setting, address=spelling),
                    socket.create_server((address, 0), family=family) as listener,
                ):
                    port = str(listener.getsockname()[1])
                    others = {"PORT": "0", "NGINX_PORT": "0"}
                    code, output = run({**others, setting: port, address_setting: spelling})
                    self.assertEqual(code, 1, output)
                    lines = output.splitlines()
                    self.assertEqual(len(lines), 1, output)
                    self.assertIn(f"error: {setting}={port}: ", lines[0])
                    self.assertIn(f"(process {os.getpid()})", lines[0])


if __name__ == "__main__":
    unittest.main()
