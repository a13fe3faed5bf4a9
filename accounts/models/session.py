"""Who is signed in, where, and until when."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import connection, models
from django.db.models import Min, OuterRef, Subquery
from django.utils import timezone

from accounts.models.tenant import Tenant
from accounts.models.user import User

NAME_OF_BROWSER = 200


class SessionQuerySet(models.QuerySet["Session"]):
    def with_limits(self) -> SessionQuerySet:
        """Each with the strictest limits of its person's tenants, in the same query."""
        return self.annotate(idle_minutes=_strictest("session_idle_minutes"), hours=_strictest("session_hours"))

    def of_key(self, stored: str) -> Session | None:
        """The session whose key lies in the database as `stored`, with its limits.

        It is asked for with every request, and making Django's SQL of it takes ten times as long as running that: so
        it is made once.
        """
        sql, values = _sql_of_key(connection.vendor)
        return next(iter(self.raw(sql, [stored if value == _KEY else value for value in values])), None)

    def live(self, user: User) -> list[Session]:
        """Where this person is signed in now, latest use first."""
        now = timezone.now()
        found = self.with_limits().filter(user=user).order_by("-seen_at")
        return [session for session in found if not session.has_ended(now)]

    def purge(self) -> None:
        """Remove those that no tenant's limits could keep alive any more."""
        self.filter(expire_date__lt=timezone.now()).delete()


def _strictest(field: str) -> Subquery:
    tenants = Tenant.objects.filter(memberships__user=OuterRef("user"), memberships__is_active=True)
    return Subquery(tenants.order_by().values("memberships__user").annotate(least=Min(field)).values("least"))


_KEY = "the key"


@cache
def _sql_of_key(vendor: str) -> tuple[str, tuple[Any, ...]]:
    """SQL in the words of a database, and its values, among them `_KEY`."""
    sql, values = Session.objects.with_limits().filter(pk=_KEY).order_by().query.sql_with_params()
    return sql, tuple(values)


class Session(AbstractBaseSession):
    """One browser. `session_key` is a hash of what the browser holds: who reads this table can be nobody else with it.

    `user` is empty before somebody signs in. `seen_at` is moved by what a person does, not by a page that stays live.
    """

    session_key = models.CharField(primary_key=True, max_length=64)
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="sessions")
    address = models.GenericIPAddressField(null=True)
    browser = models.CharField(max_length=NAME_OF_BROWSER, blank=True)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    objects = SessionQuerySet.as_manager()  # type: ignore[assignment, misc] # AbstractBaseSession's makes rows of itself

    class Meta:
        ordering = ["-seen_at"]

    def __str__(self) -> str:
        return f"{self.user or 'nobody'} from {self.address}"

    def has_ended(self, now: datetime) -> bool:
        """Whether it was idle or signed in for longer than allowed. For rows of with_limits()."""
        if self.user_id is None:
            return False
        limits = vars(self)  # None for somebody who is in no tenant
        idle = timedelta(minutes=limits["idle_minutes"] or Tenant.IDLE_MINUTES)
        return now >= self.seen_at + idle or now >= self.started_at + timedelta(hours=limits["hours"] or Tenant.HOURS)
