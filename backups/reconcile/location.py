"""Trying a location from the console, and bringing it to the clusters that use it."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.utils import timezone

from backups import storage
from backups.models import (
    Access,
    BackupLocation,
    CheckState,
    FoundPlace,
    LocationCheck,
    LocationState,
    PlacedLocation,
    SignIn,
)
from backups.reconcile import location_health, location_trial
from backups.reconcile.readoption import readopt_locations
from backups.velero import names
from backups.velero.explain import explain
from backups.velero.location import (
    LocationReport,
    LocationRequest,
    ensure_location,
    get_location,
    location_manifest,
    read_location,
    revalidate_location,
)
from backups.velero.secret import CLOUD, ensure_secret, keep_out_of_backups, secret_manifest
from backups.velero.sign_in import SignedIn
from console.kube.connection import Connection
from console.lib import outbound
from console.lib.errors import Changed, ConsoleError, Missing, Refused, TryLater
from workspaces.models import Cluster, Overtaken

VERDICT_WITHIN = 1.5  # seconds; measured 0.25 to 2 s on a busy machine. A worker that waits serves nobody else
LOOK_EVERY = 0.2
STORED = (
    *("provider", "bucket", "prefix", "region", "s3_url", "path_style", "ca_certificate"),
    *("sign_in", "role_arn", "external_id", "credentials"),
)
VALIDATION_STAMP = 1.1
CONFLICTS = 3


# Why a check did not pass, the worse first.
_NOT_PASSED = {"fail": CheckState.FAILED, "not_checkable": CheckState.NOT_CHECKABLE}
_HEALTH = {
    CheckState.COMPLETED: LocationState.AVAILABLE,
    CheckState.FAILED: LocationState.UNAVAILABLE,
    CheckState.NOT_CHECKABLE: LocationState.UNKNOWN,
}


def check(check: LocationCheck) -> None:
    """Probe the storage step by step; each step is shown as soon as it is known."""
    fields = check.draft or _fields(check.location)
    try:
        steps: list[dict[str, Any]] = []
        for step in _steps(check, target_of(fields)):
            steps.append(step)
            check.write(steps=steps)
        if check.asked_of and not fields.get("read_only") and location_trial.may_tell(steps):
            return _finish(check, _asked(check, fields, steps))
        short = (step for outcome in _NOT_PASSED for step in steps if step["outcome"] == outcome)
        _finish(check, next(short, None))
    except Overtaken:
        return None
    except ConsoleError as error:
        with contextlib.suppress(Overtaken):
            _finish(check, {"cause": error.message, "remedy": error.remedy})


def _asked(check: LocationCheck, fields: dict[str, Any], steps: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What is wrong in the eyes of a cluster's Velero; None: nothing."""
    target = target_of(fields)
    taken = {} if _is_ours(check, target) else _unoccupied(target, may_list=False)
    last = taken or location_trial.verdict(check, fields)
    check.write(steps=[*steps, last])
    return None if last["outcome"] == "pass" else last


def _steps(check: LocationCheck, target: storage.StorageTarget) -> Iterator[dict[str, Any]]:
    """Whether the place is free is asked before anything is written: a folder of ours would make the Velero that
    writes there go Unavailable."""
    ours, reads = _is_ours(check, target), is_read_only(check)
    for step in storage.probe(target, outbound.policy(), thoroughly=not check.location, write=not reads):
        yield asdict(step)
        if step.id == "list" and check.look_only:
            return  # before anything is written
        if step.id == "list" and not ours and not reads:
            free = _unoccupied(target, may_list=step.outcome == "pass")
            if free:
                yield free
            if free.get("outcome") == "fail":
                return


def is_read_only(check: LocationCheck) -> bool:
    """Whether what is tried will never be written to."""
    saved = check.location or check.edits
    return saved.read_only if saved else bool((check.draft or {}).get("read_only"))


def _is_ours(check: LocationCheck, target: storage.StorageTarget) -> bool:
    """What is saved is ours already, and stays so while it is edited, unless that moves it."""
    saved = check.location or check.edits
    if saved is None:
        return False
    return (saved.bucket, saved.prefix, saved.s3_url) == (target.bucket, target.prefix, target.s3_url)


def _unoccupied(target: storage.StorageTarget, *, may_list: bool) -> dict[str, Any]:
    """Two Veleros below one another make both go Unavailable, be they somebody else's or our own.

    Empty when the keys may not list, so that nobody can tell.
    """
    written = PlacedLocation.objects.filter(location__bucket=target.bucket, access=Access.READ_WRITE)
    known = set(written.values_list("prefix", flat=True))
    step = {"id": "unoccupied", "title": "Nobody else's backups are here", "outcome": "pass", "cause": "", "remedy": ""}
    if any(target.base == leaf or target.folder.startswith(f"{leaf}/") for leaf in known):
        cause = "A cluster that is registered here writes its backups at this place already."
        return step | {"outcome": "fail", "cause": cause, "remedy": "Choose another prefix."}
    if not may_list:
        return {}
    found = storage.occupied(target, outbound.policy(), known=known)
    return step | {"outcome": "fail", "cause": found.sentence()} if found else step


