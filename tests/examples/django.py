#!/usr/bin/python3
"""Calls every function of the client in deploy/examples/django, with a real manager.

This script does not need Django. It reads its settings as JSON from standard input, and writes the
results as JSON to standard output.
"""

import json
import sys
import traceback
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

try:
    import cryptography  # noqa: F401
except ImportError:
    sys.exit("cryptography is missing; install it with: apt-get install python3-cryptography")

# Keeps Python from writing a __pycache__ directory into the example.
sys.dont_write_bytecode = True
EXAMPLE = Path(__file__).resolve().parents[2] / "deploy/examples/django"
sys.path.insert(0, str(EXAMPLE))
from stream_manager import StreamManager, StreamManagerError  # noqa: E402

settings = json.load(sys.stdin)


def manager(url, key):
    """Return a client for the manager at this URL, with this API key."""
    return StreamManager(url, key, settings["public_url"], settings["private_key"])


def fetch(url):
    """Fetch a URL as a player does; return the status and the first line of the response."""
    try:
        with urlopen(url, timeout=30) as response:
            return [response.status, response.readline().decode().strip()]
    except HTTPError as error:
        with error:
            return [error.code, error.readline().decode()]


def failure(call):
    """Make a call that is expected to fail; return the error."""
    try:
        call()
    except StreamManagerError as error:
        # What a log would contain: the error with its stack trace.
        log = traceback.format_exc()
        return {"status": error.status, "code": error.code, "detail": error.detail, "log": log}
    return {"status": 200, "code": "no error"}


streams = manager(settings["base_url"], settings["api_key"])
results = {}
wrong_key = manager(settings["base_url"], "no-such-secret-0001")
results["wrong_key"] = failure(lambda: wrong_key.status("door"))
results["unreachable"] = failure(lambda: manager(settings["closed_url"], "x").status("door"))
camera = {"name": "Front door", "owner": "42", "rtsp_link": settings["link"]}
results["put"] = streams.put_camera("door", camera)
results["start"] = streams.start_camera("door", audio="off")
results["state"] = streams.status("door")
streams.put_camera("other", {"rtsp_link": settings["link"]})
results["search"] = streams.list_cameras("front d")
results["page"] = streams.list_cameras(limit=1, offset=1)

playback = streams.playback_url("anna", "door", 600)
results["playback"] = {"hlsUrl": playback.hls_url, "expiresAt": playback.expires_at.isoformat()}
results["session"] = fetch(playback.hls_url)
streams.end_session(playback.session_id)
results["session_ended"] = fetch(playback.hls_url)

minted = streams.mint_token("bert", ["door"], 600)
results["minted"] = fetch(streams.hls_url(minted.token, "door"))
results["minted_other"] = fetch(streams.hls_url(minted.token, "other"))
streams.end_session(minted.session_id)
results["minted_ended"] = fetch(streams.hls_url(minted.token, "door"))

cameras = ["door"] + [f"{number:08x}-0000-4000-8000-000000000000" for number in range(99)]
largest = streams.mint_token("ü" * 200, cameras, 86400)
results["minted_largest"] = fetch(streams.hls_url(largest.token, "door"))


def is_refused(user="bert", cameras=("door",), ttl=600):
    """Return whether the client refuses to create a token."""
    try:
        streams.mint_token(user, list(cameras), ttl)
    except ValueError:
        return True
    return False


results["refused"] = [
    is_refused(user=""),
    is_refused(user="x" * 201),
    is_refused(user="a\nb"),
    is_refused(cameras=[]),
    is_refused(cameras=[*cameras, "other"]),
    is_refused(cameras=["front door"]),
    is_refused(cameras=["*", "door"]),
    is_refused(cameras=["x" * 65]),
    is_refused(ttl=0),
    is_refused(ttl=86401),
    # Too long although every part is permitted.
    is_refused(cameras=[f"{number:064}" for number in range(100)]),
]

results["no_session"] = failure(lambda: streams.end_session("no-such/session"))

results["wrong_link"] = failure(lambda: streams.start_camera("wrong", settings["wrong_link"]))
results["no_link"] = failure(
    lambda: streams.put_camera("wrong", {"rtsp_link": settings["no_link"]})
)
streams.stop_camera("door")
results["stopped"] = streams.status("door")["state"]
streams.delete_camera("door")
results["deleted"] = failure(lambda: streams.status("door"))

json.dump(results, sys.stdout)
