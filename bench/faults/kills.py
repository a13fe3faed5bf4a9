"""R1: processes are SIGKILLed at random instants while people ask for backups and restores; nothing is lost or doubled.

Real clusters, real Velero, real S3, two reconcilers and two workers on `commands`. The control is the plain way: a
message after commit, a worker on two queues, and nobody who looks again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial

from bench.faults import plain
from bench.faults.campaign import RECONCILER, WEB, WORKER, Killer, Site, at_once, judge, real_site
from bench.faults.load import Asked, ask_for_backup, ask_for_restore, pauses
from bench.report import Report

HANDS = 3
RESTORES = 0.2  # of all wishes


def check(*, full: bool, seed: int) -> Report:
    """300 wishes and 300 kills at full size, 100 and 100 reduced."""
    report = Report("R1", "kills of web, workers and reconcilers at random instants", full)
    count = 300 if full else 100
    with real_site({"RECONCILERS": "2"}) as site:
        wishes = _wishes(site, seed, count)
        killer = Killer(site.var, seed, count, 1.0, {WEB: 1, WORKER: 3, RECONCILER: 2})
        killer.start()
        asked = at_once(wishes, HANDS)
        killer.join()
        began = time.monotonic()
        judge(report, site, asked)
        report.say("kills", killer.killed.total(), f">= {count}")
        report.note(", ".join(f"{kind}: {times}" for kind, times in sorted(killer.killed.items())))
        report.note(f"ended {time.monotonic() - began:.0f} s after the last kill; seed {seed}")
        lost = plain.lost(site.var / "valkey.sock", seed, jobs=60, kills=20)
        report.control("plain enqueue to a worker on two queues", failed=lost > 0, detail=f"lost {lost} of 60")
    return report


def _wishes(site: Site, seed: int, count: int) -> list[Callable[[], Asked]]:
    """What people will ask for, one after another, each after a pause."""
    choose = random.Random(seed)
    source = _completed_backup(site)
    visitor = site.visitor()
    clusters = [site.fleet.east.pk, site.fleet.west.pk]
    jobs: list[Callable[[], Asked]] = []
    for pause in pauses(seed, count, HANDS * 1.0):
        target = choose.choice(clusters)
        if choose.random() < RESTORES:
            jobs.append(partial(_after, pause, partial(ask_for_restore, visitor, source, target)))
        else:
            jobs.append(partial(_after, pause, partial(ask_for_backup, visitor, target, site.fleet.location.pk)))
    return jobs


def _completed_backup(site: Site) -> str:
    """Something to restore from."""
    from backups.models import Backup
    from bench import mainjob

    visitor, east, location = site.visitor(), site.fleet.east.pk, site.fleet.location.pk
    asked = ask_for_backup(visitor, east, location, cluster_resources="auto")
    return str(mainjob.completed(mainjob.finished(Backup.objects.get(submission=asked.submission))).pk)


def _after(seconds: float, act: Callable[[], Asked]) -> Asked:
    time.sleep(seconds)
    return act()
