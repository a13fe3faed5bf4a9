"""What a superuser does in Django admin, across tenants. `by` has been let in there; no tenant has to allow it."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import transaction

from accounts import audit
from accounts.actions.locks import hold_tenant
from accounts.models import Membership, Tenant, User
from accounts.roles import TenantAdmin, Verb
from console.lib.errors import BadInput
from console.lib.rows import save_changed


@transaction.atomic
def create_person(*, by: User, email: str, name: str, password: str) -> User:
    """A person of no tenant yet. Raises IntegrityError when the address is taken."""
    user = User.objects.create_user(email, password, name=name)
    audit.record(by=by, verb="user.create", target=user)
    return user


@transaction.atomic
def update_person(*, by: User, user: User, **values: Any) -> None:
    """Change columns of a person that decide nothing: name, time zone. Raises BadInput."""
    for column, value in values.items():
        setattr(user, column, value)
    save_changed(user, *values)
    audit.record(by=by, verb="user.update", target=user, tenant_id=_only_tenant(user), fields=sorted(values))


@transaction.atomic
def set_person_active(*, by: User, user: User, active: bool) -> None:
    """Whether the person may sign in at all. Raises BadInput for oneself, and for a tenant's last Tenant Admin.

    Every tenant of theirs is held meanwhile, always in the same order, so that no other admin goes at the same moment.
    """
    tenants = Membership.objects.filter(user=user).order_by("tenant_id").values_list("tenant_id", flat=True)
    for tenant in list(tenants):
        hold_tenant(None, tenant, Verb.USER_UPDATE)
    if not active:
        refuse_indispensable(by, user)
    if User.objects.filter(pk=user.pk).exclude(is_active=active).update(is_active=active):
        user.is_active = active
        verb = "user.activate" if active else "user.deactivate"
        audit.record(by=by, verb=verb, target=user, tenant_id=_only_tenant(user), everywhere=True)


def refuse_indispensable(by: User, user: User) -> None:
    """Raises BadInput for oneself, and for the last Tenant Admin of a tenant."""
    if by == user:
        raise BadInput("You cannot deactivate yourself. Ask another superuser to do it.")
    for member in Membership.objects.active_admins().filter(user=user).select_related("tenant"):
        others = Membership.objects.active_admins().filter(tenant=member.tenant).exclude(user=user)
        if not others.exists():
            raise BadInput(f"{user} is the last Tenant Admin of {member.tenant}. Make somebody else one first.")


@transaction.atomic
def join_tenant(*, by: User, tenant: Tenant, user: User, is_admin: bool) -> Membership:
    """Make a person a member, and Tenant Admin if told so. Raises IntegrityError for one who is a member already."""
    hold_tenant(None, tenant.pk, Verb.USER_CREATE)
    member = Membership.objects.create(tenant=tenant, user=user, is_admin=is_admin)
    role = {"role": TenantAdmin.display_name} if is_admin else {}
    audit.record(by=by, verb="user.join", target=user, tenant_id=tenant.pk, **role)
    return member


def _only_tenant(user: User) -> uuid.UUID | None:
    """The tenant whose log the row belongs to; a person of several is deactivated in none of them in particular."""
    tenants = list(Membership.objects.filter(user=user).values_list("tenant_id", flat=True)[:2])
    return tenants[0] if len(tenants) == 1 else None
