"""Google Cloud: tokens for assertions that a service account's key signed, and rights in front of the emulator.

The emulator takes any request. This gate lets through what carries a token of ours, if its account may do it.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from sandbox.clouds.web import Reply, Request, pass_on

PROJECT = "drydock-sandbox"
GOOGLE_TOKENS = "https://oauth2.googleapis.com/token"  # the Python SDK's audience, wherever it asks
LASTS = 3600
_JSON_API = re.compile(r"^(/download|/upload)?(/storage/v1)?/b/")  # Go's client leaves the middle out


@dataclass(frozen=True)
class ServiceAccount:
    """`public_key` is PEM. `lacks`: rights it does not have, such as storage.objects.list."""

    email: str
    public_key: str
    lacks: tuple[str, ...] = ()


@dataclass
class Google:
    """`url` is the emulator's."""

    accounts: list[ServiceAccount]
    url: str
    _tokens: dict[str, tuple[ServiceAccount, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: Request) -> Reply:
        if request.path == "/token":
            return self._token(request)
        account, until = self._tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "), (None, 0))
        if not account or time.time() > until:
            return _refused(401, "authError", "Invalid Credentials")
        right = _right(request)
        if right in account.lacks:
            return _refused(403, "forbidden", f"{account.email} does not have {right} access to the bucket.")
        return _in_googles_words(pass_on(request, self.url, request.headers), right)

    def _token(self, request: Request) -> Reply:
        try:
            account = self._signer(request)
        except (KeyError, ValueError, IndexError):
            return _no_token("Invalid JWT")
        if isinstance(account, str):
            return _no_token(account)
        token = f"ya29.{secrets.token_urlsafe(40)}"
        with self._lock:
            self._tokens[token] = (account, time.time() + LASTS)
        return _json(200, {"access_token": token, "expires_in": LASTS, "token_type": "Bearer"})

    def _signer(self, request: Request) -> ServiceAccount | str:
        """Who signed the assertion, or why it does not count."""
        head, claims, signature = parse_qs(request.body.decode())["assertion"][0].split(".")
        told = json.loads(_unpadded(claims))
        account = next((one for one in self.accounts if one.email == told["iss"]), None)
        if not account:
            return "Invalid grant: account not found"
        if not _fits(account.public_key, f"{head}.{claims}", _unpadded(signature)):
            return "Invalid JWT Signature."
        if told["aud"] not in (GOOGLE_TOKENS, f"http://{request.headers['host']}/token"):
            return "Invalid JWT: Failed audience check."
        if not told["iat"] - 300 <= time.time() <= told["exp"]:
            return "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
        return account


def new_key(email: str, token_uri: str) -> tuple[str, str]:
    """A service account's key file as Google hands it out, and its public key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    info = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": secrets.token_hex(20),
        "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "client_email": email,
        "client_id": "1",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": token_uri,
        "universe_domain": "googleapis.com",
    }
    return json.dumps(info, indent=1), public


def _right(request: Request) -> str:
    """What the request needs, by the JSON API's reference."""
    below = _JSON_API.sub("", request.path)
    with_object = below == request.path or bool(below.partition("/o/")[2])  # the XML API says /bucket/object
    match request.method:
        case "POST" | "PUT":
            return "storage.objects.create"
        case "DELETE":
            return "storage.objects.delete"
        case _ if with_object:
            return "storage.objects.get"
        case _ if below.rstrip("/").endswith("/o"):
            return "storage.objects.list"
    return "storage.buckets.get"


def _in_googles_words(reply: Reply, right: str) -> Reply:
    """The emulator says of a bucket that is not there nothing but the status."""
    if reply.status == 404 and right in ("storage.buckets.get", "storage.objects.list"):
        return _refused(404, "notFound", "The specified bucket does not exist.")
    return reply


def _fits(public_key: str, text: str, signature: bytes) -> bool:
    key = load_pem_public_key(public_key.encode())
    assert isinstance(key, rsa.RSAPublicKey)
    try:
        key.verify(signature, text.encode(), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def _json(status: int, told: Mapping[str, Any]) -> Reply:
    return Reply(status, json.dumps(told).encode(), {"Content-Type": "application/json"})


def _refused(status: int, reason: str, message: str) -> Reply:
    error = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
    return _json(status, {"error": error})


def _no_token(why: str) -> Reply:
    return _json(400, {"error": "invalid_grant", "error_description": why})


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
