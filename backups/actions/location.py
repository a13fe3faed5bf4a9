"""Checking and creating backup locations."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from accounts.permissions import Verb, require
from backups.models import BackupLocation, CheckState, LocationCheck, LocationState, SignIn
from console.lib.certificates import read_bundle
from console.lib.errors import BadInput
from console.lib.queue import enqueue
from console.lib.rows import save_new
from workspaces.models import Project

FIELDS = (
    *("provider", "bucket", "prefix", "region", "s3_url", "path_style", "ca_certificate"),
    *("sign_in", "role_arn", "external_id", "credentials"),
)
NEEDED = {
    SignIn.KEYS: {"access_key": "access key", "secret_key": "secret key"},
    SignIn.STS_KEYS: {"access_key": "access key", "secret_key": "secret key"},
    SignIn.STS_CLUSTER: {},
    SignIn.SERVICE_ACCOUNT: {"service_account": "JSON key"},
}


@transaction.atomic
def request_check(*, by: User, project: Project, **draft: Any) -> LocationCheck:
    """Have a location tried before it is saved. `draft` holds BackupLocation's fields of the same names.

    Raises BadInput for a field that cannot be right, before anything is sent anywhere.
    """
    require(by, project, Verb.LOCATION_CREATE)
    _refuse_hopeless(draft)
    draft["prefix"] = draft.get("prefix", "").strip("/") or default_prefix(project)
    check = LocationCheck(project=project, draft=draft, requested_by=by, requested_by_name=str(by))
    return _send(by, check)


@transaction.atomic
def request_recheck(*, by: User, location: BackupLocation) -> LocationCheck:
    """Have a saved location tried again."""
    require(by, location, Verb.LOCATION_UPDATE)
    check = LocationCheck(project=location.project, location=location, requested_by=by, requested_by_name=str(by))
    return _send(by, check)


def _send(by: User, check: LocationCheck) -> LocationCheck:
    save_new(check)
    audit.record(by=by, verb="location.check", target=check.location or check)
    enqueue(check.job, check.pk, check.attempt, queue="interactive")
    return check


@transaction.atomic
def create_location(*, by: User, check: LocationCheck, name: str, unvalidated: bool = False) -> BackupLocation:
    """Save what `check` tried, and nothing else. Raises BadInput when it did not pass, unless `unvalidated`."""
    require(by, check.project, Verb.LOCATION_CREATE)
    if check.draft is None:
        raise BadInput("This check belongs to a location that is saved already.")
    passed = check.state == CheckState.COMPLETED
    if not passed and not unvalidated:
        raise BadInput("Validate the location first; it is saved once every step has passed.")
    location = BackupLocation(project=check.project, name=name, **_fields(check.draft), **_health(check, passed))
    save_new(location)
    check.location, check.draft = location, None  # its keys are the location's now
    check.save(update_fields=["location", "draft"])
    audit.record(by=by, verb="location.create", target=location, bucket=location.bucket, validated=passed)
    return location


def default_prefix(project: Project) -> str:
    """`drydock/<project>`: below it each cluster writes under its own uid."""
    return f"drydock/{project.pk}"


def _fields(draft: dict[str, Any]) -> dict[str, Any]:
    return {field: draft[field] for field in FIELDS if field in draft}


def _health(check: LocationCheck, passed: bool) -> dict[str, Any]:
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
