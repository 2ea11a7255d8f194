#!/usr/bin/python3
"""An ONVIF device for the tests. It responds to WS-Discovery and describes its streams.

It does not serve the streams, but their links can refer to a camera.py. The device does
only what real devices do, including faulty and hostile ones. It needs only Python.
README.md describes its use.
"""

import argparse
import base64
import datetime
import hashlib
import http.server
import os
import re
import signal
import socket
import ssl
import struct
import sys
import threading
import time
import uuid
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from events import emit

GROUP = "239.255.255.250"
DISCOVERY_PORT = 3702
# Largest allowed difference between the time of a digest and the device's clock.
TOLERANCE_SECONDS = 10
REALM = "device"
MAX_BODY = 100_000

DEVICE = "http://www.onvif.org/ver10/device/wsdl"
MEDIA = "http://www.onvif.org/ver10/media/wsdl"
MEDIA2 = "http://www.onvif.org/ver20/media/wsdl"

ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
    'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" '
    'xmlns:dn="http://www.onvif.org/ver10/network/wsdl" '
    'xmlns:ter="http://www.onvif.org/ver10/error" '
    'xmlns:tt="http://www.onvif.org/ver10/schema" '
    f'xmlns:tds="{DEVICE}" xmlns:trt="{MEDIA}" xmlns:tr2="{MEDIA2}">'
    "<SOAP-ENV:Header>{header}</SOAP-ENV:Header><SOAP-ENV:Body>{body}</SOAP-ENV:Body>"
    "</SOAP-ENV:Envelope>"
)

# token: (name, codec, width, height, frames per second)
PROFILES = {
    "profile_jpeg": ("snapshots", "JPEG", 2592, 1944, 1),
    "profile_sub": ("subStream", "H264", 320, 180, 15),
    "profile_main": ("mainStream & more", "H264", 640, 360, 25),
}


class Fault(Exception):
    """A SOAP fault, which becomes the response."""

    def __init__(self, code, reason):
        super().__init__(reason)
        self.code = code


def children(element):
    """Return an element's children by their local names."""
    return {child.tag.rpartition("}")[2]: child for child in element}


def find(element, name):
    """Return the text of the first descendant with this local name."""
    for descendant in element.iter():
        if descendant.tag.rpartition("}")[2] == name:
            return descendant.text or ""
    return None


def date_and_time(seconds):
    """Return the content of an element with the type DateTime."""
    time_of_day = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return (
        f"<tt:Time><tt:Hour>{time_of_day.hour}</tt:Hour><tt:Minute>{time_of_day.minute}</tt:Minute>"
        f"<tt:Second>{time_of_day.second}</tt:Second></tt:Time>"
        f"<tt:Date><tt:Year>{time_of_day.year}</tt:Year><tt:Month>{time_of_day.month}</tt:Month>"
        f"<tt:Day>{time_of_day.day}</tt:Day></tt:Date>"
    )


