"""Clusters are gone, the console's rows are gone, the bucket is there: it is opened, looked through, restored from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backups.actions.location import create_location
from backups.actions.location_scan import request_scan
from backups.actions.reading import request_log
from backups.models import Backup, BackupLocation, LocationScan, PlacedLocation
from bench import demo, mainjob
from console.lib import spool
from console.lib.errors import BadInput
from sandbox import sample
from tests.e2e.conftest import World, ended, fresh, unique

pytestmark = [pytest.mark.sandbox, pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def prefix(world: World) -> str:
    """Where a backup of the application in harbor-east lies that nobody here knows of any more."""
    location = world.new_location()
    backup = mainjob.back_up(replace(world.fleet, location=location), unique("lost"))
    PlacedLocation.objects.filter(location=location).delete()
    Backup.objects.filter(pk=backup.pk).delete()
    BackupLocation.objects.filter(pk=location.pk).delete()
    return location.prefix


def opened(world: World, prefix: str) -> BackupLocation:
    check = world.try_location(prefix=prefix, read_only=True)
    assert check.state == "completed", check.message
    return create_location(by=world.fleet.admin, check=check, name=unique("opened"))


def scanned(world: World, location: BackupLocation) -> LocationScan:
    return ended(request_scan(by=world.fleet.admin, location=location))


def test_a_lost_backup_is_found_and_restored(world: World, prefix: str) -> None:
    with world.connect("harbor-east") as east:
        originals = demo.settled(east)
    with world.connect("harbor-west") as west:
        demo.remove_namespaces(west, [name for name in sample.NAMESPACES if demo.exists(west, name)])
    location = opened(world, prefix)
    scan = scanned(world, location)
    assert (scan.state, scan.places, scan.found, scan.odd) == ("completed", 1, 1, 0), scan.message
    found = Backup.objects.get(found_in__location=location)
    assert (found.state, found.cluster.name) == ("completed", "harbor-east")
    assert found.cluster.deregistered_at
    reading = ended(request_log(by=world.fleet.admin, of=found))
    assert (reading.state, reading.message) == ("completed", "")
    assert any("Backing up item" in line for block in spool.blocks(reading.pk) for line in block)
    mainjob.restore(world.fleet, found, world.fleet.west)
    result = demo.checked("harbor-west", originals, world.state)
    assert result.equal == result.total > 30
    again = scanned(world, location)
    assert (again.found, again.known, again.gone) == (0, 1, 0)
    assert fresh(found).gone_at is None


def test_nothing_is_written_where_a_bucket_was_opened(world: World, prefix: str) -> None:
    location = opened(world, prefix)
    with pytest.raises(BadInput):
        world.back_up(location=location)
    assert not PlacedLocation.objects.filter(location=location).exists()
