"""Schedules: they run in the cluster while the console is down. Expressions come from `backups.lifecycle`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from backups.velero import names
from backups.velero.backup import BackupReport, BackupRequest, backup_spec, read_backup
from backups.velero.objects import as_read, identity, remove, shares_labels
from backups.velero.reading import Fields
from console.lib.errors import AlreadyThere, BadInput, Refused

LONGEST_NAME = 48  # `-YYYYMMDDhhmmss` follows, and labels end at 63: beyond, no backup is ever made (velero.md §0.5)
_OWNER = (names.MANAGED_BY, names.POLICY, names.CLUSTER)
_COMPARED = ("schedule", "template", "paused")
_NOTHING: tuple[object, ...] = (None, False, "", "0s", 0, [], {})  # as Go's round trip writes what is not set


@dataclass(frozen=True, kw_only=True)
class ScheduleRequest:
    """A policy on one cluster. `backup` is the template: its name is not used, its labels go on every backup.

    `cron` may carry `CRON_TZ=` and must come to pass: one that never does runs every minute (velero.md §0.4).
    `last_backup`: only for `@every`, what Velero is to take for the last run.
    """

    name: str
    cron: str
    backup: BackupRequest
    paused: bool = False
    last_backup: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ScheduleReport:
    """A Schedule as the cluster has it. `template` is a Backup that it would make, read as any other."""

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
    template: BackupReport
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
        "skipImmediately": not request.cron.startswith("@every"),  # it would overrule the anchor
        "useOwnerReferencesInBackup": False,
    }
    meta = names.metadata(request.name, request.backup.namespace, request.labels, request.annotations)
    return {**names.resource("Schedule", meta, spec), **_anchored(request.last_backup)}


def _anchored(last_backup: datetime | None) -> names.Json:
    """Status is no subresource of Velero's kinds: it can be sent with the rest, at creation, too (velero.md §0.9)."""
    if last_backup is None:
        return {}
    when = last_backup.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"status": {"lastBackup": when, "lastSkipped": None}}


def ensure_schedule(conn: names.KubeApi, manifest: names.Json) -> ScheduleReport:
    """Create, or bring ours up to date.

    Velero writes `skipImmediately` back to false once used; it is sent again whenever expression or pause change, so
    that a change never starts a backup by itself. With other changes it is not: it would swallow a run that is due.

    Raises: Refused (the name belongs to somebody else), Changed, and whatever the connection raises.
    """
    meta = manifest["metadata"]
    try:
        return read_schedule(conn.create(names.schedules_path(meta["namespace"]), manifest))
    except AlreadyThere:
        pass
    path = names.path("schedules", meta["namespace"], meta["name"])
    existing = conn.get(path)
    if not is_ours(existing, manifest):
        raise Refused(
            f"The cluster has a Schedule {meta['name']} that this console did not make.",
            remedy="Choose another prefix.",
        )
    patch = _patch(existing, manifest)
    return read_schedule(conn.merge_patch(path, patch) if patch else existing)


def is_ours(existing: object, manifest: names.Json) -> bool:
    """Whether the object is the one that this policy made."""
    return shares_labels(existing, manifest["metadata"]["labels"], _OWNER)


def _patch(existing: names.Json, manifest: names.Json) -> names.Json:
    """The merge patch that makes `existing` as `manifest` says; empty when it is so already. Null removes a key."""
    stored, wanted = existing.get("spec") or {}, manifest["spec"]
    differing = [key for key in _COMPARED if not _same(stored.get(key), wanted[key])]
    timed = "schedule" in differing or "paused" in differing
    again = {"skipImmediately": wanted["skipImmediately"]} if timed else {}
    status = manifest.get("status")
    if not (differing or (status and _other_anchor(existing, status))):
        return {}
    template = {**dict.fromkeys(stored.get("template") or {}), **wanted["template"]}
    patch: names.Json = {"spec": {**{key: wanted[key] for key in _COMPARED}, **again, "template": template}}
    annotations = manifest["metadata"].get("annotations")
    which = as_read(existing) | ({"annotations": annotations} if annotations else {})
    return patch | ({"metadata": which} if which else {}) | ({"status": status} if status else {})


def _other_anchor(existing: names.Json, status: names.Json) -> bool:
    found = existing.get("status") or {}
    return any(found.get(key) != value for key, value in status.items())


def differences(existing: object, manifest: names.Json) -> list[tuple[str, object, object]]:
    """How a Schedule in the cluster differs from what was put there: key, wanted, found. Never fails."""
    stored = Fields(existing).raw("spec")
    wanted = manifest["spec"]
    plain = [(key, wanted[key], stored.get(key)) for key in ("schedule", "paused")]
    template, there = wanted["template"], stored.get("template")
    there = there if isinstance(there, dict) else {}
    inside = [(key, template.get(key), there.get(key)) for key in sorted(template.keys() | there.keys())]
    return [(key, mine, theirs) for key, mine, theirs in [*plain, *inside] if not _same(theirs, mine)]


def _same(stored: object, wanted: object) -> bool:
    """Equal, but for the empty values that the API server's round trip adds or drops (`paused: false`, `hooks: {}`)."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        return all(_same(stored.get(key), wanted.get(key)) for key in stored.keys() | wanted.keys())
    return stored == wanted or (stored in _NOTHING and wanted in _NOTHING)


def read_schedule(obj: object) -> ScheduleReport:
    """Never fails; see `oddities`. Field names: apis/velero/v1/schedule_types.go:30-93."""
    fields = Fields(obj)
    return ScheduleReport(
        **identity(fields),
        cron=fields.text("spec.schedule"),
        paused=bool(fields.flag("spec.paused")),
        storage_location=fields.text("spec.template.storageLocation"),
        template=read_backup({"spec": fields.raw("spec.template")}),
        phase=fields.text("status.phase"),
        last_backup_at=fields.moment("status.lastBackup"),
        last_skipped_at=fields.moment("status.lastSkipped"),
        validation_errors=fields.strings("status.validationErrors"),
        oddities=fields.oddities,
    )


def get_schedule(conn: names.KubeApi, namespace: str, name: str) -> ScheduleReport:
    """Raises: Missing, and whatever the connection raises."""
    return read_schedule(conn.get(names.path("schedules", namespace, name)))


def anchor_schedule(
    conn: names.KubeApi, namespace: str, name: str, last_backup: datetime, *, resource_version: str = ""
) -> ScheduleReport:
    """Set when an `@every` schedule last ran, so that the next run falls on the right midnight (velero.md §1).

    Raises: Changed (with `resource_version`: it ran meanwhile), and whatever the connection raises.
    """
    which = {"metadata": {"resourceVersion": resource_version}} if resource_version else {}
    return read_schedule(
        conn.merge_patch(names.path("schedules", namespace, name), {**which, **_anchored(last_backup)})
    )


def delete_schedule(conn: names.KubeApi, namespace: str, name: str) -> None:
    """Remove it; the backups it made stay."""
    remove(conn, names.path("schedules", namespace, name))