class HttpLogin:
    """The device's side of HTTP authentication: sends challenges, and checks the responses."""

    def __init__(self, options):
        self._options = options
        self._lock = threading.Lock()
        # Maps each nonce to the largest count (nc) of a request with this nonce.
        self._nonces = {}

    def check(self, header):
        """Return whether the header Authorization is valid, and whether its digest is correct.

        If the digest is correct but the header is not valid, the nonce or its count is too old.
        """
        scheme, _, rest = (header or "").partition(" ")
        if scheme == "Basic" and self._options.http_auth == "basic":
            pair = f"{self._options.user}:{self._options.password}".encode()
            return base64.b64decode(rest) == pair, False
        if scheme != "Digest" or self._options.http_auth == "basic":
            return False, False
        fields = dict(re.findall(r'(\w+)="?([^",]*)"?', rest))
        algorithm = fields.get("algorithm", "MD5")
        if algorithm not in self._algorithms() or fields.get("username") != self._options.user:
            return False, False
        if not fields["uri"].startswith("/onvif/") or fields.get("realm") != REALM:
            return False, False
        if fields["response"] != self._response(algorithm, fields):
            return False, False
        return self._is_fresh(fields), True

    def _response(self, algorithm, fields):
        def digest(text):
            return hashlib.new(algorithm.replace("-", ""), text.encode()).hexdigest()

        secret = digest(f"{self._options.user}:{REALM}:{self._options.password}")
        request = digest(f"POST:{fields['uri']}")
        count, client = fields["nc"], fields["cnonce"]
        return digest(f"{secret}:{fields['nonce']}:{count}:{client}:auth:{request}")

    def _is_fresh(self, fields):
        count = int(fields["nc"], 16)
        with self._lock:
            last = self._nonces.get(fields["nonce"])
            is_fresh = last is not None and count > last
            if is_fresh and self._options.nonce_uses:
                is_fresh = count <= self._options.nonce_uses
            if is_fresh:
                self._nonces[fields["nonce"]] = count
        return is_fresh

    def _algorithms(self):
        return {"md5": ["MD5"], "sha256": ["SHA-256"], "both": ["MD5", "SHA-256"], "basic": []}[
            self._options.http_auth
        ]

    def challenges(self, is_stale):
        """Return the headers of the response to an invalid login."""
        if self._options.http_auth == "basic":
            return [("WWW-Authenticate", f'Basic realm="{REALM}"')]
        nonce = uuid.uuid4().hex
        with self._lock:
            self._nonces[nonce] = 0
        stale = ", stale=true" if is_stale else ""
        return [
            (
                "WWW-Authenticate",
                f'Digest realm="{REALM}", qop="auth,auth-int", nonce="{nonce}", '
                f"algorithm={algorithm}{stale}",
            )
            for algorithm in self._algorithms()
        ]


