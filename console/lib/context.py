"""What caused the work at hand: request or job id, and the address it came from. Read by audit rows and logs."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import structlog

WELL_FORMED = re.compile(r"[A-Za-z0-9-]{8,64}")


@dataclass(frozen=True)
class Cause:
    """`id` is shown to people as "reference"; `address` is empty for work no person's browser asked for."""

    id: str = ""
    address: str = ""


_cause: ContextVar[Cause] = ContextVar("cause", default=Cause())  # noqa: B039 - Cause is frozen


def current() -> Cause:
    """The cause of the work at hand."""
    return _cause.get()


def new_id() -> str:
    """A fresh reference: 12 hex digits are short enough to be read out over the telephone."""
    return uuid.uuid4().hex[:12]


@contextmanager
def caused_by(id: str = "", *, address: str = "", **extra: object) -> Iterator[Cause]:
    """Work inside belongs to this request or job; log lines carry its id."""
    cause = Cause(id if WELL_FORMED.fullmatch(id) else new_id(), address)
    token = _cause.set(cause)
    try:
        with structlog.contextvars.bound_contextvars(reference=cause.id, **extra):
            yield cause
    finally:
        _cause.reset(token)
