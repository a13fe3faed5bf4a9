"""Who holds which roles: for the pages of people, teams, projects and workspaces. Whoever asks must be allowed to."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F, QuerySet

from accounts.models import Team, Tenant, User, role_tables
from accounts.roles import Role, Scope, roles_on


@dataclass(frozen=True)
class Given:
    """One role, given to a person or a team, on a project or workspace."""

    role: type[Role]
    on: Any
    to: User | Team
    since: datetime

    @property
    def through(self) -> Team | None:
        """The team that passes it on to its members; None when it was given to a person."""
        return self.to if isinstance(self.to, Team) else None


def roles_of(who: User | Team, tenant: Tenant, scope: Scope) -> list[Given]:
    """The roles on this tenant's projects, or workspaces: of a team, or of a person, those through teams included.

    By the name of what they are on, direct ones first. Two queries for a person, one for a team.
    """
    direct, through_team = role_tables(scope)
    here = {direct.tenant_path: tenant}
    if isinstance(who, Team):
        return _sorted(_given(through_team.objects.filter(group=who.group_id, **here)))
    own = _given(direct.objects.filter(user=who, **here))
    return _sorted([*own, *_given(through_team.objects.filter(group__user=who, **here))])


def holders_of(on: Any) -> list[Given]:
    """The roles given on this very project or workspace, people first. Two queries."""
    direct, through_team = role_tables(Scope(on._meta.model_name))
    rows = (table.objects.filter(content_object=on) for table in (direct, through_team))
    return [given for each in rows for given in sorted(_given(each), key=lambda given: str(given.to).lower())]


def counts_of(holders: Collection[uuid.UUID], tenant: Tenant, *, teams: bool = False) -> Counter[uuid.UUID]:
    """How many roles on projects and workspaces of this tenant each of these people holds, through teams too.

    With `teams`, the same of teams, by their ids. One query.
    """
    parts = [rows.values_list("holder", "pk") for rows in given_to(holders, tenant, teams=teams)]
    return Counter(uuid.UUID(str(holder)) for holder, _ in parts[0].union(*parts[1:], all=True))


def given_to(holders: Collection[uuid.UUID], tenant: Tenant, *, teams: bool = False) -> Iterator[QuerySet[Any]]:
    """The roles of counts_of() with their `holder`, for one union."""
    for scope in (Scope.PROJECT, Scope.WORKSPACE):
        direct, through_team = role_tables(scope)
        ways = ((through_team, "group__team"),) if teams else ((direct, "user"), (through_team, "group__user"))
        for table, holder in ways:
            rows = table.objects.filter(**{f"{holder}__in": holders, table.tenant_path: tenant})
            yield rows.annotate(holder=F(holder)).order_by()


def _given(rows: QuerySet[Any]) -> Iterator[Given]:
    scope, to_people = rows.model.scope, hasattr(rows.model, "user")
    near = ("user" if to_people else "group__team", *(("content_object__project",) if scope == Scope.WORKSPACE else ()))
    roles = {role.codename: role for role in roles_on(scope)}
    for row in rows.filter(permission__codename__in=roles).select_related("permission", "content_object", *near):
        to = row.user if to_people else row.group.team
        yield Given(roles[row.permission.codename], row.content_object, to, row.created_at)


def _sorted(given: Iterable[Given]) -> list[Given]:
    return sorted(given, key=lambda each: (str(each.on).lower(), each.through is not None, each.role.display_name))
