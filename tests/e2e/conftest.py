"""The console's own actions, called from the test's process on the database of the running stack.

How it is done: `stack` (tests/stack.py) runs the console's processes in a folder of its own. `world` points this
process at the same database, keys and Valkey for as long as the module lasts: Django's connection object is
replaced, so that pytest-django's own test database is never touched, and is put back afterwards. Everything then goes
the way of a view: an action writes the row and wakes a worker, and the rows tell what became of it.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import redis
from django.conf import settings
from django.db import connections
from django.db.utils import load_backend
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from backups.actions.backup import request_backup
from backups.actions.location import create_location, request_check
from backups.actions.restore import request_restore
from backups.models import Backup, BackupLocation, LocationCheck, Restore
from backups.velero import names
from bench import mainjob
from bench.compare import open_cluster
from bench.stack import processes_of
from console.kube.connection import Connection
from console.lib import keys, outbound
from sandbox.state import State
from tests.stack import Stack
from workspaces.models import Cluster, Wish

W = TypeVar("W", bound=Wish)
VELERO = "velero"


@dataclass(frozen=True)
class World:
    """The running stack and what the first run registered in it."""

    stack: Stack
    fleet: mainjob.Fleet

    @property
    def state(self) -> State:
        return self.stack.state

    def connect(self, cluster: str) -> Connection:
        """To a cluster of the sandbox, past the console."""
        return open_cluster(self.state.clusters[cluster].kubeconfig)

    def velero_objects(self, cluster: str, plural: str) -> list[dict[str, Any]]:
        with self.connect(cluster) as connection:
            return list(connection.list(names.path(plural, VELERO)))

    def back_up(self, cluster: Cluster | None = None, **fields: Any) -> Backup:
        """A wish for a small backup of harbor-east, unless told otherwise."""
        values = {
            "location": self.fleet.location,
            "name": unique("t"),
            "keep_for": timedelta(days=1),
            "include_disks": False,
            "namespaces": ["intranet"],
        }
        return request_backup(by=self.fleet.admin, cluster=cluster or self.fleet.east, **values | fields)

    def restore(self, backup: Backup, target: Cluster, **fields: Any) -> Restore:
        return request_restore(by=self.fleet.admin, backup=backup, target=target, **fields)

    def try_location(self, **fields: Any) -> LocationCheck:
        """What validating a location with these fields finds; the rest is right."""
        s3 = self.state.s3
        assert s3 is not None
        access_key, secret_key = s3.keys()
        values = {
            "bucket": s3.bucket,
            "prefix": f"e2e/{uuid.uuid4().hex}",
            "region": s3.region,
            "s3_url": s3.plain_url,
            "path_style": True,
            "credentials": {"access_key": access_key, "secret_key": secret_key},
        }
        project = self.fleet.east.project
        return ended(request_check(by=self.fleet.admin, project=project, **values | fields))

    def new_location(self, **fields: Any) -> BackupLocation:
        check = self.try_location(**fields)
        assert check.state == "completed", check.message
        return create_location(by=self.fleet.admin, check=check, name=unique("store"))

    def pids(self, *words: str) -> list[int]:
        """Processes of this console whose command holds all of `words`."""
        return [*processes_of(self.stack.var, *words)]


@pytest.fixture(scope="module")
def world(stack: Stack, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """See the head of this file."""
    before = connections["default"]
    with pytest.MonkeyPatch.context() as patch, django_db_blocker.unblock():
        _use_keys(patch, stack.var)
        _use_valkey(patch, stack.var / "valkey.sock")
        patch.setattr(settings, "VAR", stack.var)
        patch.setattr(settings, "OUTBOUND_ALLOW_LOOPBACK", True)
        outbound.policy.cache_clear()
        connections["default"] = _connection(stack.database)
        try:
            yield World(stack, mainjob.register(stack.state))
        finally:
            connections["default"].close()
            connections["default"] = before
    outbound.policy.cache_clear()


def _connection(database: dict[str, Any]) -> Any:
    """A second connection object, to the console's own database."""
    return load_backend(database["ENGINE"]).DatabaseWrapper({**connections.settings["default"], **database}, "default")


def _use_keys(patch: pytest.MonkeyPatch, var: Path) -> None:
    """The stack's keys: those of the environment, which it inherits, else those it made."""
    made = keys.load(var)
    ring = os.environ.get("CONSOLE_KEYS") or (made.ring if made else "")
    patch.setattr(settings, "CONSOLE_KEYS", ring.split(","))


def _use_valkey(patch: pytest.MonkeyPatch, socket: Path) -> None:
    def client(*_: object, **__: object) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(socket))

    patch.setattr("django_rq.connection_utils.get_redis_connection", client)


@pytest.fixture(autouse=True)
def _whole_again(world: World) -> Iterator[None]:
    """A test that stopped something must not spoil the next one."""
    yield
    Cluster.objects.update(retry_at=None)
    died = [part.name for part in world.state.parts.values() if part.status != "running" and part.pid is None]
    assert not [name for name in died if name.endswith(("kube-apiserver", "velero"))], "left stopped"


def unique(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:8]}"


def fresh(wish: W) -> W:
    """The row as it is now."""
    return type(wish)._default_manager.get(pk=wish.pk)


def ended(wish: W, seconds: float = 60) -> W:
    """Wait until the row has ended, whichever way."""
    return mainjob.finished(wish, seconds)


def eventually(wish: W, when: Callable[[W], object], seconds: float = 30) -> W:
    """Wait until the row is so; what it was at last is said otherwise."""
    until = time.monotonic() + seconds
    while not when(row := fresh(wish)):
        assert time.monotonic() < until, f"{row} stays {row.state}: {row.message!r}, due {row.due_at}"
        time.sleep(0.05)
    return row


def age(wish: Backup | Restore, seconds: float) -> None:
    """Let the wish be so much older, as if that time had passed."""
    moment = timezone.now() - timedelta(seconds=seconds)
    type(wish)._default_manager.filter(pk=wish.pk).update(submitted_at=moment)


def exactly_one(world: World, wish: Backup | Restore, cluster: str) -> dict[str, Any]:
    """I2: the one object in the cluster that carries the wish's label."""
    plural = "backups" if isinstance(wish, Backup) else "restores"
    found = [
        one
        for one in world.velero_objects(cluster, plural)
        if one["metadata"].get("labels", {}).get(names.REQUEST) == str(wish.pk)
    ]
    assert len(found) == 1
    return found[0]
