"""People of a tenant: who administers it, and who is active in it. Whether they may sign in at all is not decided here.

Each action may be repeated: what is so already is left alone, without an audit row. All raise NotVisible for a tenant
that `by` does not administer and for a person who is not in it; `by` None means the console itself.
"""

from __future__ import annotations

from django.db import transaction

from accounts import audit
from accounts.actions.locks import hold_tenant, membership_of
from accounts.models import Membership, Tenant, User
from accounts.roles import TenantAdmin, Verb
from console.lib.errors import BadInput


@transaction.atomic
def set_tenant_admin(*, by: User | None, tenant: Tenant, user: User) -> None:
    """Give the role Tenant Admin."""
    member = membership_of(hold_tenant(by, tenant.pk, Verb.ROLE_CREATE), user)
    if not member.is_admin:
        _write(member, is_admin=True)
        _record(by, "role.create", member, role=TenantAdmin.display_name)


@transaction.atomic
def unset_tenant_admin(*, by: User | None, tenant: Tenant, user: User) -> None:
    """Take the role Tenant Admin away. Raises BadInput for the last one."""
    member = membership_of(hold_tenant(by, tenant.pk, Verb.ROLE_DELETE), user)
    if member.is_admin:
        _refuse_last_admin(member)
        _write(member, is_admin=False)
        _record(by, "role.delete", member, role=TenantAdmin.display_name)


@transaction.atomic
def deactivate_member(*, by: User | None, tenant: Tenant, user: User) -> None:
    """From the next request on, the person sees nothing of this tenant; their roles wait for them.

    Raises BadInput for the last Tenant Admin, and for oneself.
    """
    member = membership_of(hold_tenant(by, tenant.pk, Verb.USER_UPDATE), user)
    if by == user:
        raise BadInput("You cannot deactivate yourself. Ask another Tenant Admin to do it.")
    if member.is_active:
        _refuse_last_admin(member)
        _write(member, is_active=False)
        _record(by, "user.deactivate", member)


@transaction.atomic
def activate_member(*, by: User | None, tenant: Tenant, user: User) -> None:
    """The person holds again what they held when they were deactivated."""
    member = membership_of(hold_tenant(by, tenant.pk, Verb.USER_UPDATE), user)
    if not member.is_active:
        _write(member, is_active=True)
        _record(by, "user.activate", member)


def _refuse_last_admin(member: Membership) -> None:
    """Only one who can sign in counts as another."""
    admins = Membership.objects.filter(tenant=member.tenant).active_admins()
    if admins.filter(pk=member.pk).exists() and not admins.exclude(pk=member.pk).exists():
        raise BadInput(f"{member.user} is the last Tenant Admin of {member.tenant}. Make somebody else one first.")


def _write(member: Membership, **values: bool) -> None:
    Membership.objects.filter(pk=member.pk).update(**values)


def _record(by: User | None, verb: str, member: Membership, **details: str) -> None:
    audit.record(by=by, verb=verb, target=member.user, tenant_id=member.tenant_id, **details)
