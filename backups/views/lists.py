"""What lists of backups and restores have in common: search, filter by state, pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from django.core.paginator import Page, Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest

from backups import lifecycle
from backups.lifecycle import State

PAGE = 25
Groups = Mapping[str, tuple[str, Q]]  # by what the query string says: what people read, and which rows
GROUPS: Groups = {
    "running": ("Running", Q(state__in=lifecycle.OPEN)),
    "completed": ("Completed", Q(state=State.COMPLETED)),
    "trouble": ("With trouble", Q(state__in=[State.PARTIALLY_FAILED, State.FAILED, State.REJECTED])),
}


@dataclass(frozen=True)
class Listing:
    """One page of a list as it was asked for. `filtered`: something was asked for; `busy`: something in it runs."""

    page: Page[Any]
    search: str
    group: str
    busy: bool
    offered: Groups

    @property
    def filtered(self) -> bool:
        return bool(self.search or self.group)

    @property
    def groups(self) -> list[tuple[str, str]]:
        """What the filter offers."""
        return [(key, label) for key, (label, _) in self.offered.items()]


M = TypeVar("M", bound=Model)
_OF_A_WISH = ("resource", "results")
_HEAVY = {
    "backup": _OF_A_WISH,
    "cluster": ("kubeconfig", "facts"),
    "location": ("credentials", "ca_certificate"),
}


def light(rows: QuerySet[M], *related: str) -> QuerySet[M]:
    """Backups or Restores with those `related` rows, without what takes kilobytes of each and no list shows."""
    paths = {"__".join(path.split("__")[:length]) for path in related for length in (1, 2)}
    heavy = [f"{path}__{name}" for path in paths for name in _HEAVY.get(path.rpartition("__")[2], ())]
    return rows.select_related(*related).defer(*_OF_A_WISH, *heavy)


def listing(request: HttpRequest, rows: QuerySet[Any], *searched: str, groups: Groups = GROUPS) -> Listing:
    """`rows` as the query string asks for them; `searched` are lookups for the text typed into the search field."""
    search, group = request.GET.get("q", "").strip(), request.GET.get("state", "")
    if search:
        matching = Q()
        for lookup in searched:
            matching |= Q(**{f"{lookup}__icontains": search})
        rows = rows.filter(matching)
    if group in groups:
        rows = rows.filter(groups[group][1])
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    return Listing(page, search, group, any(row.is_open for row in page), groups)
