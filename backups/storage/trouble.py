"""What can go wrong with a store, whatever SDK met it. Sentences for a person are in `sentences.py`.

SDK code raises `StoreError` with a `Trouble`; it never leaves this package.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
    REDIRECTED = "redirected"
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
    LOCKED = "locked"
    NOT_FROM_HERE = "not_from_here"
    ROLE_REFUSED = "role_refused"
    ROLE_UNTRUSTED = "role_untrusted"
    ROLE_UNKNOWN = "role_unknown"
    ROLE_NOT_PERMITTED = "role_not_permitted"
    EXTERNAL_ID_WRONG = "external_id_wrong"
    EXTERNAL_ID_IDLE = "external_id_idle"
    SESSION_TOO_LONG = "session_too_long"
    NOT_STS = "not_sts"
    ACCOUNT_KEY_GONE = "account_key_gone"
    ACCOUNT_GONE = "account_gone"
    TOKEN_REFUSED = "token_refused"  # noqa: S105
    NOT_GCS = "not_gcs"
    BUSY = "busy"
    OTHER = "other"


@dataclass(frozen=True)
class Trouble:
    """`action` is the right that was missing, `region` the right region, `skew` the clocks' difference in seconds.

    `detail` is the store's own text, already cut. `host` is where it happened, when that is not the store itself.
    """

    kind: Kind
    detail: str = ""
    action: str = ""
    region: str = ""
    skew: float | None = None
    field: str = ""
    host: str = ""


class StoreError(Exception):
    """Inside this package only."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.kind)
        self.trouble = trouble
