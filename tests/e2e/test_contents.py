"""What a real Velero put into the bucket, as a person sees it: the list, and objects equal to the cluster's."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
import yaml

from backups.actions.reading import request_archive, request_contents, request_object
from backups.models import Backup, Reading
from bench import mainjob
from console.lib import spool
from tests.e2e.conftest import World, ended

pytestmark = [pytest.mark.sandbox, pytest.mark.slow, pytest.mark.timeout(180)]
NAMESPACE = "shop"


def texts(reading: Reading) -> list[str]:
    assert (reading.state, reading.message) == ("completed", "")
    return [text for block in spool.blocks(reading.pk) for text in block]


def opened(world: World, backup: Backup, kind: str, name: str, *, revealed: bool = False) -> dict[str, Any]:
    subject = {"kind": kind, "namespace": NAMESPACE, "name": name}
    asked = request_object(by=world.fleet.admin, of=backup, subject=subject, revealed=revealed)
    return dict(yaml.safe_load("\n".join(texts(ended(asked)))))


def test_objects_of_a_backup_are_the_clusters(world: World) -> None:
    backup = mainjob.completed(ended(world.back_up(namespaces=[NAMESPACE])))
    with world.connect("harbor-east") as east:
        deployments = {one["metadata"]["name"]: one for one in east.list(_path("apis/apps/v1", "deployments"))}
        secrets = {one["metadata"]["name"]: one for one in east.list(_path("api/v1", "secrets"))}
    listed = [json.loads(text) for text in texts(ended(request_contents(by=world.fleet.admin, of=backup)))]
    for kind, theirs in (("apps/v1/Deployment", deployments), ("v1/Secret", secrets)):
        assert {name for of, space, name in listed if (of, space) == (kind, NAMESPACE)} == set(theirs) != set()
    name, deployment = next(iter(deployments.items()))
    seen = opened(world, backup, "apps/v1/Deployment", name)
    assert (seen["metadata"]["uid"], seen["spec"]) == (deployment["metadata"]["uid"], deployment["spec"])
    name, secret = next(iter(secrets.items()))
    assert opened(world, backup, "v1/Secret", name)["data"] == dict.fromkeys(secret["data"], "(hidden)")
    assert opened(world, backup, "v1/Secret", name, revealed=True)["data"] == secret["data"]


def test_the_file_is_veleros_tarball(world: World) -> None:
    backup = mainjob.completed(ended(world.back_up(namespaces=[NAMESPACE])))
    reading = ended(request_archive(by=world.fleet.admin, of=backup))
    file = b"".join(spool.pieces(reading.pk))
    assert (reading.state, len(file)) == ("completed", reading.size)
    assert b"resources/deployments.apps/namespaces/shop/" in gzip.decompress(file)


def _path(group: str, plural: str) -> str:
    return f"/{group}/namespaces/{NAMESPACE}/{plural}"