class Device:
    """The device itself, independent of HTTP and UDP."""

    def __init__(self, options):
        self._options = options
        self._nonces = set()
        self._lock = threading.Lock()
        self.id = uuid.uuid4()

    @property
    def base(self):
        """The common prefix of the URLs of the device's services."""
        scheme = "https" if self._options.certificate else "http"
        return f"{scheme}://{self._options.address}:{self._options.port}"

    def now(self):
        """Return the time of the device's clock."""
        return time.time() + self._options.clock

    def respond(self, text, is_logged_in):
        """Return the status code and the document of the response to a request.

        is_logged_in is the result of HTTP authentication, or None if the device does not use it.
        """
        try:
            body = self._respond(ElementTree.fromstring(text), is_logged_in)
            return 200, ENVELOPE.format(header="", body=body)
        except Fault as fault:
            body = (
                "<SOAP-ENV:Fault><SOAP-ENV:Code><SOAP-ENV:Value>SOAP-ENV:Sender"
                f"</SOAP-ENV:Value><SOAP-ENV:Subcode><SOAP-ENV:Value>{fault.code}"
                "</SOAP-ENV:Value></SOAP-ENV:Subcode></SOAP-ENV:Code><SOAP-ENV:Reason>"
                f'<SOAP-ENV:Text xml:lang="en">{fault}</SOAP-ENV:Text></SOAP-ENV:Reason>'
                "</SOAP-ENV:Fault>"
            )
            return 400, ENVELOPE.format(header="", body=body)

    def _respond(self, envelope, is_logged_in):
        parts = children(envelope)
        request = next(iter(parts["Body"]))
        namespace, _, operation = request.tag[1:].partition("}")
        header = parts.get("Header")
        # Except with "--time login", a request for the time needs no credentials. If it contains
        # credentials anyway, they must be valid.
        has_credentials = header is not None and find(header, "Username")
        is_open = operation == "GetSystemDateAndTime" and not has_credentials
        is_open = is_open and self._options.time != "login"
        is_authorized = self._is_authorized(header) if is_logged_in is None else is_logged_in
        emit("request", operation=operation, authorized=is_authorized)
        if not is_open and not is_authorized:
            raise Fault("ter:NotAuthorized", "Sender Not Authorized")
        prefix = {DEVICE: "tds", MEDIA: "trt", MEDIA2: "tr2"}.get(namespace)
        method = getattr(self, f"_{operation}", None)
        is_refused = prefix == "tr2" and self._options.media2 == "refuses"
        is_refused |= operation == "GetSystemDateAndTime" and self._options.time == "none"
        if not prefix or not method or is_refused or (self._options.old and namespace == MEDIA2):
            raise Fault("ter:ActionNotSupported", "Optional Action Not Implemented")
        name = f"{prefix}:{operation}Response"
        return f"<{name}>{method(request, prefix)}</{name}>"

    def _is_authorized(self, header):
        if not self._options.user:
            return True
        user = header is not None and find(header, "Username")
        if not user:
            return False
        nonce, created = find(header, "Nonce"), find(header, "Created")
        text = base64.b64decode(nonce) + created.encode() + self._options.password.encode()
        expected = base64.b64encode(hashlib.sha1(text).digest()).decode()
        time_of_digest = datetime.datetime.fromisoformat(created.replace("Z", "+00:00")).timestamp()
        with self._lock:
            is_new = nonce not in self._nonces
            self._nonces.add(nonce)
        is_valid = (user, find(header, "Password")) == (self._options.user, expected)
        return is_valid and is_new and abs(time_of_digest - self.now()) < TOLERANCE_SECONDS

    def _GetSystemDateAndTime(self, _request, _prefix):
        utc, local = self.now(), self.now() + self._options.zone * 3600
        fields = {
            "utc": [("UTCDateTime", utc)],
            "local": [("LocalDateTime", local)],
            "wrong": [("UTCDateTime", local), ("LocalDateTime", local)],
            "login": [("UTCDateTime", utc)],
        }[self._options.time]
        times = "".join(f"<tt:{name}>{date_and_time(time)}</tt:{name}>" for name, time in fields)
        return (
            "<tds:SystemDateAndTime><tt:DateTimeType>Manual</tt:DateTimeType>"
            f"{times}</tds:SystemDateAndTime>"
        )

    def _GetDeviceInformation(self, _request, _prefix):
        return (
            "<tds:Manufacturer>Example &amp; Sons</tds:Manufacturer><tds:Model>EX-1</tds:Model>"
            "<tds:FirmwareVersion>1.2.3</tds:FirmwareVersion><tds:SerialNumber>0042"
            "</tds:SerialNumber><tds:HardwareId>1</tds:HardwareId>"
        )

    def _GetServices(self, _request, _prefix):
        if self._options.old:
            raise Fault("ter:ActionNotSupported", "Optional Action Not Implemented")
        services = [(DEVICE, "device_service"), (MEDIA, "media"), (MEDIA2, "media2")]
        return "".join(
            f"<tds:Service><tds:Namespace>{namespace}</tds:Namespace><tds:XAddr>"
            f"{self._url(path) if namespace == DEVICE else self._media_url(path)}"
            "</tds:XAddr><tds:Version><tt:Major>2</tt:Major></tds:Version></tds:Service>"
            for namespace, path in services
        )

    def _GetCapabilities(self, request, _prefix):
        if find(request, "Category") not in ("All", "Media"):
            raise Fault("ter:InvalidArgVal", "Category is not supported")
        return (
            "<tds:Capabilities><tt:Media><tt:XAddr>"
            f"{self._media_url('media')}</tt:XAddr></tt:Media></tds:Capabilities>"
        )

    def _url(self, path):
        # With --own, the device announces another address, like a device behind a router.
        base = self._options.own or self.base
        return f"{base}/onvif/{path}"

    def _media_url(self, path):
        if not self._options.media_address:
            return self._url(path)
        host, port = self._options.address, self._options.port
        url = self._options.media_address
        return escape(url.format(host=host, port=port, path=f"/onvif/{path}"))

    def _GetProfiles(self, _request, prefix):
        if prefix == "tr2" and self._options.media2 == "empty":
            return ""
        return "".join(self._profile(token, prefix) for token in PROFILES)

    def _profile(self, token, prefix):
        name, codec, width, height, rate = PROFILES[token]
        encoder = (
            f"<tt:Name>encoder</tt:Name><tt:Encoding>{codec}</tt:Encoding><tt:Resolution>"
            f"<tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height></tt:Resolution>"
            f"<tt:RateControl><tt:FrameRateLimit>{rate}</tt:FrameRateLimit></tt:RateControl>"
        )
        if prefix == "tr2":
            content = (
                f"<tr2:Name>{escape(name)}</tr2:Name><tr2:Configurations><tr2:VideoEncoder>"
                f"{encoder}</tr2:VideoEncoder></tr2:Configurations>"
            )
        else:
            content = (
                f"<tt:Name>{escape(name)}</tt:Name><tt:VideoEncoderConfiguration>{encoder}"
                "</tt:VideoEncoderConfiguration>"
            )
        return f'<{prefix}:Profiles token="{token}" fixed="true">{content}</{prefix}:Profiles>'

    def _token(self, request):
        token = find(request, "ProfileToken")
        if token not in PROFILES:
            raise Fault("ter:NoProfile", "Profile token does not exist")
        return token

    def _GetStreamUri(self, request, prefix):
        token = self._token(request)
        if prefix == "tr2" and self._options.media2 == "linkless":
            raise Fault("ter:ActionNotSupported", "Optional Action Not Implemented")
        host = f"{self._options.address}:{self._options.rtsp_port}"
        link = escape(dict(self._options.link).get(token, f"rtsp://{host}/{token}"))
        if prefix == "tr2":
            return f"<tr2:Uri>{link}</tr2:Uri>"
        return f"<trt:MediaUri><tt:Uri>{link}</tt:Uri></trt:MediaUri>"

    def _SetSynchronizationPoint(self, request, _prefix):
        emit("keyframe", profile=self._token(request))
        if self._options.camera_pid:
            os.kill(self._options.camera_pid, signal.SIGUSR1)
        return ""

    def match(self, message):
        """Return the response to a probe, or None if the probe is for other types of devices."""
        envelope = ElementTree.fromstring(message)
        types = find(envelope, "Types") or ""
        if types and "NetworkVideoTransmitter" not in types:
            return None
        related = escape(find(envelope, "MessageID") or "")
        return ENVELOPE.format(
            header=f"<wsa:RelatesTo>{related}</wsa:RelatesTo>",
            body=(
                "<d:ProbeMatches><d:ProbeMatch><wsa:EndpointReference><wsa:Address>"
                f"urn:uuid:{self.id}</wsa:Address></wsa:EndpointReference>"
                "<d:Types>dn:NetworkVideoTransmitter</d:Types><d:Scopes>"
                "onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/name/Front%20Door "
                "onvif://www.onvif.org/hardware/EX-1</d:Scopes><d:XAddrs>"
                f"{self._url('device_service')}</d:XAddrs></d:ProbeMatch></d:ProbeMatches>"
            ),
        )


