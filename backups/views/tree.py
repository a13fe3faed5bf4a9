"""The list of a backup's objects, as far as a page shows it: the namespaces, or objects by namespace and kind."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator

from console.lib import spool

CLUSTER = "-"  # in addresses, for what belongs to no namespace; no namespace is called that
SPACES, OBJECTS = 100, 300  # on a page
MOST_OFFERED = 500  # in a drop-down


class Object(NamedTuple):
    """One object; the order is that of the page."""

    namespace: str
    word: str  # Deployment
    kind: str  # apps/v1/Deployment
    name: str

    @property
    def query(self) -> str:
        """What its page's address ends with."""
        return urlencode({"kind": self.kind, "namespace": self.namespace, "name": self.name})


@dataclass(frozen=True)
class Space:
    """A namespace with how much is in it. `key` stands for it in addresses."""

    name: str
    objects: int
    kinds: int

    @property
    def key(self) -> str:
        return self.name or CLUSTER


@dataclass(frozen=True)
class Group:
    """Objects of one kind; `total`: how many there are, on other pages too."""

    word: str
    version: str
    total: int
    objects: list[Object]


@dataclass(frozen=True)
class Tree:
    """What was asked for, and what there is. `overview`: of namespaces, as nothing narrower was asked for."""

    query: str
    namespace: str
    kind: str
    total: int
    page: Page[Any]
    groups: list[tuple[str, list[Group]]]
    spaces: list[Space]
    kinds: list[tuple[str, str]]

    @property
    def narrowed(self) -> bool:
        return bool(self.query or self.namespace or self.kind)


def tree(reading: uuid.UUID, asked: Mapping[str, str]) -> Tree:
    """What the spool has so far, as the query string asks for it (q, namespace, kind, page)."""
    everything = sorted(_objects(reading))
    query, namespace, kind = (asked.get(name, "").strip() for name in ("q", "namespace", "kind"))
    wanted = [each for each in everything if _is_wanted(each, query.lower(), namespace, kind)]
    spaces = list(_spaces(everything))
    narrowed = query or namespace or kind
    page = Paginator(wanted if narrowed else spaces, OBJECTS if narrowed else SPACES).get_page(asked.get("page"))
    groups = _grouped(page.object_list, wanted) if narrowed else []
    kinds = sorted({(each.word, each.kind) for each in everything})[:MOST_OFFERED]
    return Tree(query, namespace, kind, len(everything), page, groups, spaces[:MOST_OFFERED], kinds)


def _objects(reading: uuid.UUID) -> Iterator[Object]:
    for block in spool.blocks(reading):
        for text in block:
            kind, namespace, name = json.loads(text)
            yield Object(namespace, kind.rpartition("/")[2], kind, name)


def _is_wanted(each: Object, query: str, namespace: str, kind: str) -> bool:
    here = not namespace or (each.namespace or CLUSTER) == namespace
    return here and (not kind or each.kind == kind) and query in each.name.lower()


def _spaces(everything: Iterable[Object]) -> Iterator[Space]:
    for name, found in groupby(everything, lambda each: each.namespace):
        counted = Counter(each.kind for each in found)
        yield Space(name, counted.total(), len(counted))


def _grouped(shown: Iterable[Object], wanted: Iterable[Object]) -> list[tuple[str, list[Group]]]:
    totals = Counter(each[:3] for each in wanted)
    groups = ((key, list(found)) for key, found in groupby(shown, lambda each: each[:3]))
    made = [(key[0], Group(key[1], key[2].rpartition("/")[0], totals[key], found)) for key, found in groups]
    return [(name, [each[1] for each in found]) for name, found in groupby(made, lambda each: each[0])]
