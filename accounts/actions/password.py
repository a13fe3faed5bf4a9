"""A forgotten password: asking for a letter, and setting a new one with it.

Whoever asks gets the same answer at the same time, known address or not.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode

from accounts import audit
from accounts.models import Session, User
from accounts.signin import only_tenant, record_by_stranger
from console.lib.errors import BadInput
from console.lib.mail import send_soon

HOURS = settings.PASSWORD_RESET_TIMEOUT // 3600


@transaction.atomic
def request_password_reset(*, by: None, email: str, origin: str) -> None:
    """A letter to the person with this address, if they can sign in. `origin` begins the link: scheme and host."""
    address = email.strip().lower()
    user = User.objects.filter(email=address, is_active=True).first()
    record_by_stranger("user.ask_password_reset", address)
    transaction.on_commit(lambda: send_soon(lambda: _letter(user, origin)))


def _letter(user: User | None, origin: str) -> EmailMessage | None:
    if user is None or not user.has_usable_password():
        return None
    words = [urlsafe_base64_encode(force_bytes(user.pk)), default_token_generator.make_token(user)]
    link = f"{origin}{reverse('password_reset', args=words)}"
    text = render_to_string("accounts/password_reset.txt", {"link": link, "hours": HOURS})
    return EmailMessage("Your Drydock password", text, to=[user.email])


def whose(uid: str, token: str) -> User:
    """The person a letter's link belongs to. Raises BadInput for one that is used, older than an hour, or invented."""
    try:
        user = User.objects.filter(pk=urlsafe_base64_decode(uid).decode(), is_active=True).first()
    except (ValueError, TypeError, ValidationError):  # no base64, no text, no key
        user = None
    if user is None or not default_token_generator.check_token(user, token):
        raise _not_valid()
    return user


def _not_valid() -> BadInput:
    return BadInput("This link is no longer valid. It works once, for an hour.", remedy="Ask for a new one.")


@transaction.atomic
def reset_password(*, by: User, password: str) -> None:
    """Set it, and sign the person out everywhere. They have shown a link of whose()."""
    by.set_password(password)
    by.save(update_fields=["password"])
    Session.objects.filter(user=by).delete()
    audit.record(by=by, verb="user.reset_password", target=by, tenant_id=only_tenant(by))
