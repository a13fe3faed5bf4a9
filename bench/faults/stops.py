"""R12: orderly ends. A worker that is told to stop finishes its job or hands it back. Processes restart one after
another while people ask for backups, and nobody is forgotten. Two reconcilers share the clusters.

The control is a worker that waits for its job as long as that takes, as RQ's own does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench import stack
from bench.faults import plain
from bench.faults.harbour import Harbour, ended, fresh, harbour, stories, until
from bench.report import Report, quantile

if TYPE_CHECKING:
    from backups.models import Backup

END_WITHIN = 10.0  # seconds from SIGTERM
WORKERS = 2
RESTARTED = (("gunicorn",), ("rqworker", "commands"), ("rqworker", "interactive"), ("manage.py reconcile",))


def check(*, full: bool, seed: int) -> Report:
    """Jobs held while their workers are stopped; then every process restarted under load, three times at full size."""
    report = Report("R12", "orderly stop, rolling restart, shared clusters", full)
    with harbour(WORKERS) as here:
        _shared(report)
        _stop_with_jobs(report, here)
        _restart_under_load(report, here, rounds=3 if full else 1)
        _stock_worker(report, here)
    return report


def _shared(report: Report) -> None:
    """Both reconcilers have clusters: as many as the other, or one more."""
    from workspaces.models import Cluster

    def holders() -> set[str]:
        return set(Cluster.objects.exclude(watched_by="").values_list("watched_by", flat=True))

    until(lambda: len(holders()) == 2, lambda: f"watched by {holders()}", 30)
    report.say("reconcilers_with_clusters", len(holders()), "= 2", n=Cluster.objects.count())


def _stop_with_jobs(report: Report, here: Harbour) -> None:
    """SIGTERM while a job hangs: gone in time, and the row is taken on long before its lease runs out."""
    held = here.held()
    here.let_go()  # others are answered from here on; what hangs goes on hanging
    parents, began = [*here.workers()], time.monotonic()
    for pid in parents:
        os.kill(pid, signal.SIGTERM)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in parents), lambda: f"still there: {parents}")
    report.say("stopped_after", time.monotonic() - began, f"<= {END_WITHIN:.0f}", unit="s", n=len(parents))
    until(lambda: all(fresh(row).attempt > row.attempt for row in held), lambda: stories(held))
    report.say("next_attempt_after", time.monotonic() - began, "<= 15", unit="s", n=len(held), reference="lease 20 s")
    here.judge(report, [ended(row) for row in held])


def _restart_under_load(report: Report, here: Harbour, rounds: int) -> None:
    """SIGTERM one process after another, each when the one before is back; SIGHUP for the web process."""
    until(_all_well, lambda: "a cluster is still in trouble")
    asked: list[Backup] = []
    over = threading.Event()
    load = threading.Thread(target=_keep_asking, args=(here, asked, over))
    load.start()
    restarts = [_restart(here, pid) for _ in range(rounds) for kind in RESTARTED for pid in _parents(here, kind)]
    over.set()
    load.join()
    report.say("restarts", len(restarts), ">= 5", n=len(restarts))
    report.say("restart_slowest", max(restarts), f"<= {END_WITHIN:.0f}", unit="s", n=len(restarts))
    waits = [(row.submitted_at - row.created_at).total_seconds() for row in map(ended, asked) if row.submitted_at]
    report.say("click_to_object_slowest", quantile(waits, 1.0), "<= 30", unit="s", n=len(waits))
    here.judge(report, asked)


def _all_well() -> bool:
    """Whether no cluster is left alone any more."""
    from workspaces.models import Cluster

    return not Cluster.objects.exclude(retry_at=None).exists()


def _keep_asking(here: Harbour, asked: list[Backup], over: threading.Event) -> None:
    from django.db import connection

    while not over.wait(0.3):
        asked.append(here.ask(len(asked)))
    connection.close()


def _parents(here: Harbour, kind: tuple[str, ...]) -> list[int]:
    """Processes that supervisord started, not their children."""
    from bench.faults.harbour import parent_of

    found = stack.processes_of(here.var, *kind)
    return [pid for pid in found if parent_of(pid) not in found]


def _restart(here: Harbour, pid: int) -> float:
    """Seconds until it has ended; then wait until somebody is in its place."""
    command = stack.processes_of(here.var)[pid]
    if "gunicorn" in command:
        os.kill(pid, signal.SIGHUP)
        time.sleep(2)
        return 0.0
    began = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    took = until(lambda: not Path(f"/proc/{pid}").exists(), lambda: f"still there: {command}")
    until(lambda: command in stack.processes_of(here.var).values(), lambda: f"not back: {command}")
    time.sleep(max(0.0, 2 - (time.monotonic() - began)))
    return took


def _stock_worker(report: Report, here: Harbour) -> None:
    """What RQ's own worker does with a job of 20 seconds when it is told to stop."""
    program = "import sys\nfrom bench.faults import plain\nplain.work(sys.argv[1])"
    valkey = str(here.var / "valkey.sock")
    worker = subprocess.Popen([sys.executable, "-c", program, valkey], cwd=stack.CHECKOUT, start_new_session=True)
    plain.send_slow(valkey, 20)
    time.sleep(4)
    worker.send_signal(signal.SIGTERM)
    time.sleep(END_WITHIN)
    stays = worker.poll() is None
    stack.kill(*stack.processes_of(here.var, "bench.faults", "plain"))
    worker.wait()
    report.control("RQ's own worker", failed=stays, detail=f"still there after {END_WITHIN:.0f} s: {stays}")
