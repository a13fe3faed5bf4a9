"""Why a role cannot be assumed. AWS answers AccessDenied alike for a role that is not there, one that does not trust
the account, and a wrong External ID, so that nobody can find out roles by trying: where it says no more, neither do we.
"""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import urlsplit

from backups.storage.target import StorageTarget
from backups.storage.trouble import Kind, StoreError, Trouble
from console.lib.errors import clip

_CALLER = re.compile(r"User: (arn:aws[\w-]*:(?:iam|sts)::\d{12}:[\w+=,.@/-]{1,200})")
# In AWS's own words, most telling first (IAM guide, "Troubleshoot access denied error messages"; STS API, errors).
_WORDS = (
    ("MaxSessionDuration", Kind.SESSION_TOO_LONG),
    ("DurationSeconds", Kind.SESSION_TOO_LONG),
    ("identity-based policy", Kind.ROLE_NOT_PERMITTED),
    ("resource-based policy", Kind.ROLE_UNTRUSTED),
    ("trust policy", Kind.ROLE_UNTRUSTED),
    ("not trusted", Kind.ROLE_UNTRUSTED),
    ("does not trust", Kind.ROLE_UNTRUSTED),
    ("ExternalId", Kind.EXTERNAL_ID_WRONG),
    ("external id", Kind.EXTERNAL_ID_WRONG),
    ("NoSuchEntity", Kind.ROLE_UNKNOWN),
)
_KEEP = (Kind.KEY_UNKNOWN, Kind.SECRET_WRONG, Kind.CLOCK, Kind.TOKEN_EXPIRED, Kind.BUSY)


def role_trouble(error: StoreError, target: StorageTarget) -> Trouble:
    """`error` of a request to STS, told as what is wrong with the role or the way there."""
    told = replace(error.trouble, host=host(target))
    if told.kind is Kind.NOT_S3:
        return replace(told, kind=Kind.NOT_STS)
    if told.kind in _KEEP or not told.detail:
        return told
    if told.kind in (Kind.DENIED, Kind.OTHER):
        return replace(told, kind=_kind(told), detail=_caller(told.detail))
    return told


def _kind(told: Trouble) -> Kind:
    for words, kind in _WORDS:
        if words.lower() in told.detail.lower():
            return kind
    return Kind.ROLE_REFUSED if told.kind is Kind.DENIED else Kind.OTHER


def _caller(detail: str) -> str:
    """Who AWS says was turned away: the account's number is what the trust policy must name."""
    found = _CALLER.search(detail)
    return found[1] if found else detail


def host(target: StorageTarget) -> str:
    """STS, as a person knows it."""
    return clip(urlsplit(target.sts_url).netloc, 120) if target.sts_url else f"AWS STS in {clip(target.region, 63)}"
