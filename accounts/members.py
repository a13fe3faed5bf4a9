"""Everybody of a tenant as the list of users shows them: who is in it, and who is invited. Whoever asks must be allowed
to."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import CharField, F, Q, QuerySet, Value

from accounts.holders import counts_of
from accounts.models import Invitation, Membership, Team, Tenant, User

PAGE = 25
ACTIVE, INVITED, DEACTIVATED = "active", "invited", "deactivated"
STATES = ((ACTIVE, "Active"), (INVITED, "Invited"), (DEACTIVATED, "Deactivated"))
MAY_ACT = Q(is_active=True, user__is_active=True)


@dataclass(frozen=True)
class Person:
    """One line of the list: a member, or an invitation."""

    state: str
    email: str
    member: Membership | None = None
    invitation: Invitation | None = None
    teams: tuple[Team, ...] = ()
    roles: int = 0


def state_of(member: Membership) -> str:
    """Of two switches, the tenant's own and the whole console's, either turns a person off."""
    return ACTIVE if member.is_active and member.user.is_active else DEACTIVATED


def everybody(tenant: Tenant, *, search: str = "", state: str = "", page: str | None = None) -> Page[Any]:
    """One page of `Person`, by address. Five queries, whatever the number of people."""
    chosen = [part for part in (_members(tenant, search, state), _invited(tenant, search, state)) if part is not None]
    keys = (chosen[0].union(*chosen[1:], all=True) if chosen[1:] else chosen[0]).order_by("address")
    found = Paginator(keys, PAGE).get_page(page)
    found.object_list = _filled(tenant, list(found.object_list))
    return found


def _members(tenant: Tenant, search: str, state: str) -> QuerySet[Any, Any] | None:
    rows = Membership.objects.filter(tenant=tenant)
    if state == INVITED:
        return None
    if state in (ACTIVE, DEACTIVATED):
        rows = rows.filter(MAY_ACT) if state == ACTIVE else rows.exclude(MAY_ACT)
    if search:
        rows = rows.filter(Q(user__email__icontains=search) | Q(user__name__icontains=search))
    return _keys(rows, "member", "user_id", "user__email")


def _invited(tenant: Tenant, search: str, state: str) -> QuerySet[Any, Any] | None:
    if state in (ACTIVE, DEACTIVATED):
        return None
    rows = Invitation.objects.open().filter(tenant=tenant)
    if search:
        rows = rows.filter(email__icontains=search)
    return _keys(rows, "invitation", "pk", "email")


def _keys(rows: QuerySet[Any], kind: str, key: str, address: str) -> QuerySet[Any, Any]:
    """(kind, key, address): what a member and an invitation have in common."""
    columns: dict[str, Any] = {"kind": Value(kind, CharField()), "key": F(key), "address": F(address)}
    keys: QuerySet[Any, Any] = rows.annotate(**columns).order_by().values_list(*columns)
    return keys


def _filled(tenant: Tenant, keys: Iterable[tuple[str, uuid.UUID, str]]) -> list[Person]:
    pks = [pk for _, pk, _ in keys]
    members = {
        row.user_id: row for row in Membership.objects.filter(tenant=tenant, user__in=pks).select_related("user")
    }
    invitations = Invitation.objects.in_bulk([pk for kind, pk, _ in keys if kind == "invitation"])
    teams, roles = teams_of(tenant, members), counts_of(list(members), tenant)
    return [
        Person(INVITED, email, invitation=invitations[pk])
        if kind == "invitation"
        else Person(state_of(members[pk]), email, members[pk], None, tuple(teams[pk]), roles[pk])
        for kind, pk, email in keys
    ]


def teams_of(tenant: Tenant, users: Iterable[uuid.UUID]) -> dict[uuid.UUID, list[Team]]:
    """Of each of these people, the teams of this tenant they are in. One query."""
    found: dict[uuid.UUID, list[Team]] = defaultdict(list)
    rows: QuerySet[Any] = Team.objects.filter(tenant=tenant, group__user__in=list(users))
    rows = rows.annotate(member=F("group__user"))
    for team in rows.order_by("name"):
        found[team.member].append(team)
    return found


def candidates(team: Team) -> QuerySet[User]:
    """Who may be added to a team: the active people of its tenant who are not in it."""
    here = Membership.objects.filter(MAY_ACT, tenant=team.tenant_id)
    return User.objects.filter(pk__in=here.values("user")).exclude(groups=team.group_id).order_by("email")
