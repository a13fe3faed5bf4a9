"""Letters to people, through Django's e-mail backend, and only when one is set up."""

from __future__ import annotations

import smtplib

import structlog
from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string

from accounts.models import Invitation

log = structlog.get_logger(__name__)


def mail_is_set() -> bool:
    """Whether the console can send mail at all; links are shown for copying where it cannot."""
    return bool(getattr(settings, "MAIL_IS_SENT", False))


def send_invitation(invitation: Invitation, link: str) -> bool:
    """Whether the mail server took it. Never inside a transaction: the server may take its time."""
    context = {"invitation": invitation, "link": link}
    body = render_to_string("accounts/invitation_mail.txt", context)
    try:
        return send_mail(f"Invitation to {invitation.tenant} on Drydock", body, None, [invitation.email]) == 1
    except (smtplib.SMTPException, OSError) as error:
        log.warning("invitation not sent", invitation=str(invitation.pk), error=type(error).__name__)
        return False
