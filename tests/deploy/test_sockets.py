"""Checks socket activation: with systemd-socket-activate, and in restarts with constant requests.

python3 -m unittest discover tests/deploy
"""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MANAGER = os.environ.get("MANAGER_BIN") or str(ROOT / "target/debug/stream-manager")
SECONDS = 30
RESTARTS = 3
# Runs the program $0 as systemd does: the socket, which is this shell's stdin, becomes file
# descriptor 3.
PASS_SOCKET = 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" 3<&0 </dev/null'


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection over a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=SECONDS)
        self.path = path

    def connect(self):
        """Connect to the path."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(SECONDS)
        self.sock.connect(self.path)


def status_of(connection):
    """Send one request on a new connection. Return the status of the response."""
    try:
        connection.request("GET", "/api/health")
        return connection.getresponse().status
    finally:
        connection.close()


def to(port):
    """Return a new connection to a port of this machine."""
    return http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)


@unittest.skipUnless(Path(MANAGER).exists(), f"{MANAGER} is missing")
class SocketActivation(unittest.TestCase):
    """A manager whose sockets are open before it starts."""

    def setUp(self):
        """Create a directory for the manager's files."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.settings = {
            "STREAM_DIR": f"{folder.name}/streams",
            "DATABASE_URL": f"sqlite:{folder.name}/cameras.db",
        }

    def start(self, command, **options):
        """Start a process that is killed at the end of the test if it still runs."""
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, **options)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    @unittest.skipUnless(shutil.which("systemd-socket-activate"), "systemd is missing")
    def test_the_manager_takes_both_sockets_from_systemd(self):
        """systemd-socket-activate opens the sockets, and a connection starts the manager."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        path = f"{self.folder}/manager.sock"
        variables = [f"--setenv={name}={value}" for name, value in self.settings.items()]
        sockets = [f"--listen=127.0.0.1:{port}", f"--listen={path}"]
        process = self.start(["systemd-socket-activate", *sockets, *variables, MANAGER])
        deadline = time.monotonic() + SECONDS
        while not Path(path).exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(status_of(to(port)), 200)
        self.assertEqual(status_of(UnixConnection(path)), 200)
        self.assertEqual(Path(f"/proc/{process.pid}/exe").resolve(), Path(MANAGER).resolve())
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(SECONDS), 0)

    def test_no_request_is_refused_during_restarts(self):
        """Requests arrive without a pause. Each gets a response while the manager restarts."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.addCleanup(listener.close)
        port = listener.getsockname()[1]
        ended = threading.Event()
        results = []

        def send_requests():
            while not ended.is_set():
                try:
                    results.append(status_of(to(port)))
                except OSError as error:
                    results.append(error)

        def run_manager():
            environment = os.environ | self.settings
            command = ["sh", "-c", PASS_SOCKET, MANAGER]
            return self.start(command, stdin=listener, env=environment)

        def wait_for_requests():
            count = len(results) + 20
            deadline = time.monotonic() + SECONDS
            while len(results) < count and time.monotonic() < deadline:
                time.sleep(0.05)
            self.assertGreaterEqual(len(results), count, "the manager does not respond")

        manager = run_manager()
        threads = [threading.Thread(target=send_requests) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(RESTARTS):
                wait_for_requests()
                manager.send_signal(signal.SIGTERM)
                self.assertEqual(manager.wait(SECONDS), 0)
                manager = run_manager()
            wait_for_requests()
        finally:
            ended.set()
            for thread in threads:
                thread.join()
        self.assertEqual([result for result in results if result != 200], [])


if __name__ == "__main__":
    unittest.main()
