"""What a cluster says of a Backup or Restore, written into its row."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import structlog
from django.utils import timezone

from backups.lifecycle import OPEN, TERMINAL, State, may_become, state_of_phase
from backups.models import Backup, Restore, VeleroWish
from backups.velero.backup import BackupReport, read_backup
from backups.velero.explain import explain_all
from backups.velero.restore import RestoreReport, read_restore
from workspaces.models import Overtaken

log = structlog.get_logger(__name__)

Raw = dict[str, Any]
Report = BackupReport | RestoreReport
PATIENCE = timedelta(seconds=60)
NOT_PICKED_UP = ("", "New")
KINDS: dict[str, type[VeleroWish]] = {"backup": Backup, "restore": Restore}


def observe(wish: VeleroWish, raw: Raw) -> None:
    """Write what the object says. A row that has ended, or an object that is somebody else's, is left alone."""
    report = _read(wish, raw)
    if not _is_of(wish, report) or not may_become(State(wish.state), state_of_phase(report.phase)):
        return  # somebody else's object, a row that has ended, or an event from before what the row says already
    values = values_of(report)
    if State(values["state"]) in TERMINAL:
        values["resource"] = keepable(raw)
    if any(getattr(wish, name) != value for name, value in values.items()) and not _write(wish, values):
        wish.refresh_from_db()  # the submitter was faster; what was seen is still true and must not be lost
        observe(wish, raw)


def removed(wish: VeleroWish, raw: Raw) -> None:
    """The object was removed; `raw` is its last state, which may be an end that was not heard of before."""
    report = _read(wish, raw)
    if _is_of(wish, report):
        observe(wish, raw)
        vanished(wish)


def _is_of(wish: VeleroWish, report: Report) -> bool:
    """Whether the object is the row's own: by our label, or, of what a Schedule made, by the uid it was found with."""
    if report.request_id or not (isinstance(wish, Backup) and wish.policy_id):
        return report.request_id == str(wish.pk)
    return bool(report.uid) and report.uid == wish.object_uid


def vanished(wish: VeleroWish) -> None:
    """The object is gone from the cluster although nobody here removed it."""
    kind = wish._meta.verbose_name
    sentence = f"The {kind} object {wish.object_name} vanished from the cluster before Velero finished it."
    _write(wish, {"state": State.FAILED, "message": sentence})


def end_orphans() -> int:
    """Nobody looks into a deregistered cluster any more: what was open there ends, and says why."""
    ended = 0
    for model in KINDS.values():
        for wish in model._default_manager.filter(state__in=OPEN, cluster__deregistered_at__isnull=False):
            cluster = wish.cluster  # Backup and Restore have one
            sentence = f"{cluster} was deregistered before this ended; what became of it there is not known."
            begun = State(wish.state) != State.REQUESTED
            ended += _write(wish, {"state": State.FAILED if begun else State.REJECTED, "message": sentence})
    return ended


def flag_not_picked_up() -> int:
    """Say so where Velero has not begun within a minute; how many rows say so now."""
    waiting = {"state": State.SUBMITTED, "phase__in": NOT_PICKED_UP, "message": ""}
    flagged = 0
    for model in KINDS.values():
        for wish in model._default_manager.filter(submitted_at__lt=timezone.now() - PATIENCE, **waiting):
            _write(wish, {"message": not_picked_up(str(wish.cluster))})
            flagged += 1
    return flagged


def keepable(value: Any) -> Any:
    """JSON without what not every database can hold: NUL, halves of characters, numbers that are none."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {keepable(str(key)): keepable(held) for key, held in value.items()}
    if isinstance(value, list):
        return [keepable(held) for held in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _read(wish: VeleroWish, raw: object) -> Report:
    return read_backup(raw) if isinstance(wish, Backup) else read_restore(raw)


def values_of(report: Report) -> dict[str, Any]:
    """The columns that say how the object stands."""
    state = state_of_phase(report.phase)
    values: dict[str, Any] = {
        "state": state,
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
    if isinstance(report, BackupReport):
        values |= {"expires_at": report.expires_at, "queue_position": report.queue_position}
    if state in TERMINAL:
        values["message"] = outcome(report)
    return values


def _write(wish: VeleroWish, values: dict[str, Any]) -> bool:
    """Whether the row could be written: False when it has moved on since it was read."""
    values.setdefault("due_at", None)
    if wish.submitted_at is None:
        values.setdefault("submitted_at", timezone.now())
    try:
        wish.observe(**values)
    except Overtaken:
        return False
    return True


def outcome(report: Report) -> str:
    """Why it ended so, in a sentence; empty when it ended well."""
    reasons = [*report.validation_errors, *([report.failure_reason] if report.failure_reason else [])]
    told = [f"{reason.sentence} {reason.remedy}".strip() for reason in explain_all(reasons)]
    if not told and report.errors:
        told = [f"Velero met {report.errors} error{'s' if report.errors > 1 else ''}; the log names the objects."]
    return " ".join(told)


def not_picked_up(cluster: str) -> str:
    """What to say of an object that Velero has left untouched for a minute."""
    return (
        f"Velero in {cluster} has not begun with this for more than a minute. Is its server running? "
        "It begins by itself as soon as Velero is back."
    )
