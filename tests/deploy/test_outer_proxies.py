"""Checks that proxies with the configurations of the guides write no secrets to their logs.

nginx and Caddy run in front of a fake service, with the configurations in docs/guide. The tests
replace only addresses and paths of files.

python3 -m unittest discover tests/deploy
"""

import getpass
import http.client
import http.server
import os
import re
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from test_nginx import free_port

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 20
SECRET = "S3CRET"
# The longest token that the service accepts.
LONG_TOKEN = SECRET + "x" * (8192 - len(SECRET))
# Paths below the address of the service, each with a path that must be in the access log.
REQUESTS = [
    (f"/play/{SECRET}/front-door/stream.m3u8?_HLS_msn=7", "/play/***"),
    (f"/play/{SECRET}/front-door/segment-7.m4s", "/play/***"),
    (f"/play/x/play/{SECRET}/stream.m3u8", "/play/***"),
    (f"/Play/{SECRET}", "/Play/***"),
    (f"/play/{LONG_TOKEN}/front-door/stream.m3u8", "/play/***"),
    (f"/streams/front-door/stream.m3u8?token={SECRET}", "/streams/front-door/stream.m3u8"),
    (f"/api/cameras?key={SECRET}", "/api/cameras"),
    (f"/api/stream/start?indicator_id=a&rtsp_link=rtsp://u:{SECRET}@h/x", "/api/stream/start"),
    (f"/api/stream/start?rtsp_link=rtsp%3A%2F%2Fu%3A{SECRET}%40h%2Fx", "/api/stream/start"),
]
HEADERS = {
    "Authorization": f"Bearer {SECRET}",
    "Cookie": f"playback={SECRET}",
    "Referer": f"https://cameras.example/play/{SECRET}/",
    "X-API-Key": SECRET,
    "X-Playback-Token": SECRET,
}


class Service(http.server.BaseHTTPRequestHandler):
    """A fake service, whose responses contain secrets in headers."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Redirect to a path with a token, as the aliases of playlists do."""
        self.server.paths.append(self.path)
        self.send_response(307)
        self.send_header("Location", f"/play/{SECRET}/front-door/stream.m3u8")
        self.send_header("Set-Cookie", f"playback={SECRET}")
        self.send_header("Content-Length", "0")
        # So that no connection remains when the service ends.
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *_):
        """Log nothing."""


