"""From what google-cloud-storage raised to a `Trouble`: statuses, Google's reasons, the token's refusals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
from google.cloud.exceptions import GoogleCloudError
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from requests.exceptions import ConnectTimeout, ReadTimeout, RequestException
from urllib3.exceptions import HTTPError

from backups.storage.trouble import Kind, Trouble
from backups.storage.wire_trouble import OverTime, address, connection, skew
from console.lib.addresses import console_error_in
from console.lib.errors import ConsoleError, clip

SDK_ERRORS = (
    *(GoogleAPICallError, GoogleCloudError, GoogleAuthError, RetryError, InvalidResponse, DataCorruption),
    *(RequestException, HTTPError, ConsoleError, OverTime, OSError, ValueError),
    *(TypeError, LookupError, AttributeError),  # JSON of another shape than the SDK counts on
)
TOKEN_HOST = "Google's sign-in (token_uri)"  # noqa: S105 - a place, not a token
_CLOCK_WORDS = ("reasonable timeframe", "iat and exp", "short-lived token")
_GONE_WORDS = ("account not found", "account disabled", "invalid email", "disabled_client")
_LOCKED = ("retentionPolicyNotMet", "objectUnderActiveHold", "retention policy", "active hold", "event-based hold")


def diagnose(error: BaseException, action: str = "") -> Trouble:
    """What happened. `action` is the right that the call needs."""
    ours = console_error_in(error)
    if ours is not None:
        return address(ours)
    if isinstance(error, RefreshError):
        return _token(error)
    answer = error.response if isinstance(error, InvalidResponse | GoogleAPICallError) else None
    if answer is not None:
        return refusal(answer.status_code, answer.content, answer.headers, action)
    if isinstance(error, RetryError) and error.cause is not None:
        return diagnose(error.cause, action)
    of_another_shape = isinstance(error, json.JSONDecodeError | TypeError | LookupError | AttributeError)
    return Trouble(Kind.NOT_GCS) if of_another_shape else _on_the_way(error)


def _on_the_way(error: BaseException) -> Trouble:
    found = connection(error, _of_requests)
    if isinstance(error, TransportError):
        return Trouble(found.kind, detail=found.detail, host=TOKEN_HOST)
    return found


def _of_requests(error: BaseException) -> Kind | None:
    if isinstance(error, ConnectTimeout):
        return Kind.NO_CONNECTION
    return Kind.NO_ANSWER if isinstance(error, ReadTimeout) else None


def _token(error: RefreshError) -> Trouble:
    """RFC 7523: `error` and `error_description`. Google's own words for what is wrong with the key."""
    told = next((part for part in error.args if isinstance(part, dict)), {})
    text = f"{told.get('error', '')} {told.get('error_description', '')}".strip()
    detail = clip(text or "no reason given", 200)
    if any(words in text.lower() for words in _CLOCK_WORDS):
        return Trouble(Kind.CLOCK, detail=detail)
    if any(words in text.lower() for words in _GONE_WORDS):
        return Trouble(Kind.ACCOUNT_GONE, detail=detail)
    if "signature" in text.lower():
        return Trouble(Kind.ACCOUNT_KEY_GONE, detail=detail)
    if told.get("error"):
        return Trouble(Kind.TOKEN_REFUSED, detail=detail)
    return Trouble(Kind.BUSY if error.retryable else Kind.NOT_GCS, detail=detail, host=TOKEN_HOST)


def refusal(status: int, body: bytes, headers: Mapping[str, str], action: str) -> Trouble:
    """An answer that is not a success. One without Google's JSON or words is from a proxy or another server."""
    told = _told(body)
    text = f"{told.get('message', '')} {_reasons(told)}".strip() or body[:400].decode(errors="replace")
    kind = _kind(status, told, text)
    return Trouble(
        kind,
        detail=clip(text or f"HTTP {status}", 200),
        action=action,
        skew=skew(headers) if kind is Kind.CLOCK else None,
    )


def _kind(status: int, told: dict[str, Any], text: str) -> Kind:
    if status == 429 or status >= 500:
        return Kind.BUSY
    if 300 <= status < 400:
        return Kind.REDIRECTED
    if status == 404:
        return _missing(told, text)
    if told and any(words.lower() in text.lower() for words in _LOCKED):
        return Kind.LOCKED
    known = {401: Kind.TOKEN_REFUSED, 403: Kind.DENIED}
    return known.get(status, Kind.OTHER) if told else Kind.NOT_GCS


def _missing(told: dict[str, Any], text: str) -> Kind:
    """Reading an object answers in plain text, everything else in JSON."""
    if "No such object" in text or text == "Not Found":
        return Kind.NO_OBJECT
    if "bucket" in text.lower():
        return Kind.NO_BUCKET
    return Kind.NO_OBJECT if told else Kind.NOT_GCS


def _told(body: bytes) -> dict[str, Any]:
    """Google's error object; empty when there is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    error = found.get("error") if isinstance(found, dict) else None
    return error if isinstance(error, dict) else {}


def _reasons(told: dict[str, Any]) -> str:
    errors = told.get("errors")
    found = (
        [str(item.get("reason", "")) for item in errors if isinstance(item, dict)] if isinstance(errors, list) else []
    )
    return " ".join(found)
