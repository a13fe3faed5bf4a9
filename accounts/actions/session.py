"""Ending sessions: one's own, wherever they are."""

from __future__ import annotations

from django.db import transaction

from accounts import audit
from accounts.models import Session, User
from accounts.signin import only_tenant
from console.lib.errors import NotVisible


@transaction.atomic
def end_session(*, by: User, key: str) -> None:
    """Raises NotVisible for one that is not theirs or has ended."""
    ended, _ = Session.objects.filter(user=by, pk=key).delete()
    if not ended:
        raise NotVisible("There is nothing here.")
    audit.record(by=by, verb="session.delete", target=by, tenant_id=only_tenant(by), elsewhere=True)


@transaction.atomic
def end_sessions(*, by: User | None, user: User) -> int:
    """Sign this person out everywhere; how many sessions there were."""
    ended, _ = Session.objects.filter(user=user).delete()
    audit.record(by=by, verb="session.delete_all", target=user, tenant_id=only_tenant(user), sessions=ended)
    return int(ended)
