"""Does somebody's Velero write on, above or below a prefix already?

Two Veleros at one place delete each other's backups, and one above another calls its folders foreign: both go
Unavailable. A folder named `backups` alone proves nothing, so a key of Velero's own shape must be in it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from backups.storage.layout import PROBE
from backups.storage.store import Store, opened
from backups.storage.target import StorageTarget
from console.lib.addresses import AddressPolicy

DEEPEST = 3
MOST_LISTINGS = 150
_PROOFS = {
    "backups": re.compile(r"([^/]+)/(velero-backup\.json|\1\.tar\.gz|\1-[a-z-]+(\.json)?\.gz)"),
    "restores": re.compile(r"([^/]+)/(restore-\1-|\1-volumeinfo)"),
    "kopia": re.compile(r"[^/]+/(kopia\.(repository|blobcfg|maintenance)|_log_)"),
    "restic": re.compile(r"[^/]+/(config|data/|index/|keys/|snapshots/)"),
    "metadata": re.compile(r"revision"),
}


@dataclass(frozen=True)
class Occupation:
    """Where a Velero writes. `prefix` is empty for the bucket's root; `evidence` is a key that shows it."""

    prefix: str
    relation: Literal["on", "above", "below"]
    evidence: str

    def sentence(self) -> str:
        """For the form, at the prefix."""
        where = f"below “{self.prefix}/”" if self.prefix else "at the root of the bucket"
        how = {"on": "this very place", "above": "a place around this one", "below": "a place inside this one"}
        return f"A Velero writes {where} already ({self.evidence}): {how[self.relation]}. Choose another prefix."


def occupied(target: StorageTarget, policy: AddressPolicy, *, known: Collection[str] = ()) -> Occupation | None:
    """The first Velero found: above, then on, then up to three levels below the prefix; None when there is none.

    `known` are leaf prefixes of our own, which do not count. Looks at `MOST_LISTINGS` folders at most: a larger tree is
    judged by its beginning.

    Raises: what storage raises (`trouble.py`).
    """
    ours = {prefix.strip("/") for prefix in known}
    with opened(target, policy) as store:
        for prefix, folders in _places(store, target.base, ours):
            evidence = _evidence(store, prefix, folders)
            if evidence:
                return Occupation(prefix, _relation(prefix, target.base), evidence)
    return None


def _relation(prefix: str, base: str) -> Literal["on", "above", "below"]:
    if prefix == base:
        return "on"
    return "below" if not base or prefix.startswith(base + "/") else "above"


def _places(store: Store, base: str, ours: set[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each place with the names of its folders: those above, the base, then those below, nearest first."""
    parts = base.split("/") if base else []
    above = ("/".join(parts[:depth]) for depth in range(len(parts)))
    waiting = deque([*((prefix, DEEPEST) for prefix in above), (base, 0)])
    left = MOST_LISTINGS
    while waiting and left:
        prefix, depth = waiting.popleft()
        if prefix in ours:
            continue
        left -= 1
        folders = store.list(_folder(prefix), folders=True).folders
        names = tuple(folder.rstrip("/").rpartition("/")[2] for folder in folders)
        yield prefix, names
        if depth < DEEPEST:
            waiting.extend((_folder(prefix) + name, depth + 1) for name in names if name != PROBE)


def _folder(prefix: str) -> str:
    return f"{prefix}/" if prefix else ""


def _evidence(store: Store, prefix: str, folders: tuple[str, ...]) -> str:
    """A key of Velero's shape directly below `prefix`; empty when there is none."""
    for name in folders:
        if name in _PROOFS:
            start = f"{_folder(prefix)}{name}/"
            for key in store.list(start, limit=200).keys:
                if _PROOFS[name].match(key.removeprefix(start)):
                    return key
    return ""
