"""Checking, creating and editing backup locations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import Tenant, User
from accounts.permissions import Verb, require
from backups.models import BackupLocation, ChangeKind, CheckState, LocationCheck, LocationState, SignIn
from backups.reconcile.location_change import ask, roll_out
from console.lib.certificates import read_bundle
from console.lib.errors import BadInput, NotVisible
from console.lib.queue import enqueue
from console.lib.rows import save_changed, save_new
from workspaces.models import Cluster, Project

FIELDS = (
    *("provider", "bucket", "prefix", "region", "s3_url", "path_style", "ca_certificate"),
    *("sign_in", "role_arn", "external_id", "credentials", "read_only"),
)
HEALTH = ("state", "state_reason", "checked_at", "unavailable_since")
NEEDED = {
    SignIn.KEYS: {"access_key": "access key", "secret_key": "secret key"},
    SignIn.STS_KEYS: {"access_key": "access key", "secret_key": "secret key"},
    SignIn.STS_CLUSTER: {},
    SignIn.SERVICE_ACCOUNT: {"service_account": "JSON key"},
}


@transaction.atomic
def request_check(
    *,
    by: User,
    project: Project,
    edits: BackupLocation | None = None,
    asked_of: Cluster | None = None,
    **draft: Any,
) -> LocationCheck:
    """Have a location tried before it is saved, or what an edit would make of `edits`.

    `asked_of`: a cluster of the project whose Velero is asked where the console cannot get to or sign in from here.

    `draft` holds BackupLocation's fields of the same names. Raises BadInput for a field that cannot be right, before
    anything is sent anywhere.
    """
    require_drafting(by, project, edits)
    if asked_of and (asked_of.project_id != project.pk or asked_of.deregistered_at):
        raise NotVisible("There is nothing here.")
    _refuse_hopeless(draft)
    proposed = "" if draft.get("read_only") else default_prefix(project)
    draft["prefix"] = draft.get("prefix", "").strip("/") or proposed
    check = LocationCheck(project=project, edits=edits, asked_of=asked_of, draft=draft, requested_by=by)
    check.requested_by_name = str(by)
    return _send(by, check)


@transaction.atomic
def request_recheck(*, by: User, location: BackupLocation) -> LocationCheck:
    """Have a saved location tried again."""
    require(by, location, Verb.LOCATION_UPDATE)
    check = LocationCheck(project=location.project, location=location, requested_by=by, requested_by_name=str(by))
    return _send(by, check)


def _send(by: User, check: LocationCheck) -> LocationCheck:
    save_new(check)
    asked = {"asked_of": check.asked_of.name} if check.asked_of else {}
    audit.record(by=by, verb="location.check", target=check.location or check, **asked)
    enqueue(check.job, check.pk, check.attempt, queue="interactive")
    return check


@transaction.atomic
def create_location(*, by: User, check: LocationCheck, name: str, unvalidated: bool = False) -> BackupLocation:
    """Save what `check` tried, and nothing else. Raises BadInput when it did not pass, unless `unvalidated`."""
    require(by, check.project, Verb.LOCATION_CREATE)
    if check.draft is None:
        raise BadInput("This check belongs to a location that is saved already.")
    passed = _passed(check, unvalidated)
    location = BackupLocation(project=check.project, name=name, **_fields(check.draft), **_health(check, passed))
    save_new(location)
    check.location, check.draft = location, None  # its keys are the location's now
    check.save(update_fields=["location", "draft"])
    read_only: dict[str, Any] = {"read_only": True} if location.read_only else {}
    audit.record(by=by, verb="location.create", target=location, bucket=location.bucket, validated=passed, **read_only)
    return location


@transaction.atomic
def update_location(*, by: User, check: LocationCheck, name: str, unvalidated: bool = False) -> BackupLocation:
    """Save what `check` tried of an edit, and have the clusters that use the location brought up to date.

    Raises BadInput when it did not pass, unless `unvalidated`; when it would move what is in use; when somebody else
    saved an edit since this one was begun.
    """
    if check.edits is None or check.draft is None:
        raise BadInput("This check belongs to no edit.")
    location = locked(check.edits)
    require(by, location, Verb.LOCATION_UPDATE)
    fields = _fields(check.draft)
    refuse_moving(location, fields)
    if check.draft["of_version"] != location.credentials_version:
        raise BadInput(f"Somebody else changed {location} meanwhile.", remedy="Discard this and begin anew.")
    passed = _passed(check, unvalidated)
    changed = _set(location, fields | {"name": name})
    _set(location, _health(check, passed) | {"unavailable_since": None})
    location.credentials_version += any(each != "name" for each in changed)
    save_changed(location, *FIELDS, "name", "credentials_version", *HEALTH)
    check.location, check.draft = location, None  # its keys are the location's now
    check.save(update_fields=["location", "draft"])
    audit.record(by=by, verb="location.update", target=location, changed=changed, validated=passed)
    if changed and changed != ["name"]:
        roll_out(location, by)
    return location


@transaction.atomic
def rename_location(*, by: User, location: BackupLocation, name: str) -> BackupLocation:
    """Change the name alone, for which nothing has to be tried. Raises BadInput."""
    row = locked(location)
    require(by, row, Verb.LOCATION_UPDATE)
    if _set(row, {"name": name}):
        save_changed(row, "name")
        audit.record(by=by, verb="location.update", target=row, changed=["name"])
    return row


@transaction.atomic
def retry_change(*, by: User, location: BackupLocation, cluster: Cluster) -> None:
    """Have one cluster brought up to date, or the location taken out of it, now and not at the next try."""
    verb, kind = Verb.LOCATION_UPDATE, ChangeKind.ROLL_OUT
    if location.deleting_at:
        verb, kind = Verb.LOCATION_DELETE, ChangeKind.REMOVE
    require(by, location, verb)
    if not location.placed.filter(cluster=cluster).exists():
        raise BadInput(f"{location} is not in {cluster}.")
    ask(location, [cluster.pk], kind, by)
    audit.record(by=by, verb="location.retry", target=location, cluster=cluster.name)


def locked(location: BackupLocation) -> BackupLocation:
    """The row, for this transaction alone. Raises NotVisible once it is deleted, BadInput while it is being deleted."""
    row = (
        BackupLocation.objects.select_for_update(of=("self",)).select_related("project").filter(pk=location.pk).first()
    )
    if row is None:
        raise NotVisible("There is nothing here.")
    if row.deleting_at:
        raise BadInput(f"{row} is being deleted.")
    return row


def require_drafting(person: User, project: Project, edits: BackupLocation | None) -> None:
    """Whoever may save it may try it."""
    if edits is None:
        require(person, project, Verb.LOCATION_CREATE)
    else:
        require(person, edits, Verb.LOCATION_UPDATE)


def may_save_unvalidated(project: Project) -> bool:
    """Whether the tenant lets those who save locations save one that did not pass."""
    return project.tenant.unvalidated_location_by != Tenant.UnvalidatedLocations.NOBODY


def _passed(check: LocationCheck, unvalidated: bool) -> bool:
    """Whether every step did. Raises BadInput when it is not to be saved then."""
    if check.state == CheckState.COMPLETED:
        return True
    if not unvalidated:
        raise BadInput("Validate the location first; it is saved once every step has passed.")
    if not may_save_unvalidated(check.project):
        raise BadInput("Your organisation does not let anybody save a location that did not pass.")
    return False


FIXED = {
    "provider": "The provider",
    "bucket": "The bucket",
    "prefix": "The prefix",
    "s3_url": "The S3 URL",
}


def why_fixed(location: BackupLocation) -> str:
    """Why the place can not be another one any more, as a sentence; empty while it can."""
    if location.backups.exists():
        return "Backups are there."
    if location.placed.exists():
        return "Clusters write there already."
    return ""


def refuse_moving(location: BackupLocation, fields: Mapping[str, Any]) -> None:
    """Raises BadInput at the field that would make the location another place than the one in use: in a cluster Velero
    would purge the backups of the old place (velero.md §0.8)."""
    if fields.get("read_only", location.read_only) != location.read_only:
        raise BadInput("What is only read cannot become a place to write to, nor the other way round.")
    moved = [name for name in FIXED if name in fields and fields[name] != getattr(location, name)]
    if moved and (why := why_fixed(location)):
        said = f"{FIXED[moved[0]]} of {location} cannot change any more. {why}"
        raise BadInput(said, field=moved[0], remedy="Add another location for another place.")


def _set(location: BackupLocation, values: Mapping[str, Any]) -> list[str]:
    """Give the row the values; the names of those that are others than before."""
    changed = [name for name, value in values.items() if getattr(location, name) != value]
    for name in changed:
        setattr(location, name, values[name])
    return changed


def default_prefix(project: Project) -> str:
    """`drydock/<project>`: below it each cluster writes under its own uid."""
    return f"drydock/{project.pk}"


def _fields(draft: dict[str, Any]) -> dict[str, Any]:
    return {field: draft[field] for field in FIELDS if field in draft}


def _health(check: LocationCheck, passed: bool) -> dict[str, Any]:
    """What a cluster's Velero has found is not what the console knows."""
    if passed and check.is_verdict:
        reason = f"The console cannot tell from here; the Velero of {check.asked_of} can use it."
        return {"state": LocationState.UNKNOWN, "state_reason": reason, "checked_at": timezone.now()}
    state = LocationState.AVAILABLE if passed else LocationState.UNKNOWN
    return {"state": state, "state_reason": "" if passed else check.message, "checked_at": timezone.now()}


def _refuse_hopeless(draft: dict[str, Any]) -> None:
    if not draft.get("bucket"):
        raise BadInput("Name the bucket; it must exist already.", field="bucket")
    credentials = draft.get("credentials") or {}
    for key, label in NEEDED[SignIn(draft.get("sign_in", SignIn.KEYS))].items():
        if not credentials.get(key):
            raise BadInput(f"The {label} is missing.", field=key)
    if draft.get("ca_certificate"):
        read_bundle(draft["ca_certificate"])
