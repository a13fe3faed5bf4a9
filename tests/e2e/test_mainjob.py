"""The main job on the real stack, every restored object held against its original."""

from __future__ import annotations

import base64
import io
import re
import tarfile

import pytest

from backups import storage
from backups.models import PlacedLocation
from backups.reconcile.location import target_in
from bench import compare, demo, mainjob
from console.lib import outbound
from sandbox import sample
from tests.e2e.conftest import VELERO, World, ended, exactly_one, unique

pytestmark = [pytest.mark.sandbox, pytest.mark.slow, pytest.mark.timeout(180)]


def test_backed_up_in_east_and_restored_into_west(world: World) -> None:
    """From a west that does not have the application to one whose every object equals east's."""
    with world.connect("harbor-west") as west:
        demo.remove_namespaces(west, [name for name in sample.NAMESPACES if demo.exists(west, name)])
    with world.connect("harbor-east") as east:
        originals = demo.settled(east)
    backup = mainjob.back_up(world.fleet, unique("main"))
    restore = mainjob.restore(world.fleet, backup, world.fleet.west)
    result = demo.checked("harbor-west", originals, world.state)
    assert result.equal == result.total > 30
    assert {"Deployment", "Service", "ConfigMap", "Secret", "PersistentVolumeClaim", "Role"} <= result.per_kind.keys()
    assert {"CustomResourceDefinition", "ClusterRole", "Namespace"} <= result.per_kind.keys()
    assert (backup.phase, restore.phase) == ("Completed", "Completed")
    assert restore.items_done >= result.total - 5
    exactly_one(world, backup, "harbor-east")
    exactly_one(world, restore, "harbor-west")


def test_restored_in_place_after_the_namespaces_were_lost(world: World) -> None:
    backup = mainjob.back_up(world.fleet, unique("place"))
    with world.connect("harbor-east") as east:
        originals = demo.settled(east)
        demo.remove_namespaces(east)
        mainjob.restore(world.fleet, backup, world.fleet.east)
        result = compare.compare(originals, demo.settled(east))
    assert result.same, result.first


def test_a_backup_of_everything_carries_no_keys_and_clones_no_velero(world: World) -> None:
    """Not even the second one, whose Velero namespace holds what the first one needed."""
    full = {"namespaces": [], "cluster_resources": "auto"}
    assert ended(world.back_up(**full)).state == "completed"
    backup = ended(world.back_up(**full))
    files = tarball(backup.object_name)
    assert any("/namespaces/shop/" in name for name in files)
    assert not [name for name in files if f"/namespaces/{VELERO}/" in name]
    assert not [name for name in files if re.match(r"resources/\w+\.velero\.io/", name)]
    s3 = world.state.s3
    assert s3 is not None
    key = s3.keys()[1].encode()
    assert not [name for name, content in files.items() if key in content or base64.b64encode(key)[:-4] in content]
    restore = ended(world.restore(backup, world.fleet.west), 120)
    assert restore.state in ("completed", "partially_failed"), restore.message
    assert_no_second_writer(world)


def tarball(object_name: str) -> dict[str, bytes]:
    """The files in a backup of harbor-east, from the bucket."""
    placed = PlacedLocation.objects.get(
        object_name__isnull=False, cluster__name="harbor-east", location__name=mainjob.LOCATION
    )
    key = storage.backup_contents_key(placed.prefix, object_name)
    raw = storage.read_object(target_in(placed), key, outbound.policy(), max_bytes=50_000_000)
    with tarfile.open(fileobj=io.BytesIO(raw), mode="r:gz") as archive:
        held = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        return {name: file.read() for name, file in held.items() if file}


def assert_no_second_writer(world: World) -> None:
    """Below the source's prefix the source alone writes."""
    east_uid = world.fleet.east.uid
    locations = [one["spec"] for one in world.velero_objects("harbor-west", "backupstoragelocations")]
    readers = [spec for spec in locations if spec["objectStorage"].get("prefix", "").endswith(east_uid)]
    assert readers
    assert all(spec["accessMode"] == "ReadOnly" and spec["backupSyncPeriod"] == "0h0m0s" for spec in readers)
    assert world.velero_objects("harbor-west", "schedules") == []
    writers = [spec for spec in world_writers(world) if spec["objectStorage"].get("prefix", "").endswith(east_uid)]
    assert len(writers) >= 1


def world_writers(world: World) -> list[dict[str, object]]:
    found = [one["spec"] for one in world.velero_objects("harbor-east", "backupstoragelocations")]
    return [spec for spec in found if spec.get("accessMode", "ReadWrite") == "ReadWrite"]