def handler(device, options):
    """Return a class that handles HTTP requests."""
    login = HttpLogin(options) if options.http_auth else None

    class Handler(http.server.BaseHTTPRequestHandler):
        """Responds for the device, or misbehaves according to the device's habit."""

        protocol_version = "HTTP/1.1"

        def do_POST(self):
            """Respond to a request."""
            length = min(int(self.headers.get("Content-Length", 0)), MAX_BODY)
            text = self.rfile.read(length)
            getattr(self, f"_{options.habit}")(text)

        def date_time_string(self, timestamp=None):
            """Return the time of the device's clock for the header Date."""
            return super().date_time_string(device.now() if timestamp is None else timestamp)

        def _send(self, status, document, headers=()):
            data = document.encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/soap+xml; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def _none(self, text):
            if not login:
                self._send(*device.respond(text, None))
                return
            header = self.headers.get("Authorization")
            is_logged_in, has_valid_digest = login.check(header)
            is_open = not header and b"GetSystemDateAndTime" in text and b"Username" not in text
            if is_logged_in or (is_open and options.time != "login"):
                self._send(*device.respond(text, is_logged_in))
                return
            emit("rejected", credentials=bool(header) and not has_valid_digest)
            self._send(401, "", login.challenges(has_valid_digest))

        def _page(self, _text):
            self._send(200, "<html><body><h1>Login</h1><br></body></html>")

        def _garbage(self, _text):
            self.wfile.write(os.urandom(4096))
            self.close_connection = True

        def _silent(self, _text):
            threading.Event().wait()

        def _deep(self, _text):
            self._send(200, "<a>" * 60_000 + "</a>" * 60_000)

        def _endless(self, _text):
            self.send_response(200)
            self.end_headers()
            chunk = b"<a>" * 10_000
            while True:
                self.wfile.write(chunk)

        def _redirect(self, _text):
            self._send(302, "", [("Location", "http://127.0.0.1:1/onvif/device_service")])

        def log_message(self, *_arguments):
            """Suppress log messages, because stdout and stderr are for events and errors."""

    return Handler


