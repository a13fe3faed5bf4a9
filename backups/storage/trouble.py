"""What can go wrong with a store, whatever SDK met it: kinds, sentences for a person, and our errors.

SDK code raises `StoreError` with a `Trouble`; it never leaves this package.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from backups.storage.target import StorageTarget
from console.lib.errors import (
    BadInput,
    Busy,
    ConsoleError,
    Missing,
    NotPermitted,
    Refused,
    SignInRefused,
    Unreachable,
    clip,
)


class Kind(StrEnum):
    """One cause, one remedy."""

    SETTING = "setting"
    NAME_UNKNOWN = "name_unknown"
    ADDRESS_REFUSED = "address_refused"
    NOTHING_LISTENS = "nothing_listens"
    NO_ROUTE = "no_route"
    NO_CONNECTION = "no_connection"
    NO_ANSWER = "no_answer"
    CLOSED = "closed"
    TLS_UNKNOWN_CA = "tls_unknown_ca"
    TLS_SELF_SIGNED = "tls_self_signed"
    TLS_OTHER_NAME = "tls_other_name"
    TLS_EXPIRED = "tls_expired"
    TLS_FAILED = "tls_failed"
    PLAIN_PORT = "plain_port"
    TLS_PORT = "tls_port"
    NOT_S3 = "not_s3"
    KEY_UNKNOWN = "key_unknown"
    SECRET_WRONG = "secret_wrong"  # noqa: S105 - a cause, not a secret
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    CLOCK = "clock"
    NO_BUCKET = "no_bucket"
    REGION = "region"
    PATH_STYLE = "path_style"
    DENIED = "denied"
    NO_OBJECT = "no_object"
    TOO_LARGE = "too_large"
    DAMAGED = "damaged"
    BUSY = "busy"
    OTHER = "other"


@dataclass(frozen=True)
class Trouble:
    """`action` is the right that was missing, `region` the right region, `skew` the clocks' difference in seconds.

    `detail` is the store's own text, already cut.
    """

    kind: Kind
    detail: str = ""
    action: str = ""
    region: str = ""
    skew: float | None = None
    field: str = ""


class StoreError(Exception):
    """Inside this package only."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.kind)
        self.trouble = trouble


