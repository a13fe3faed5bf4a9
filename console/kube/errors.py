"""What the wire and the API server can do to a request, as the one tree of `console.lib.errors`.

Three questions decide, in this order:

1. Was the request sent? Everything before that is `Unreachable`: nothing happened (`connect_failure`).
2. Did an answer come? If not, a read may simply be repeated (`TryLater`), a write may have taken effect: `Unanswered`.
3. What did it say? The status code and the reason of the Status body (`refusal`).

urllib3, ssl, socket and `ApiException` end here; callers of this package never see them. Every translation is chained
with `from`, and foreign text is clipped.
"""

from __future__ import annotations

import json
import math
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError, ReadTimeoutError

from console.lib.errors import (
    AlreadyThere,
    Busy,
    Changed,
    ConsoleError,
    Missing,
    NotPermitted,
    Refused,
    SignInRefused,
    TryLater,
    Unanswered,
    Unreachable,
    clip,
)

LONGEST_WAIT = 300.0
_LOOK_FIRST = "The console looks whether it took effect before it tries again."

# X509_V_ERR_* of OpenSSL, as `SSLCertVerificationError.verify_code`.
_UNKNOWN_ISSUER = frozenset({2, 7, 18, 19, 20, 21, 24})
_NOT_YET_VALID, _EXPIRED = 9, 10
_OTHER_NAME = frozenset({62, 64})


class Expired(TryLater):
    """The resourceVersion or continue token is too old (410). Internal: list and watch start over on it."""


class NotConnected(Exception):
    """Marks, inside urllib3, that the cause happened before anything was sent. Never leaves this package."""


@contextmanager
def translated(host: str, *, repeatable: bool) -> Iterator[None]:
    """Within it, only ConsoleErrors get out. `repeatable`: the request is a read."""
    try:
        yield
    except ConsoleError:
        raise
    except NotConnected as marker:
        cause = marker.__cause__ or marker
        raise connect_failure(cause, host) from cause
    except (ApiException, HTTPError, HTTPException, OSError) as error:
        raise no_answer(error, host, repeatable=repeatable) from error