def _finish(check: LocationCheck, failed: dict[str, Any] | None) -> None:
    sentence = f"{failed['cause']} {failed['remedy']}".strip() if failed else ""
    end = _NOT_PASSED[failed.get("outcome", "fail")] if failed else CheckState.COMPLETED
    check.write(state=end, message=sentence)
    if check.location:
        location_health.note(check, _HEALTH[end], sentence)


def _fields(location: BackupLocation | None) -> dict[str, Any]:
    return {name: getattr(location, name) for name in STORED}


def target_of(fields: dict[str, Any], *, prefix: str = "") -> storage.StorageTarget:
    """A location's fields as the storage gateway wants them; `prefix` for a cluster's own place in it."""
    return storage.StorageTarget(
        provider=fields.get("provider", "aws"),
        bucket=fields["bucket"],
        prefix=prefix or fields["prefix"],
        region=fields.get("region", "us-east-1"),
        s3_url=fields.get("s3_url", ""),
        path_style=bool(fields.get("path_style")),
        ca_pem=fields.get("ca_certificate", ""),
        sign_in=fields.get("sign_in", SignIn.KEYS),
        role_arn=fields.get("role_arn", ""),
        external_id=fields.get("external_id", ""),
        sts_url=outbound.sts_url(),
        gcs_url=outbound.gcs_url(),
        **fields["credentials"],
    )


def target_at(location: BackupLocation, prefix: str = "") -> storage.StorageTarget:
    """A place in a location's bucket; without `prefix` the location's own."""
    return target_of(_fields(location), prefix=prefix)


def target_in(placed: PlacedLocation) -> storage.StorageTarget:
    """The place in storage that a placed location points at."""
    return target_of(_fields(placed.location), prefix=placed.prefix)


def ready(connection: Connection, location: BackupLocation, *, cluster: Cluster, source: Cluster) -> PlacedLocation:
    """The location as it is in `cluster`, Available there.

    Raises Refused with Velero's reason when it is Unavailable, or to let a cluster write to what is only read;
    TryLater while Velero has not answered.
    """
    if location.read_only and cluster.pk == source.pk:
        raise Refused(f"{location} was opened to read from. No cluster writes there.")
    try:
        placed = _row(connection, location, cluster, source)
        report = _report(connection, placed)
    except Missing as error:
        raise Refused(
            f"Velero is not installed in {cluster} (namespace {cluster.velero_namespace}).",
            remedy="Install it, then check the cluster's connection again.",
        ) from error
    if report.phase == "Unavailable":
        why = explain(report.message)
        raise Refused(f"Velero in {cluster} cannot use the location {location}: {why.sentence}", remedy=why.remedy)
    return placed


def _report(connection: Connection, placed: PlacedLocation) -> LocationReport:
    """Velero's word on the location, which is brought to the cluster where it is missing or out of date."""
    if placed.credentials_version == placed.location.credentials_version:
        with contextlib.suppress(Missing):  # somebody removed it by hand
            return _verdict(connection, placed)
    put(connection, placed)
    return _verdict(connection, placed)


def _row(connection: Connection, location: BackupLocation, cluster: Cluster, source: Cluster) -> PlacedLocation:
    """The row; before a first one is made, the cluster is asked whether this console was there already."""
    place = {"location": location, "cluster": cluster, "source": source}
    if not PlacedLocation.objects.filter(**place).exists():
        found = map(read_location, connection.list(names.locations_path(cluster.velero_namespace)))
        readopt_locations(cluster.pk, {report.name: report for report in found})
    placed, _ = PlacedLocation.objects.get_or_create(
        **place,
        defaults={
            "access": Access.READ_WRITE if cluster.pk == source.pk else Access.READ_ONLY,
            "object_name": f"drydock-{location.pk.hex[:8]}-{uuid.uuid4().hex[:8]}",
            "prefix": prefix_of(location, source),
        },
    )
    return placed


def prefix_of(location: BackupLocation, source: Cluster) -> str:
    """Where the backups of `source` lie: where they were found, or below its uid."""
    found = FoundPlace.objects.filter(location=location, source=source).first()
    return found.prefix if found else f"{location.prefix}/{source.uid}"


