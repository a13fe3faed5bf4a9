"""What the measurements on real clusters share: one running console, a bare watch, two ways taken in turn."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from functools import cache
from pathlib import Path

import django

from bench import mainjob, stack
from bench.compare import open_cluster
from bench.faults.campaign import Site, logs_on_failure
from bench.faults.load import Visitor
from console.kube.connection import Object
from console.kube.watch import Event, list_then_watch
from sandbox.build import build

HOME, URL = "DRYDOCK_BENCH_HOME", "DRYDOCK_BENCH_URL"
PATIENCE = 60.0


@contextlib.contextmanager
def shared() -> Iterator[None]:
    """One real console for all checks that run inside, each in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="drydock-bench-") as folder:
        var = Path(folder)
        with stack.sandbox(var), stack.console(var) as url, logs_on_failure(var):
            os.environ |= {HOME: folder, URL: url}
            yield


@contextlib.contextmanager
def real_console() -> Iterator[Site]:
    """The shared console, or one for this check alone, with the sandbox registered and a first backup made."""
    with contextlib.nullcontext() if HOME in os.environ else shared():
        var = Path(os.environ[HOME])
        os.environ.update(stack.environment(var, 0))
        django.setup()
        yield Site(var, os.environ[URL], _registered())


def _registered() -> mainjob.Fleet:
    """With a first backup made, so that the location is in the cluster."""
    from backups.models import Backup

    fleet = mainjob.register(mainjob.wait_for_sandbox())
    if not Backup.objects.exists():
        mainjob.back_up(fleet)
    return fleet


def velero(site: Site, *words: str) -> list[str]:
    """A command of the real client on harbor-east."""
    return [_program(), "--kubeconfig", str(site.state.clusters["harbor-east"].kubeconfig), "-n", "velero", *words]


@cache
def _program() -> str:
    return build(lambda progress: None).path("velero")


def backed_up(site: Site, name: str) -> float:
    """Seconds that `velero backup create --wait` takes for the namespace that `ask_for_backup` backs up."""
    from backups.models import PlacedLocation

    placed = PlacedLocation.objects.get(cluster=site.fleet.east, source=site.fleet.east)
    words = ["--include-namespaces", "intranet", "--storage-location", placed.object_name, "--snapshot-volumes=false"]
    command = velero(site, "backup", "create", name, *words, "--include-cluster-resources=false", "--wait")
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    took = time.monotonic() - began
    assert "completed with status: Completed" in done.stdout, done.stdout
    return took


def until_shown(visitor: Visitor, page: str, mark: str) -> None:
    """Open the page and ask for its live part again and again, as its script does, until `mark` is on it."""
    until, answer = time.monotonic() + PATIENCE, visitor.get(page)
    while mark not in answer.body:
        assert time.monotonic() < until, f"{mark} was not shown on {page}: {answer.status} {answer.body[-500:]}"
        time.sleep(answer.interval)
        answer = visitor.get(page, live=True, etag=answer.etag)


def in_turn(n: int, ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[list[float], list[float]]:
    """Both `n` times, one after the other, who goes first alternating."""
    took: tuple[list[float], list[float]] = [], []
    for turn in range(n):
        for which in (0, 1) if turn % 2 else (1, 0):
            took[which].append((ours, theirs)[which]())
    return took


class BareWatch(threading.Thread):
    """When a watch without anything else heard of something first: what `kubectl get -w` could show at best.

    `of` names what an event is about; None for what is not waited for.
    """

    def __init__(self, kubeconfig: Path, path: str, of: Callable[[Event], Hashable | None]) -> None:
        super().__init__(name="bare-watch", daemon=True)
        self.kubeconfig, self.path, self.of = kubeconfig, path, of
        self.at: dict[Hashable, float] = {}
        self.synced, self.stopping = threading.Event(), threading.Event()

    def run(self) -> None:
        with open_cluster(self.kubeconfig) as connection:
            for event in list_then_watch(connection, self.path, stop=self.stopping):
                if event.type == "SYNCED":
                    self.synced.set()
                elif (what := self.of(event)) is not None:
                    self.at.setdefault(what, time.monotonic())

    def __enter__(self) -> BareWatch:
        self.start()
        assert self.synced.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.join(5)

    def when(self, what: Hashable) -> float:
        """When it was heard of; waits for it a little."""
        until = time.monotonic() + 5
        while what not in self.at and time.monotonic() < until:
            time.sleep(0.01)
        return self.at[what]


def name_of(raw: Object) -> str:
    """An object's name."""
    return str(raw["metadata"]["name"])