def connect_failure(error: BaseException, host: str) -> Unreachable:
    """Why no connection to `host` came about."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate_refused(error, host)
    if isinstance(error, ssl.SSLError):
        return _tls_failure(error, host)
    root = error.__cause__ or error  # the socket's error: to isinstance, urllib3's NewConnectionError is a timeout, too
    if isinstance(root, TimeoutError):
        return Unreachable(
            f"{host} does not answer.", remedy="Check the address and the firewalls between the console and it."
        )
    if isinstance(root, ConnectionRefusedError):
        return Unreachable(
            f"{host} refuses the connection.", remedy="Check the port, and that the API server is running."
        )
    if isinstance(root, ConnectionError):
        return Unreachable(f"{host} closed the connection while it was being made.")
    return Unreachable(f"There is no way to {host}: {clip(getattr(root, 'strerror', None) or 'no route', 120)}.")


def no_answer(error: BaseException, host: str, *, repeatable: bool) -> ConsoleError:
    """The request went out and no usable answer came."""
    cut = (
        "took too long to answer" if isinstance(error, ReadTimeoutError | TimeoutError) else "broke the connection off"
    )
    if repeatable:
        return TryLater(f"{host} {cut}.")
    return Unanswered(f"{host} {cut}, so it is not known whether the request took effect.", remedy=_LOOK_FIRST)


def unreadable(host: str, *, repeatable: bool) -> ConsoleError:
    """A success whose body is not the JSON object it should be."""
    if repeatable:
        return TryLater(
            f"{host} sent an answer that cannot be read.", remedy="Check that it is a Kubernetes API server."
        )
    return Unanswered(
        f"{host} sent an answer that cannot be read, so it is not known whether the request took effect.",
        remedy=_LOOK_FIRST,
    )


def too_large(host: str, limit: int, *, repeatable: bool) -> ConsoleError:
    """The answer is larger than `limit` bytes."""
    if repeatable:
        return Refused(f"The answer of {host} is larger than {limit // 2**20} MiB, which the console does not read.")
    return unreadable(host, repeatable=False)


def refusal(  # noqa: PLR0911 - a table of status codes reads best as one
    status: int, headers: Mapping[str, str], body: bytes, host: str, *, repeatable: bool
) -> ConsoleError:
    """The error for an HTTP answer that is no success."""
    details = _status_body(body)
    said = clip(details.get("message") or "")
    if status == 401:
        return SignInRefused(
            f"{host} does not accept the credentials in the kubeconfig.",
            remedy="They may have expired or been revoked: replace the kubeconfig.",
        )
    if status == 403:
        return NotPermitted(
            f"{host} does not permit this: {said or 'no reason given'}.",
            remedy="Grant the right to the identity in the kubeconfig.",
        )
    if status == 404:
        return Missing(f"{host} does not have it: {said or 'it does not serve this kind of object'}.")
    if status == 409:
        return _conflict(details, said, host)
    if status == 410:
        return Expired(f"{host} no longer keeps the version asked for.")
    if status in (429, 503):
        return Busy(f"{host} is busy{': ' + said if said else ''}.", retry_after=_retry_after(headers, details))
    if 300 <= status < 400:
        return Refused(f"{host} points to another address, which the console does not follow.")
    if "failed to create typed patch object" in said:
        # Server-side apply answers an undeclared field with 500 and no reason; it is a refusal all the same.
        return Refused(f"{host} refuses the request: {said}.")
    if status >= 500 or status == 408:
        return _server_failure(status, said, host, repeatable=repeatable)
    return Refused(f"{host} refuses the request: {said or f'HTTP {status}'}.")


def event_error(status: object, host: str) -> ConsoleError:
    """The error for an ERROR event in a watch, whose object is a Status."""
    code = status.get("code") if isinstance(status, dict) else None
    body = json.dumps(status).encode()
    return refusal(code if isinstance(code, int) and code >= 400 else 500, {}, body, host, repeatable=True)


def _certificate_refused(error: ssl.SSLCertVerificationError, host: str) -> Unreachable:
    code = error.verify_code
    if code in _UNKNOWN_ISSUER:
        return Unreachable(
            f"The certificate of {host} is not signed by a CA that the kubeconfig names.",
            remedy="Paste a current kubeconfig, with the cluster's certificate-authority-data.",
        )
    if code in _OTHER_NAME:
        return Unreachable(
            f"{host} shows a certificate that was made for another name.",
            remedy="Use a server address that the certificate names, or set tls-server-name in the kubeconfig.",
        )
    if code == _EXPIRED:
        return Unreachable(f"The certificate of {host} has expired.", remedy="Renew it on the cluster.")
    if code == _NOT_YET_VALID:
        return Unreachable(
            f"The certificate of {host} is not valid yet.", remedy="Check the clocks of the console and the cluster."
        )
    return Unreachable(f"The certificate of {host} is not accepted: {clip(error.verify_message, 120)}.")


def _tls_failure(error: ssl.SSLError, host: str) -> Unreachable:
    reason = error.reason or ""
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"):
        return Unreachable(f"{host} does not speak TLS.", remedy="Check the port: an API server listens with https.")
    return Unreachable(f"No secure connection to {host} could be made: {clip(reason or 'TLS failed', 120)}.")


def _conflict(details: dict[str, Any], said: str, host: str) -> Refused:
    if details.get("reason") == "AlreadyExists":
        return AlreadyThere(f"{host} has it already: {said}.")
    return Changed(f"{host} reports a conflict: {said or 'the object was changed meanwhile'}.")


def _server_failure(status: int, said: str, host: str, *, repeatable: bool) -> ConsoleError:
    problem = f"{host} failed with HTTP {status}{': ' + said if said else ''}"
    if repeatable:
        return TryLater(f"{problem}.")
    return Unanswered(f"{problem}; it is not known whether the request took effect.", remedy=_LOOK_FIRST)


def _status_body(body: bytes) -> dict[str, Any]:
    """The Status object an API server sends with a refusal; empty for anything else, like a proxy's HTML page."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) and parsed.get("kind") == "Status" else {}


def _retry_after(headers: Mapping[str, str], details: dict[str, Any]) -> float:
    """Seconds to wait, from Retry-After (seconds or a date) or the Status body; 0 to `LONGEST_WAIT`."""
    inner = details.get("details")
    text = headers.get("Retry-After") or (inner.get("retryAfterSeconds") if isinstance(inner, dict) else None) or "0"
    try:
        seconds = float(text)
    except (TypeError, ValueError):
        seconds = _seconds_until(str(text))
    return min(max(seconds, 0.0), LONGEST_WAIT) if math.isfinite(seconds) else 0.0


def _seconds_until(http_date: str) -> float:
    try:
        moment = parsedate_to_datetime(http_date)
    except ValueError:
        return 0.0
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
