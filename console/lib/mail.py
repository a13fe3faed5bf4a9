"""Letters, sent beside the request: whoever asked does not wait for the mail server, nor learns by waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
from django.core.mail import EmailMessage

log = structlog.get_logger(__name__)


def send_soon(write: Callable[[], EmailMessage | None]) -> None:
    """Have a letter written and sent. One that cannot be sent is logged without its text; it may be asked for again."""
    threading.Thread(target=_send, args=[write], name="letter").start()


def _send(write: Callable[[], EmailMessage | None]) -> None:
    try:
        if letter := write():
            letter.send()
    except Exception as error:  # whatever a mail server does; nobody waits to be told
        log.error("letter not sent", reason=type(error).__name__)
