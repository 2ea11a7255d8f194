"""Checks that deploy/run starts nothing if a port is taken, and where it keeps the database.

python3 -m unittest discover tests/deploy
"""

import os
import signal
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MANAGER = os.environ.get("MANAGER_BIN") or str(ROOT / "target/debug/stream-manager")
SECONDS = 20
START_SECONDS = 120


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


class Database(unittest.TestCase):
    """deploy/run in a copy of the project, with STREAM_DIR on a tmpfs."""

    def setUp(self):
        project, tmpfs = tempfile.TemporaryDirectory(), tempfile.TemporaryDirectory(dir="/dev/shm")
        for directory in [project, tmpfs]:
            self.addCleanup(directory.cleanup)
        self.project = Path(project.name)
        self.stream_dir = Path(tmpfs.name) / "segments"
        # Without .env, and without the files of the developer's own service.
        for entry in ROOT.iterdir():
            if not entry.name.startswith((".", "streams")):
                (self.project / entry.name).symlink_to(entry)

    def start_and_stop(self, **settings):
        """Run deploy/run until the service runs; return its output."""
        environment = os.environ | {
            "PORT": "0",
            "NGINX_PORT": "0",
            "API_KEYS": "",
            "ALLOW_ANONYMOUS": "",
            "MANAGER_BIN": MANAGER,
            "STREAM_DIR": str(self.stream_dir),
            "TLS": "self-signed",
        }
        for name in ["DATABASE_URL", "TLS_DIR"]:
            environment.pop(name, None)
        command = ["timeout", str(START_SECONDS), self.project / "deploy/run", "--no-demo"]
        with subprocess.Popen(
            command,
            cwd=self.project,
            env=environment | settings,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as service:
            output = ""
            for line in service.stderr:
                output += line
                # A second signal does not prevent that all processes are ended.
                if line.startswith(("open ", "stopping")):
                    service.send_signal(signal.SIGTERM)
        self.assertIn("\nopen https://", output)
        return output

    def key_in(self, output):
        """Return the key in the link that deploy/run prints."""
        return output.partition("\nopen ")[2].partition("#key=")[2].split("\n")[0]

    def test_is_in_the_directory_of_the_project_wherever_the_segments_are(self):
        """The certificate is there, too. A restart of the machine deletes the files of a tmpfs."""
        output = self.start_and_stop()
        key = (self.project / "streams.db.admin-key").read_text().strip()
        self.assertEqual(key, self.key_in(output))
        self.assertTrue((self.project / "streams.db").exists())
        self.assertTrue((self.project / "streams.tls/cert.pem").exists())
        beside = {path.name for path in self.stream_dir.parent.iterdir()}
        self.assertLessEqual(beside, {"segments"})

    def test_of_an_earlier_version_is_still_used(self):
        """Earlier versions put the database next to STREAM_DIR. A warning says how to move it."""
        old = f"{self.stream_dir}.db"
        old_settings = {"DATABASE_URL": f"sqlite:{old}", "TLS_DIR": f"{self.stream_dir}.tls"}
        key = self.key_in(self.start_and_stop(**old_settings))
        output = self.start_and_stop()
        self.assertEqual(self.key_in(output), key)
        self.assertFalse((self.project / "streams.db").exists())
        self.assertFalse((self.project / "streams.tls").exists())
        self.assertIn(f"warning: the database {old} is on a tmpfs", output)
        self.assertIn("DATABASE_URL=sqlite:/DIRECTORY/segments.db", output)


if __name__ == "__main__":
    unittest.main()
