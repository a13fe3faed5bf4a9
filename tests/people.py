"""People and teams with roles, for tests: `person(role=WorkspaceOperator, on=workspace)`."""

from __future__ import annotations

import uuid
from typing import Any

from accounts.actions.member import set_tenant_admin
from accounts.actions.role import give_role
from accounts.actions.team import add_team_member, create_team
from accounts.models import Membership, Team, Tenant, User
from accounts.permissions import tenant_of
from accounts.roles import Role, TenantAdmin

PASSWORD = "a long enough password"


def person(name: str = "", *, role: type[Role] | None = None, on: Any = None, tenant: Tenant | None = None) -> User:
    """A new person in `tenant`, or in that of `on`, who holds `role` on `on` and nothing else.

    TenantAdmin is given on the tenant. Without a role: a mere member; without both: somebody in no tenant.
    """
    user = User.objects.create_user(f"{name or uuid.uuid4().hex[:12]}@harbor.example", PASSWORD)
    home = tenant or (Tenant.objects.get(pk=tenant_of(on)) if on else None)
    if home:
        Membership.objects.create(tenant=home, user=user)
    if role:
        give(user, role, on or home)
    return user


def give(to: User | Team, role: type[Role], on: Any) -> None:
    """One more role for somebody who is in the tenant already."""
    if role is TenantAdmin and isinstance(to, User):
        set_tenant_admin(by=None, tenant=on, user=to)
    else:
        give_role(by=None, role=role, to=to, on=on)


def team(*members: User, role: type[Role] | None = None, on: Any = None, tenant: Tenant | None = None) -> Team:
    """A new team of these people, who must be in its tenant, with `role` on `on`."""
    home = tenant or Tenant.objects.get(pk=tenant_of(on))
    made = create_team(by=None, tenant=home, name=f"Team {uuid.uuid4().hex[:12]}")
    for member in members:
        add_team_member(by=None, team=made, user=member)
    if role:
        give(made, role, on)
    return made
