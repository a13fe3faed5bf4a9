"""P7: one reconciler over 1,000 simulated clusters with 100 backups each: how old its news are, and what they cost.

A real `manage.py reconcile` on SQLite, watched from outside: the ages of all rows, CPU and memory from /proc, and how
soon a change in a cluster with a running backup is in its row. One cluster in twenty has such a backup, and is watched.

At reduced size 100 clusters are looked at five times as often, and a fifth of the age is allowed.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from django.utils import timezone

from bench.fleet import Fleet, Member, fleet
from bench.report import Report, quantile
from bench.stack import CHECKOUT, end
from console.kube.connection import PAGE
from console.kube.paths import core
from tests.fakes.apiserver import ADMIN_TOKEN
from tests.fakes.velero import VELERO

EVERY = 45.0  # seconds between two looks at a cluster
AGE, CORES, MEMORY = 60.0, 0.5, 512  # bounds; the last in MiB
WATCHED = 20  # one cluster in so many has a running backup
PATIENCE = 180.0
QUICK = """
import django; django.setup()
from backups.reconcile import loop
loop.IDLE_EVERY, loop.UPKEEP_EVERY = {every}, {every} / 9
loop.Reconciler().run()
"""


@dataclass(frozen=True)
class Found:
    """One fleet measured. Ages and delays in seconds, `cores` of CPU, `memory` in MiB.

    `bare`: cores for the same GETs and json.loads alone. `stopped`: the ages once the reconciler stood still.
    """

    ages: float
    samples: int
    cores: float
    memory: float
    bare: float
    delays: float
    changes: int
    stopped: float


def check(*, full: bool, seed: int) -> Report:
    """10, 100 and 1,000 clusters with 100 backups at full size; 100 with 50 reduced."""
    report = Report("P7", "age of what is shown of many clusters, and its cost, with one reconciler", full)
    quicker = 1 if full else 5
    for clusters in (10, 100, 1000) if full else (100,):
        found = _in_a_process(clusters, 100 if full else 50, EVERY / quicker, seed)
        _tell(report, f"{clusters}_clusters", found, AGE / quicker)
    detail = f"p99 {found.stopped:.0f} s"
    report.control("a reconciler that stands still", failed=found.stopped > AGE / quicker, detail=detail)
    report.note(f"one cluster in {WATCHED} has a running backup and is watched; the reference does the same GETs alone")
    return report


def _tell(report: Report, name: str, found: Found, oldest: float) -> None:
    reference = f"bare GETs and json {found.bare:.3f} cores"
    report.say(f"status_age_p99_{name}", found.ages, f"<= {oldest:g}", unit=" s", n=found.samples)
    report.say(f"cpu_{name}", found.cores, f"<= {CORES}", reference=reference, unit=" cores")
    report.say(f"memory_{name}", found.memory, f"<= {MEMORY}", unit=" MiB")
    report.say(f"change_to_row_p95_{name}", found.delays, unit=" s", n=found.changes)


def _in_a_process(clusters: int, backups: int, every: float, seed: int) -> Found:
    """Settings are read once per process, and every fleet has a database of its own."""
    words = [str(word) for word in (clusters, backups, every, seed)]
    command = [sys.executable, "-m", "bench.speed.rounds", *words]
    done = subprocess.run(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, check=True)
    return Found(**json.loads(done.stdout.splitlines()[-1]))


def measure(clusters: int, backups: int, every: float, seed: int) -> Found:
    """Two rounds, from the time on when every cluster has been looked at."""
    with _folder() as var, fleet(var, clusters, backups=backups) as simulated:
        watched = [Watched(simulated, member) for member in simulated.members[::WATCHED]]
        bare = _bare(simulated) * clusters / every
        with _reconciler(simulated.var, every) as process:
            _until_all_are_seen()
            began, used = time.monotonic(), _cpu(process.pid)
            ages, delays = _two_rounds(watched, every, random.Random(seed))
            cores, memory = (_cpu(process.pid) - used) / (time.monotonic() - began), _memory(process.pid)
            stopped = _stand_still(process, (AGE - EVERY + 5) * every / EVERY)
    figures = quantile(ages, 0.99), len(ages), cores, memory, bare, quantile(delays, 0.95), len(delays), stopped
    return Found(*figures)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="drydock-rounds-") as folder:
        yield Path(folder)


class Watched:
    """A backup that runs in one of the clusters, and whose items are counted up."""

    def __init__(self, simulated: Fleet, member: Member) -> None:
        from backups.models import Backup

        self.member, self.done = member, 0
        self.row = Backup.objects.create(
            project=simulated.project,
            cluster=member.row,
            location=simulated.location,
            name="running",
            object_name=f"running-{member.row.pk.hex[:8]}",
            keep_for=timedelta(days=7),
            state="running",
            submitted_at=timezone.now(),
            due_at=None,
        )
        self._put()

    def change(self) -> float:
        """Seconds from a change in the cluster to the row."""
        self.done += 1
        began = time.monotonic()
        self._put()
        while self.row.items_done != self.done and time.monotonic() - began < PATIENCE:
            time.sleep(0.01)
            self.row.refresh_from_db(fields=["items_done"])
        return time.monotonic() - began

    def _put(self) -> None:
        from backups.reconcile.submission import our_labels

        metadata = {"name": self.row.object_name, "namespace": VELERO, "labels": our_labels(self.row)}
        progress = {"itemsBackedUp": self.done, "totalItems": 1000}
        status = {"phase": "InProgress", "progress": progress}
        self.member.simulated.put("backups", {"metadata": metadata, "spec": {}, "status": status})


def _bare(simulated: Fleet) -> float:
    """Seconds of CPU that the GETs of one look and the reading of their JSON cost by themselves, over 20 clusters."""
    trust = ssl.create_default_context(cadata=simulated.server.authority.certificate.decode())
    asked, began = simulated.members[:20], time.thread_time()
    for member in asked:
        connection = http.client.HTTPSConnection("127.0.0.1", simulated.server.port, context=trust)
        with contextlib.closing(connection):
            for path in _paths():
                headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
                connection.request("GET", f"/{member.simulated.name}{path}?limit={PAGE}", headers=headers)
                json.loads(connection.getresponse().read())
    return (time.thread_time() - began) / len(asked)


def _paths() -> list[str]:
    from backups.velero import names

    listed = [path(VELERO) for path in (names.backups_path, names.restores_path, names.locations_path)]
    return [core("namespaces"), *listed]


@contextlib.contextmanager
def _reconciler(var: Path, every: float) -> Iterator[subprocess.Popen[bytes]]:
    """`manage.py reconcile`; with other rounds than its own: the same, told so."""
    words = ["manage.py", "reconcile"] if every == EVERY else ["-c", QUICK.format(every=every)]
    with (var / "reconcile.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, *words], cwd=CHECKOUT, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            end(process)


def _ages() -> list[float]:
    """Of what each row says of its cluster, in seconds."""
    from workspaces.models import Cluster

    now = timezone.now()
    return [(now - seen).total_seconds() for seen in Cluster.objects.values_list("seen_at", flat=True) if seen]


def _until_all_are_seen() -> None:
    began = time.monotonic()
    while max(_ages()) > time.monotonic() - began:
        assert time.monotonic() - began < PATIENCE, "the reconciler does not come round"
        time.sleep(0.5)


def _two_rounds(watched: list[Watched], every: float, choose: random.Random) -> tuple[list[float], list[float]]:
    """The ages of all clusters, asked again and again, and how long changes took to the row."""
    ages, delays, until = list[float](), list[float](), time.monotonic() + 2 * every
    while time.monotonic() < until:
        ages += _ages()
        delays.append(choose.choice(watched).change())
        time.sleep(choose.uniform(0.5, 1.0) * every / EVERY)
    return ages, delays


def _stand_still(process: subprocess.Popen[bytes], seconds: float) -> float:
    """The ages after the reconciler was stopped for so long: the newest are that old, the oldest past the bound."""
    process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    return quantile(_ages(), 0.99)


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used: fields 14 and 15 of proc(5)'s stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> float:
    """The most memory it has held, in MiB."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    print(json.dumps(asdict(measure(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))))
