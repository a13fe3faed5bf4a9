"""Rows for pictures: what a healthy stack does not show, or only for a moment, beside what the main job left behind."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone

if TYPE_CHECKING:
    from accounts.models import User
    from backups.models import Backup, BackupLocation, Restore
    from workspaces.models import Cluster, Project

EMAIL, PASSWORD = "screenshots@example.com", "only for this throw-away console"
NOT_BEGUN = {"started_at": None, "completed_at": None, "items_done": 0, "items_total": 0, "size": None, "results": None}
NAMES = {
    "submitted": "before-upgrade", "running": "hourly", "partially_failed": "nightly", "failed": "weekly",
    "rejected": "monthly", "unknown": "release",
}  # fmt: skip
Scenes = dict[str, str]
ADDED = {
    f"location-add-{kind}": f'input[name="provider"][value="{kind}"]' for kind in ("aws", "s3", "gcp")
}  # to choose
LACKING = ["list pods", "get secrets in velero"]
AWAY = "The connection to pier-north.example.com:6443 was refused. Check that the API server runs there."
TROUBLED: dict[str, dict[str, Any]] = {
    "pier-north": {"state": "unreachable", "state_reason": AWAY},
    "pier-south": {"state": "degraded", "state_reason": f"Drydock's account is not allowed: {', '.join(LACKING)}.",
                   "facts": {"missing_rights": LACKING}, "tags": ["production", "eu-west"]},
    "pier-west": {"state": "velero_missing", "cloud_type": "eks", "cloud_account": "harbor-production",
                  "state_reason": "Velero is not installed in this cluster. Install it there with velero install."},
    "pier-east": {"state": "healthy", "cloud_type": "gke", "description": "Berths and cranes of the east pier"},
    "pier-new": {"state": "pending", "seen_at": None},
    "pier-old": {"deregistered_at": datetime.now(UTC)},
}  # fmt: skip
CLAIM: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "storageClassName": "gp2", "volumeName": "ledger-disk"}
VOLUMES: list[tuple[str, dict[str, Any]]] = [
    (
        "/apis/velero.io/v1/namespaces/velero/volumesnapshotlocations",
        {"apiVersion": "velero.io/v1", "kind": "VolumeSnapshotLocation", "metadata": {"name": "harbor-aws"},
         "spec": {"provider": "aws", "config": {"region": "us-east-1"}}},
    ),
    (
        "/api/v1/persistentvolumes",
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "ledger-disk"},
         "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "gp2", "capacity": {"storage": "20Gi"},
                  "awsElasticBlockStore": {"volumeID": "vol-0a1b2c3d4e5f60718"}}},
    ),
    (
        "/api/v1/namespaces/shop/persistentvolumeclaims",
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "ledger"},
         "spec": {**CLAIM, "resources": {"requests": {"storage": "20Gi"}}}},
    ),
]  # fmt: skip


def seed() -> dict[str, Scenes]:
    """Rows in every state; for each person who looks, the address of each page by its picture's name.

    The person without an address is nobody: who has not signed in.
    """
    from accounts.actions import add_tenant_admin
    from backups.models import Backup
    from bench import scenes_access
    from workspaces.actions.project import create_project
    from workspaces.models import Cluster, Project

    project = Project.objects.get()
    person = add_tenant_admin(by=None, tenant=project.tenant, email=EMAIL, password=PASSWORD)
    east, west = (Cluster.objects.get(name=name) for name in ("harbor-east", "harbor-west"))
    empty, fleet = (create_project(by=person, tenant=project.tenant, name=name) for name in ("Research", "Fleet"))
    first = Backup.objects.earliest("created_at")
    _volumes()
    mine, beginners, nobodys = scenes_access.seed(person, project, east, PASSWORD)
    mine |= (
        _of_project(project, empty)
        | _of_clusters(east)
        | _of_backups(east, west, first)
        | _of_restores(person, west, first)
        | _of_locations(project, empty)
        | _of_trouble(fleet, first)
        | {"not-found": f"/backups/{uuid.uuid4()}/"}
    )
    return {EMAIL: mine, scenes_access.BEGINNER: beginners, "": nobodys}


def _of_project(project: Project, empty: Project) -> Scenes:
    return {
        "overview": f"/projects/{project.pk}/",
        "overview-empty": f"/projects/{empty.pk}/",
        "clusters": f"/projects/{project.pk}/clusters/",
        "clusters-empty": f"/projects/{empty.pk}/clusters/",
        "cluster-register": f"/projects/{project.pk}/clusters/register/",
    }


def _of_clusters(east: Cluster) -> Scenes:
    here = f"/clusters/{east.pk}"
    return {
        "cluster": f"{here}/",
        "cluster-events": f"{here}/events/",
        "cluster-settings": f"{here}/settings/",
        "cluster-schedule": f"{here}/settings/schedule-backups/",
        "cluster-connection": f"{here}/settings/kubeconfig/",
        "cluster-deregister": f"{here}/settings/deregister/",
    }


def _of_backups(east: Cluster, west: Cluster, first: Backup) -> Scenes:
    rows = _backups(first)
    scenes = {
        f"backup-{'queued' if state == 'submitted' else state.replace('_', '-')}": f"/backups/{pk}/"
        for state, pk in rows.items()
    }
    return scenes | {
        "backups": f"/clusters/{east.pk}/backup-restore/",
        "backups-empty": f"/clusters/{west.pk}/backup-restore/",
        "backup-create": f"/clusters/{east.pk}/backups/create/",
        "backup": f"/backups/{first.pk}/",
        "backup-log": f"/backups/{first.pk}/log/",
        "backup-yaml": f"/backups/{first.pk}/yaml/",
    }


def _of_restores(person: User, west: Cluster, first: Backup) -> Scenes:
    from backups.views.restore_wizard import RESTORE
    from workspaces import wizard

    rows = _restores(first, west)
    draft = wizard.begin(RESTORE, owner=person, project=first.project, backup=str(first.pk))
    ready = wizard.begin(RESTORE, owner=person, project=first.project, backup=str(first.pk))
    _fill(ready, target=[str(west.pk)])
    return {
        "restore-target": draft,
        "restore-options": ready.replace("/target/", "/options/"),
        "restore-review": ready.replace("/target/", "/review/"),
        "restores": f"/clusters/{west.pk}/backup-restore/restores/",
        **{f"restore-{state}".removesuffix("-completed"): f"/restores/{pk}/" for state, pk in rows.items()},
    }


def _fill(address: str, **target: list[str]) -> None:
    """A wizard's draft as if its steps had been posted."""
    from workspaces.models import Draft

    draft = Draft.objects.get(pk=address.split("/")[2])
    options = {"cluster_resources": ["auto"], "restore_volumes": ["on"], "existing_objects": ["none"]}
    draft.data = draft.data | {"target": target, "options": options}
    draft.save()


