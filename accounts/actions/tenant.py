"""Making tenants and their first people, and what a tenant is set to."""

from __future__ import annotations

import secrets
from typing import Any

from django.db import transaction

from accounts import audit
from accounts.actions.locks import hold_tenant
from accounts.models import Membership, Tenant, User
from accounts.roles import Verb
from console.lib.rows import save_changed

PASSWORD_BYTES = 15


def generate_password() -> str:
    """A password of 20 characters from a system source of randomness."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


@transaction.atomic
def create_tenant(*, by: User | None, name: str) -> Tenant:
    """A new, empty tenant."""
    tenant = Tenant.objects.create(name=name)
    audit.record(by=by, verb="tenant.create", target=tenant, tenant_id=tenant.pk)
    return tenant


@transaction.atomic
def update_tenant(*, by: User | None, tenant: Tenant, **values: Any) -> Tenant:
    """Change what Tenant Settings shows: `values` are its columns. What is so already is no change.

    Raises BadInput, NotVisible.
    """
    tenant = hold_tenant(by, tenant.pk, Verb.TENANT_UPDATE)
    before = {name: getattr(tenant, name) for name, value in values.items() if getattr(tenant, name) != value}
    for name in before:
        setattr(tenant, name, values[name])
    if before:
        save_changed(tenant, *before)
        audit.record(by=by, verb="tenant.update", target=tenant, tenant_id=tenant.pk, before=before)
    return tenant


@transaction.atomic
def add_tenant_admin(*, by: User | None, tenant: Tenant, email: str, password: str) -> User:
    """A new person with the role Tenant Admin. Raises IntegrityError when the address is taken."""
    user = User.objects.create_user(email, password)
    Membership.objects.create(tenant=tenant, user=user, is_admin=True)
    audit.record(by=by, verb="user.create", target=user, tenant_id=tenant.pk, role="Tenant Admin")
    return user
