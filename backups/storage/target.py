"""Where backups lie and with which keys: checked before anything is sent."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from console.lib.errors import BadInput

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_REGION = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_KEY = re.compile(r"[\x21-\x7e]{1,2048}")
_LONGEST_PREFIX = 512


@dataclass(frozen=True, kw_only=True)
class StorageTarget:
    """A bucket, a prefix in it and the keys to it. `s3_url` is empty for AWS itself.

    `prefix` has no meaning for slashes at its ends. The keys never show in `repr`.
    """

    bucket: str
    prefix: str
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    provider: str = "aws"
    s3_url: str = ""
    path_style: bool = False
    ca_pem: str | None = None
    session_token: str | None = field(default=None, repr=False)

    @property
    def base(self) -> str:
        """The prefix without slashes at its ends."""
        return self.prefix.strip("/")

    @property
    def folder(self) -> str:
        """The prefix as keys begin with it: with a slash at its end, or empty."""
        return f"{self.base}/" if self.base else ""


def check(target: StorageTarget) -> None:
    """Raises: BadInput when something in `target` cannot be right, whatever the store says; `field` says what."""
    _check_url(target.s3_url)
    if not _BUCKET.fullmatch(target.bucket):
        raise BadInput(
            "This is not the name of a bucket.",
            field="bucket",
            remedy="Write the name alone, without s3:// and without a folder.",
        )
    _check_prefix(target.base)
    if not _REGION.fullmatch(target.region):
        raise BadInput(
            "The region is missing or is not the name of one.",
            field="region",
            remedy="For a store without regions use us-east-1.",
        )
    for name, key in (("access_key", target.access_key), ("secret_key", target.secret_key)):
        if not _KEY.fullmatch(key):
            raise BadInput(
                "A key is missing or holds blanks.", field=name, remedy="Copy it again, without the blanks around it."
            )


def _check_url(text: str) -> None:
    if not text:
        return
    try:
        parts = urlsplit(text)
        complete = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 0) >= 0
    except ValueError:
        complete = False
    if not complete or parts.username or any(character.isspace() for character in text):
        raise BadInput("The S3 URL is not one.", field="s3_url", remedy="Write it like https://minio.example.com:9000.")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise BadInput(
            "The S3 URL has something behind the host, which Velero cannot use.",
            field="s3_url",
            remedy="Write the bucket and the prefix into their own fields.",
        )


def _check_prefix(base: str) -> None:
    parts = base.split("/") if base else []
    if any(part in ("", ".", "..") for part in parts) or not base.isprintable() or len(base) > _LONGEST_PREFIX:
        raise BadInput(
            "The prefix cannot be used.", field="prefix", remedy="Write folder names with single slashes between them."
        )
