"""What every campaign needs: a whole console on the real sandbox, somebody who kills, and a judge who holds every
accepted wish against its row and against the API servers.
"""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import django

from bench import mainjob, stack
from bench.compare import open_cluster
from bench.faults.load import Asked, Visitor
from bench.report import Report
from sandbox.state import State, read_state

if TYPE_CHECKING:
    from backups.models import VeleroWish

VELERO = "velero"
# What can be killed, by the words in its command line. Killing a worker hits its parent or the child with the job.
WEB, WORKER, RECONCILER = ("gunicorn",), ("rqworker", "commands"), ("manage.py reconcile",)
# Velero empties its file of keys and writes it anew at each use, and its plugins may read it meanwhile
# (internal/credentials/file_store.go, Path: O_TRUNC, then Write). What fails of it is Velero's own doing.
KEYS_HALF_WRITTEN = "failed to get shared config profile"


@dataclass(frozen=True)
class Site:
    """A running console with both clusters, a location and a workspace registered."""

    var: Path
    url: str
    fleet: mainjob.Fleet

    @property
    def state(self) -> State:
        found = read_state(self.var / "sandbox")
        assert found is not None
        return found

    def visitor(self) -> Visitor:
        """A new browser, signed in as the tenant admin."""
        visitor = Visitor(self.url)
        visitor.sign_in(stack.EMAIL, stack.password(self.var))
        return visitor

    def objects(self, plural: str) -> dict[str, list[dict[str, Any]]]:
        """Velero's objects of a kind that carry a wish's label, by that label: in the wish's own cluster alone.

        What a restore brought along into another cluster is the source's wish, and not counted twice.
        """
        from backups.velero import names
        from workspaces.models import Cluster

        found: dict[str, list[dict[str, Any]]] = {}
        for name, cluster in self.state.clusters.items():
            here = str(Cluster.objects.get(name=name).pk)
            with open_cluster(cluster.kubeconfig) as connection:
                for one in connection.list(names.path(plural, VELERO)):
                    labels = one["metadata"].get("labels", {})
                    if labels.get(names.CLUSTER) == here:
                        found.setdefault(labels[names.REQUEST], []).append(one)
        return found


@contextlib.contextmanager
def real_site(extra: Mapping[str, str] | None = None) -> Iterator[Site]:
    """Everything real, in a folder that is thrown away, with the history of every wish noted from the start."""
    with tempfile.TemporaryDirectory(prefix="drydock-faults-") as folder:
        var = Path(folder)
        os.environ.update(stack.environment(var, 0) | dict(extra or {}))
        with stack.sandbox(var), stack.console(var, extra) as url, logs_on_failure(var):
            yield settled_in(var, url)


@contextlib.contextmanager
def logs_on_failure(var: Path) -> Iterator[None]:
    """Show the end of every log when the campaign breaks off: its folder will be gone."""
    try:
        yield
    except BaseException:
        for log in sorted((var / "log").glob("*.log")):
            print(f"── the end of {log.name}\n{log.read_text()[-2000:]}", flush=True)
        raise


def settled_in(var: Path, url: str) -> Site:
    """Register the sandbox in a console that has just come up."""
    django.setup()
    from bench.faults import history

    history.install()
    return Site(var, url, mainjob.register(mainjob.wait_for_sandbox()))


class Killer(threading.Thread):
    """SIGKILLs one process after another, at random instants, the same ones for the same seed.

    `shares`: how often each kind is hit. A web process needs seconds to be back, and is nobody's when it is hit sooner.
    """

    def __init__(self, var: Path, seed: int, count: int, mean: float, shares: Mapping[tuple[str, ...], int]) -> None:
        super().__init__(name="killer", daemon=True)
        self.var, self.count, self.mean = var, count, mean
        self.kinds = [kind for kind, share in shares.items() for _ in range(share)]
        self.random = random.Random(seed)
        self.killed: Counter[str] = Counter()

    def run(self) -> None:
        while self.killed.total() < self.count:
            time.sleep(self.random.expovariate(1 / self.mean))
            kind = self.random.choice(self.kinds)
            if pids := sorted(stack.processes_of(self.var, *kind)):
                stack.kill(self.random.choice(pids))
                self.killed[" ".join(kind)] += 1


def at_once(jobs: Sequence[Any], hands: int) -> list[Asked]:
    """Let several people work through `jobs`, which are callables without arguments."""
    with ThreadPoolExecutor(hands, thread_name_prefix="person") as people:
        return [done.result() for done in [people.submit(job) for job in jobs]]


def settle(seconds: float) -> list[VeleroWish]:
    """Wait until every wish has ended; those that have not after `seconds`."""
    from bench.faults import history

    until = time.monotonic() + seconds
    while open_ := [wish for wish in history.wishes() if wish.is_open]:
        if time.monotonic() > until:
            return open_
        time.sleep(0.5)
    return []


class Seen(Protocol):
    """What the judge asks."""

    def objects(self, plural: str) -> dict[str, list[dict[str, Any]]]:
        """Velero's objects of a kind by their wish, past the console."""


def judge(report: Report, site: Seen, asked: Sequence[Asked], seconds: float = 120) -> None:
    """I1, I2, I4, I6, I8: what was accepted is there once, has ended, and is what the cluster says; else its story."""
    from backups.velero.explain import explain
    from bench.faults import history

    stuck = settle(seconds)
    made = site.objects("backups") | site.objects("restores")
    rows = {wish.submission: wish for wish in history.wishes()}
    accepted = [one for one in asked if one.accepted]
    lost = [wish for wish in rows.values() if len(made.get(str(wish.pk), [])) < _wanted(wish)]
    doubled = [wish for wish in rows.values() if len(made.get(str(wish.pk), [])) > _wanted(wish)]
    unlike = [wish for wish in rows.values() if wish not in lost and _disagrees(wish, made)]
    failed = [wish for wish in rows.values() if wish.state != "completed" and wish not in stuck]
    veleros = [wish for wish in failed if explain(KEYS_HALF_WRITTEN).sentence in wish.message]
    missing = [one for one in accepted if one.submission not in rows]
    report.say("not_accepted", len(asked) - len(accepted), "= 0", n=len(asked))
    report.say("lost", len(missing) + len(lost), "= 0", n=len(accepted))
    report.say("duplicate", len(doubled) + len(made.keys() - {str(w.pk) for w in rows.values()}), "= 0", n=len(made))
    report.say("stuck", len(stuck), "= 0", n=len(rows))
    report.say("unlike_the_cluster", len(unlike), "= 0", n=len(rows))
    report.say("not_completed", len(failed) - len(veleros), "= 0", n=len(rows))
    report.say("velero_read_half_written_keys", len(veleros), f"<= {len(rows) // 50 + 1}", n=len(rows))
    report.say("backward_steps", len(history.backward()), "= 0", n=len(history.steps()))
    for wish in dict.fromkeys([*stuck, *lost, *doubled, *unlike, *failed]):
        print(history.story(wish), flush=True)
    for one in [*missing, *(one for one in asked if not one.accepted)]:
        print(f"  {one}", flush=True)


def _wanted(wish: VeleroWish) -> int:
    """How many objects a wish may lead to: one, none when it was refused."""
    return 0 if wish.state in ("rejected", "canceled") else 1


def _disagrees(wish: VeleroWish, made: Mapping[str, list[dict[str, Any]]]) -> bool:
    """Whether the row says something else than its object."""
    from backups.lifecycle import state_of_phase

    objects = made.get(str(wish.pk), [])
    phases = [one.get("status", {}).get("phase", "") for one in objects]
    return any(state_of_phase(phase) != wish.state for phase in phases)
