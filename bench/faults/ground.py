"""Where one cell of R2 is played: two fresh simulated clusters, a fresh place in an S3 server, rows that point at them.

Jobs run as in production, in a forked child, so that a kill is a kill: the servers, which live in the parent, end the
child with SIGKILL at the very request they are told to.
"""

from __future__ import annotations

import contextlib
import gzip
import importlib
import itertools
import json
import os
import queue
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
from django.utils import timezone

from bench import stack
from console.lib import keys
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.apiserver_faults import Action, Fault, Request
from tests.fakes.s3 import FakeS3
from tests.fakes.velero import VELERO, Velero

if TYPE_CHECKING:
    from accounts.models import User
    from backups.models import Backup, BackupLocation, Restore
    from workspaces.models import Cluster, Project, Wish

BUCKET = "cells"
CHILD_WITHIN = 30.0  # seconds; a job is killed by its queue after 20
HANG = 0.6
QUICK = 0.4  # what the console waits for an answer here; twenty seconds each would take a day


@dataclass(frozen=True)
class Disturbance:
    """What goes wrong at one request. `kill`: the process that sent it dies as the request arrives."""

    name: str
    action: Action
    status: int = 500
    reason: str = ""
    kill: bool = False
    seconds: float = 0.0


@dataclass
class Cell:
    """One operation with one request disturbed, and which invariants it broke."""

    operation: str
    step: int
    fault: str
    broken: list[str]
    story: str = ""


@dataclass
class Servers:
    """Both servers, whose requests are counted together, and the child that is at work."""

    api: FakeApiServer
    s3: FakeS3
    admin: User
    project: Project
    child: int = 0
    struck: bool = False
    heard: queue.Queue[Any] = field(default_factory=queue.Queue)

    def run(self, job: str, pk: uuid.UUID, attempt: int) -> None:
        """Carry out one message in a child; raises TimeoutError when it does not end."""
        self.wait(self.start(job, pk, attempt))

    def start(self, job: str, pk: uuid.UUID, attempt: int) -> int:
        """A child that carries out one message; its process id, which is known here before it sends anything."""
        from django.db import connections

        connections.close_all()
        reader, writer = os.pipe()
        self.child = os.fork()
        if not self.child:
            os.read(reader, 1)
            _be_worker(job, pk, attempt)
        os.write(writer, b".")
        os.close(reader)
        os.close(writer)
        return self.child

    def wait(self, child: int) -> None:
        """Until the child has ended. Raises TimeoutError."""
        try:
            self.until(lambda: self.has_ended(child))
        except TimeoutError:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise

    def until(self, over: Callable[[], bool]) -> None:
        """Raises TimeoutError."""
        until = time.monotonic() + CHILD_WITHIN
        while not over():
            if time.monotonic() > until:
                raise TimeoutError(f"a job took more than {CHILD_WITHIN:.0f} s")
            time.sleep(0.002)

    def has_ended(self, child: int) -> bool:
        """Whether it has; asked again about one that had, the answer is the same."""
        try:
            return os.waitpid(child, os.WNOHANG) != (0, 0)
        except ChildProcessError:
            return True

    @contextlib.contextmanager
    def disturbed(self, step: int, disturbance: Disturbance) -> Iterator[None]:
        """The request number `step` from now on, whichever server it reaches, goes wrong."""
        numbers, self.struck = itertools.count(), False

        def hits(request: Request) -> bool:
            if self.struck or next(numbers) != step:
                return False
            self.struck = True
            if disturbance.kill:
                os.kill(self.child, signal.SIGKILL)
            return True

        for faults in (self.api.faults, self.s3.faults):
            d = disturbance
            faults.add(Fault(d.action, when=hits, status=d.status, reason=d.reason, seconds=d.seconds))
        try:
            yield
        finally:
            self.api.faults.clear()
            self.s3.faults.clear()

    def look(self, cluster: Cluster) -> None:
        """What the reconciler does with a cluster, once: list it and write what was heard."""
        from backups.reconcile import loop, watching

        type(cluster).objects.filter(pk=cluster.pk).update(retry_at=None)
        place = loop.place_of(cluster)
        assert place is not None
        self.heard.put(watching.look(place))
        while not self.heard.empty():
            loop.write(self.heard.get())


def _be_worker(job: str, pk: uuid.UUID, attempt: int) -> None:
    """The child: one message, then the end, whatever happens."""
    code = 1
    try:
        module, name = job.rsplit(".", 1)
        getattr(importlib.import_module(module), name)(str(pk), attempt)
        code = 0
    except Exception as error:
        print(f"    job ended with {error!r}", flush=True)
    finally:
        os._exit(code)


@contextlib.contextmanager
def servers(var: Path) -> Iterator[Servers]:
    """Both servers and an empty database in `var`."""
    keys.ensure(var)
    os.environ.update(stack.environment(var, 0))
    django.setup()
    with FakeApiServer(kept_requests=5000) as api, FakeS3() as s3:
        yield _prepared(api, s3)


def _prepared(api: FakeApiServer, s3: FakeS3) -> Servers:
    from django.core.management import call_command

    from accounts.actions import add_tenant_admin, create_tenant
    from bench.faults import history
    from tests.contract.realstore import client
    from workspaces.actions.project import create_project

    call_command("migrate", verbosity=0, interactive=False)
    history.install()
    client(s3.url).create_bucket(Bucket=BUCKET)
    _be_impatient()
    tenant = create_tenant(by=None, name="Harbor")
    admin = add_tenant_admin(by=None, tenant=tenant, email=stack.EMAIL, password=uuid.uuid4().hex)
    return Servers(api, s3, admin, create_project(by=None, tenant=tenant, name="Default"))


