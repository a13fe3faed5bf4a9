"""The console's real processes before simulated clusters, for campaigns on jobs that are held while something dies."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import stack
from bench.faults.campaign import logs_on_failure
from bench.faults.load import Visitor, ask_for_backup
from bench.fleet import PASSWORD, Fleet, fleet
from bench.report import Report
from tests.fakes.apiserver_faults import Fault

if TYPE_CHECKING:
    from backups.models import Backup

PATIENCE = 60.0  # seconds


@dataclass(frozen=True)
class Harbour:
    """A console with as many workers as clusters, and two reconcilers."""

    ships: Fleet
    visitor: Visitor

    @property
    def var(self) -> Path:
        return self.ships.var

    def ask(self, number: int) -> Backup:
        """*Back up now* for one cluster; the row."""
        from backups.models import Backup

        member = self.ships.members[number % len(self.ships.members)]
        asked = ask_for_backup(self.visitor, member.row.pk, self.ships.location.pk)
        return Backup.objects.get(submission=asked.submission)

    def held(self) -> list[Backup]:
        """One backup per cluster, each held by a worker at its POST of the Backup."""
        self.ships.server.faults.add(Fault("hang", method="POST", path="/backups$", times=None))
        rows = [self.ask(number) for number in range(len(self.ships.members))]
        until(lambda: all(fresh(row).state == "submitting" for row in rows), lambda: stories(rows))
        time.sleep(0.5)  # from the write to the request
        return [fresh(row) for row in rows]

    def let_go(self) -> None:
        """The clusters answer again."""
        self.ships.server.faults.clear()

    def workers(self) -> dict[int, list[int]]:
        """The workers of `commands`, each with its children that have a job."""
        found = stack.processes_of(self.var, "rqworker", "commands")
        parents = [pid for pid in found if parent_of(pid) not in found]
        return {parent: [pid for pid in found if parent_of(pid) == parent] for parent in parents}

    def judge(self, report: Report, rows: list[Backup]) -> None:
        """Each has ended well and has one object."""
        names = [one["metadata"]["name"] for member in self.ships.members for one in member.velero.objects("backups")]
        wrong = [row for row in rows if names.count(row.object_name) != 1 or fresh(row).state != "completed"]
        report.say("lost_or_double", len(wrong), "= 0", n=len(rows))
        print(stories(wrong), flush=True)


@contextlib.contextmanager
def harbour(clusters: int) -> Iterator[Harbour]:
    """In a folder that is thrown away."""
    extra = {"WORKERS": str(clusters), "RECONCILERS": "2"}
    with (
        tempfile.TemporaryDirectory(prefix="drydock-harbour-") as folder,
        fleet(Path(folder), clusters=clusters, takes=0.2) as ships,
        stack.console(ships.var, extra) as url,
        logs_on_failure(ships.var),
    ):
        yield _signed_in(ships, url)


def _signed_in(ships: Fleet, url: str) -> Harbour:
    from bench.faults import history

    history.install()
    visitor = Visitor(url)
    visitor.sign_in(stack.EMAIL, PASSWORD)
    return Harbour(ships, visitor)


def fresh(backup: Backup) -> Backup:
    """The row as it is now."""
    return type(backup)._default_manager.get(pk=backup.pk)


def ended(backup: Backup) -> Backup:
    """The row once it has ended. Raises TimeoutError with its story."""
    until(lambda: not fresh(backup).is_open, lambda: stories([backup]))
    return fresh(backup)


def stories(rows: list[Backup]) -> str:
    from bench.faults import history

    return "\n".join(history.story(fresh(row)) for row in rows)


def until(over: Callable[[], bool], told: Callable[[], str], seconds: float = PATIENCE) -> float:
    """Wait until it is over; how many seconds that took. Raises TimeoutError with what there is to tell."""
    began = time.monotonic()
    while not over():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"waited for {seconds:.0f} s\n{told()}")
        time.sleep(0.05)
    return time.monotonic() - began


def parent_of(pid: int) -> int:
    """0 when the process has ended meanwhile."""
    try:
        return int(Path(f"/proc/{pid}/status").read_text().split("PPid:")[1].split()[0])
    except FileNotFoundError:
        return 0