_TEXTS: dict[Kind, tuple[str, str]] = {
    Kind.NAME_UNKNOWN: ("The name {host} cannot be resolved.", "Check {address}, and that the console's DNS knows it."),
    Kind.NOTHING_LISTENS: ("Nothing listens at {host}.", "Check {address} and its port, and that the store runs."),
    Kind.NO_ROUTE: ("There is no way to {host} from the console.", "Check the network and {address}."),
    Kind.NO_CONNECTION: ("{host} did not accept a connection in time.", "Check {address}, routes and firewalls."),
    Kind.NO_ANSWER: ("{host} did not answer in time.", "Try again; if it stays so, look at the store's load."),
    Kind.CLOSED: ("{host} closed the connection without an answer.", "Check whether its port wants http or https."),
    Kind.TLS_UNKNOWN_CA: (
        "The certificate of {host} is from an authority that the console does not know.",
        "Paste the authority's certificate (PEM) into the field Certificate.",
    ),
    Kind.TLS_SELF_SIGNED: (
        "The certificate of {host} is self-signed or from an authority of its own.",
        "Paste this certificate, or its authority's, into the field Certificate.",
    ),
    Kind.TLS_OTHER_NAME: (
        "The certificate of {host} is made out for another name.",
        "Use the name in the certificate as S3 URL, or have it renewed with this name.",
    ),
    Kind.TLS_EXPIRED: ("The certificate of {host} is not valid today.", "Have it renewed, or check the clocks."),
    Kind.TLS_FAILED: ("No secure connection to {host} came about: {detail}.", "Check the store's TLS settings."),
    Kind.PLAIN_PORT: ("The S3 URL says https, but {host} speaks plain http there.", "Correct the S3 URL or its port."),
    Kind.TLS_PORT: ("The S3 URL says http, but {host} wants https there.", "Write https:// in the S3 URL."),
    Kind.NOT_S3: (
        "What answers at {host} is not an S3 store.",
        "Check {address}: the store's web console often has another port than its S3 service.",
    ),
    Kind.KEY_UNKNOWN: ("The store does not know this access key.", "Check the access key, or make a new pair of keys."),
    Kind.SECRET_WRONG: ("The secret key does not belong to this access key.", "Enter the secret key again."),
    Kind.TOKEN_EXPIRED: ("The temporary keys have run out.", "Enter new ones, or keys that do not expire."),
    Kind.CLOCK: (
        "The clocks of the console and the store differ{skew}, so the store refuses the signature.",
        "Set both clocks (NTP).",
    ),
    Kind.NO_BUCKET: ("There is no bucket {bucket}.", "Create it, or correct the name."),
    Kind.REGION: ("The bucket {bucket} is not in the region {region}.", "{right_region}"),
    Kind.PATH_STYLE: (
        "The store does not find the bucket by its host name.",
        "Turn on “Force S3 path style”.",
    ),
    Kind.DENIED: ("The keys do not allow {action} here.", "Add {action} to the rights of these keys."),
    Kind.NO_OBJECT: ("There is no such object in the bucket.", ""),
    Kind.TOO_LARGE: ("The object is larger than the console reads ({detail}).", "Download it with Velero's client."),
    Kind.DAMAGED: ("The object in the bucket is damaged or not what it should be.", ""),
    Kind.BUSY: ("The store asks to be left alone for a moment.", "Try again in a minute."),
    Kind.OTHER: ("The store refused: {detail}.", ""),
}
_ERRORS: dict[Kind, type[ConsoleError]] = {
    **dict.fromkeys((Kind.KEY_UNKNOWN, Kind.SECRET_WRONG, Kind.TOKEN_EXPIRED, Kind.CLOCK), SignInRefused),
    **dict.fromkeys((Kind.NO_BUCKET, Kind.NO_OBJECT), Missing),
    **dict.fromkeys((Kind.NAME_UNKNOWN, Kind.NOTHING_LISTENS, Kind.NO_ROUTE, Kind.NO_CONNECTION), Unreachable),
    **dict.fromkeys((Kind.NO_ANSWER, Kind.CLOSED), Unreachable),
    **dict.fromkeys((kind for kind in Kind if kind.startswith("tls_")), Unreachable),
    Kind.PLAIN_PORT: Unreachable,
    Kind.DENIED: NotPermitted,
    Kind.BUSY: Busy,
}


def sentences(trouble: Trouble, target: StorageTarget) -> tuple[str, str]:
    """The cause and what to do."""
    if trouble.kind in (Kind.SETTING, Kind.ADDRESS_REFUSED):
        return trouble.detail, trouble.action
    words = {
        "host": _host(target),
        "address": "the S3 URL" if target.s3_url else "the region",
        "bucket": clip(target.bucket, 80),
        "region": clip(target.region, 80),
        "right_region": _right_region(trouble),
        "action": trouble.action or "this",
        "detail": trouble.detail or "without a reason",
        "skew": "" if trouble.skew is None else f" by {_duration(trouble.skew)}",
    }
    cause, remedy = _TEXTS[trouble.kind]
    return cause.format(**words), remedy.format(**words)


def _host(target: StorageTarget) -> str:
    return clip(target.s3_url.partition("://")[2].strip("/") if target.s3_url else f"AWS S3 in {target.region}", 120)


def _right_region(trouble: Trouble) -> str:
    if trouble.region:
        return f"Set the region to {trouble.region}."
    return "Look up the bucket's region and enter it."


def _duration(seconds: float) -> str:
    minutes = round(abs(seconds) / 60)
    return f"{minutes} minutes" if minutes < 120 else f"{round(minutes / 60)} hours"


def console_error(trouble: Trouble, target: StorageTarget) -> ConsoleError:
    """`trouble` as one of our errors."""
    cause, remedy = sentences(trouble, target)
    if trouble.kind is Kind.SETTING:
        return BadInput(cause, field=trouble.field, remedy=remedy)
    return _ERRORS.get(trouble.kind, Refused)(cause, remedy=remedy)
