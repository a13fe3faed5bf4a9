"""Google Cloud Storage in this process: tokens for signed assertions, one bucket's objects, Google's refusals.

What it answers follows the JSON API's reference and what the SDK sends; it cannot be held against the real service
from here, so it is stricter than needed where it knows the rule (signatures, audience, clock, rights).
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

BUCKET = "contract"
EMAIL = "velero@contract.iam.gserviceaccount.com"
GOOGLE_SIGN_IN = "https://oauth2.googleapis.com/token"  # the Python SDK's audience, wherever it sends the assertion
Reply = tuple[int, bytes, str]  # status, body, content type


@cache
def private_key(number: int) -> rsa.RSAPrivateKey:
    """Made once for all tests: that takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def key_file(uri: str, /, *, number: int = 0, **changes: Any) -> str:
    """A service account's key file, as Google hands it out."""
    pem = private_key(number).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    info = {
        "type": "service_account",
        "project_id": "contract",
        "private_key_id": "0123456789abcdef",
        "private_key": pem,
        "client_email": EMAIL,
        "client_id": "1",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": uri,
        "universe_domain": "googleapis.com",
    }
    return json.dumps(info | changes)


@dataclass
class FakeGcs:
    """A context manager; `url` is known after it has started. `denied` holds rights that the account lacks."""

    objects: dict[str, bytes] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    settings: dict[str, Any] = field(default_factory=dict)  # of the bucket, as the API names them
    locked: bool = False
    accounts: tuple[str, ...] = (EMAIL,)
    seen: list[str] = field(default_factory=list)
    instead: Callable[[str, str], Reply | None] = lambda method, path: None
    location: str = ""  # where every answer sends the client on to

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def token_uri(self) -> str:
        return f"{self.url}/token"

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        """What a request gets."""
        parts = urlsplit(path)
        self.seen.append(f"{method} {parts.path}")
        if (other := self.instead(method, parts.path)) is not None:
            return other
        if parts.path == "/token":
            return self._token(parse_qs(body.decode()))
        if headers.get("Authorization") != "Bearer fake-token":
            return _refused(401, "authError", "Invalid Credentials")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        steps = parts.path.removeprefix("/upload").removeprefix("/storage/v1/b/").split("/", 2)
        if steps[0] != BUCKET:
            return _refused(404, "notFound", "The specified bucket does not exist.")
        return self._inside(method, [unquote(step) for step in steps[1:]], query, body)

    def _inside(self, method: str, steps: list[str], query: dict[str, str], body: bytes) -> Reply:
        match method, steps:
            case "GET", []:
                return self._may("storage.buckets.get") or _json({"name": BUCKET, "location": "EU"} | self.settings)
            case "GET", ["o"]:
                return self._may("storage.objects.list") or self._list(query)
            case "POST", ["o"]:
                return self._may("storage.objects.create") or self._put(body)
            case "GET", ["o", name]:
                return self._may("storage.objects.get") or self._get(name)
            case "DELETE", ["o", name]:
                return self._may("storage.objects.delete") or self._delete(name)
        return _refused(400, "invalid", "Invalid request")

    def _token(self, form: dict[str, list[str]]) -> Reply:
        head, claims, signature = form["assertion"][0].split(".")
        told = json.loads(_unpadded(claims))
        if told["iss"] not in self.accounts:
            return _no_token("Invalid grant: account not found")
        try:
            private_key(0).public_key().verify(
                _unpadded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except InvalidSignature:
            return _no_token("Invalid JWT Signature.")
        if told["aud"] not in (self.token_uri, GOOGLE_SIGN_IN) or not told["scope"].endswith("devstorage.read_write"):
            return _no_token("Invalid JWT: Failed audience check.")
        if not told["iat"] - 300 <= time.time() <= told["exp"]:
            return _no_token(
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
            )
        return _json({"access_token": "fake-token", "expires_in": 3599, "token_type": "Bearer"})

    def _may(self, right: str) -> Reply | None:
        if right not in self.denied:
            return None
        return _refused(403, "forbidden", f"{EMAIL} does not have {right} access to the Google Cloud Storage object.")

    def _list(self, query: dict[str, str]) -> Reply:
        prefix, most = query.get("prefix", ""), int(query.get("maxResults", 1000))
        start = max(query.get("startOffset", ""), query.get("pageToken", ""))
        items: list[dict[str, str]] = []
        folders: list[str] = []
        for name in sorted(self.objects):
            if not name.startswith(prefix) or name < start:
                continue
            if len(items) + len(folders) == most:
                return _json({"items": items, "prefixes": folders, "nextPageToken": name})
            inner = name.removeprefix(prefix)
            folder = f"{prefix}{inner.partition('/')[0]}/"
            if "delimiter" not in query or "/" not in inner:
                items.append({"name": name, "size": str(len(self.objects[name]))})
            elif folder not in folders:
                folders.append(folder)
        return _json({"items": items, "prefixes": folders})

    def _put(self, body: bytes) -> Reply:
        boundary = body.split(b"\r\n", 1)[0]
        _, head, rest = body.split(boundary, 2)
        name = json.loads(head.split(b"\r\n\r\n", 1)[1])["name"]
        self.objects[name] = rest.split(b"\r\n\r\n", 1)[1].removesuffix(b"--").removesuffix(boundary)[:-2]
        return _json({"name": name, "bucket": BUCKET})

    def _get(self, name: str) -> Reply:
        if name not in self.objects:
            return 404, f"No such object: {BUCKET}/{name}".encode(), "text/html"
        return 200, self.objects[name], "application/octet-stream"

    def _delete(self, name: str) -> Reply:
        if self.locked:
            text = f"Object '{BUCKET}/{name}' is subject to bucket's retention policy or object retention."
            return _refused(403, "retentionPolicyNotMet", text)
        if self.objects.pop(name, None) is None:
            return _refused(404, "notFound", f"No such object: {BUCKET}/{name}")
        return 204, b"", "application/json"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        return  # a client that has read enough turns away


def _handler(fake: FakeGcs) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, text, kind = fake.answer(
                self.command, self.path, {name.title(): value for name, value in self.headers.items()}, body
            )
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            if fake.location:
                self.send_header("Location", fake.location)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = do_PUT = _do

        def log_message(self, format: str, *args: Any) -> None:
            return

    return Handler


def _json(found: dict[str, Any]) -> Reply:
    return 200, json.dumps(found).encode(), "application/json"


def _refused(status: int, reason: str, message: str) -> Reply:
    error = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
    return status, json.dumps({"error": error}).encode(), "application/json"


def _no_token(why: str) -> Reply:
    return 400, json.dumps({"error": "invalid_grant", "error_description": why}).encode(), "application/json"


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
