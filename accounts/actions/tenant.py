"""Making tenants and their first people."""

from __future__ import annotations

import secrets

from django.db import transaction

from accounts import audit
from accounts.models import Membership, Tenant, User

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
def add_tenant_admin(*, by: User | None, tenant: Tenant, email: str, password: str) -> User:
    """A new person with the role Tenant Admin. Raises IntegrityError when the address is taken."""
    user = User.objects.create_user(email, password)
    Membership.objects.create(tenant=tenant, user=user, is_admin=True)
    audit.record(by=by, verb="user.create", target=user, tenant_id=tenant.pk, role="Tenant Admin")
    return user