def _of_locations(project: Project, empty: Project) -> Scenes:
    from backups.models import BackupLocation

    here = f"/projects/{project.pk}/settings/locations"
    one = f"/locations/{BackupLocation.objects.earliest('created_at').pk}/"
    return {
        "locations": f"{here}/",
        "locations-empty": f"/projects/{empty.pk}/settings/locations/",
        "location": one,
        "location-edit": f"{one}edit/",
        "location-delete": f"{one}delete/",
        **dict.fromkeys(ADDED, f"{here}/add/"),
    }


def _of_trouble(fleet: Project, first: Backup) -> Scenes:
    """A project in which nothing is as it should be, and what is left of a cluster that was deregistered."""
    clusters = {name: _cluster(fleet, name, **fields) for name, fields in TROUBLED.items()}
    location = _location(fleet, first.location)
    gone = _copy(first, "completed", "last-night", project=fleet, cluster=clusters["pier-old"], location=location)
    _restore_of(gone, clusters["pier-north"])
    return {
        "overview-trouble": f"/projects/{fleet.pk}/",
        "clusters-trouble": f"/projects/{fleet.pk}/clusters/",
        "cluster-unreachable": f"/clusters/{clusters['pier-north'].pk}/",
        "cluster-without-velero": f"/clusters/{clusters['pier-west'].pk}/",
        "cluster-rights": f"/clusters/{clusters['pier-south'].pk}/",
        "backup-deregistered": f"/backups/{gone}/",
        "location-unavailable": f"/locations/{location.pk}/",
    }


