"""Looking for what Veleros wrote into a bucket, for those who have lost the clusters that wrote it.

Every call makes a bounded number of requests, and each says where to go on: whoever calls keeps that in a row, so that
a scan may be killed and go on. Nothing is written. Who else may write into the bucket must not be able to stop a scan,
fill our memory, or have anything but names that Velero gives come out of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from backups.storage import layout
from backups.storage.store import kept
from backups.storage.target import StorageTarget
from console.lib.addresses import AddressPolicy

PAGE = 1000
MOST_PAGES = 3  # of one backup
LONGEST_PREFIX = 512
LONGEST_TOKEN = 4096
VELEROS = frozenset({"backups", "restores", "kopia", "restic", "metadata", "plugins"})
METADATA = "velero-backup.json"
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")  # what Kubernetes lets a Backup be called
_PROOF = re.compile(r"([^/]+)/(velero-backup\.json|\1\.tar\.gz|\1-[a-z-]+(\.json)?\.gz)")
_BEHIND_SLASH = "0"  # the character after it: a listing that begins there has all below a folder behind it


@dataclass(frozen=True)
class FolderPage:
    """Names of folders directly below a place; `token` leads to the next page, empty at the end."""

    names: tuple[str, ...]
    token: str


@dataclass(frozen=True)
class FoundFolder:
    """Everything below `backups/<name>/`. `size` is in bytes; a listing goes on behind the key `last`.

    `requests`: how many listings it took since the folder before. `is_huge`: there is more than was looked at.
    """

    name: str
    size: int
    last: str
    has_metadata: bool = False
    is_file: bool = False  # an object directly in `backups/`
    is_huge: bool = False
    requests: int = 0


def folders_below(target: StorageTarget, prefix: str, policy: AddressPolicy, token: str = "") -> FolderPage:
    """One page of the folders below `prefix`. Raises: what storage raises."""
    start = layout.folder(prefix)
    with kept(target, policy) as store:
        page = store.list(start, folders=True, limit=PAGE, token=token)
    names = tuple(name.removeprefix(start).removesuffix("/") for name in page.folders)
    further = page.more and page.token != token and len(page.token) <= LONGEST_TOKEN
    return FolderPage(names, page.token if further else "")


def is_place(target: StorageTarget, prefix: str, policy: AddressPolicy) -> bool:
    """Whether the first page of `backups/` there holds something of Velero's own shape. Raises: what storage raises."""
    start = layout.backups_folder(prefix)
    with kept(target, policy) as store:
        keys = store.list(start, limit=PAGE).keys
    return any(_PROOF.match(key.removeprefix(start)) for key in keys)


def backup_folders(
    target: StorageTarget, prefix: str, policy: AddressPolicy, *, after: str = ""
) -> Iterator[FoundFolder]:
    """What lies in `backups/` of a place, folder by folder, from behind the key `after`.

    One that goes on for more than `MOST_PAGES` pages is left at that: a backup has a few dozen objects.

    Raises: what storage raises.
    """
    start, current, pages, more = layout.backups_folder(prefix), None, 0, True
    while more:
        with kept(target, policy) as store:
            page = store.list(start, limit=PAGE, after=after)
        pages, requests = pages + 1, 1
        more = page.more and bool(page.keys) and page.keys[-1] != after
        for key, size in zip(page.keys, page.sizes, strict=True):
            if current and current.name != _folder_of(key, start):
                yield current
                current, pages = None, 1
            current = _with(current, key, start, size, requests)
            requests = 0
        after = page.keys[-1] if page.keys else after
        if more and current and pages >= MOST_PAGES:
            after = f"{start}{current.name}{_BEHIND_SLASH}"
            yield replace(current, is_huge=True, last=after)
            current, pages = None, 0
    if current:
        yield current


def _folder_of(key: str, start: str) -> str:
    return key.removeprefix(start).partition("/")[0]


def _with(current: FoundFolder | None, key: str, start: str, size: int, requests: int) -> FoundFolder:
    name, slash, rest = key.removeprefix(start).partition("/")
    before = current or FoundFolder(name, 0, key, is_file=not slash)
    has_metadata = before.has_metadata or rest == METADATA
    size, requests = before.size + size, before.requests + requests
    return replace(before, size=size, last=key, has_metadata=has_metadata, requests=requests)


def can_be_a_backup(name: str) -> bool:
    """Whether a Backup can have this name."""
    return bool(_NAME.fullmatch(name))


def can_be_a_place(prefix: str) -> bool:
    """Whether Velero and the console can be pointed there."""
    parts = prefix.split("/") if prefix else []
    return len(prefix) <= LONGEST_PREFIX and prefix.isprintable() and not {"", ".", ".."} & set(parts)
