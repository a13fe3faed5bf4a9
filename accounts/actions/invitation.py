"""Inviting people into a tenant by a link that works once, and joining by it.

The link's token is given back once and stored as a hash alone. Whoever invites learns nothing about other tenants: an
address is invited in the same way whether somebody has it or not.
"""

from __future__ import annotations

import secrets

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.actions.locks import hold_tenant
from accounts.models import Invitation, Membership, Tenant, User
from accounts.models.invitation import LIVES, hash_of
from accounts.roles import Verb
from console.lib.errors import BadInput, NotVisible
from console.lib.rows import save_new

TOKEN_BYTES = 32
OVER = "This invitation was used, withdrawn or renewed meanwhile."


@transaction.atomic
def invite_user(*, by: User, tenant: Tenant, email: str) -> tuple[Invitation, str]:
    """The invitation and its token, which nobody can read again.

    Raises BadInput for an address that is in this tenant, or invited to it, already; NotVisible.
    """
    tenant = hold_tenant(by, tenant.pk, Verb.USER_CREATE)
    email = email.strip().lower()
    _refuse_member(tenant, email)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    until = timezone.now() + LIVES
    invitation = Invitation(tenant=tenant, email=email, token_hash=hash_of(token), invited_by=by, expires_at=until)
    save_new(invitation)
    audit.record(by=by, verb="invitation.create", target=invitation)
    return invitation, token


@transaction.atomic
def renew_invitation(*, by: User, invitation: Invitation) -> tuple[Invitation, str]:
    """A new link for another seven days; the one before works no more. Raises BadInput, NotVisible."""
    invitation = _held(by, invitation)
    token, now = secrets.token_urlsafe(TOKEN_BYTES), timezone.now()
    invitation.token_hash, invitation.sent_at, invitation.expires_at = hash_of(token), now, now + LIVES
    invitation.save(update_fields=["token_hash", "sent_at", "expires_at"])
    audit.record(by=by, verb="invitation.resend", target=invitation)
    return invitation, token


@transaction.atomic
def withdraw_invitation(*, by: User, invitation: Invitation) -> None:
    """Its link works no more. Raises BadInput when it was used meanwhile; NotVisible."""
    invitation = _held(by, invitation)
    invitation.withdrawn_at = timezone.now()
    invitation.save(update_fields=["withdrawn_at"])
    audit.record(by=by, verb="invitation.withdraw", target=invitation)


@transaction.atomic
def accept_as_new(*, invitation: Invitation, name: str, password: str) -> None:
    """Make the invited person with this password. For an address that somebody has: nothing, and nothing says so.

    The answer takes as long in both cases: a password is hashed in each. Raises BadInput when it works no more.
    """
    invitation = _locked(invitation)
    if User.objects.filter(email=invitation.email).exists():
        make_password(password)
    else:
        _join(invitation, User.objects.create_user(invitation.email, password, name=name.strip()))


@transaction.atomic
def accept_as(*, by: User, invitation: Invitation) -> None:
    """Somebody who has the invited address, and signed in with it, joins. Raises BadInput when it works no more."""
    invitation = _locked(invitation)
    if by.email != invitation.email:
        raise BadInput("This invitation is for somebody else. Sign out and open its link again.")
    _join(invitation, by)


def _join(invitation: Invitation, user: User) -> None:
    """Who was in the tenant already stays as they were."""
    Membership.objects.get_or_create(tenant=invitation.tenant, user=user)
    invitation.accepted_by, invitation.accepted_at = user, timezone.now()
    invitation.save(update_fields=["accepted_by", "accepted_at"])
    audit.record(by=user, verb="invitation.accept", target=invitation)


def _refuse_member(tenant: Tenant, email: str) -> None:
    member = Membership.objects.filter(tenant=tenant, user__email=email).first()
    if member and member.is_active:
        raise BadInput(f"{email} is in {tenant} already.", field="email")
    if member:
        raise BadInput(f"{email} is in {tenant} already, deactivated. Activate them on their page.", field="email")


def _held(by: User, invitation: Invitation) -> Invitation:
    """The invitation as it is now, its tenant locked."""
    tenant = hold_tenant(by, invitation.tenant_id, Verb.USER_CREATE)
    found = Invitation.objects.filter(pk=invitation.pk, tenant=tenant).select_related("tenant").first()
    if found is None:
        raise NotVisible("There is nothing here.")
    if not found.is_open:
        raise BadInput(OVER, remedy="Load the list again.")
    return found


def _locked(invitation: Invitation) -> Invitation:
    """The invitation behind the lock of its tenant, while the link it was opened by still works."""
    hold_tenant(None, invitation.tenant_id, Verb.USER_CREATE)
    found = Invitation.objects.select_related("tenant").get(pk=invitation.pk)
    if not found.works or found.token_hash != invitation.token_hash:
        raise BadInput(OVER, remedy="Ask for a new one.")
    return found
