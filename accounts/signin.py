"""Signing in, from a right password to a session; asking for the password again; and both as rows of the audit log.

1. accounts/throttle.py counts the attempt and may refuse it. Nothing was hashed until here.
2. The password is right: proceed().
3. The session begins: begin(). Nothing else in the console begins one.

Between 2 and 3 is the place of a second factor: proceed() sends to its page instead, and that page calls begin().
Single sign-on comes from its own page straight to 3.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.contrib import auth
from django.http import HttpRequest
from django.utils import timezone

from accounts import audit, throttle
from accounts.models import AuthenticatedHttpRequest, Membership, User
from accounts.sessions import store
from console.lib.errors import ConsoleError
from console.lib.middleware import client_address

# Stands in the row for an address nobody has: people type their password there, so the typed text is not kept.
NOBODY = User(pk=uuid.UUID(int=0), email="unknown address")
RECENT = timedelta(minutes=10)
PROVED = "proved"  # in the session: when the password was last typed
AGAIN = "confirm_password"  # the field of a form that was held up


class PasswordNeeded(ConsoleError):
    """This person signed in too long ago for what they ask. `status` is 429 when they guessed too often."""

    def __init__(self, message: str = "", *, status: int = 403) -> None:
        super().__init__(message)
        self.status = status


# Signing in


def proceed(request: HttpRequest, user: User) -> None:
    """The password was right."""
    throttle.give_back(throttle.guesses(request, user.email))
    begin(request, user)


def begin(request: HttpRequest, user: User) -> None:
    """A session under a key that nobody had before. What a stranger had begun, such as an invitation, goes on in it."""
    before = request.session.session_key
    auth.login(request, user)
    if request.session.session_key == before:  # the same person, signed in already
        request.session.cycle_key()
    store(request).begin(address=client_address(request), browser=request.headers.get("User-Agent", ""))
    record_sign_in(user)


def too_many(request: HttpRequest) -> throttle.TooManyAttempts | None:
    """Why the password just typed was not looked at, if it was not."""
    return getattr(request, "too_many", None)


# Asking again


def require_recent_sign_in(request: AuthenticatedHttpRequest, within: timedelta = RECENT) -> None:
    """Unless the password was typed within this time: raises PasswordNeeded.

    A page is led to by way of the password's page. A posted form comes back as a page that holds everything in it and
    asks for the password; sent again, it is checked here and goes on. Not for forms with files or secrets. To be called
    once it is known that they may: nobody types a password to be told no.
    """
    if is_recent(request, within):
        return
    if request.method != "POST" or AGAIN not in request.POST:
        raise PasswordNeeded
    try:
        if not prove(request, request.POST[AGAIN]):
            raise PasswordNeeded("This is not your password.")
    except throttle.TooManyAttempts as error:
        raise PasswordNeeded(error.message, status=429) from error


def is_recent(request: HttpRequest, within: timedelta = RECENT) -> bool:
    """Whether the password was typed within this time."""
    last = max(request.session.get(PROVED, 0.0), store(request).since)
    return bool(timezone.now().timestamp() - last < within.total_seconds())


def prove(request: AuthenticatedHttpRequest, password: str) -> bool:
    """Whether it is this person's password; from here on they signed in recently. Raises TooManyAttempts."""
    right = is_own_password(request, password)
    refused = too_many(request)
    record_proof(request.user, done=right, **({"reason": "too many attempts"} if refused else {}))
    if refused:
        raise refused
    if right:
        request.session.cycle_key()
        request.session[PROVED] = timezone.now().timestamp()
    return right


def is_own_password(request: AuthenticatedHttpRequest, password: str) -> bool:
    """Counted like an attempt to sign in; see too_many()."""
    found = auth.authenticate(request, username=request.user.email, password=password)
    if found is None or found.pk != request.user.pk:
        return False
    throttle.give_back(throttle.guesses(request, request.user.email))
    return True


# Rows of the audit log


def record_sign_in(user: User) -> None:
    details: dict[str, Any] = {"site_owner": True} if user.is_superuser else {}
    audit.record(by=user, verb="session.create", target=user, tenant_id=only_tenant(user), **details)


def record_sign_out(user: User) -> None:
    audit.record(by=user, verb="session.delete", target=user, tenant_id=only_tenant(user))


def record_proof(user: User, *, done: bool, **details: Any) -> None:
    outcome = "done" if done else "denied"
    audit.record(by=user, verb="session.confirm", target=user, outcome=outcome, tenant_id=only_tenant(user), **details)


def record_refused_sign_in(address: str, **details: Any) -> None:
    """By None: whoever tried is not known to be that person."""
    record_by_stranger("session.create", address, outcome="denied", **details)


def record_by_stranger(verb: str, address: str, *, outcome: str = "done", **details: Any) -> None:
    """About whoever has this address; what was typed is kept for nobody else."""
    user = User.objects.filter(email=address.strip().lower()).first()
    tenant = only_tenant(user) if user else None
    audit.record(by=None, verb=verb, target=user or NOBODY, outcome=outcome, tenant_id=tenant, **details)


def only_tenant(user: User) -> uuid.UUID | None:
    """The tenant whose log the row belongs to; a person of several tenants signs in to none of them in particular."""
    tenants = list(Membership.objects.filter(user=user).values_list("tenant_id", flat=True)[:2])
    return tenants[0] if len(tenants) == 1 else None
