"""From what the SDK raised to a `Trouble`: status codes, S3's error codes, TLS and socket failures."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    IncompleteReadError,
    InvalidRegionError,
    ParamValidationError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import ConnectTimeoutError as PoolConnectTimeout
from urllib3.exceptions import HTTPError, ProtocolError
from urllib3.exceptions import ReadTimeoutError as PoolReadTimeout

from backups.storage.trouble import Kind, StoreError, Trouble
from console.lib.addresses import console_error_in
from console.lib.errors import ConsoleError, Unreachable, clip


class OverTime(Exception):
    """An answer beyond our bounds."""


SDK_ERRORS = (BotoCoreError, ClientError, HTTPError, ConsoleError, OverTime, OSError, ValueError)

_CODES: dict[str, Kind] = {
    "InvalidAccessKeyId": Kind.KEY_UNKNOWN,
    "InvalidClientTokenId": Kind.KEY_UNKNOWN,
    "UnrecognizedClientException": Kind.KEY_UNKNOWN,
    "SignatureDoesNotMatch": Kind.SECRET_WRONG,
    "ExpiredToken": Kind.TOKEN_EXPIRED,
    "InvalidToken": Kind.TOKEN_EXPIRED,
    "RequestTimeTooSkewed": Kind.CLOCK,
    "RequestExpired": Kind.CLOCK,
    "NoSuchBucket": Kind.NO_BUCKET,
    "NoSuchKey": Kind.NO_OBJECT,
    "PermanentRedirect": Kind.REGION,
    "TemporaryRedirect": Kind.REGION,
    "AuthorizationHeaderMalformed": Kind.REGION,
    "IllegalLocationConstraintException": Kind.REGION,
    "InvalidBucketName": Kind.NO_BUCKET,
    "AccessDenied": Kind.DENIED,
    "AllAccessDisabled": Kind.DENIED,
    "AccountProblem": Kind.DENIED,
    "SlowDown": Kind.BUSY,
    "ServiceUnavailable": Kind.BUSY,
    "RequestLimitExceeded": Kind.BUSY,
    "InternalError": Kind.BUSY,
}
_STATUSES = {301: Kind.REGION, 307: Kind.REGION, 403: Kind.DENIED, 429: Kind.BUSY, 500: Kind.BUSY, 503: Kind.BUSY}
# OpenSSL's X509_V_ERR_*: x509_vfy.h
_CERTIFICATE = {
    9: Kind.TLS_EXPIRED,
    10: Kind.TLS_EXPIRED,
    18: Kind.TLS_SELF_SIGNED,
    19: Kind.TLS_SELF_SIGNED,
    2: Kind.TLS_UNKNOWN_CA,
    20: Kind.TLS_UNKNOWN_CA,
    21: Kind.TLS_UNKNOWN_CA,
    62: Kind.TLS_OTHER_NAME,
    64: Kind.TLS_OTHER_NAME,
}
_NOT_TLS = (
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
    "UNKNOWN_PROTOCOL",
)
_WANTS_TLS = (b"HTTP request to an HTTPS server", b"plain HTTP request was sent to HTTPS port")
_NO_ROUTE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL)


def diagnose(error: BaseException, action: str = "") -> Trouble:
    """What happened. `action` is the right that the call needs."""
    ours = console_error_in(error)
    if ours is not None:
        return _address(ours)
    if isinstance(error, ClientError):
        return _refusal(error, action)
    if isinstance(error, ResponseParserError):
        return Trouble(Kind.NOT_S3)
    if isinstance(error, InvalidRegionError | ParamValidationError) or type(error) is ValueError:
        return Trouble(
            Kind.SETTING, detail="The S3 URL, the region or the bucket cannot be used.", action="Check them."
        )
    return _connection(error)


def _address(error: ConsoleError) -> Trouble:
    """What the address policy said: the name is unknown, or the address is not to be had."""
    if isinstance(error, Unreachable):
        return Trouble(Kind.NAME_UNKNOWN)
    return Trouble(Kind.ADDRESS_REFUSED, detail=error.message, action=error.remedy)


def _connection(error: BaseException) -> Trouble:
    chain = list(_chain(error))
    for inner in chain:
        if isinstance(inner, ssl.SSLError):
            return _tls(inner)
    # The socket's own word first: urllib3 counts every failed connection among the time-outs.
    kinds = (kind for judge in (_of_socket, _of_sdk) for inner in chain if (kind := judge(inner)) is not None)
    return Trouble(next(kinds, Kind.OTHER), detail=clip(type(error).__name__, 80))


def _of_socket(error: BaseException) -> Kind | None:
    if isinstance(error, ConnectionRefusedError):
        return Kind.NOTHING_LISTENS
    if isinstance(error, OSError) and error.errno in _NO_ROUTE:
        return Kind.NO_ROUTE
    return None


def _of_sdk(error: BaseException) -> Kind | None:
    if isinstance(error, ConnectTimeoutError | PoolConnectTimeout):
        return Kind.NO_CONNECTION
    if isinstance(error, ReadTimeoutError | PoolReadTimeout | TimeoutError | OverTime):
        return Kind.NO_ANSWER
    if isinstance(error, ConnectionClosedError | ProtocolError | ConnectionError | IncompleteReadError):
        return Kind.CLOSED
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all it was made from: causes, contexts, arguments. Innermost last."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        wrapped: list[Any] = [*current.args, *getattr(current, "kwargs", {}).values()]
        waiting += [current.__cause__, current.__context__]
        waiting += [item for item in wrapped if isinstance(item, BaseException)]


def _tls(error: ssl.SSLError) -> Trouble:
    if isinstance(error, ssl.SSLCertVerificationError):
        kind = _CERTIFICATE.get(error.verify_code, Kind.TLS_FAILED)
        return Trouble(kind, detail=clip(error.verify_message, 120))
    if any(mark in (error.reason or "") for mark in _NOT_TLS):
        return Trouble(Kind.PLAIN_PORT)
    return Trouble(
        Kind.TLS_FAILED, detail=clip((error.reason or "the handshake failed").lower().replace("_", " "), 120)
    )


def _refusal(error: ClientError, action: str) -> Trouble:
    """An answer with an S3 error code, or a bare status."""
    told = error.response.get("Error", {})
    meta = error.response.get("ResponseMetadata", {})
    headers, status, code = meta.get("HTTPHeaders", {}), meta.get("HTTPStatusCode", 0), str(told.get("Code", ""))
    kind = _CODES.get(code) or _bare(status, code, headers)
    if code == "AuthorizationHeaderMalformed" and not _right_region(told, headers):
        kind = Kind.OTHER
    if _wants_tls(told):
        kind = Kind.TLS_PORT
    return Trouble(
        kind,
        detail=clip(f"{code} {told.get('Message', '')}".strip() or f"HTTP {status}", 200),
        action=action,
        region=_right_region(told, headers),
        skew=_skew(headers) if kind is Kind.CLOCK else None,
    )


def _bare(status: int, code: str, headers: dict[str, str]) -> Kind:
    """For codes we do not know. A refusal without any code is not from an S3 store but from a web server or a proxy.

    botocore reports an answer of 200 that is no XML as 500.
    """
    if code and not code.isdigit():
        return _STATUSES.get(status, Kind.BUSY if status >= 500 else Kind.OTHER)
    if status in (301, 307, 429) or status > 500 or "x-amz-request-id" in headers:
        return _STATUSES.get(status, Kind.BUSY if status >= 500 else Kind.OTHER)
    return Kind.NOT_S3


def _right_region(told: dict[str, Any], headers: dict[str, str]) -> str:
    """The bucket's region as the answer gives it: in the error, a header, or the end of a sentence."""
    message = str(told.get("Message", ""))
    spoken = message.rpartition("expecting '")[2].partition("'")[0] if "expecting '" in message else ""
    return clip(told.get("Region") or headers.get("x-amz-bucket-region") or spoken, 63)


def _wants_tls(told: dict[str, Any]) -> bool:
    text = " ".join(str(value) for value in told.values()).encode()
    return any(mark in text for mark in _WANTS_TLS)


def _skew(headers: dict[str, str]) -> float | None:
    try:
        return (datetime.now(UTC) - parsedate_to_datetime(headers["date"])).total_seconds()
    except (KeyError, ValueError, TypeError):
        return None


def look_at_plain_answer(status: int, beginning: bytes) -> None:
    """Raises: StoreError when the answer to an unsigned request shows that TLS is wanted."""
    if status == 400 and any(mark in beginning for mark in _WANTS_TLS):
        raise StoreError(Trouble(Kind.TLS_PORT))
