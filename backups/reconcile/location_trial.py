"""What the console cannot try itself a chosen cluster's Velero tries: the location is put there for a moment.

1. Only where the console cannot sign in or gets no answer from where it runs. An address that it refuses to connect to
   is not asked for by way of a cluster.
2. A Secret and a read-only BackupStorageLocation, at the very place the cluster would write to and without sync: Velero
   looks at it at once and changes nothing.
3. Both go again, whatever Velero says. A worker that is killed in between leaves them to the next attempt, for which
   they have the same names.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from backups.models import LocationCheck
from backups.velero import names
from backups.velero.explain import explain
from backups.velero.location import (
    LocationReport,
    LocationRequest,
    delete_location,
    ensure_location,
    get_location,
    location_manifest,
)
from backups.velero.secret import CLOUD, delete_secret, ensure_secret, secret_manifest
from backups.velero.sign_in import SignedIn
from console.kube.connection import Connection
from console.lib import outbound
from console.lib.errors import ConsoleError, Missing, Refused, TryLater, Unreachable
from workspaces.connections import connected
from workspaces.models import Cluster

ANSWERS_WITHIN = 5.0  # seconds; a new location is looked at within two, and the job has twenty in all
LOOK_EVERY = 0.2
STEP = "velero"
SIGNED_IN = ("provider", "sign_in", "credentials", "region", "role_arn", "external_id", "s3_url", "path_style")
Step = dict[str, Any]


def may_tell(steps: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a Velero can know better than these steps of ours: nothing is wrong but that we do not get there."""
    wrong = [step["id"] for step in steps if step["outcome"] == "fail"]
    return wrong == ["endpoint"] or (not wrong and any(step["outcome"] == "not_checkable" for step in steps))


def verdict(check: LocationCheck, fields: Mapping[str, Any]) -> Step:
    """What the Velero of the check's cluster says, as one more step."""
    cluster = check.asked_of
    assert cluster is not None
    step = {"id": STEP, "title": f"The Velero of {cluster} can use it", "outcome": "fail", "cause": "", "remedy": ""}
    try:
        _refuse_address(fields.get("s3_url", ""))
        with connected(cluster) as connection, _put(connection, check, cluster, fields) as name:
            report = _answer(connection, cluster, name)
    except ConsoleError as error:
        return step | {"cause": error.message, "remedy": error.remedy}
    if report.is_available:
        return step | {"outcome": "pass"}
    why = explain(report.message)
    return step | {"cause": why.sentence, "remedy": why.remedy}


def _refuse_address(s3_url: str) -> None:
    """Raises Refused. A name that only the cluster's DNS knows is what this is for."""
    host = urlsplit(s3_url).hostname
    if host:
        try:
            outbound.policy().resolve(host, urlsplit(s3_url).port or 443)
        except Unreachable:
            return


@contextmanager
def _put(connection: Connection, check: LocationCheck, cluster: Cluster, fields: Mapping[str, Any]) -> Iterator[str]:
    """The location as it would be, while this lasts. Raises Refused where Velero is missing."""
    name, namespace = f"drydock-trial-{check.pk.hex[:12]}", cluster.velero_namespace
    labels = {names.PROJECT: str(check.project_id)}
    signed_in = _signed_in(fields)
    try:
        try:
            ensure_secret(connection, secret_manifest(name, namespace, {CLOUD: signed_in.secret_text()}, labels))
            ensure_location(connection, location_manifest(_request(name, cluster, fields, signed_in, labels)))
        except Missing as error:
            raise Refused(f"Velero is not installed in {cluster} (namespace {namespace}).") from error
        yield name
    finally:
        delete_location(connection, namespace, name)
        delete_secret(connection, namespace, name)


def _signed_in(fields: Mapping[str, Any]) -> SignedIn:
    """A draft names what differs from plain keys at an S3 store."""
    said: dict[str, Any] = {name: fields[name] for name in SIGNED_IN if name in fields}
    return SignedIn(**{"provider": "aws", "sign_in": "keys"} | said, gcs_url=outbound.gcs_url())


def _request(
    name: str, cluster: Cluster, fields: Mapping[str, Any], signed_in: SignedIn, labels: Mapping[str, str]
) -> LocationRequest:
    return LocationRequest(
        name=name,
        namespace=cluster.velero_namespace,
        bucket=fields["bucket"],
        prefix=f"{fields['prefix'].strip('/')}/{cluster.uid}",
        provider=fields.get("provider", "aws"),
        config=signed_in.config(),
        ca_pem=fields.get("ca_certificate") or None,
        secret_name=name,
        access_mode="ReadOnly",
        labels=labels,
        backup_sync_period=timedelta(0),
    )


def _answer(connection: Connection, cluster: Cluster, name: str) -> LocationReport:
    """Raises TryLater while Velero is silent."""
    until = time.monotonic() + ANSWERS_WITHIN
    while time.monotonic() < until:
        report = get_location(connection, cluster.velero_namespace, name)
        if report.phase:
            return report
        time.sleep(LOOK_EVERY)
    raise TryLater(f"Velero in {cluster} has not looked at the location.", remedy="Is its server running?")