def put(connection: Connection, placed: PlacedLocation) -> None:
    """Make Secret and BackupStorageLocation in the cluster say what the row says.

    Raises TryLater when the row changed meanwhile, or somebody else is at the same objects.
    """
    for _ in range(CONFLICTS):
        with contextlib.suppress(Changed):
            return _put(connection, placed)
    raise TryLater(f"Somebody else is changing the same objects in {placed.cluster}.", retry_after=2)


def _put(connection: Connection, placed: PlacedLocation) -> None:
    """Secret first: Velero judges a new location at once, by the Secret it finds."""
    location, namespace = placed.location, placed.cluster.velero_namespace
    labels = {
        names.LOCATION: str(location.pk),
        names.CLUSTER: str(placed.cluster_id),
        names.PROJECT: str(location.project_id),
    }
    keys = _signed_in(location).secret_text()
    secret = secret_manifest(placed.object_name, namespace, {CLOUD: keys}, labels)
    latest = partial(_still_latest, location)
    ensure_secret(connection, secret, latest)
    ensure_location(connection, location_manifest(_request(placed, labels)), latest)
    _guard_repository_password(connection, namespace)
    _note_put(placed, location.credentials_version)


def _still_latest(location: BackupLocation) -> None:
    version = BackupLocation.objects.filter(pk=location.pk, deleting_at=None).values_list("credentials_version")
    if version.first() != (location.credentials_version,):
        raise TryLater(f"The location {location} was changed a moment ago.", retry_after=1)


def _note_put(placed: PlacedLocation, version: int) -> None:
    """What a slower worker put before does not count any more."""
    row = PlacedLocation.objects.filter(pk=placed.pk, credentials_version__lte=version)
    row.update(credentials_version=version, put_at=timezone.now())
    row.filter(location__credentials_version=version).update(behind_since=None)


def _signed_in(location: BackupLocation) -> SignedIn:
    names = ("provider", "sign_in", "credentials", "region", "role_arn", "external_id", "s3_url", "path_style")
    return SignedIn(**{name: getattr(location, name) for name in names}, gcs_url=outbound.gcs_url())


def _guard_repository_password(connection: Connection, namespace: str) -> None:
    """Velero made this Secret itself, without the label that keeps it out of backups."""
    try:
        keep_out_of_backups(connection, namespace)
    except Missing:
        return  # Velero has not made one: nothing to guard


def _request(placed: PlacedLocation, labels: dict[str, str]) -> LocationRequest:
    location = placed.location
    return LocationRequest(
        name=placed.object_name,
        namespace=placed.cluster.velero_namespace,
        bucket=location.bucket,
        prefix=placed.prefix,
        provider=location.provider,
        config=_signed_in(location).config(),
        ca_pem=location.ca_certificate or None,
        secret_name=placed.object_name,
        access_mode="ReadWrite" if placed.access == Access.READ_WRITE else "ReadOnly",
        labels=labels,
        # a reader must not have the source's whole prefix flood in
        backup_sync_period=None if placed.access == Access.READ_WRITE else timedelta(0),
    )


def _verdict(connection: Connection, placed: PlacedLocation) -> LocationReport:
    """Velero's word on the location. An Unavailable from before may be out of date: it is asked again, once."""
    first = _judged(connection, placed, after=None)
    if first.phase == "Unavailable":
        time.sleep(VALIDATION_STAMP)  # Velero stamps whole seconds: a second look within one would not show
        revalidate_location(connection, placed.cluster.velero_namespace, placed.object_name)
        first = _judged(connection, placed, after=first.last_validated_at)
    note_verdict(placed, first)
    return first


def verdict_anew(connection: Connection, placed: PlacedLocation) -> LocationReport:
    """Velero's word after a change of the Secret, which Velero does not watch. Raises TryLater while it is silent."""
    namespace = placed.cluster.velero_namespace
    time.sleep(VALIDATION_STAMP)
    before = revalidate_location(connection, namespace, placed.object_name)
    report = _judged(connection, placed, after=before.last_validated_at)
    note_verdict(placed, report)
    return report


def _judged(connection: Connection, placed: PlacedLocation, after: datetime | None) -> LocationReport:
    until = time.monotonic() + VERDICT_WITHIN
    while time.monotonic() < until:
        report = get_location(connection, placed.cluster.velero_namespace, placed.object_name)
        if report.phase and (after is None or report.last_validated_at != after):
            return report
        time.sleep(LOOK_EVERY)
    raise TryLater(
        f"Velero in {placed.cluster} has not looked at the location yet.",
        remedy="Is its server running?",
        retry_after=2,
    )


def note_verdict(placed: PlacedLocation, report: LocationReport) -> None:
    """Store Velero's word beside ours."""
    PlacedLocation.objects.filter(pk=placed.pk).update(
        phase=report.phase[:40],
        message=explain(report.message).sentence if report.message else "",
        phase_at=timezone.now(),
    )
