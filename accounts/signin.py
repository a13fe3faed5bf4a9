"""Sign-in, failed sign-in and sign-out as rows of the audit log."""

from __future__ import annotations

import uuid

from accounts import audit
from accounts.models import Membership, User

# Stands in the row for an address nobody has: people type their password there, so the typed text is not kept.
NOBODY = User(pk=uuid.UUID(int=0), email="unknown address")


def record_sign_in(user: User) -> None:
    audit.record(by=user, verb="session.create", target=user, tenant_id=_only_tenant(user))


def record_sign_out(user: User) -> None:
    audit.record(by=user, verb="session.delete", target=user, tenant_id=_only_tenant(user))


def record_refused_sign_in(address: str) -> None:
    """By None: whoever tried is not known to be that person."""
    user = User.objects.filter(email=address.strip().lower()).first()
    tenant = _only_tenant(user) if user else None
    audit.record(by=None, verb="session.create", target=user or NOBODY, outcome="denied", tenant_id=tenant)


def _only_tenant(user: User) -> uuid.UUID | None:
    """The tenant whose log the row belongs to; a person of several tenants signs in to none of them in particular."""
    tenants = list(Membership.objects.filter(user=user).values_list("tenant_id", flat=True)[:2])
    return tenants[0] if len(tenants) == 1 else None
