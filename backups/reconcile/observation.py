"""What a cluster says of a Backup or Restore, written into its row."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from django.utils import timezone

from backups import velero
from backups.lifecycle import TERMINAL, State, may_become, state_of_phase
from backups.models import Backup, Restore, VeleroWish
from workspaces.models import Overtaken

log = structlog.get_logger(__name__)

Raw = dict[str, Any]
PATIENCE = timedelta(seconds=60)
NOT_PICKED_UP = ("", "New")
KINDS: dict[str, type[VeleroWish]] = {"backup": Backup, "restore": Restore}


def observe(wish: VeleroWish, raw: Raw) -> None:
    """Write what the object says. A row that has ended, or an object that is somebody else's, is left alone."""
    report = velero.read_backup(raw) if isinstance(wish, Backup) else velero.read_restore(raw)
    if not wish.is_open or report.request_id != str(wish.pk):
        return
    values = _values(wish, report)
    if State(values["state"]) in TERMINAL:
        values["resource"] = raw
    if any(getattr(wish, name) != value for name, value in values.items()):
        _write(wish, values)


def vanished(wish: VeleroWish) -> None:
    """The object is gone from the cluster although nobody here removed it."""
    kind = wish._meta.verbose_name
    sentence = f"The {kind} object {wish.object_name} vanished from the cluster before Velero finished it."
    _write(wish, {"state": State.FAILED, "message": sentence})


def flag_not_picked_up() -> int:
    """Say so where Velero has not begun within a minute; how many rows say so now."""
    waiting = {"state": State.SUBMITTED, "phase__in": NOT_PICKED_UP, "message": ""}
    flagged = 0
    for model in KINDS.values():
        for wish in model._default_manager.filter(submitted_at__lt=timezone.now() - PATIENCE, **waiting):
            _write(wish, {"message": velero.explain.not_picked_up(wish.cluster.name)})  # type: ignore[attr-defined]
            flagged += 1
    return flagged


def _values(wish: VeleroWish, report: velero.BackupReport | velero.RestoreReport) -> dict[str, Any]:
    state = state_of_phase(report.phase)
    values: dict[str, Any] = {
        "state": state if may_become(State(wish.state), state) else wish.state,
        "phase": report.phase[:60],
        "object_uid": report.uid[:63],
        "items_done": report.items_done,
        "items_total": report.items_total,
        "errors": report.errors,
        "warnings": report.warnings,
        "started_at": report.started_at,
        "completed_at": report.completed_at,
    }
    if report.phase not in NOT_PICKED_UP:
        values["message"] = ""
    if isinstance(report, velero.BackupReport):
        values["expires_at"] = report.expires_at
    if state in TERMINAL:
        values["message"] = velero.explain.outcome(report)
    return values


def _write(wish: VeleroWish, values: dict[str, Any]) -> None:
    """A submitter that has not yet noted what a watch sees already is overtaken, not fought: the row has moved on."""
    values.setdefault("due_at", None)
    if wish.submitted_at is None:
        values.setdefault("submitted_at", timezone.now())
    try:
        wish.observe(**values)
    except Overtaken:
        log.info("the row moved on while it was being observed", row=str(wish.pk))