class OuterProxy(unittest.TestCase):
    """A proxy in front of a fake service."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.port = free_port()
        self.service = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
        self.service.paths = []
        self.addCleanup(self.service.server_close)
        threading.Thread(target=self.service.serve_forever, daemon=True).start()
        self.service_address = f"127.0.0.1:{self.service.server_port}"

    def start(self, command, configuration):
        """Start a proxy. The path of the configuration becomes the command's last argument."""
        file = self.directory / "configuration"
        file.write_text(configuration)
        home = str(self.directory)
        environment = os.environ | {"HOME": home, "XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home}
        with (self.directory / "stderr.log").open("w") as log:
            proxy = subprocess.Popen([*command, file], stdout=log, stderr=log, env=environment)
        self.addCleanup(proxy.wait, START_SECONDS)
        self.addCleanup(proxy.terminate)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and proxy.poll() is None:
            try:
                self.send("/")
                return
            except OSError:
                time.sleep(0.05)
        self.fail(f"the proxy does not respond: {self.logs()}")

    def send(self, path, headers=None):
        """Send a request; return the status of the response."""
        if self.is_encrypted:
            context = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.timeout = START_SECONDS
        try:
            connection.request("GET", path, headers=headers or {})
            return connection.getresponse().status
        finally:
            connection.close()

    def logs(self):
        """Return the contents of all logs."""
        return "\n".join(file.read_text() for file in sorted(self.directory.glob("*.log")))

    def check(self, base=""):
        """Send requests with secrets, also while the service is unreachable, and check the logs."""
        for path, _ in REQUESTS:
            self.assertEqual(self.send(base + path, HEADERS), 307, path[:80])
            self.assertEqual(self.service.paths[-1], base + path)
        self.service.shutdown()
        self.service.server_close()
        for path, _ in REQUESTS:
            self.assertEqual(self.send(base + path, HEADERS), 502, path[:80])
        self.send(f"{base}/the-last-request")
        deadline = time.monotonic() + START_SECONDS
        while "the-last-request" not in self.logs() and time.monotonic() < deadline:
            time.sleep(0.05)
        log = self.logs()
        self.assertIn("the-last-request", log)
        for line in log.splitlines():
            self.assertNotIn(SECRET, line[:500])
        self.assertNotIn(SECRET, log)
        for _, logged in REQUESTS:
            self.assertIn(base + logged, log)


class Nginx(OuterProxy):
    """nginx with the configuration in docs/guide/behind-nginx.md."""

    def start_nginx(self, in_http):
        """Start nginx with these directives in the block `http`."""
        folder = self.directory
        paths = "".join(
            f"{name}_temp_path {folder}/{name};\n"
            for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        )
        in_http = replaced(
            in_http,
            ("127.0.0.1:8080", self.service_address),
            ("/var/log/nginx", str(folder)),
        )
        user = f"user {getpass.getuser()};\n" if os.geteuid() == 0 else ""
        configuration = (
            f"{user}pid {folder}/nginx.pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
            f"http {{\n{paths}access_log {folder}/default.log;\n{in_http}\n}}\n"
        )
        self.start(["nginx", "-e", "stderr", "-g", "daemon off;", "-c"], configuration)

    def test_logs_of_a_host_contain_no_secrets(self):
        """The host name belongs to the service."""
        self.is_encrypted = True
        certificate, key = self.directory / "tls.pem", self.directory / "tls.key"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        output = ["-subj", "/CN=cameras.example", "-keyout", key, "-out", certificate]
        subprocess.run([*command, *output], check=True, capture_output=True)
        live = "/etc/letsencrypt/live/cameras.example"
        in_http = replaced(
            blocks("behind-nginx.md", "nginx")[0],
            ("listen 443 ssl http2;", f"listen 127.0.0.1:{self.port} ssl http2;"),
            (f"{live}/fullchain.pem", str(certificate)),
            (f"{live}/privkey.pem", str(key)),
        )
        self.start_nginx(in_http)
        self.check()

    def test_logs_of_a_path_contain_no_secrets(self):
        """Other paths of the host belong to other pages."""
        self.is_encrypted = False
        in_http = blocks("behind-nginx.md", "nginx")[0].partition("server {")[0]
        locations = blocks("below-a-path.md", "nginx")[0]
        server = f"server {{ listen 127.0.0.1:{self.port};\n{locations}\n}}"
        self.start_nginx(in_http + server)
        self.check("/cameras")


class Caddy(OuterProxy):
    """Caddy with the configuration in docs/guide/behind-caddy.md."""

    is_encrypted = False

    def start_caddy(self, options, site, host):
        """Start Caddy with global options and a site."""
        options = replaced(options, ("{\n", "{\nadmin off\n"))
        address = f"http://127.0.0.1:{self.port}"
        site = replaced(site, ("127.0.0.1:8080", self.service_address), (f"{host} ", f"{address} "))
        site = site.replace("/var/log/caddy", str(self.directory))
        command = ["caddy", "run", "--adapter", "caddyfile", "--config"]
        self.start(command, f"{options}\n{site}\n")

    def test_logs_of_a_host_contain_no_secrets(self):
        """The host name belongs to the service."""
        options, site = blocks("behind-caddy.md", "text")[0].split("\n\n")
        self.start_caddy(options, site, "cameras.example")
        self.check()

    def test_a_log_of_the_site_contains_no_secrets(self):
        """The host name belongs to the service, and the site has a log of its own."""
        both, site = blocks("behind-caddy.md", "text")
        self.start_caddy(both.split("\n\n")[0], site, "cameras.example")
        self.check()
        self.assertIn("/play/***", (self.directory / "cameras.log").read_text())

    def test_logs_of_a_path_contain_no_secrets(self):
        """Other paths of the host belong to other pages."""
        options = blocks("behind-caddy.md", "text")[0].split("\n\n")[0]
        self.start_caddy(options, blocks("below-a-path.md", "text")[0], "example.com")
        self.check("/cameras")


def blocks(page, language):
    """Return the code blocks of a guide in this language."""
    text = (ROOT / "docs/guide" / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def replaced(text, *replacements):
    """Replace the first occurrence of each old text. Every old text must occur."""
    for old, new in replacements:
        if old not in text:
            raise AssertionError(f"the guide does not contain {old}")
        text = text.replace(old, new, 1)
    return text


if __name__ == "__main__":
    unittest.main()