def _be_impatient() -> None:
    """Waits are shortened, and no message is sent: the campaign is the worker, with its jobs imported."""
    from functools import partial

    import backups.jobs  # noqa: F401
    from backups.reconcile import cluster, location, watching
    from backups.storage import aws
    from console.kube.connection import connect
    from console.lib import queue as messages
    from workspaces import connections

    quick = partial(connect, connect_timeout=QUICK, read_timeout=QUICK)
    for module in (cluster, watching, connections):
        module.connect = quick  # type: ignore[attr-defined]
    aws.CONNECT_TIMEOUT = aws.READ_TIMEOUT = QUICK
    location.LOOK_EVERY, location.VERDICT_WITHIN, location.VALIDATION_STAMP = 0.01, 0.3, 0.0
    messages._send = lambda *_: None


class Ground:
    """One cell's clusters, location and rows."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.velero: dict[str, Velero] = {}
        mark = uuid.uuid4().hex[:8]
        self.east, self.west = self._cluster(f"east-{mark}"), self._cluster(f"west-{mark}")
        self.location = self._location(mark)

    def _cluster(self, name: str) -> Cluster:
        from workspaces.models import Cluster
        from workspaces.models.cluster import ClusterState

        simulated = self.servers.api.add_cluster(name)
        for namespace in ("shop", "intranet"):
            simulated.put("namespaces", {"metadata": {"name": namespace}})
        self.velero[name] = Velero(simulated)
        self.velero[name].phases = ["InProgress", "Completed"]
        return Cluster.objects.create(
            project=self.servers.project,
            name=name,
            kubeconfig={"kubeconfig": simulated.kubeconfig(), "context": ""},
            server=simulated.url,
            uid=simulated.uid,
            state=ClusterState.HEALTHY,
            facts={"state": ClusterState.HEALTHY, "namespaces": ["shop", "intranet"]},
        )

    def _location(self, mark: str) -> BackupLocation:
        from backups.models import BackupLocation

        return BackupLocation.objects.create(
            project=self.servers.project, name=mark, bucket=BUCKET, prefix=f"cells/{mark}", **self.store()
        )

    def store(self) -> dict[str, Any]:
        """How to reach the S3 server."""
        secret = {"access_key": "cells", "secret_key": "cells"}
        return {"s3_url": self.servers.s3.url, "path_style": True, "region": "us-east-1", "credentials": secret}

    def backup(self) -> Backup:
        from backups.actions.backup import request_backup

        return request_backup(
            by=self.servers.admin,
            cluster=self.east,
            location=self.location,
            name=f"cell-{uuid.uuid4().hex[:8]}",
            keep_for=timedelta(days=1),
            namespaces=["shop"],
        )

    def completed_backup(self) -> Backup:
        """One that has ended well, with its log and results in the bucket."""
        from backups.models import PlacedLocation

        backup: Backup = self.carried(self.backup())
        assert backup.state == "completed", backup.message
        prefix = PlacedLocation.objects.get(location=self.location, cluster=self.east).prefix
        folder = f"{prefix}/backups/{backup.object_name}/{backup.object_name}"
        self._put(f"{folder}-logs.gz", b"level=info msg=one\nlevel=info msg=two\n")
        self._put(f"{folder}-results.gz", json.dumps({"errors": {"velero": ["odd"]}}).encode())
        return backup

    def _put(self, key: str, text: bytes) -> None:
        from tests.contract.realstore import client

        client(self.servers.s3.url).put_object(Bucket=BUCKET, Key=key, Body=gzip.compress(text))

    def restore(self, *, elsewhere: bool) -> Restore:
        from backups.actions.restore import request_restore

        backup, target = self.completed_backup(), self.west if elsewhere else self.east
        return request_restore(by=self.servers.admin, backup=backup, target=target, cluster_resources="auto")

    def carried(self, wish: Any, rounds: int = 12) -> Any:
        """Drive the row until it has ended, as workers and reconciler do together, without their waits."""
        for _ in range(rounds):
            if not (wish := fresh(wish)).is_open:
                break
            self.step(wish)
        return fresh(wish)

    def step(self, wish: Wish) -> None:
        """A worker's turn where the row is due, else the reconciler's look at its cluster."""
        if wish.due_at is None:
            self.servers.look(wish.cluster)  # type: ignore[attr-defined]
        else:
            self.expire(wish)
            self.servers.run(wish.job, wish.pk, wish.attempt)

    def expire(self, wish: Wish) -> None:
        """The row's lease or wait is over, and its cluster may be asked again."""
        self.end_rests()
        held = type(wish)._default_manager.filter(pk=wish.pk, due_at__isnull=False)
        held.update(due_at=timezone.now() - timedelta(seconds=1))

    def end_rests(self) -> None:
        """Clusters may be asked again at once."""
        type(self.east).objects.exclude(retry_at=None).update(retry_at=None)

    def objects(self, cluster: Cluster, plural: str) -> list[dict[str, Any]]:
        return self.servers.api.clusters[cluster.name].objects(plural, namespace=VELERO)


def fresh(wish: Any) -> Any:
    """The row as it is now."""
    return type(wish)._default_manager.get(pk=wish.pk)
