"""Giving roles on projects and workspaces to people and teams. Only Tenant Admins do; `by` None is the console itself.

Both actions may be repeated: what is so already is left alone, without an audit row.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction

from accounts import audit
from accounts.actions.locks import hold_tenant, membership_of
from accounts.models import Team, Tenant, User, role_tables
from accounts.permissions import tenant_of
from accounts.roles import Role, Verb
from console.lib.errors import BadInput, NotVisible


@transaction.atomic
def give_role(*, by: User | None, role: type[Role], to: User | Team, on: Any) -> bool:
    """Give it on a project or workspace; whether it is new.

    Raises BadInput when `on` was deleted meanwhile or the role is for something else; NotVisible when `by` does not
    administer the tenant, or `to` is not in it.
    """
    tenant = hold_tenant(by, tenant_of(on), Verb.ROLE_CREATE)
    _refuse_stranger(tenant, to)
    table, holder = _table(role, to, on)
    there = type(on)._base_manager.select_for_update(no_key=True).filter(pk=on.pk).first()
    if there is None:
        raise BadInput(f"The {role.scope} {on} was deleted meanwhile. Choose another.", field=str(role.scope))
    if table.objects.filter(permission__codename=role.codename, content_object=there, **holder).exists():
        return False
    table.objects.assign_perm(role.codename, *holder.values(), there)
    _record(by, "role.create", role, to, there)
    return True


@transaction.atomic
def remove_role(*, by: User | None, role: type[Role], to: User | Team, on: Any) -> bool:
    """Take it away; whether it was there. What a person holds through a team stays. Raises as give_role() does."""
    tenant = hold_tenant(by, tenant_of(on), Verb.ROLE_DELETE)
    _refuse_stranger(tenant, to)
    table, holder = _table(role, to, on)
    removed, _ = table.objects.filter(permission__codename=role.codename, content_object=on, **holder).delete()
    if removed:
        _record(by, "role.delete", role, to, on)
    return bool(removed)


def _refuse_stranger(tenant: Tenant, to: User | Team) -> None:
    if isinstance(to, User):
        membership_of(tenant, to)
    elif not Team.objects.filter(pk=to.pk, tenant=tenant).exists():
        raise NotVisible("There is nothing here.")


def _table(role: type[Role], to: User | Team, on: Any) -> tuple[Any, dict[str, Any]]:
    """Where the row is, and its column for the holder. Raises BadInput for a role that is not for this."""
    if role.scope != on._meta.model_name:
        raise BadInput(f"{role.display_name} is not a role on a {on._meta.verbose_name}.", field="role")
    direct, through_team = role_tables(role.scope)
    return (direct, {"user": to}) if isinstance(to, User) else (through_team, {"group": to.group})


def _record(by: User | None, verb: str, role: type[Role], to: User | Team, on: Any) -> None:
    name = to.email if isinstance(to, User) else to.name
    audit.record(by=by, verb=verb, target=on, role=role.display_name, to=name, kind=to._meta.model_name)
