#!/usr/bin/python3
"""Uses the client of deploy/examples/django as a back end does, against a real manager.

Does not need Django. Reads its settings as JSON from standard input and writes the results as JSON
to standard output.
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

# Leaves no cache beside the example.
sys.dont_write_bytecode = True
EXAMPLE = Path(__file__).resolve().parents[2] / "deploy/examples/django"
sys.path.insert(0, str(EXAMPLE))
from stream_manager import StreamManager, StreamManagerError  # noqa: E402

given = json.load(sys.stdin)


def manager(url, key):
    return StreamManager(url, key, given["public_url"], given["private_key"])


def fetch(url):
    """The status and the first line of a player's answer."""
    try:
        with urlopen(url, timeout=30) as response:
            return [response.status, response.readline().decode().strip()]
    except HTTPError as error:
        with error:
            return [error.code, error.readline().decode()]


def refusal(call):
    try:
        call()
    except StreamManagerError as error:
        # As in a log, with the stack trace.
        log = traceback.format_exc()
        return {"status": error.status, "code": error.code, "detail": error.detail, "log": log}
    return {"status": 200, "code": "no error"}


streams = manager(given["base_url"], given["api_key"])
saw = {}
wrong_key = manager(given["base_url"], "no-such-secret-0001")
saw["wrong_key"] = refusal(lambda: wrong_key.status("door"))
saw["unreachable"] = refusal(lambda: manager(given["closed_url"], "x").status("door"))
camera = {"name": "Front door", "owner": "42", "rtsp_link": given["link"]}
saw["put"] = streams.put_camera("door", camera)
saw["start"] = streams.start_camera("door", audio="off")
saw["state"] = streams.status("door")
streams.put_camera("other", {"rtsp_link": given["link"]})
saw["search"] = streams.list_cameras("front d")
saw["page"] = streams.list_cameras(limit=1, offset=1)

playback = streams.playback_url("anna", "door", 600)
saw["playback"] = {"hlsUrl": playback.hls_url, "expiresAt": playback.expires_at.isoformat()}
saw["session"] = fetch(playback.hls_url)
streams.end_session(playback.session_id)
saw["session_ended"] = fetch(playback.hls_url)

minted = streams.mint_token("bert", ["door"], 600)
saw["minted"] = fetch(streams.hls_url(minted.token, "door"))
saw["minted_other"] = fetch(streams.hls_url(minted.token, "other"))
streams.end_session(minted.session_id)
saw["minted_ended"] = fetch(streams.hls_url(minted.token, "door"))
saw["no_session"] = refusal(lambda: streams.end_session("no-such/session"))

saw["wrong_link"] = refusal(lambda: streams.start_camera("wrong", given["wrong_link"]))
saw["no_link"] = refusal(lambda: streams.put_camera("wrong", {"rtsp_link": given["no_link"]}))
streams.stop_camera("door")
saw["stopped"] = streams.status("door")["state"]
streams.delete_camera("door")
saw["deleted"] = refusal(lambda: streams.status("door"))

json.dump(saw, sys.stdout)
