"""Objects of a bucket read whole, for tests: logs as lines, documents as what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from backups.storage import StorageTarget, gzip_json, gzip_lines, open_object
from backups.storage.link import open_linked
from console.lib.addresses import AddressPolicy

MOST = 32 * 1024 * 1024


def lines_of(target: StorageTarget, key: str, policy: AddressPolicy, *, max_bytes: int = MOST) -> Iterator[str]:
    with open_object(target, key, policy) as body:
        yield from gzip_lines(body, max_bytes)


def json_of(target: StorageTarget, key: str, policy: AddressPolicy, *, max_bytes: int = MOST) -> Any:
    with open_object(target, key, policy) as body:
        return gzip_json(body, max_bytes)


def linked_lines(
    url: str, target: StorageTarget, key: str, policy: AddressPolicy, *, max_bytes: int = MOST
) -> Iterator[str]:
    with open_linked(url, target, key, policy) as body:
        yield from gzip_lines(body, max_bytes)


def linked_json(url: str, target: StorageTarget, key: str, policy: AddressPolicy, *, max_bytes: int = MOST) -> Any:
    with open_linked(url, target, key, policy) as body:
        return gzip_json(body, max_bytes)
