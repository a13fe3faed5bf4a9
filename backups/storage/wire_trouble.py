"""What goes wrong below HTTP, whichever SDK met it: names, sockets, TLS, time."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from urllib3.exceptions import ConnectTimeoutError, ProtocolError, ReadTimeoutError

from backups.storage.trouble import Kind, Trouble
from console.lib.errors import ConsoleError, Unreachable, clip


class OverTime(Exception):
    """An answer beyond our bounds."""


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
_NO_ROUTE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL)


def address(error: ConsoleError) -> Trouble:
    """What the address policy said: the name is unknown, or the address is not to be had."""
    if isinstance(error, Unreachable):
        return Trouble(Kind.NAME_UNKNOWN)
    return Trouble(Kind.ADDRESS_REFUSED, detail=error.message, action=error.remedy)


def connection(error: BaseException, of_sdk: Callable[[BaseException], Kind | None] | None = None) -> Trouble:
    """What broke on the way. `of_sdk` knows the SDK's own errors."""
    chain = list(_chain(error))
    for inner in chain:
        if isinstance(inner, ssl.SSLError):
            return _tls(inner)
    # The socket's own word first: urllib3 counts every failed connection among the time-outs.
    judges = filter(None, (_of_socket, of_sdk, _of_urllib3))
    kinds = (kind for judge in judges for inner in chain if (kind := judge(inner)) is not None)
    return Trouble(next(kinds, Kind.OTHER), detail=clip(type(error).__name__, 80))


def _of_socket(error: BaseException) -> Kind | None:
    if isinstance(error, ConnectionRefusedError):
        return Kind.NOTHING_LISTENS
    if isinstance(error, OSError) and error.errno in _NO_ROUTE:
        return Kind.NO_ROUTE
    return None


def _of_urllib3(error: BaseException) -> Kind | None:
    if isinstance(error, ConnectTimeoutError):
        return Kind.NO_CONNECTION
    if isinstance(error, ReadTimeoutError | TimeoutError | OverTime):
        return Kind.NO_ANSWER
    if isinstance(error, ProtocolError | ConnectionError):
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


def skew(headers: Mapping[str, str]) -> float | None:
    """Seconds that our clock is ahead of the answer's `date`."""
    try:
        return (datetime.now(UTC) - parsedate_to_datetime(headers["date"])).total_seconds()
    except (KeyError, ValueError, TypeError):
        return None
