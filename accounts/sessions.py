"""Django's sessions in the database, with our own columns: whose, from where, since when, last seen.

Limits are looked at where a session is read, in the same query: there is no way to one that has ended.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.http import HttpRequest
from django.utils import timezone

from accounts.models.session import NAME_OF_BROWSER, Session

SEEN_EVERY = timedelta(minutes=1)  # so that a page view costs no write
SINCE, ADDRESS, BROWSER = "since", "address", "browser"


def stored_key(key: str) -> str:
    """What of a session's key lies in the database."""
    return hashlib.sha256(key.encode()).hexdigest()


def store(request: HttpRequest) -> SessionStore:
    """The session of a request, as what it is here."""
    assert isinstance(request.session, SessionStore)
    return request.session


class SessionStore(DatabaseStore):
    """`row` is the session as it was read; None for one that is new."""

    row: Session | None = None

    @classmethod
    def get_model_class(cls) -> Any:
        return Session

    def begin(self, *, address: str, browser: str) -> None:
        """Somebody signed in here and now. The key must be new: see accounts/signin.py."""
        self.row = None
        self[SINCE], self[ADDRESS], self[BROWSER] = timezone.now().timestamp(), address, browser[:NAME_OF_BROWSER]

    def touch(self) -> None:
        """Its person has just done something."""
        now = timezone.now()
        if self.row and now - self.row.seen_at >= SEEN_EVERY:
            self.row.seen_at = now
            Session.objects.filter(pk=self.row.pk).update(seen_at=now)

    @property
    def since(self) -> float:
        """When its person signed in, in seconds of the epoch."""
        return float(self.get(SINCE, 0.0)) or (self.row.started_at.timestamp() if self.row else 0.0)

    @property
    def is_of(self) -> str:
        """The key of its row."""
        return stored_key(self.session_key) if self.session_key else ""

    def _get_session_from_db(self) -> Session | None:
        found, now = Session.objects.of_key(self.is_of), timezone.now()
        if found is None or found.expire_date <= now or found.has_ended(now):
            self._session_key = None
            return None
        self.row = found
        return found

    def exists(self, session_key: str) -> bool:
        return super().exists(stored_key(session_key))

    def delete(self, session_key: str | None = None) -> None:
        if key := session_key or self.session_key:
            super().delete(stored_key(key))

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        instance: Any = super().create_model_instance(data)
        instance.session_key = self.is_of
        instance.user_id = data.get(SESSION_KEY)
        instance.address, instance.browser = data.get(ADDRESS) or None, data.get(BROWSER, "")
        instance.started_at = self._since(data)
        instance.seen_at = self.row.seen_at if self.row else timezone.now()
        found: Session = instance
        return found

    def _since(self, data: dict[str, Any]) -> datetime:
        if since := data.get(SINCE):
            return datetime.fromtimestamp(since, UTC)
        return self.row.started_at if self.row else timezone.now()
