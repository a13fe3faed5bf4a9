"""From what the SDK raised to a `Trouble`: status codes, S3's error codes, TLS and socket failures."""

from __future__ import annotations

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
from urllib3.exceptions import HTTPError

from backups.storage.trouble import Kind, StoreError, Trouble
from backups.storage.wire_trouble import OverTime, address, connection, skew
from console.lib.addresses import console_error_in
from console.lib.errors import ConsoleError, clip

SDK_ERRORS = (
    *(BotoCoreError, ClientError, HTTPError, ConsoleError, OverTime, OSError, ValueError),
    *(TypeError, LookupError, AttributeError),  # an answer of another shape than the SDK counts on
)

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
    "ObjectLocked": Kind.LOCKED,
    "SlowDown": Kind.BUSY,
    "ServiceUnavailable": Kind.BUSY,
    "RequestLimitExceeded": Kind.BUSY,
    "InternalError": Kind.BUSY,
}
_OF_S3 = {"x-amz-request-id", "x-amz-bucket-region"}  # headers that tell a bucket's region from a web server's redirect
_STATUSES = {301: Kind.REGION, 307: Kind.REGION, 403: Kind.DENIED, 429: Kind.BUSY, 500: Kind.BUSY, 503: Kind.BUSY}
_CLOCK_WORDS = ("Signature expired", "Signature not yet current")  # STS has no code of its own for clocks
_WANTS_TLS = (b"HTTP request to an HTTPS server", b"plain HTTP request was sent to HTTPS port")


def diagnose(error: BaseException, action: str = "") -> Trouble:
    """What happened. `action` is the right that the call needs."""
    ours = console_error_in(error)
    if ours is not None:
        return address(ours)
    if isinstance(error, ClientError):
        return _refusal(error, action)
    if isinstance(error, ResponseParserError | TypeError | LookupError | AttributeError):
        return Trouble(Kind.NOT_S3)
    if isinstance(error, InvalidRegionError | ParamValidationError) or type(error) is ValueError:
        return Trouble(
            Kind.SETTING, detail="The S3 URL, the region or the bucket cannot be used.", action="Check them."
        )
    return connection(error, _of_botocore)


def _of_botocore(error: BaseException) -> Kind | None:
    if isinstance(error, ConnectTimeoutError):
        return Kind.NO_CONNECTION
    if isinstance(error, ReadTimeoutError):
        return Kind.NO_ANSWER
    return Kind.CLOSED if isinstance(error, ConnectionClosedError | IncompleteReadError) else None


def _refusal(error: ClientError, action: str) -> Trouble:
    """An answer with an S3 error code, or a bare status."""
    told = error.response.get("Error", {})
    meta = error.response.get("ResponseMetadata", {})
    headers, status, code = meta.get("HTTPHeaders", {}), meta.get("HTTPStatusCode", 0), str(told.get("Code", ""))
    kind = _CODES.get(code) or _bare(status, code, headers)
    if code == "AuthorizationHeaderMalformed" and not _right_region(told, headers):
        kind = Kind.OTHER
    if any(words in str(told.get("Message", "")) for words in _CLOCK_WORDS):
        kind = Kind.CLOCK
    if _wants_tls(told):
        kind = Kind.TLS_PORT
    return Trouble(
        kind,
        detail=clip(f"{code} {told.get('Message', '')}".strip() or f"HTTP {status}", 400),
        action=action,
        region=_right_region(told, headers),
        skew=skew(headers) if kind is Kind.CLOCK else None,
    )


def _bare(status: int, code: str, headers: dict[str, str]) -> Kind:
    """For codes we do not know. A refusal without any code is not from an S3 store but from a web server or a proxy.

    botocore reports an answer of 200 that is no XML as 500.
    """
    if 300 <= status < 400 and not headers.keys() & _OF_S3:
        return Kind.REDIRECTED
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


def look_at_plain_answer(status: int, beginning: bytes) -> None:
    """Raises: StoreError when the answer to an unsigned request shows that TLS is wanted."""
    if status == 400 and any(mark in beginning for mark in _WANTS_TLS):
        raise StoreError(Trouble(Kind.TLS_PORT))
