"""A person's wish as a row that exactly one worker at a time carries out.

1. An action writes the row with `attempt` 0 and `due_at` a few seconds ahead, and sends `(pk, attempt)` to a worker.
2. The worker claims it: one conditional UPDATE on `attempt` that adds 1 and moves `due_at` one lease ahead.
3. `attempt` is the fencing token: every write of the worker is conditional on it, so a late holder's write is refused.
4. A worker that must wait lets go: it sets `due_at` to when the next step is due.
5. The reconciler sends `(pk, attempt)` again for every open row whose `due_at` has passed: the worker died, the message
   was lost, or the wait is over. A message for an older attempt finds nothing to claim.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import timedelta
from typing import Any, ClassVar, Self, TypeVar

from django.conf import settings
from django.db import models
from django.db.models import F
from django.utils import timezone

from console.lib.errors import ConsoleError

W = TypeVar("W", bound="Wish")
FIRST_REDRIVE = timedelta(seconds=5)


class Overtaken(ConsoleError):
    """Somebody else moved the row on since it was claimed; what this holder meant to write no longer applies."""


def redrive_time() -> Any:
    """When a row that was just written is driven again unless a worker has taken it."""
    return timezone.now() + FIRST_REDRIVE


class WishQuerySet(models.QuerySet[W]):
    def open(self) -> Self:
        """Rows whose end is not known yet."""
        return self.exclude(state__in=self.model.terminal)

    def due(self) -> Self:
        """Rows whose next step is due and that nobody holds."""
        return self.open().filter(due_at__lte=timezone.now())

    def claim(self, pk: Any, attempt: int) -> W | None:
        """Take the row for one lease, or None when somebody else has it or it needs no worker."""
        lease = timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
        mine = self.open().filter(pk=pk, attempt=attempt, due_at__isnull=False)
        if mine.update(attempt=F("attempt") + 1, due_at=lease) != 1:
            return None
        return self.filter(pk=pk, attempt=attempt + 1).first()  # none: a lease went by since the line above


class Wish(models.Model):
    """Common fields of every row that a worker carries out."""

    terminal: ClassVar[Collection[str]] = ()
    sources: ClassVar[Any] = None  # which states may become a given one; None means any open one
    job: ClassVar[str] = ""  # dotted name of the job that carries it out
    most_attempts: ClassVar[int] = 0  # so many workers that did not come to an end are enough; 0: never enough

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    state = models.CharField(max_length=20, default="requested", db_index=True)
    message = models.TextField(blank=True)  # a sentence for a person: why it ended so, or what it waits for
    attempt = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True, blank=True, default=redrive_time, db_index=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    requested_by_name = models.CharField(max_length=254, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[Any] = WishQuerySet.as_manager()  # Any: the stubs know no manager of an abstract row

    class Meta:
        abstract = True

    @property
    def is_open(self) -> bool:
        return self.state not in self.terminal

    def write(self, **values: Any) -> None:
        """Change the row as the holder of its lease. Raises Overtaken when the lease or the state has moved on."""
        self._write(type(self)._default_manager.filter(pk=self.pk, attempt=self.attempt, state=self.state), values)

    def observe(self, **values: Any) -> None:
        """Change the row as one who saw the cluster, who needs no lease. Raises Overtaken when it has moved on."""
        self._write(type(self)._default_manager.filter(pk=self.pk, state=self.state), values)

    def wait(self, seconds: float, message: str = "") -> None:
        """Let go of the row; its next step is due in `seconds`."""
        self.write(due_at=timezone.now() + timedelta(seconds=seconds), message=message)

    def hand_back(self) -> None:
        """Let go of the row before its work is done, whatever was written meanwhile: its next step is due at once."""
        held = type(self)._default_manager.filter(pk=self.pk, attempt=self.attempt, due_at__isnull=False)
        held.exclude(state__in=self.terminal).update(due_at=timezone.now())

    @property
    def is_hopeless(self) -> bool:
        """Whether enough workers have died or run out of time over it."""
        return 0 < self.most_attempts <= self.attempt

    def give_up(self) -> None:
        """End a row that no worker brings to an end. Raises Overtaken when somebody did meanwhile."""
        self.write(state="failed", message=f"This did not come to an end in {self.attempt} attempts. Try again.")

    def _write(self, row: models.QuerySet[Any], values: dict[str, Any]) -> None:
        state = values.get("state", self.state)
        values |= {"updated_at": timezone.now()}
        if state in self.terminal:
            values |= {"finished_at": timezone.now(), "due_at": None}
        if row.filter(state__in=self._may_precede(state)).update(**values) != 1:
            raise Overtaken("Somebody else is ahead with this row.")
        for name, value in values.items():
            setattr(self, name, value)

    def _may_precede(self, state: str) -> Collection[str]:
        return type(self).sources(state) if type(self).sources else {self.state}
