#!/usr/bin/python3
"""A real RTSP camera for the tests, the demo and the benchmarks.

It serves the mounts of mounts.py to any number of clients. Each client has its own
pipeline. On stdout it reports when it is ready and what its clients play, as one
JSON object per line. README.md describes its use.

The camera does only what real cameras do. Its built-in faults are quirks of real
cameras that a test cannot cause from outside. To simulate a camera that is dead,
frozen or restarted, a test sends signals to the process or closes connections. The
camera does not use any interface of this project.
"""

import argparse
import json
import os
import queue
import signal
import socket
import sys
import threading

from gst import GLib, Gst, GstRtsp, GstRtspServer
from mounts import ANONYMOUS, MEMBER, MOUNTS, PRIVATE, Mount
from picture import check_size

REALM = "camera"
# Unlimited number of threads, because clients that share a thread would block each other's
# pipelines.
UNLIMITED = -1
SESSION_CLEANUP_SECONDS = 2


def role_token(role):
    """Return the token of clients with this role."""
    token = GstRtspServer.RTSPToken.new()
    token.set_string("media.factory.role", role)
    return token


def authentication(options):
    """Return the authentication. Clients with the password are members, others are anonymous."""
    auth = GstRtspServer.RTSPAuth.new()
    auth.set_realm(REALM)
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    auth.set_default_token(role_token(ANONYMOUS))
    auth.add_digest(options.user, options.password, role_token(MEMBER))
    return auth


class Events:
    """Writes events to a stream, as JSON, in a separate thread.

    The camera never waits for the reader of the stream, and works without a reader.
    """

    def __init__(self, stream):
        self._stream = stream
        self._lines = queue.SimpleQueue()
        threading.Thread(target=self._write, daemon=True).start()

    def emit(self, event, **fields):
        """Queue an event for writing."""
        self._lines.put(json.dumps({"event": event, **fields}, separators=(",", ":")))

    def _write(self):
        while self._stream:
            try:
                print(self._lines.get(), file=self._stream, flush=True)
            except OSError:
                self._stream = None


def disable_nagle(_server, client):
    """Make the kernel send each packet to this client immediately."""
    connection = client.get_connection()
    connection.get_write_socket().set_option(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Players:
    """Reports when clients start and stop playing."""

    def __init__(self, events):
        self._events = events
        self._playing = {}

    def watch(self, server):
        """Start to report what the clients of this server play."""
        pool = server.get_session_pool()
        pool.connect("session-removed", self._on_session_removed)
        server.connect("client-connected", self._on_client, pool)

    def _on_client(self, _server, client, pool):
        sessions = []
        client.connect("new-session", self._on_session, sessions)
        client.connect("play-request", self._on_play)
        client.connect("closed", self._on_closed, pool, sessions)

    def _on_session(self, _client, session, sessions):
        sessions.append(session)

    def _on_play(self, client, context):
        session = context.session.get_sessionid()
        if session in self._playing:
            return
        path = context.uri.abspath.rstrip("/")
        player = {"path": path, "client": client.get_connection().get_ip()}
        self._playing[session] = player
        self._events.emit("play", **player)

    def _on_closed(self, _client, pool, sessions):
        """End the client's sessions, which would otherwise only end after a timeout."""
        for session in sessions:
            pool.remove(session)

    def _on_session_removed(self, _pool, session):
        player = self._playing.pop(session.get_sessionid(), None)
        if player:
            self._events.emit("teardown", **player)


def build_server(options):
    """Return the server with all of its mounts."""
    server = GstRtspServer.RTSPServer()
    server.set_address(options.address)
    server.set_service(str(options.port))
    server.set_auth(authentication(options))
    server.get_thread_pool().set_max_threads(UNLIMITED)
    aliases = {name: MOUNTS[mount] for name, mount in options.alias}
    private = [PRIVATE, *(name for name, mount in options.alias if mount == PRIVATE)]
    for name, streams in {**MOUNTS, **aliases}.items():
        roles = [MEMBER] if name in private else [MEMBER, ANONYMOUS]
        mount = Mount(name, [stream(options) for stream in streams])
        if name in options.running:
            mount.share()
            GLib.unix_signal_add(GLib.PRIORITY_HIGH, signal.SIGUSR1, mount.make_keyframe)
        server.get_mount_points().add_factory(f"/{name}", mount.factory(roles))
    return server


def serve(options, events):
    """Run the camera until a signal ends it."""
    loop = GLib.MainLoop()
    server = build_server(options)
    server.connect("client-connected", disable_nagle)
    Players(events).watch(server)
    if not server.attach(None):
        sys.exit(f"camera: cannot listen on {options.address}:{options.port}")
    pool = server.get_session_pool()
    GLib.timeout_add_seconds(SESSION_CLEANUP_SECONDS, remove_expired_sessions, pool)
    for number in (signal.SIGINT, signal.SIGTERM):
        GLib.unix_signal_add(GLib.PRIORITY_HIGH, number, loop.quit)
    events.emit("ready", port=server.get_bound_port())
    loop.run()


def remove_expired_sessions(pool):
    """Remove the sessions of clients that disappeared without a TEARDOWN."""
    pool.cleanup()
    return GLib.SOURCE_CONTINUE


def port_number(text):
    """Parse a port number. The server itself would treat an invalid number as 0."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError
    return number


def positive(text):
    """Parse a positive integer."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def alias(text):
    """Parse an alias of a mount."""
    name, _, mount = text.partition("=")
    if not name or mount not in MOUNTS:
        raise ValueError
    return name, mount


def parse_options():
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description="RTSP test camera. It writes events to stdout, one JSON object per line.",
    )
    add = parser.add_argument
    add("--address", default="127.0.0.1", help="IP address to listen on (%(default)s)")
    add("--port", type=port_number, default=0, help="port; 0 selects a free one (%(default)s)")
    add("--user", default="viewer", help=f"user name for /{PRIVATE} (%(default)s)")
    add("--password", default="secret", help=f"password for /{PRIVATE} (%(default)s)")
    add("--width", type=int, default=640, help="width, a multiple of 32 (%(default)s)")
    add("--height", type=int, default=360, help="height, an even number (%(default)s)")
    add("--fps", type=positive, default=25, help="frames per second (%(default)s)")
    add("--gop-seconds", type=float, default=2, help="seconds between keyframes (%(default)s)")
    add(
        "--bitrate",
        type=positive,
        help="bit rate in kbit/s (depends on the picture size and the frame rate by default)",
    )
    add(
        "--alias",
        action="append",
        type=alias,
        default=[],
        metavar="NAME=MOUNT",
        help="serve this mount under an additional name; can be repeated",
    )
    add(
        "--running",
        action="append",
        choices=MOUNTS,
        default=[],
        metavar="MOUNT",
        help="encode this mount all the time, once for all clients; can be repeated",
    )
    options = parser.parse_args()
    try:
        check_size(options.width, options.height)
    except ValueError as error:
        parser.error(str(error))
    if options.bitrate is None:
        options.bitrate = options.width * options.height * options.fps // 8000
    return options


def main():
    """Serve until a signal arrives, and then exit without waiting for the pipelines."""
    options = parse_options()
    Gst.init(None)
    serve(options, Events(sys.stdout))
    os._exit(0)


if __name__ == "__main__":
    main()
