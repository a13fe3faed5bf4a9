"""Warnings and errors of a finished backup or restore, grouped for a page."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

from backups.models import VeleroWish


@dataclass(frozen=True)
class Group:
    """Entries of one severity in one namespace; `namespace` is empty for cluster-scoped objects."""

    severity: str
    namespace: str
    entries: list[dict[str, Any]]

    @property
    def kinds(self) -> list[tuple[str, list[dict[str, Any]]]]:
        """The same by kind; first those whose text names none."""
        return [(kind, list(found)) for kind, found in groupby(sorted(self.entries, key=_kind), key=_kind)]


@dataclass(frozen=True)
class Results:
    """`unread` says why they could not be had; `waiting` that a worker is at it."""

    groups: list[Group]
    unread: str
    waiting: bool


def grouped(wish: VeleroWish) -> Results:
    """Errors before warnings, by namespace."""
    if wish.results is None:
        return Results([], "", waiting=not wish.is_open and bool(wish.errors or wish.warnings))
    entries = sorted(wish.results["entries"], key=_order)
    groups = [Group(severity, namespace, list(found)) for (severity, namespace), found in groupby(entries, key=_order)]
    return Results(groups, wish.results["unread"], waiting=False)


def _kind(entry: dict[str, Any]) -> str:
    return str(entry.get("kind", ""))


def _order(entry: dict[str, Any]) -> tuple[str, str]:
    return entry["severity"], entry["namespace"]  # "error" sorts before "warning"
