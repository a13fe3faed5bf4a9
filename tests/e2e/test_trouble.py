"""What goes wrong while something runs: it is said, and it ends as the cluster has it."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from backups.models import BackupLocation, PlacedLocation
from backups.reconcile.observation import not_picked_up
from backups.velero import names
from bench.stack import kill
from console.kube.paths import core
from sandbox import control
from tests.e2e.conftest import VELERO, World, age, ended, eventually, exactly_one, fresh
from workspaces.models import Cluster

pytestmark = [pytest.mark.sandbox, pytest.mark.slow, pytest.mark.timeout(180)]


@contextmanager
def without_velero(world: World, cluster: str) -> Iterator[None]:
    control.stop_velero(world.state, cluster)
    try:
        yield
    finally:
        control.start_velero(world.state, cluster)


@contextmanager
def without_api_server(world: World, cluster: str) -> Iterator[None]:
    control.stop_api_server(world.state, cluster, kill=True)
    try:
        yield
    finally:
        control.start_api_server(world.state, cluster)


class TestVeleroStopped:
    def test_a_backup_stays_new_and_says_so_and_completes_later(self, world: World) -> None:
        with without_velero(world, "harbor-east"):
            backup = world.back_up()
            row = eventually(backup, lambda row: row.state == "submitted")
            assert row.phase in ("", "New")
            assert row.message == ""
            age(backup, 40)
            time.sleep(6)  # a round of upkeep and a little
            assert fresh(backup).message == ""
            age(backup, 61)
            row = eventually(backup, lambda row: row.message, seconds=15)
            assert (row.state, row.message) == ("submitted", not_picked_up("harbor-east"))
        row = ended(backup)
        assert (row.state, row.message) == ("completed", "")

    def test_an_object_deleted_by_hand(self, world: World) -> None:
        with without_velero(world, "harbor-east"):
            backup = world.back_up()
            eventually(backup, lambda row: row.state == "submitted")
            with world.connect("harbor-east") as east:
                east.delete(names.path("backups", VELERO, backup.object_name))
            row = ended(backup)
            assert row.state == "failed"
            assert "vanished from the cluster" in row.message
        assert fresh(backup).state == "failed"

    def test_a_worker_killed_while_it_works(self, world: World) -> None:
        """It waits for Velero's word on a new location; its successor finishes, and makes exactly one object."""
        location = world.new_location()
        with without_velero(world, "harbor-east"):
            backup = world.back_up(location=location)
            row = eventually(backup, lambda row: row.state == "submitting")
            kill(*world.pids("rqworker", "commands"))
            assert fresh(backup).is_open
        row = ended(backup, 90)
        assert row.state == "completed", row.message
        assert row.attempt > 1
        exactly_one(world, backup, "harbor-east")


def test_an_api_server_that_dies_during_a_request(world: World) -> None:
    """A worker is between two requests to it: the wish waits, the other cluster does not, and all of it comes back."""
    location = world.new_location()
    with without_velero(world, "harbor-east"):
        backup = world.back_up(location=location)
        eventually(backup, lambda row: row.state == "submitting")
        with without_api_server(world, "harbor-east"):
            row = eventually(backup, lambda row: row.message)
            assert row.is_open
            assert "refuses the connection" in row.message or "broke the connection off" in row.message
            elsewhere = ended(world.back_up(world.fleet.west, namespaces=["default"]))
            assert elsewhere.state == "completed", elsewhere.message
            until_cluster(world, "unreachable", seconds=30)
    row = ended(backup, 90)
    assert row.state == "completed", row.message
    exactly_one(world, backup, "harbor-east")
    until_cluster(world, "healthy", seconds=60)


def until_cluster(world: World, state: str, seconds: float) -> None:
    """Wait until harbor-east is shown so."""
    until = time.monotonic() + seconds
    while (cluster := Cluster.objects.get(pk=world.fleet.east.pk)).state != state:
        assert time.monotonic() < until, f"still {cluster.state}: {cluster.state_reason}"
        time.sleep(0.1)


def test_a_location_broken_by_hand_and_mended_by_new_keys(world: World) -> None:
    location = world.new_location()
    assert ended(world.back_up(location=location)).state == "completed"
    placed = PlacedLocation.objects.get(location=location)
    broken = b"[default]\naws_access_key_id=AKIANOBODY\naws_secret_access_key=planted-by-hand\n"
    with world.connect("harbor-east") as east:
        secret = core("secrets", VELERO, placed.object_name)
        east.merge_patch(secret, {"data": {"cloud": base64.b64encode(broken).decode()}})
        spec = {"spec": {"validationFrequency": "1m7s"}}  # any change makes Velero look again at once
        east.merge_patch(names.path("backupstoragelocations", VELERO, placed.object_name), spec)
        until = time.monotonic() + 30
        while (
            east.get(names.path("backupstoragelocations", VELERO, placed.object_name))["status"]["phase"] == "Available"
        ):
            assert time.monotonic() < until, "Velero does not notice"
            time.sleep(0.2)
    row = ended(world.back_up(location=location))
    assert row.state == "rejected"
    assert "cannot use the location" in row.message
    assert "access key" in row.message
    assert "planted" not in row.message
    BackupLocation.objects.filter(pk=location.pk).update(credentials_version=2)
    row = ended(world.back_up(location=location))
    assert row.state == "completed", row.message


class TestValkey:
    def test_killed_and_restarted(self, world: World) -> None:
        """Messages may be lost; rows are not."""
        made = []
        for _ in range(3):
            kill(*world.pids("valkey"))
            made.append(world.back_up())
            time.sleep(0.3)
        rows = [ended(backup, 90) for backup in made]
        assert [row.state for row in rows] == ["completed"] * 3, [row.message for row in rows]
        for backup in made:
            exactly_one(world, backup, "harbor-east")


def test_the_reconciler_killed_while_something_runs(world: World) -> None:
    """Its successor lists what it missed."""
    with without_velero(world, "harbor-east"):
        backup = world.back_up()
        eventually(backup, lambda row: row.state == "submitted")
        kill(*world.pids("manage.py reconcile"))
    row = ended(backup, 90)
    assert row.state == "completed", row.message
