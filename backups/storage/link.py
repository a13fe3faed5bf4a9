"""Reading one object by a link that somebody else signed: Velero, for a console that has no keys to the bucket.

The link comes out of a cluster, and whoever can write there can put anything into it. So it is followed only to the
location's own store and to the very object that was asked for, through the address policy, and nowhere further.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import SplitResult, unquote, urlsplit

from urllib3 import PoolManager, Timeout
from urllib3.exceptions import HTTPError

from backups.storage.authorities import authorities
from backups.storage.aws import CONNECT_TIMEOUT, READ_TIMEOUT
from backups.storage.s3 import S3Body
from backups.storage.s3_trouble import diagnose
from backups.storage.store import told
from backups.storage.target import StorageTarget
from backups.storage.trouble import Kind, StoreError, Trouble
from console.lib.addresses import AddressPolicy, guarded_pool_classes
from console.lib.errors import Refused

GOOGLE = "https://storage.googleapis.com"
_PORTS = {"http": 80, "https": 443}
_STATUSES = {404: Kind.NO_OBJECT, 403: Kind.DENIED, 429: Kind.BUSY, 500: Kind.BUSY, 503: Kind.BUSY}


def refuse_foreign(url: str, target: StorageTarget, key: str) -> None:
    """Raises Refused unless the link leads to `key` in the location's own bucket."""
    try:
        parts = urlsplit(url)
        good = _leads_there(parts, target) and _is_of(parts, target, key)
    except ValueError:
        good = False
    if not good:
        raise Refused(
            "The link that Velero gave leads somewhere else than to this location, so it is not followed.",
            remedy="Look at the BackupStorageLocation in the cluster: its s3Url or publicUrl is another one.",
        )


def _leads_there(parts: SplitResult, target: StorageTarget) -> bool:
    if parts.username or parts.password or not parts.hostname:
        return False
    own = target.gcs_url or GOOGLE if target.provider == "gcp" else target.s3_url
    if not own:
        return parts.scheme == "https" and _port(parts) == 443 and _is_amazons(parts.hostname, target.bucket)
    expected = urlsplit(own)
    hosts = {expected.hostname, f"{target.bucket}.{expected.hostname}"}
    return (parts.scheme, _port(parts)) == (expected.scheme, _port(expected)) and parts.hostname in hosts


def _port(parts: SplitResult) -> int | None:
    return parts.port or _PORTS.get(parts.scheme)


def _is_amazons(host: str, bucket: str) -> bool:
    own = rf"({re.escape(bucket.lower())}\.)?s3([.-][a-z0-9-]+){{0,3}}\.amazonaws\.com(\.cn)?"
    return bool(re.fullmatch(own, host))


def _is_of(parts: SplitResult, target: StorageTarget, key: str) -> bool:
    in_host = bool(parts.hostname) and str(parts.hostname).startswith(f"{target.bucket.lower()}.")
    return unquote(parts.path) in ({f"/{key}"} if in_host else {f"/{target.bucket}/{key}"})


@contextmanager
def open_linked(url: str, target: StorageTarget, key: str, policy: AddressPolicy) -> Iterator[S3Body]:
    """The object's bytes behind a link; otherwise as `open_object`.

    The link is in no message: whoever has it can read the object.
    """
    refuse_foreign(url, target, key)
    with told(target):
        body = _body(url, target, policy)
        try:
            yield body
        finally:
            body.close()


def _body(url: str, target: StorageTarget, policy: AddressPolicy) -> S3Body:
    try:
        manager = PoolManager(ssl_context=authorities(target.ca_pem or ""), cert_reqs="CERT_REQUIRED")
        manager.pool_classes_by_scheme = guarded_pool_classes(policy)
        answer = manager.urlopen(
            "GET",
            url,
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
            timeout=Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT),
        )
    except (HTTPError, OSError, ValueError) as error:
        raise StoreError(diagnose(error)) from None  # what is chained names the link
    if answer.status != 200:
        answer.close()
        kind = _STATUSES.get(answer.status, Kind.OTHER)
        raise StoreError(Trouble(kind, detail=f"HTTP {answer.status}", action="s3:GetObject"))
    return S3Body(answer, _length(answer.headers.get("Content-Length", "")))


def _length(text: str) -> int | None:
    return int(text) if text.isdigit() and len(text) < 20 else None