class Server(http.server.ThreadingHTTPServer):
    """An HTTP server that ignores errors, because clients disconnect during responses."""

    daemon_threads = True

    def handle_error(self, _request, _client):
        """Ignore the error."""


def answer_probes(device, options, listener):
    """Respond to probes in an endless loop. The responses come from the device's own address."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind((options.address, 0))
    while True:
        message, client = listener.recvfrom(65536)
        try:
            match = b"\xff<garbage" if options.habit == "garbage" else device.match(message)
        except ElementTree.ParseError:
            continue
        if match:
            data = match if isinstance(match, bytes) else match.encode()
            sender.sendto(data, client)
            emit("found", by=client[0])


def listen(address):
    """Return a socket that receives the probes on the interface with this address."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((GROUP, DISCOVERY_PORT))
    membership = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton(address))
    listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    return listener


def profile_link(text):
    """Parse PROFILE=LINK."""
    profile, _, link = text.partition("=")
    if profile not in PROFILES or not link:
        raise ValueError
    return profile, link


def parse_options():
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description="ONVIF test device. It writes events to stdout, one JSON object per line.",
    )
    add = parser.add_argument
    add("--address", default="127.0.0.1", help="IP address of the device (%(default)s)")
    add(
        "--interface",
        default="127.0.0.1",
        help="address of the interface that receives probes (%(default)s)",
    )
    add("--port", type=int, default=0, help="HTTP port; 0 selects a free port (%(default)s)")
    add("--user", default="", help="user name; by default, no credentials are required")
    add("--password", default="secret", help="password (%(default)s)")
    add("--clock", type=float, default=0, help="seconds by which the clock is fast (%(default)s)")
    add(
        "--time",
        default="utc",
        choices=["utc", "local", "wrong", "login", "none"],
        help="how GetSystemDateAndTime reports the clock (%(default)s)",
    )
    add(
        "--zone",
        type=float,
        default=8,
        help="hours by which local time is ahead of UTC (%(default)s)",
    )
    add(
        "--http-auth",
        choices=["md5", "sha256", "both", "basic"],
        help="require HTTP authentication, and ignore the UsernameToken",
    )
    add(
        "--nonce-uses",
        type=int,
        metavar="COUNT",
        help="reject nonces of HTTP authentication after this number of requests",
    )
    add(
        "--certificate",
        metavar="FILE",
        help="use HTTPS with the certificate and key in this PEM file",
    )
    add(
        "--media-address",
        metavar="FORMAT",
        help="announce this address of the media services, with {host}, {port} and {path}",
    )
    add(
        "--media2",
        default="works",
        choices=["works", "refuses", "empty", "linkless"],
        help="behaviour of version 2 of the media service (%(default)s)",
    )
    add("--own", metavar="URL", help="announce this base URL instead of the actual one")
    add("--rtsp-port", type=int, default=554, help="port in the links (%(default)s)")
    add(
        "--link",
        action="append",
        type=profile_link,
        default=[],
        metavar="PROFILE=LINK",
        help="set the link of a profile; can be repeated",
    )
    add(
        "--camera-pid",
        type=int,
        metavar="PID",
        help="process ID of the camera.py that makes keyframes on request",
    )
    add(
        "--old",
        action="store_true",
        help="support only the first version of the media service, and not GetServices",
    )
    add(
        "--habit",
        default="none",
        choices=["none", "page", "garbage", "silent", "deep", "endless", "redirect"],
        help="misbehave in this way (%(default)s)",
    )
    return parser.parse_args()


def main():
    """Serve until a signal arrives."""
    options = parse_options()
    device = Device(options)
    server = Server((options.address, options.port), handler(device, options))
    options.port = server.server_address[1]
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate)
        # Each connection's thread does the TLS handshake, so that a slow client does not delay
        # others.
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    listener = listen(options.interface)
    threading.Thread(target=answer_probes, args=(device, options, listener), daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    emit("ready", port=options.port)
    server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
