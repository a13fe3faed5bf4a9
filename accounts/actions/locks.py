"""What every change of a tenant's people begins with."""

from __future__ import annotations

import uuid

from accounts.models import Membership, Tenant, User
from accounts.permissions import may
from accounts.roles import Verb
from console.lib.errors import NotVisible


def hold_tenant(by: User | None, tenant_id: uuid.UUID, verb: Verb) -> Tenant:
    """The tenant, locked until the transaction ends: of two who change its people the second sees what the first did.

    Raises NotVisible unless `by`, asked behind the lock, may `verb` in it; None means the console itself. Rows that
    refer to the tenant can be written meanwhile. SQLite has no such lock and needs none: one writes at a time.
    """
    tenant = Tenant.objects.select_for_update(no_key=True).filter(pk=tenant_id).first()
    if tenant is None or (by and not may(by, tenant, verb)):
        raise NotVisible("There is nothing here.")
    return tenant


def membership_of(tenant: Tenant, user: User) -> Membership:
    """Raises NotVisible for a person who is not in the tenant."""
    found = Membership.objects.filter(tenant=tenant, user=user).select_related("user").first()
    if found is None:
        raise NotVisible("There is nothing here.")
    return found
