"""Checks nginx with the shipped template and a fake manager: headers, time limits, paths and log.

python3 -m unittest discover tests/deploy
"""

import http.server
import os
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 20
ORIGIN = "https://shop.example"

# The headers that the tests compare. All other headers, such as Date, are ignored.
COMPARED = [
    "Cache-Control",
    "Access-Control-Allow-Origin",
    "Access-Control-Allow-Credentials",
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Headers",
    "Access-Control-Expose-Headers",
    "Vary",
    "X-Content-Type-Options",
    "Referrer-Policy",
    "Content-Security-Policy",
    "Cross-Origin-Resource-Policy",
    "X-Frame-Options",
    "Retry-After",
    "WWW-Authenticate",
]
NOTHING = {}
CORS = {
    "Access-Control-Allow-Origin": ORIGIN,
    "Access-Control-Allow-Credentials": "true",
    "Vary": "Origin",
}
PAGE = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; "
    "worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
}
MISSING_ASSET = {"X-Content-Type-Options": "nosniff", "Vary": "Accept-Encoding"}
ASSET = {"Cache-Control": "public, max-age=31536000, immutable"} | MISSING_ASSET
WORKER = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
ICON = {"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}
PLAYER_ENTRY = MISSING_ASSET | {
    "Cache-Control": "no-cache",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
PLAYER = PLAYER_ENTRY | {"Cache-Control": "public, max-age=31536000, immutable"}
MEDIA = CORS | {
    "Cache-Control": "no-store",
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "Range, Last-Event-ID, Authorization, "
    "X-API-Key, X-Requested-With",
    "Access-Control-Expose-Headers": "Content-Length, Content-Range, Date, Age, Retry-After",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
RECORDING = MEDIA | {
    "Access-Control-Allow-Headers": "Range, If-Range, Authorization, X-API-Key, X-Requested-With",
    "Access-Control-Expose-Headers": "Content-Length, Content-Range, Content-Disposition, ETag, "
    "X-Gaps, X-Taken-At, Date, Retry-After",
}
# A file that nginx sends after the manager has permitted it.
RECORDED_FILE = CORS | {
    "Cache-Control": "no-store",
    "Access-Control-Expose-Headers": "Content-Length, Content-Range, Date",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
API = CORS | {
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type, Last-Event-ID, Authorization, "
    "X-API-Key, X-Requested-With",
}
PROBLEM = CORS | {"Cache-Control": "no-store"}
TOO_LONG = {"Cache-Control": "no-store"}

# Method, path, status, code of the problem document (if nginx writes one), headers.
RESPONSES = [
    ("GET", "/", 200, None, PAGE),
    ("GET", "/assets/index.js", 200, None, ASSET),
    ("GET", "/assets/missing.js", 404, None, MISSING_ASSET),
    ("GET", "/worker.js", 200, None, WORKER),
    ("GET", "/manifest.webmanifest", 200, None, ICON),
    ("GET", "/icon-192.png", 200, None, ICON),
    ("GET", "/icon-missing.png", 404, None, {"X-Content-Type-Options": "nosniff"}),
    ("GET", "/player/stream-camera.js", 200, None, PLAYER_ENTRY),
    ("GET", "/player/index-B_x2.js", 200, None, PLAYER),
    ("GET", "/player/missing.js", 404, None, MISSING_ASSET),
    ("GET", "/missing", 404, None, NOTHING),
    ("GET", "/streams/cam/stream.m3u8", 200, None, MEDIA),
    ("GET", "/play/token/cam~sub/index.m3u8", 200, None, MEDIA),
    ("OPTIONS", "/streams/cam/stream.m3u8", 204, None, MEDIA),
    ("GET", "/streams/error/stream.m3u8", 500, None, MEDIA),
    ("GET", f"/play/{'x' * 8192}/cam/stream.m3u8", 200, None, MEDIA),
    ("GET", f"/play/{'x' * 20000}/cam/stream.m3u8", 414, "invalid_request", TOO_LONG),
    ("GET", "/streams/cam/segment-1.m4s", 200, None, MEDIA),
    ("GET", "/play/token/cam/segment-1.m4s", 200, None, MEDIA),
    ("OPTIONS", "/streams/cam/segment-1.m4s", 204, None, MEDIA),
    ("POST", "/streams/cam/segment-1.m4s", 405, None, MEDIA),
    ("GET", "/streams/cam/old.m4s", 404, "not_found", PROBLEM),
    (
        "GET",
        "/streams/anonymous/segment-1.m4s",
        401,
        "unauthorized",
        PROBLEM | {"WWW-Authenticate": "Bearer"},
    ),
    ("GET", "/streams/foreign/segment-1.m4s", 403, "forbidden", PROBLEM),
    (
        "GET",
        "/streams/full/segment-1.m4s",
        503,
        "too_many_viewers",
        PROBLEM | {"Retry-After": "10"},
    ),
    (
        "GET",
        "/streams/error/segment-1.m4s",
        503,
        "manager_unavailable",
        PROBLEM | {"Retry-After": "2"},
    ),
    ("GET", "/streams/cam/events", 200, None, MEDIA),
    ("OPTIONS", "/play/token/cam/events", 204, None, MEDIA),
    ("GET", "/recordings/cam/stream.m3u8", 200, None, RECORDING),
    ("GET", "/play/token/cam~sub/recordings/export.mp4", 200, None, RECORDING),
    ("OPTIONS", "/play/token/cam/recordings/1-1.mp4", 204, None, RECORDING),
    ("GET", "/recordings/error/stream.m3u8", 500, None, RECORDING),
    ("GET", "/recordings/recorded/1-1.mp4", 200, None, RECORDED_FILE),
    ("GET", "/play/token/recorded/recordings/1-1.mp4", 200, None, RECORDED_FILE),
    ("GET", "/recordings/deleted/1-1.mp4", 404, "not_found", PROBLEM),
    ("GET", "/internal/recordings/0/cam/1.mp4", 404, "not_found", PROBLEM),
    ("GET", "/internal/recordings/cam/1.mp4", 404, "not_found", PROBLEM),
    ("GET", "/recordings/../internal/recordings/0/cam/1.mp4", 404, "not_found", PROBLEM),
    (
        "GET",
        "/recordings/cam/..%2f..%2finternal%2frecordings%2f0%2fcam%2f1.mp4",
        404,
        "not_found",
        PROBLEM,
    ),
    ("GET", "/api/cameras", 200, None, API),
    ("GET", "/api/events/stream", 200, None, API),
    ("OPTIONS", "/api/events/stream", 204, None, API),
    ("OPTIONS", "/api/cameras.json", 204, None, API),
]
WITHOUT_MANAGER = [
    (method, path, 503, "manager_unavailable", PROBLEM | {"Retry-After": "2"})
    for method, path in [
        ("GET", "/streams/cam/stream.m3u8"),
        ("GET", "/streams/cam/segment-1.m4s"),
        ("GET", "/streams/cam/events"),
        ("GET", "/recordings/cam/stream.m3u8"),
        ("GET", "/api/events/stream"),
        ("PUT", "/api/cameras.json"),
        ("GET", "/api/health"),
    ]
]


# The fake manager's responses by camera id: status and headers. For other ids it responds with 200.
MANAGER_RESPONSES = {
    "anonymous": (401, {}),
    "foreign": (403, {}),
    "full": (403, {"X-Refusal": "too_many_viewers"}),
    "error": (500, {}),
    "recorded": (
        200,
        {"X-Accel-Redirect": "/internal/recordings/0/cam/1.mp4", "Cache-Control": "no-store"},
    ),
    "deleted": (200, {"X-Accel-Redirect": "/internal/recordings/0/cam/2.mp4"}),
}


class Manager(http.server.BaseHTTPRequestHandler):
    """A fake manager, which responds according to MANAGER_RESPONSES."""

    def do_GET(self):
        """Add the request to the server's list `requests`, and respond without a body."""
        self.server.requests.append((self.path, self.headers))
        camera = self.headers.get("X-Camera-Id") or "".join(self.path.split("/")[2:3])
        status, headers = MANAGER_RESPONSES.get(camera, (200, {}))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Log nothing."""


class Nginx(unittest.TestCase):
    """nginx with the shipped template."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        files = ["web/index.html", "web/assets/index.js", "streams/cam/segment-1.m4s"]
        files += ["web/player/stream-camera.js", "web/player/index-B_x2.js"]
        files += ["web/worker.js", "web/manifest.webmanifest", "web/icon-192.png"]
        files += ["recordings/cam/1.mp4"]
        for name in files:
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            # The content is long enough for nginx to compress it.
            path.write_text(name * 10)

    def start_manager(self):
        """Start the fake manager; return its address."""
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Manager)
        server.requests = self.requests = []
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"127.0.0.1:{server.server_port}"

    def start_nginx(self, manager, listens_everywhere=False, **settings):
        """Start nginx in front of a manager, with further settings; return its URL.

        nginx listens on 127.0.0.1 or, if it `listens_everywhere`, on all addresses.
        """
        port = free_port()
        address = f"127.0.0.1:{port}"
        configuration = self.directory / "nginx.conf"
        variables = {
            "NGINX_USER": os.environ.get("USER", "root"),
            "NGINX_LISTEN": port if listens_everywhere else address,
            "NGINX_RUN_DIR": self.directory,
            "MANAGER_ADDR": manager,
            "STREAM_DIR": self.directory / "streams",
            "RECORDINGS_DIRS": self.directory / "recordings",
            "WEB_DIR": self.directory / "web",
            "CORS_ORIGINS": f"https://other.example {ORIGIN}",
            "START_WAIT_SECONDS": "10",
            "NGINX_ACCESS_LOG": "/dev/stdout",
            "NGINX_ERROR_LOG": "stderr",
        } | settings
        values = [f"{name}={value}" for name, value in variables.items()]
        render = ["bash", "-euc", '. deploy/lib.sh; render_nginx "$@"', "bash", configuration]
        subprocess.run([*render, *values], cwd=ROOT, check=True)
        with (self.directory / "log").open("w") as log:
            command = ["nginx", "-e", "stderr", "-c", configuration, "-g", "daemon off;"]
            nginx = subprocess.Popen(command, stdout=log, stderr=log)
        self.addCleanup(nginx.wait, START_SECONDS)
        self.addCleanup(nginx.terminate)
        self.wait_for_response(nginx, f"http://{address}/")
        return f"http://{address}"

    def wait_for_response(self, nginx, url):
        """Wait until nginx responds."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and nginx.poll() is None:
            try:
                urllib.request.urlopen(url, timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        self.fail("nginx does not respond: " + (self.directory / "log").read_text())

    def check(self, url, expected):
        """Compare nginx's responses with the expected ones."""
        for method, path, status, code, headers in expected:
            with self.subTest(f"{method} {path}"):
                response = send(method, url + path)
                received = response.headers
                compared = {name: received[name] for name in COMPARED if name in received}
                self.assertEqual((response.status, compared), (status, headers))
                if code:
                    self.assertEqual(received["Content-Type"], "application/problem+json")
                    self.assertIn(f'"code":"{code}"', response.read().decode())

    def test_each_kind_of_response_has_exactly_the_expected_headers(self):
        self.check(self.start_nginx(self.start_manager()), RESPONSES)

    def test_health_fails_in_time_if_the_manager_does_not_respond(self):
        # The system accepts the connection, as it does for a manager that SIGSTOP has suspended.
        with socket.create_server(("127.0.0.1", 0)) as manager:
            url = self.start_nginx(f"127.0.0.1:{manager.getsockname()[1]}")
            began = time.monotonic()
            self.check(url, [next(row for row in WITHOUT_MANAGER if row[1] == "/api/health")])
            self.assertLess(time.monotonic() - began, 8)

    def test_connections_are_closed_if_the_request_is_not_sent_in_time(self):
        host, port = self.start_nginx(self.start_manager()).removeprefix("http://").split(":")
        unfinished = [
            b"",
            b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
            b"POST /api/cameras HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{",
        ]
        connections = [socket.create_connection((host, port), timeout=15) for _ in unfinished]
        began = time.monotonic()
        for connection, sent in zip(connections, unfinished, strict=True):
            self.addCleanup(connection.close)
            connection.sendall(sent)
        for connection, sent in zip(connections, unfinished, strict=True):
            with self.subTest(sent):
                try:
                    while connection.recv(4096):
                        pass
                except ConnectionResetError:
                    pass
        self.assertLess(time.monotonic() - began, 13)

    def test_a_port_without_an_address_means_ipv4_and_ipv6(self):
        url = self.start_nginx(self.start_manager(), listens_everywhere=True)
        for host in ["127.0.0.1", "[::1]"]:
            response = send("GET", url.replace("127.0.0.1", host) + "/")
            self.assertEqual(response.status, 200, host)

    def test_pages_of_listed_origins_can_show_the_page_in_a_frame(self):
        others = "https://shop.example https://admin.example"
        url = self.start_nginx("127.0.0.1:1", FRAME_ANCESTORS=others)
        headers = send("GET", url + "/").headers
        policy = headers["Content-Security-Policy"]
        self.assertTrue(policy.endswith(f"frame-ancestors 'self' {others}"), policy)
        self.assertNotIn("X-Frame-Options", headers)

    def test_a_page_of_another_origin_needs_credentials_of_its_own(self):
        url = self.start_nginx(self.start_manager())
        site, key = "Sec-Fetch-Site", {"X-API-Key": "key"}
        cross = {site: "cross-site"}
        for expected, headers in [
            (403, cross),
            (403, {site: "same-site"}),
            (200, {site: "same-origin"}),
            (200, {site: "none"}),
            (200, {}),
            (403, cross | {"Referer": "https://evil.example/"}),
            (403, cross | {"Referer": f"{ORIGIN}.evil.example/"}),
            (200, cross | {"Referer": f"{ORIGIN}/page"}),
            (200, cross | {"Referer": "https://other.example/"}),
            (403, cross | {"Origin": "https://evil.example"}),
            (200, cross | {"Origin": ORIGIN}),
            (200, cross | key),
            (200, cross | {"Authorization": "Bearer key"}),
            (403, cross | {"Authorization": "Basic b3V0ZXI6cHJveHk="}),
        ]:
            for file in ["stream.m3u8", "snapshot.jpg", "segment-1.m4s"]:
                with self.subTest(f"{file} {headers}"):
                    response = send("GET", f"{url}/streams/cam/{file}", headers)
                    self.assertEqual(response.status, expected)
                    if expected == 403:
                        self.assertIn("CORS_ORIGINS", response.read().decode())
        for path in ["/play/TOKEN/cam/stream.m3u8", "/play/TOKEN/cam/segment-1.m4s", "/"]:
            self.assertEqual(send("GET", url + path, cross).status, 200, path)

    def test_without_a_list_pages_of_all_origins_can_request_media(self):
        url = self.start_nginx(self.start_manager(), CORS_ORIGINS="*")
        headers = {"Sec-Fetch-Site": "cross-site"}
        for file in ["stream.m3u8", "snapshot.jpg", "segment-1.m4s"]:
            response = send("GET", f"{url}/streams/cam/{file}", headers)
            self.assertEqual(response.status, 200, file)

    def test_nginx_appends_the_address_of_its_client_to_those_that_the_client_reports(self):
        url = self.start_nginx(self.start_manager())
        for path in ["/api/cameras", "/streams/cam/stream.m3u8", "/streams/cam/segment-1.m4s"]:
            for reported, expected in [
                (None, None),
                ("198.51.100.1", "198.51.100.1, 127.0.0.1"),
                ("198.51.100.1, 192.0.2.1", "198.51.100.1, 192.0.2.1, 127.0.0.1"),
            ]:
                with self.subTest(f"{path} {reported}"):
                    self.requests.clear()
                    sent = {"X-Forwarded-For": reported} if reported else {}
                    self.assertEqual(send("GET", url + path, sent).status, 200)
                    headers = self.requests[0][1]
                    self.assertEqual(headers["X-Forwarded-For"], expected)
                    self.assertEqual(headers["X-Real-IP"], "127.0.0.1")

    def test_nginx_uses_the_client_address_that_a_trusted_proxy_reports(self):
        url = self.start_nginx(self.start_manager(), TRUSTED_PROXIES="127.0.0.1")
        send("GET", url + "/api/cameras", {"X-Forwarded-For": "198.51.100.1, 192.0.2.1"})
        headers = self.requests[0][1]
        self.assertEqual(headers["X-Forwarded-For"], "198.51.100.1, 192.0.2.1, 127.0.0.1")
        self.assertEqual(headers["X-Real-IP"], "192.0.2.1")

    def test_the_access_log_shows_no_playback_token(self):
        public_url = "https://shop.example/cameras"
        url = self.start_nginx(self.start_manager(), PUBLIC_URL=public_url)
        for path in [
            "/play/TOKEN/cam/stream.m3u8",
            "/cameras/play/TOKEN/cam/stream.m3u8",
            "/cameras/cameras/play/TOKEN/cam/stream.m3u8",
            "/Cameras/Play/TOKEN/cam/stream.m3u8",
            "/play/TOKEN/c1/x%0ay",
            "/x%0ay/play/TOKEN",
            "/api/x/play/TOKEN",
            "/play/x/play/TOKEN",
        ]:
            send("GET", url + path)
        send("GET", url + "/the-last-request")
        deadline = time.monotonic() + START_SECONDS
        log = ""
        while "the-last-request" not in log and time.monotonic() < deadline:
            log = (self.directory / "log").read_text()
        self.assertIn("the-last-request", log)
        self.assertNotIn("TOKEN", log)
        self.assertEqual(log.count(" /play/***/cam/stream.m3u8 "), 2, log)

    def test_internal_paths_are_not_found_below_the_path_of_public_url(self):
        public_url = "https://shop.example/cameras"
        url = self.start_nginx(self.start_manager(), PUBLIC_URL=public_url)
        for base in ["", "/cameras"]:
            for path in ["/internal/viewer", "/problem/too-long"]:
                self.assertEqual(send("GET", url + base + path).status, 404, base + path)
            self.assertEqual(send("GET", url + base + "/streams/cam/segment-1.m4s").status, 200)

    def test_requests_fail_with_503_while_the_manager_is_unreachable(self):
        self.check(self.start_nginx("127.0.0.1:1"), WITHOUT_MANAGER)


def send(method, url, headers=None):
    """Send a request with these headers, by default with the origin of an allowed page.

    Return nginx's response.
    """
    headers = {"Origin": ORIGIN} if headers is None else headers
    request = urllib.request.Request(url, headers=headers, method=method)
    try:
        return urllib.request.urlopen(request, timeout=START_SECONDS)
    except urllib.error.HTTPError as error:
        return error


def free_port():
    """Return a port on which no program listens at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


if __name__ == "__main__":
    unittest.main()
