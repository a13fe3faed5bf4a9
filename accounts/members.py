"""Everybody of a tenant as the list of users shows them: who is in it, and who is invited. Whoever asks must be allowed
to."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Case, DateTimeField, F, Q, QuerySet, UUIDField, Value, When
from django.db.models.functions import Cast
from django.utils import timezone

from accounts.holders import given_to
from accounts.models import Invitation, Membership, Team, Tenant, User

PAGE = 25
ACTIVE, INVITED, DEACTIVATED = "active", "invited", "deactivated"
STATES = ((ACTIVE, "Active"), (INVITED, "Invited"), (DEACTIVATED, "Deactivated"))
MAY_ACT = Q(is_active=True, user__is_active=True)
NEVER = Cast(Value(None), DateTimeField())  # PostgreSQL wants to know of what kind nothing is


@dataclass(frozen=True)
class Person:
    """One line of the list: a member, or an invitation. `pk` is the user's, or the invitation's."""

    state: str
    pk: uuid.UUID
    email: str
    name: str = ""
    is_admin: bool = False
    seen_at: datetime | None = None  # the last sign-in, or when the invitation was sent
    ends_at: datetime | None = None  # the invitation's link
    teams: tuple[Team, ...] = ()
    roles: int = 0

    @property
    def has_ended(self) -> bool:
        """Whether the time to use the invitation is over."""
        return self.ends_at is not None and self.ends_at <= timezone.now()


def state_of(member: Membership) -> str:
    """Of two switches, the tenant's own and the whole console's, either turns a person off."""
    return ACTIVE if member.is_active and member.user.is_active else DEACTIVATED


def everybody(tenant: Tenant, *, search: str = "", state: str = "", page: str | None = None) -> Page[Any]:
    """One page of `Person`, by address. Three queries, whatever the number of people."""
    chosen = [part for part in (_members(tenant, search, state), _invited(tenant, search, state)) if part is not None]
    lines = (chosen[0].union(*chosen[1:], all=True) if chosen[1:] else chosen[0]).order_by("address")
    found = Paginator(lines, PAGE).get_page(page)
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
    state_now = Case(When(MAY_ACT, then=Value(ACTIVE)), default=Value(DEACTIVATED))
    shown = {"name": F("user__name"), "admin": F("is_admin"), "seen": F("user__last_login"), "ends": NEVER}
    return _lines(rows, state=state_now, key=F("user_id"), address=F("user__email"), **shown)


def _invited(tenant: Tenant, search: str, state: str) -> QuerySet[Any, Any] | None:
    if state in (ACTIVE, DEACTIVATED):
        return None
    rows = Invitation.objects.open().filter(tenant=tenant)
    if search:
        rows = rows.filter(email__icontains=search)
    shown = {"name": Value(""), "admin": Value(False), "seen": F("sent_at"), "ends": F("expires_at")}
    return _lines(rows, state=Value(INVITED), key=F("pk"), address=F("email"), **shown)


def _lines(rows: QuerySet[Any], **columns: Any) -> QuerySet[Any, Any]:
    """What a member and an invitation have in common, in the order of Person's fields."""
    lines: QuerySet[Any, Any] = rows.annotate(**columns).order_by().values_list(*columns)
    return lines


def _filled(tenant: Tenant, lines: Iterable[tuple[Any, ...]]) -> list[Person]:
    people = [Person(*line) for line in lines]
    members = [person.pk for person in people if person.state != INVITED]
    teams, roles = _held(tenant, members)
    return [replace(person, teams=tuple(teams[person.pk]), roles=roles[person.pk]) for person in people]


def _held(tenant: Tenant, users: Collection[uuid.UUID]) -> tuple[dict[uuid.UUID, list[Team]], Counter[uuid.UUID]]:
    """Of each of these people the teams they are in, by name, and how many roles they hold. One query."""
    columns = ("holder", "team", "called")
    mine = Team.objects.filter(tenant=tenant, group__user__in=users).annotate(holder=F("group__user"))
    in_teams = mine.annotate(team=F("pk"), called=F("name")).order_by().values_list(*columns)
    nothing = {"team": Cast(Value(None), UUIDField()), "called": Value("")}
    given = (rows.annotate(**nothing).values_list(*columns) for rows in given_to(users, tenant))
    teams, roles = defaultdict[uuid.UUID, list[Team]](list), Counter[uuid.UUID]()
    for holder, team, called in in_teams.union(*given, all=True).order_by("called"):
        if team is None:
            roles[holder] += 1
        else:
            teams[holder].append(Team(pk=team, name=called))
    return teams, roles


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
