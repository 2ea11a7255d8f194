"""A client of stream-manager's API.

Needs Python 3.11 and no packages; only mint_token() needs the package `cryptography`.
"""

import base64
import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

# Time limit of a start in seconds. A start can take 68 s when many cameras start at once and the
# link has changed.
START_TIMEOUT = 75
DEFAULT_TTL = 1800
MAX_TTL = 86400
MAX_CAMERAS = 100
MAX_TOKEN_LENGTH = 8192
USER = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,200}")
CAMERA_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class StreamManagerError(Exception):
    """The manager rejected a request or did not respond. The error contains no link and no key.

    status: HTTP status; 0 if there was no response
    code: stable code, such as source_unauthorized
    detail: explanation in English
    retry_after: seconds to wait before another attempt; None if the response has no such time
    """

    def __init__(self, status: int, code: str, detail: str, retry_after: int | None = None) -> None:
        super().__init__(f"stream manager: {code} ({status}): {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after = retry_after


@dataclass(frozen=True)
class Playback:
    """A playback session. The page plays hls_url; end_session(session_id) ends the session."""

    hls_url: str
    session_id: str
    expires_at: datetime


@dataclass(frozen=True)
class Token:
    """A playback session. This application has signed its token, without the manager."""

    token: str
    session_id: str
    expires_at: datetime


class _NoRedirect(HTTPRedirectHandler):
    """Does not follow redirects, so that the API key is sent to no other server."""

    def redirect_request(self, *_: Any) -> None:
        return None


class StreamManager:
    """A client. A client keeps no connections and no state, so the whole process can share one.

    base_url: address at which this server reaches the API, e.g. http://127.0.0.1:8088
    public_url: address at which browsers reach nginx, e.g. https://video.example
    private_key: Ed25519 or RSA key in PEM format; only mint_token() needs it
    key_id: kid of the private key, if the manager's PLAYBACK_PUBLIC_KEYS is a JWKS
    timeout: time limit in seconds of all requests except start_camera()
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        public_url: str,
        private_key: str | None = None,
        key_id: str | None = None,
        timeout: float = 20,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._public_url = public_url.rstrip("/")
        self._private_key = private_key
        self._key_id = key_id
        self._timeout = timeout
        self._opener = build_opener(_NoRedirect)

    def start_camera(
        self, camera_id: str, rtsp_link: str | None = None, **options: Any
    ) -> dict[str, Any]:
        """Starts a camera's stream if it is not running; returns when the stream is playable.

        If a keyframe is late, or with the option wait=False, the method can return before that,
        with the status `starting`. A call is optional, because a viewer's first request starts the
        stream too. Call the method to find out whether the camera works. A known camera needs no
        link. The manager stores the link even if the camera cannot be played, unless the stream is
        live with another link. Options are profile,
        video, audio, transport, output and wait.
        """
        body = {"indicator_id": camera_id, **options}
        if rtsp_link is not None:
            body["rtsp_link"] = rtsp_link
        return self._call("POST", "/api/stream/start", body, START_TIMEOUT)

    def stop_camera(self, camera_id: str, profile: str = "main") -> None:
        """Stops a stream for all viewers. A player that is still open starts the stream again."""
        self._call("POST", "/api/stream/stop", {"indicator_id": camera_id, "profile": profile})

    def status(self, camera_id: str, profile: str = "main") -> dict[str, Any]:
        """Returns the state of a stream: state, viewers, media, last_error and more."""
        query = urlencode({"indicator_id": camera_id, "profile": profile})
        return self._call("GET", f"/api/stream/status?{query}")

    def put_camera(self, camera_id: str, camera: dict[str, Any]) -> dict[str, Any]:
        """Adds or replaces a camera; returns the camera without its secrets.

        Fields that you omit are reset to their defaults, including name and owner. The manager
        keeps a source that you omit. It also keeps an omitted password if ip, port and username
        stay the same, and an omitted onvif_certificate if onvif stays the same.
        """
        return self._call("PUT", f"/api/cameras/{quote(camera_id, safe='')}", camera)

    def delete_camera(self, camera_id: str) -> None:
        """Deletes a camera and stops its streams."""
        self._call("DELETE", f"/api/cameras/{quote(camera_id, safe='')}")

    def list_cameras(self, search: str = "", limit: int = 100, offset: int = 0) -> dict[str, Any]:
        """Returns a page of the cameras, sorted by id, and the total number of cameras.

        search: part of an id, name or host; empty for all cameras
        """
        query = urlencode({"search": search, "limit": limit, "offset": offset})
        return self._call("GET", f"/api/cameras?{query}")

    def playback_url(self, user: str, camera_id: str, ttl: int = DEFAULT_TTL) -> Playback:
        """Creates a playback session: the user can watch the camera for `ttl` seconds."""
        body = {"user": user, "camera": camera_id, "ttl_seconds": ttl}
        session = self._call("POST", "/api/playback/sessions", body)
        return Playback(
            hls_url=self._public(session["hls_url"]),
            session_id=session["session_id"],
            expires_at=datetime.fromisoformat(session["expires_at"]),
        )

    def end_session(self, session_id: str) -> None:
        """Ends a playback session early; the viewer's next request is refused."""
        self._call("DELETE", f"/api/playback/sessions/{quote(session_id, safe='')}")

    def mint_token(self, user: str, cameras: list[str], ttl: int = DEFAULT_TTL) -> Token:
        """Creates the token of a playback session without a request to the manager.

        The manager needs the public key. Only an API key with role admin can end the session.
        cameras: ids, or ["*"] for all cameras
        """
        # Checked here, because the manager checks a token only when a viewer uses it.
        cameras = [str(camera) for camera in cameras]
        if not USER.fullmatch(user):
            raise ValueError("a user has 1 to 200 characters, and no control characters")
        if not 1 <= len(cameras) <= MAX_CAMERAS:
            raise ValueError("a token needs 1 to 100 cameras")
        if cameras != ["*"] and not all(CAMERA_ID.fullmatch(camera) for camera in cameras):
            raise ValueError('cameras must be ids of cameras, or ["*"]')
        if not 1 <= ttl <= MAX_TTL:
            raise ValueError("a token is valid for 1 to 86400 seconds")
        algorithm, sign = self._signer()
        now = int(time.time())
        session_id = secrets.token_hex(12)
        header = {"alg": algorithm, "typ": "JWT"}
        if self._key_id is not None:
            header["kid"] = self._key_id
        claims = {
            "jti": session_id,
            "sub": user,
            "cameras": cameras,
            "aud": "stream-manager",
            "iat": now,
            "exp": now + ttl,
        }
        signed = f"{_base64url(_json(header))}.{_base64url(_json(claims))}"
        token = f"{signed}.{_base64url(sign(signed.encode()))}"
        if len(token) > MAX_TOKEN_LENGTH:
            raise ValueError("the token is too long; name fewer cameras")
        return Token(token, session_id, datetime.fromtimestamp(now + ttl, UTC))

    def hls_url(self, token: str, camera_id: str, profile: str = "main") -> str:
        """Returns the address at which a player can play one of the token's cameras."""
        stream = f"{camera_id}~sub" if profile == "sub" else camera_id
        return f"{self._public_url}/play/{token}/{stream}/stream.m3u8"

    def _public(self, url: str) -> str:
        # With the manager's setting PUBLIC_URL, the URL is complete.
        return url if "://" in url else self._public_url + url

    def _signer(self) -> tuple[str, Callable[[bytes], bytes]]:
        # Imported here, so that all other methods work without the package.
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        if self._private_key is None:
            raise ValueError("set private_key, which is needed to sign tokens")
        key = load_pem_private_key(self._private_key.encode(), password=None)
        if isinstance(key, Ed25519PrivateKey):
            return "EdDSA", key.sign
        if isinstance(key, RSAPrivateKey):
            return "RS256", lambda text: key.sign(text, PKCS1v15(), SHA256())
        raise ValueError("the private key is neither Ed25519 nor RSA")

    def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        request = Request(self._base_url + path, method=method)
        request.add_header("Accept", "application/json")
        request.add_header("Authorization", f"Bearer {self._api_key}")
        if body is not None:
            request.data = _json(body)
            request.add_header("Content-Type", "application/json")
        try:
            with self._opener.open(request, timeout=timeout or self._timeout) as response:
                status, headers, text = response.status, response.headers, response.read()
        except HTTPError as error:
            with error:
                status, headers, text = error.code, error.headers, error.read()
        except (OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, URLError) else error
            is_late = isinstance(reason, TimeoutError)
            code = "manager_timeout" if is_late else "manager_unavailable"
            raise StreamManagerError(0, code, str(reason)) from None
        try:
            answer = json.loads(text) if text else {}
        except ValueError:
            answer = None
        if 200 <= status < 300 and isinstance(answer, dict):
            return answer
        # The response can be from a proxy, with another format.
        problem = answer if isinstance(answer, dict) else {}
        retry_after = headers.get("Retry-After", "")
        raise StreamManagerError(
            status,
            problem.get("code", "invalid_answer"),
            problem.get("detail", "the response does not come from the stream manager"),
            int(retry_after) if retry_after.isdecimal() else None,
        )


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
