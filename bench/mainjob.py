"""The main job on the sandbox: register its clusters, location and workspace through the console's own actions, back up
the sample application in harbor-east, restore it into harbor-west, say how it went.

`python -m bench.mainjob` does it once beside running processes; what is registered already is left as it is.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import django

from sandbox import sample
from sandbox.meter import Meter
from sandbox.state import CLUSTERS, State, default_home, read_state

if TYPE_CHECKING:
    from accounts.models import User
    from backups.models import Backup, BackupLocation, Restore
    from workspaces.models import Cluster, Project, Wish

LOCATION, WORKSPACE, BACKUP = "harbor-store", "harbor", "first-backup"
W = TypeVar("W", bound="Wish")


class Failed(Exception):
    """The main job did not succeed; the text says at what."""


@dataclass(frozen=True)
class Fleet:
    """What was registered."""

    admin: User
    east: Cluster
    west: Cluster
    location: BackupLocation


def wait_for_sandbox(seconds: float = 3600) -> State:
    """Show the sandbox's progress until it is ready. Raises Failed with its own sentence."""
    meter, until = Meter(sys.stdout), time.monotonic() + seconds
    while time.monotonic() < until:
        state = read_state(default_home())
        if state and state.ready:
            meter.finish()
            return state
        if state and state.stage == "failed":
            raise Failed(state.message)
        if state:
            meter.show(state.progress)
        time.sleep(0.2)
    raise Failed("The sandbox was not ready within an hour.")


def register(state: State) -> Fleet:
    """The sandbox's clusters, its S3 location and a workspace, each unless it is there."""
    from accounts.models import User
    from workspaces.actions.workspace import create_workspace
    from workspaces.models import Project, Workspace

    admin = User.objects.filter(memberships__is_admin=True).earliest("created_at")
    project = Project.objects.filter(tenant__memberships__user=admin).earliest("created_at")
    east, west = (_cluster(admin, project, state, name) for name in CLUSTERS)
    location = _location(admin, project, state)
    if not Workspace.objects.filter(project=project, name=WORKSPACE).exists():
        create_workspace(by=admin, project=project, name=WORKSPACE, clusters=[east, west])
    return Fleet(admin, east, west, location)


def _cluster(admin: User, project: Project, state: State, name: str) -> Cluster:
    from workspaces.actions.cluster import register_cluster, request_check
    from workspaces.models import Cluster

    if found := Cluster.objects.filter(project=project, name=name).first():
        return found
    kubeconfig = state.clusters[name].kubeconfig.read_text()
    check = finished(request_check(by=admin, project=project, kubeconfig=kubeconfig))
    if check.state != "completed":
        raise Failed(f"The connection check of {name} failed: {check.message}")
    return register_cluster(by=admin, check=check, name=name, description="A cluster of the sandbox")


def _location(admin: User, project: Project, state: State) -> BackupLocation:
    from backups.actions.location import create_location, request_check
    from backups.models import BackupLocation

    if found := BackupLocation.objects.filter(project=project, name=LOCATION).first():
        return found
    assert state.s3 is not None
    access_key, secret_key = state.s3.keys()
    check = finished(
        request_check(
            by=admin,
            project=project,
            bucket=state.s3.bucket,
            region=state.s3.region,
            s3_url=state.s3.plain_url,
            path_style=True,
            credentials={"access_key": access_key, "secret_key": secret_key},
        )
    )
    if check.state != "completed":
        raise Failed(f"The location was not accepted: {check.message}")
    return create_location(by=admin, check=check, name=LOCATION)


def finished(wish: W, seconds: float = 180, tell: Callable[[W], None] = lambda _: None) -> W:
    """Wait until the row has ended. Raises Failed with where it stands after `seconds`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        wish.refresh_from_db()
        tell(wish)
        if not wish.is_open:
            return wish
        time.sleep(0.05)
    raise Failed(f"{wish} is still {wish.state} after {seconds:.0f} s. {wish.message}")


def back_up(fleet: Fleet, name: str = BACKUP) -> Backup:
    """Back up the sample application in harbor-east and wait for it. Raises Failed unless Completed."""
    from backups.actions.backup import request_backup

    backup = request_backup(
        by=fleet.admin,
        cluster=fleet.east,
        location=fleet.location,
        name=name,
        keep_for=timedelta(days=7),
        cluster_resources="always",
        include_disks=False,
        namespaces=sample.NAMESPACES,
    )
    return completed(finished(backup))


def restore(fleet: Fleet, backup: Backup, target: Cluster) -> Restore:
    """Restore it into `target` and wait for it. Raises Failed unless Completed."""
    from backups.actions.restore import request_restore

    wish = request_restore(
        by=fleet.admin, backup=backup, target=target, cluster_resources="always", preserve_node_ports=True
    )
    return completed(finished(wish))


def completed(wish: W) -> W:
    """Raises Failed unless the row ended as completed."""
    if wish.state != "completed":
        raise Failed(f"{wish} ended as {wish.state}: {wish.message}")
    return wish


def seconds(wish: Wish) -> float:
    """From the request to the end, as the console saw it."""
    assert wish.finished_at is not None
    return (wish.finished_at - wish.created_at).total_seconds()


def tell(wish: Backup | Restore, what: str) -> None:
    """One line: what, how it ended, how long it took, how many objects."""
    print(f"  {what}: {wish.phase} in {seconds(wish):.1f} s, {wish.items_done} objects", flush=True)


def run() -> None:
    """Register everything and run the main job, unless it has been run here before."""
    from backups.models import Backup

    fleet = register(wait_for_sandbox())
    print(f"  Registered {fleet.east}, {fleet.west}, location {fleet.location} and workspace {WORKSPACE}", flush=True)
    if Backup.objects.filter(cluster=fleet.east, name=BACKUP).exists():
        return
    backup = back_up(fleet)
    tell(backup, f"Backup of the sample application in {fleet.east}")
    tell(restore(fleet, backup, fleet.west), f"Restore into {fleet.west}")


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    django.setup()
    try:
        run()
    except Failed as error:
        print(f"  The main job failed. {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