def _cluster(project: Project, name: str, **fields: Any) -> Cluster:
    """A row that no reconciler looks after."""
    from workspaces.models import Cluster

    now = timezone.now()
    values: dict[str, Any] = {
        "server": f"https://{name}.example.com:6443",
        "kubeconfig": {"kubeconfig": "", "context": ""},
    }
    values |= {
        "watched_by": "nobody",
        "watched_until": now + timedelta(days=1),
        "seen_at": now,
        "uid": str(uuid.uuid4()),
    }
    return Cluster.objects.create(project=project, name=name, **values | fields)


def _location(project: Project, like: BackupLocation) -> BackupLocation:
    from backups.models import BackupLocation

    why = "The secret key does not belong to the access key. Copy the secret key again."
    keep = {name: getattr(like, name) for name in ("bucket", "region", "s3_url", "path_style", "credentials")}
    values = {"prefix": "fleet", "state": "unavailable", "state_reason": why, "checked_at": timezone.now()}
    return BackupLocation.objects.create(project=project, name="fleet-store", **keep | values)


def _restore_of(backup: str, target: Cluster) -> None:
    from backups.models import Restore

    message = "The cluster's address refuses the connection. Check that the API server runs."
    Restore.objects.create(
        project=target.project,
        backup_id=backup,
        cluster=target,
        object_name=f"shown-{uuid.uuid4().hex[:8]}",
        state="failed",
        message=message,
        due_at=None,
        requested_by_name=EMAIL,
    )


def _volumes() -> None:
    """A disk in harbor-east that the provider's snapshots would save, beside those of the sample that nothing does."""
    from sandbox.api import Api
    from sandbox.state import default_home, read_state

    state = read_state(default_home())
    assert state is not None
    api = Api(state.clusters["harbor-east"].kubeconfig)
    for path, document in VOLUMES:
        api.must("POST", path, document)


def _backups(first: Backup) -> dict[str, str]:
    """One copy of the first backup for each state that needs a row of its own; their ids."""
    entry = {"severity": "error", "namespace": "shop-data", "count": 2, "remedy": "Raise the quota or back up less."}
    entry |= {"text": "error executing custom action: exceeded quota", "sentence": "A quota of the cluster is used up."}
    gone = "Velero was restarted while this backup ran, and gave it up. Start it again."
    wrong = "Velero in harbor-east cannot use the location: the secret key of the backup location is wrong."
    silent = "The request was sent to harbor-east, and no answer came."
    wanted: dict[str, dict[str, Any]] = {
        "submitted": {"phase": "Queued", "queue_position": 3, **NOT_BEGUN},
        "running": {"phase": "InProgress", "items_done": 137, "items_total": 246, "completed_at": None, "size": None},
        "partially_failed": {"errors": 2, "results": {"entries": [entry], "unread": ""}, "phase": "PartiallyFailed"},
        "failed": {"phase": "Failed", "message": gone},
        "rejected": {"phase": "", "message": wrong, **NOT_BEGUN},
        "unknown": {"phase": "", "message": silent, **NOT_BEGUN},
    }
    return {
        state: _copy(first, state, f"{NAMES[state]}-{first.cluster.name}", **more) for state, more in wanted.items()
    }


def _restores(first: Backup, target: Any) -> dict[str, str]:
    done = first.restores.filter(cluster=target).earliest("created_at")
    running = {"phase": "InProgress", "items_done": 90, "items_total": 232, "completed_at": None, "results": None}
    return {"completed": str(done.pk), "running": _copy(done, "running", "", **running, errors=0, warnings=0)}


def _copy(row: Backup | Restore, state: str, name: str, **fields: Any) -> str:
    """A row like `row`. Nobody drives it on: it is due never, and no cluster is said to hold it."""
    copy = type(row)._default_manager.get(pk=row.pk)
    copy.pk = copy.id = uuid.uuid4()
    copy._state.adding = True
    fixed = {"submission": uuid.uuid4(), "object_name": f"shown-{uuid.uuid4().hex[:8]}", "submitted_at": None}
    for field, value in (fixed | {"state": state, "due_at": None, "message": "", "resource": None} | fields).items():
        setattr(copy, field, value)
    if name:
        copy.name = name  # type: ignore[union-attr]  # only backups are given one
    if copy.started_at:
        copy.started_at += timedelta(seconds=1)
    copy.save()
    return str(copy.pk)
