"""Where backups lie and with which keys: checked before anything is sent."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from backups.storage import service_account
from console.lib.errors import BadInput

SignIn = Literal["keys", "sts-cluster", "sts-keys", "service-account"]
KEYS: SignIn = "keys"
STS_CLUSTER: SignIn = "sts-cluster"
STS_KEYS: SignIn = "sts-keys"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_REGION = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_KEY = re.compile(r"[\x21-\x7e]{1,2048}")
# STS API reference, AssumeRole: the patterns of RoleArn and ExternalId.
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]{1,576}")
_EXTERNAL_ID = re.compile(r"[A-Za-z0-9_+=,.@:/-]{2,1224}")
_LONGEST_PREFIX = 512


@dataclass(frozen=True, kw_only=True)
class StorageTarget:
    """A bucket, a prefix in it and who signs in. `s3_url` is empty for AWS itself.

    `prefix` has no meaning for slashes at its ends. No secret shows in `repr`. `service_account` is the key file's
    text. `sts_url` and `gcs_url` stand in for the clouds' own addresses, by the site owner's setting alone.
    """

    bucket: str
    prefix: str
    region: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    provider: str = "aws"
    sign_in: SignIn = KEYS
    role_arn: str = ""
    external_id: str = ""
    service_account: str = field(default="", repr=False)
    s3_url: str = ""
    sts_url: str = ""
    gcs_url: str = ""
    path_style: bool = False
    ca_pem: str | None = None

    @property
    def base(self) -> str:
        """The prefix without slashes at its ends."""
        return self.prefix.strip("/")

    @property
    def folder(self) -> str:
        """The prefix as keys begin with it: with a slash at its end, or empty."""
        return f"{self.base}/" if self.base else ""

    @property
    def is_checkable(self) -> bool:
        """Whether the console can sign in itself: not with an identity that only a cluster has."""
        return self.sign_in != STS_CLUSTER


def check(target: StorageTarget, *, loopback: bool = False) -> None:
    """`loopback`: whether a service account's key may send us to this machine for its token.

    Raises: BadInput when something in `target` cannot be right, whatever the store says; `field` says what.
    """
    _check_url(target.s3_url)
    if not _BUCKET.fullmatch(target.bucket):
        raise BadInput(
            "This is not the name of a bucket.",
            field="bucket",
            remedy="Write the name alone, without s3:// or gs:// and without a folder.",
        )
    _check_prefix(target.base)
    if target.provider == "gcp":
        service_account.read(target.service_account, loopback=loopback)
    else:
        _check_aws(target)


def _check_aws(target: StorageTarget) -> None:
    if not _REGION.fullmatch(target.region):
        raise BadInput(
            "The region is missing or is not the name of one.",
            field="region",
            remedy="For a store without regions use us-east-1.",
        )
    if target.sign_in in (STS_CLUSTER, STS_KEYS):
        _check_role(target)
    if target.sign_in == STS_CLUSTER:
        return
    for name, key in (("access_key", target.access_key), ("secret_key", target.secret_key)):
        if not _KEY.fullmatch(key):
            raise BadInput(
                "A key is missing or holds blanks.", field=name, remedy="Copy it again, without the blanks around it."
            )


def _check_role(target: StorageTarget) -> None:
    if not _ROLE.fullmatch(target.role_arn):
        raise BadInput(
            "This is not the ARN of a role.",
            field="role_arn",
            remedy="Copy it from the role's page: arn:aws:iam::ACCOUNT:role/NAME.",
        )
    if not _EXTERNAL_ID.fullmatch(target.external_id):
        raise BadInput(
            "The External ID is missing or holds a character that AWS does not allow.",
            field="external_id",
            remedy="Use at least 2 letters, digits and = , . @ : / - _ +.",
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
