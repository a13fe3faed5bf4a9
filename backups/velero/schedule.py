"""Schedules: they run in the cluster while the console is down. Expressions come from `backups.lifecycle`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from backups.velero import names
from backups.velero.backup import BackupRequest, backup_spec
from backups.velero.objects import identity, remove, shares_labels
from backups.velero.reading import Fields
from console.lib.errors import AlreadyThere, BadInput, Refused

LONGEST_NAME = 48  # `-YYYYMMDDhhmmss` follows, and labels end at 63: beyond, no backup is ever made (velero.md §0.5)
_OWNER = (names.MANAGED_BY, names.POLICY, names.CLUSTER)


@dataclass(frozen=True, kw_only=True)
class ScheduleRequest:
    """A policy on one cluster. `backup` is the template: its name is not used, its labels go on every backup.

    `cron` may carry `CRON_TZ=` and must come to pass: one that never does runs every minute (velero.md §0.4).
    """

    name: str
    cron: str
    backup: BackupRequest
    paused: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ScheduleReport:
    """A Schedule as the cluster has it."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    created_at: datetime | None
    deleting_at: datetime | None
    request_id: str
    cron: str
    paused: bool
    storage_location: str
    phase: str
    last_backup_at: datetime | None
    last_skipped_at: datetime | None
    validation_errors: tuple[str, ...]
    oddities: tuple[str, ...]


def schedule_manifest(request: ScheduleRequest) -> names.Json:
    """The Schedule to post. It never runs at once: "back up now" is a backup of its own.

    Raises: BadInput (name too long, and those of `backup_spec`).
    """
    if len(request.name) > LONGEST_NAME:
        raise BadInput(f"The prefix is too long for Velero: {LONGEST_NAME} characters at most.", field="prefix")
    # Labels of the template replace those of the Schedule on the backups it makes (schedule_controller.go).
    template = {**backup_spec(request.backup), "metadata": {"labels": names.our_labels(request.backup.labels)}}
    spec = {
        "schedule": request.cron,
        "template": template,
        "paused": request.paused,
        "skipImmediately": True,
        "useOwnerReferencesInBackup": False,
    }
    return names.resource("Schedule", names.metadata(request.name, request.backup.namespace, request.labels), spec)


def ensure_schedule(conn: names.KubeApi, manifest: names.Json) -> ScheduleReport:
    """Create, or bring ours up to date.

    Velero writes `skipImmediately` back to false once used; it is sent again whenever expression or pause change, so
    that a change never starts a backup by itself.

    Raises: Refused (the name belongs to somebody else), and whatever the connection raises.
    """
    meta = manifest["metadata"]
    try:
        return read_schedule(conn.create(names.schedules_path(meta["namespace"]), manifest))
    except AlreadyThere:
        pass
    path = names.path("schedules", meta["namespace"], meta["name"])
    existing = conn.get(path)
    if not shares_labels(existing, meta["labels"], _OWNER):
        raise Refused(
            f"The cluster has a Schedule {meta['name']} that this console did not make.",
            remedy="Choose another prefix.",
        )
    return read_schedule(_bring_up_to_date(conn, path, existing, manifest["spec"]))


def _bring_up_to_date(conn: names.KubeApi, path: str, existing: names.Json, wanted: names.Json) -> names.Json:
    stored = existing.get("spec") or {}
    keys = ("schedule", "template", "paused")
    if all(_same(stored.get(key), wanted[key]) for key in keys):
        return existing
    template = {**dict.fromkeys(stored.get("template") or {}), **wanted["template"]}
    return conn.merge_patch(path, {"spec": {**wanted, "template": template}})


def _same(stored: object, wanted: object) -> bool:
    """Equal, but for the empty values that the API server's round trip adds or drops (`paused: false`, `hooks: {}`)."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        return all(_same(stored.get(key), wanted.get(key)) for key in stored.keys() | wanted.keys())
    return stored == wanted or not (stored or wanted)


def read_schedule(obj: object) -> ScheduleReport:
    """Never fails; see `oddities`. Field names: apis/velero/v1/schedule_types.go:30-93."""
    fields = Fields(obj)
    return ScheduleReport(
        **identity(fields),
        cron=fields.text("spec.schedule"),
        paused=bool(fields.flag("spec.paused")),
        storage_location=fields.text("spec.template.storageLocation"),
        phase=fields.text("status.phase"),
        last_backup_at=fields.moment("status.lastBackup"),
        last_skipped_at=fields.moment("status.lastSkipped"),
        validation_errors=fields.strings("status.validationErrors"),
        oddities=fields.oddities,
    )


def get_schedule(conn: names.KubeApi, namespace: str, name: str) -> ScheduleReport:
    """Raises: Missing, and whatever the connection raises."""
    return read_schedule(conn.get(names.path("schedules", namespace, name)))


def anchor_schedule(conn: names.KubeApi, namespace: str, name: str, last_backup: datetime) -> ScheduleReport:
    """Set when an `@every` schedule last ran, so that the next run falls on the right midnight (velero.md §1)."""
    when = last_backup.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    path = names.path("schedules", namespace, name)
    return read_schedule(conn.merge_patch(path, {"status": {"lastBackup": when}}))


def delete_schedule(conn: names.KubeApi, namespace: str, name: str) -> None:
    """Remove it; the backups it made stay."""
    remove(conn, names.path("schedules", namespace, name))
