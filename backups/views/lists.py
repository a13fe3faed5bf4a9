"""What lists of backups and restores have in common: search, filter by state, pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from backups import lifecycle
from backups.lifecycle import State

PAGE = 25
GROUPS: dict[str, tuple[str, frozenset[State]]] = {
    "running": ("Running", lifecycle.OPEN),
    "completed": ("Completed", frozenset({State.COMPLETED})),
    "trouble": ("With trouble", frozenset({State.PARTIALLY_FAILED, State.FAILED, State.REJECTED})),
}


@dataclass(frozen=True)
class Listing:
    """One page of a list as it was asked for. `filtered`: something was asked for; `busy`: something in it runs."""

    page: Page[Any]
    search: str
    group: str
    busy: bool

    @property
    def filtered(self) -> bool:
        return bool(self.search or self.group)

    @property
    def groups(self) -> list[tuple[str, str]]:
        """What the filter offers."""
        return [(key, label) for key, (label, _) in GROUPS.items()]


def listing(request: HttpRequest, rows: QuerySet[Any], *searched: str) -> Listing:
    """`rows` as the query string asks for them; `searched` are lookups for the text typed into the search field."""
    search, group = request.GET.get("q", "").strip(), request.GET.get("state", "")
    if search:
        matching = Q()
        for lookup in searched:
            matching |= Q(**{f"{lookup}__icontains": search})
        rows = rows.filter(matching)
    if group in GROUPS:
        rows = rows.filter(state__in=GROUPS[group][1])
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    return Listing(page, search, group, any(row.is_open for row in page))
