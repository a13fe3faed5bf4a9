"""R3: how long a row waits when the worker that holds it is killed, from SIGKILL to the next worker's claim.

Jobs are held at their request to the cluster, so that they are at work when they die. Half of them die with their
parent; of the others the parent alone dies, and the child is left behind, stopped, until the next worker is done. Then
it goes on, and what it has to say is refused (R4, here on real processes). The control has no reconciler.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench import stack
from bench.faults.harbour import Harbour, ended, fresh, harbour, stories, until
from bench.report import Report, quantile

if TYPE_CHECKING:
    from backups.models import Backup

BOUND = 30.0  # seconds
WORKERS = 4


def check(*, full: bool, seed: int) -> Report:
    """32 kills at full size, 4 reduced."""
    report = Report("R3", "from the kill of a worker to the next attempt", full)
    with harbour(WORKERS) as here:
        waits = [wait for _ in range(8 if full else 1) for wait in _round(report, here)]
        report.say("next_attempt_p99", quantile(waits, 0.99), f"<= {BOUND:.0f}", unit="s", n=len(waits))
        report.say("next_attempt_median", quantile(waits, 0.5), unit="s", n=len(waits))
        _control(report, here)
    return report


def _round(report: Report, here: Harbour) -> list[float]:
    """Hold a job in every worker, kill them all; seconds to the next attempt of each row."""
    held = here.held()
    orphans = _kill_workers(here)
    killed = time.monotonic()
    here.let_go()
    waits = [_next_attempt(backup, killed) for backup in held]
    rows = [ended(backup) for backup in held]
    _let_go_on(orphans)
    late = [row for row in rows if fresh(row).updated_at != row.updated_at]
    report.say("written_by_orphans", len(late), "= 0", n=len(orphans), reference=f"{len(rows)} rows")
    print(stories(late), flush=True)
    here.judge(report, rows)
    return waits


def _kill_workers(here: Harbour) -> list[int]:
    """Kill every worker; of every second one the parent alone. The children that were left behind, stopped.

    Parents go first: the kernel ends a group that is stopped when it loses its parent.
    """
    left: list[int] = []
    for number, (parent, children) in enumerate(here.workers().items()):
        stack.kill(parent)
        if number % 2:
            until(lambda: not Path(f"/proc/{parent}").exists(), lambda: "a killed parent is still there")  # noqa: B023
            left += children
        for child in children:
            os.kill(child, signal.SIGSTOP if number % 2 else signal.SIGKILL)
    return left


def _next_attempt(backup: Backup, since: float) -> float:
    until(lambda: fresh(backup).attempt > backup.attempt, lambda: stories([backup]))
    return time.monotonic() - since


def _let_go_on(orphans: list[int]) -> None:
    """Children without a parent go on, and end by themselves."""
    for pid in orphans:
        os.kill(pid, signal.SIGCONT)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in orphans), lambda: f"still there: {orphans}")


def _control(report: Report, here: Harbour) -> None:
    """Without a reconciler nobody looks again: RQ gives a killed worker's job back after 810 seconds."""
    held = here.held()
    reconcilers = stack.processes_of(here.var, "manage.py reconcile")
    for pid in reconcilers:
        os.kill(pid, signal.SIGSTOP)
    stack.kill(*stack.processes_of(here.var, "rqworker", "commands"))
    here.let_go()
    time.sleep(BOUND)
    waiting = sum(fresh(backup).attempt == backup.attempt for backup in held)
    for pid in reconcilers:
        os.kill(pid, signal.SIGCONT)
    detail = f"{waiting} of {len(held)} still wait after {BOUND:.0f} s"
    report.control("no reconciler", failed=waiting > 0, detail=detail)
