"""How a policy stands, for its page, the list and the overview of its cluster."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone

from backups import schedule
from backups.lifecycle import RESTORABLE
from backups.models import Backup, BackupPolicy, PolicyChange, PolicyChangeState
from backups.schedule import Plan

TROUBLED = ("failed", "drifted", "rejected", "late")


@dataclass(frozen=True)
class Standing:
    """A policy with its last change, its last good backup, and the run that has none."""

    policy: BackupPolicy
    change: PolicyChange | None
    last_good: Backup | None
    missed: datetime | None

    @property
    def state(self) -> str:
        """For a badge; the worst there is to say."""
        return next(word for word, holds in self._states() if holds)

    def _states(self) -> list[tuple[str, bool]]:
        policy, change = self.policy, self.change
        return [
            ("deleting", bool(policy.deleting_at)),
            ("failed", bool(change and change.state == PolicyChangeState.FAILED)),
            ("submitting", policy.is_behind),
            ("drifted", bool(policy.drift)),
            ("rejected", policy.phase == "FailedValidation"),
            ("paused", policy.paused),
            ("late", self.missed is not None),
            ("active", True),
        ]

    @property
    def reason(self) -> str:
        """Why it is so, as a sentence; empty while all is well."""
        if self.change and self.change.message:
            return self.change.message
        return self.policy.trouble

    @property
    def is_busy(self) -> bool:
        """Whether something about it is under way."""
        return bool(self.change and self.change.is_open)

    @property
    def is_stuck(self) -> bool:
        """Whether what should be done has been tried without success."""
        return bool(self.change and self.change.message and self.change.state != PolicyChangeState.COMPLETED)

    @property
    def words(self) -> str:
        return schedule.in_words(self.policy.plan)


def standings(policies: QuerySet[BackupPolicy]) -> list[Standing]:
    """How each of them stands. Three queries, however many."""
    good = Backup.objects.filter(policy=OuterRef("pk"), state__in=RESTORABLE).order_by("-created_at")
    changes = PolicyChange.objects.filter(policy=OuterRef("pk")).order_by("-created_at")
    newest = {"good_id": Subquery(good.values("pk")[:1]), "change_id": Subquery(changes.values("pk")[:1])}
    rows = list(policies.annotate(**newest))
    backups = Backup.objects.in_bulk([row.good_id for row in rows if row.good_id])  # type: ignore[attr-defined]
    last = PolicyChange.objects.in_bulk([row.change_id for row in rows if row.change_id])  # type: ignore[attr-defined]
    return [_standing(row, last.get(row.change_id), backups.get(row.good_id)) for row in rows]  # type: ignore[attr-defined]


def _standing(policy: BackupPolicy, change: PolicyChange | None, good: Backup | None) -> Standing:
    return Standing(policy, change, good, policy.missed_run(good.created_at if good else None))


def late_clusters(policies: QuerySet[BackupPolicy]) -> set[uuid.UUID]:
    """The clusters of `policies` in which one of them has no good backup for a run. One query."""
    good = Backup.objects.filter(policy=OuterRef("pk"), state__in=RESTORABLE).order_by("-created_at")
    rows = policies.annotate(good_at=Subquery(good.values("created_at")[:1]))
    return {row.cluster_id for row in rows if row.missed_run(row.good_at)}


@dataclass(frozen=True)
class Run:
    """`local`: as clocks in the policy's zone show it."""

    at: datetime
    local: str


def coming_of(plan: Plan) -> list[Run]:
    """The next five runs."""
    zone = ZoneInfo(plan.zone)
    return [Run(at, _written(at.astimezone(zone))) for at in schedule.next_runs(plan, timezone.now())]


def coming(policy: BackupPolicy) -> list[Run]:
    """None of a policy that is paused or being deleted."""
    return [] if policy.paused or policy.deleting_at else coming_of(policy.plan)


def _written(local: datetime) -> str:
    zone = local.tzname() or ""
    return f"{local:%A}, {local.day} {local:%B %Y, %H:%M} {zone if zone.isalpha() else f'UTC{zone}'}"
