"""A simulated fleet: clusters of the simulated API server with a Velero double each, and a console's rows for them.

The API server lives in this process; the rows are in a scratch folder in which any of the console's processes can be
started. Everything is registered by the console's own actions, with connection checks that count as passed.

    with fleet(var, clusters=20, takes=2.0) as simulated, stack.console(var) as url: ...
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django

from bench import stack
from console.lib import keys
from tests.fakes.apiserver import Cluster as Simulated
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.velero import VELERO, Velero

if TYPE_CHECKING:
    from accounts.models import User
    from backups.models import BackupLocation
    from workspaces.models import Cluster, Project

PASSWORD = "simulated-fleet-admin"
NAMESPACES = ("default", "intranet", "kube-system", "shop", "velero")
NOBODY = "http://127.0.0.1:1"  # storage that refuses every connection


@dataclass(frozen=True)
class Member:
    """One cluster: its row, its objects, its Velero."""

    row: Cluster
    simulated: Simulated
    velero: Velero


@dataclass(frozen=True)
class Fleet:
    """All of it. The admin signs in with `bench.stack.EMAIL` and `PASSWORD`."""

    var: Path
    server: FakeApiServer
    admin: User
    project: Project
    location: BackupLocation
    members: list[Member]


@contextmanager
def fleet(
    var: Path, clusters: int = 20, *, backups: int = 0, takes: float = 0.0, extra: Mapping[str, str] | None = None
) -> Iterator[Fleet]:
    """`clusters` of them, each with `backups` that ended before the console came; a new one runs for `takes` seconds.

    `extra` is put into the environment of this process and what it starts, such as a DATABASE_URL.
    """
    keys.ensure(var)
    os.environ.update(stack.environment(var, 0) | dict(extra or {}))
    django.setup()
    with FakeApiServer(kept_requests=20 * clusters) as server:
        yield _registered(var, server, clusters, backups, takes)


def _registered(var: Path, server: FakeApiServer, clusters: int, backups: int, takes: float) -> Fleet:
    from django.core.management import call_command
    from django.db import transaction

    call_command("migrate", verbosity=0, interactive=False)
    with transaction.atomic():
        admin, project = _people(var)
        location = _location(admin, project)
        members = [_member(server, admin, project, f"cluster-{number:04}", backups) for number in range(clusters)]
        for member in members:
            member.velero.takes = takes
            _bring_location(member, location)
    return Fleet(var, server, admin, project, location, members)


def _people(var: Path) -> tuple[User, Project]:
    from accounts.actions import add_tenant_admin, create_tenant
    from workspaces.actions.project import create_project

    tenant = create_tenant(by=None, name="Harbor")
    admin = add_tenant_admin(by=None, tenant=tenant, email=stack.EMAIL, password=PASSWORD)
    return admin, create_project(by=None, tenant=tenant, name="Default")


def _location(admin: User, project: Project) -> BackupLocation:
    from backups.actions.location import create_location
    from backups.models import CheckState, LocationCheck

    draft = {
        "bucket": "simulated",
        "prefix": "drydock",
        "s3_url": NOBODY,
        "path_style": True,
        "credentials": {"access_key": "simulated", "secret_key": "simulated"},
    }
    check = LocationCheck.objects.create(project=project, draft=draft, state=CheckState.COMPLETED, due_at=None)
    return create_location(by=admin, check=check, name="store")


def _member(server: FakeApiServer, admin: User, project: Project, name: str, backups: int) -> Member:
    from workspaces.actions.cluster import register_cluster
    from workspaces.models import ClusterCheck
    from workspaces.models.cluster import CheckState, ClusterState

    simulated = server.add_cluster(name)
    for namespace in NAMESPACES:
        simulated.put("namespaces", {"metadata": {"name": namespace}})
    put_history(simulated, backups)
    facts = {"uid": simulated.uid, "state": ClusterState.HEALTHY, "namespaces": list(NAMESPACES)}
    check = ClusterCheck.objects.create(
        project=project,
        kubeconfig={"kubeconfig": simulated.kubeconfig(), "context": ""},
        state=CheckState.COMPLETED,
        facts=facts,
        due_at=None,
    )
    return Member(register_cluster(by=admin, check=check, name=name), simulated, Velero(simulated))


def _bring_location(member: Member, location: BackupLocation) -> None:
    """The location in the cluster and its row, as the first backup leaves them."""
    from backups.models import Access, PlacedLocation

    name = f"drydock-{member.row.pk.hex[:16]}"
    PlacedLocation.objects.create(
        location=location,
        cluster=member.row,
        source=member.row,
        access=Access.READ_WRITE,
        object_name=name,
        prefix=f"{location.prefix}/{member.row.uid}",
        credentials_version=location.credentials_version,
    )
    spec = {"provider": "aws", "objectStorage": {"bucket": location.bucket}}
    member.simulated.put("backupstoragelocations", {"metadata": {"name": name, "namespace": VELERO}, "spec": spec})


def put_history(cluster: Simulated, count: int) -> None:
    """`count` Backups that have ended, one a day, of the size that Velero's are."""
    for day in range(count):
        began = datetime.now(UTC) - timedelta(days=day + 1)
        cluster.put("backups", ended_backup(f"nightly-{began:%Y%m%d%H%M%S}-{day:03}", began))


def ended_backup(name: str, began: datetime) -> dict[str, Any]:
    """A Backup as Velero leaves it, with the bookkeeping of its fields' writers that makes half of its size."""
    stamp, end = (f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (began, began + timedelta(seconds=30)))
    fields: dict[str, Any] = {f"f:one-of-the-fields-there-are-{number}": {} for number in range(30)}
    labels = {"app.kubernetes.io/managed-by": "somebody", "velero.io/storage-location": "default"}
    return {
        "metadata": {
            "name": name,
            "namespace": VELERO,
            "labels": labels,
            "managedFields": [{"manager": "velero-server", "operation": "Update", "time": end, "fieldsV1": fields}],
        },
        "spec": {"includedNamespaces": ["*"], "storageLocation": "default", "ttl": "720h0m0s", "hooks": {}},
        "status": {
            "phase": "Completed",
            "version": 1,
            "formatVersion": "1.1.0",
            "startTimestamp": stamp,
            "completionTimestamp": end,
            "expiration": f"{began + timedelta(days=3650):%Y-%m-%dT%H:%M:%SZ}",
            "progress": {"itemsBackedUp": 1200, "totalItems": 1200},
        },
    }
