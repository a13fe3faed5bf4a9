"""Teams and who is in them.

All raise NotVisible for a tenant that `by` does not administer, and for a team or person that is not in it; `by` None
means the console itself.
"""

from __future__ import annotations

import uuid

from django.contrib.auth.models import Group
from django.db import transaction

from accounts import audit
from accounts.actions.locks import hold_tenant, membership_of
from accounts.models import Team, Tenant, User
from accounts.roles import Verb
from console.lib.errors import NotVisible
from console.lib.rows import save_changed, save_new


@transaction.atomic
def create_team(*, by: User | None, tenant: Tenant, name: str, description: str = "") -> Team:
    """A team without members. Raises BadInput."""
    tenant = hold_tenant(by, tenant.pk, Verb.TEAM_CREATE)
    team = Team(tenant=tenant, name=name.strip(), description=description.strip())
    team.group = Group.objects.create(name=str(uuid.uuid4()))
    save_new(team)
    audit.record(by=by, verb="team.create", target=team)
    return team


@transaction.atomic
def update_team(*, by: User | None, team: Team, name: str, description: str = "") -> Team:
    """Change name and description. Raises BadInput."""
    team = _held(by, team, Verb.TEAM_UPDATE)
    before = team.name
    team.name, team.description = name.strip(), description.strip()
    save_changed(team, "name", "description")
    audit.record(by=by, verb="team.update", target=team, before=before)
    return team


@transaction.atomic
def delete_team(*, by: User | None, team: Team) -> None:
    """The team and the roles given to it; its members lose what they held by it."""
    team = _held(by, team, Verb.TEAM_DELETE)
    audit.record(by=by, verb="team.delete", target=team, members=[user.email for user in team.members])
    team.group.delete()


@transaction.atomic
def add_team_member(*, by: User | None, team: Team, user: User) -> None:
    """Who is in it already stays, without an audit row."""
    team = _held(by, team, Verb.TEAM_UPDATE)
    person = membership_of(team.tenant, user).user
    if not team.members.filter(pk=person.pk).exists():
        person.groups.add(team.group_id)
        audit.record(by=by, verb="team.add_member", target=team, member=person.email)


@transaction.atomic
def remove_team_member(*, by: User | None, team: Team, user: User) -> None:
    """Who is not in it stays out, without an audit row."""
    team = _held(by, team, Verb.TEAM_UPDATE)
    person = membership_of(team.tenant, user).user
    if team.members.filter(pk=person.pk).exists():
        person.groups.remove(team.group_id)
        audit.record(by=by, verb="team.remove_member", target=team, member=person.email)


def _held(by: User | None, team: Team, verb: Verb) -> Team:
    """The team as it is now, its tenant locked. Raises NotVisible when it was deleted meanwhile, too."""
    tenant = hold_tenant(by, team.tenant_id, verb)
    found = Team.objects.filter(pk=team.pk, tenant=tenant).select_related("tenant").first()
    if found is None:
        raise NotVisible("There is nothing here.")
    return found
