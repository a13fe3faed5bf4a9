"""R7: the embedded Valkey is flushed and killed at random instants while people ask for backups; nothing is lost or
doubled, and every wish is in its cluster within 30 seconds.

The control is the same console while its reconciler is stopped: a message sent on commit, and nobody who looks again.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from bench import stack
from bench.faults.campaign import RECONCILER, WORKER, judge
from bench.faults.load import Asked
from bench.faults.simulated import Site, arrivals, at_work, within
from bench.fleet import fleet
from bench.report import Report, quantile

CLUSTERS = 6
RATE = 3.0  # requests a second
WITHIN = 30  # seconds from click to object
PATIENCE = 60.0
PLAIN, PLAIN_WAIT = 10, 5.0  # requests of the control, and seconds until they count as lost


def check(*, full: bool, seed: int) -> Report:
    """200 requests, 20 flushes and 20 kills at full size; 40, 3 and 3 reduced."""
    report = Report("R7", "Valkey flushed and killed under load", full)
    requests, each = (200, 20) if full else (40, 3)
    with _ground() as site:
        vandal = Vandal(site, seed, each, requests / RATE)
        vandal.start()
        asked = _load(site, seed, requests)
        vandal.join()
        site.all_seen(asked, PATIENCE)
        delays = [site.delay(one) for one in asked]
        report.say("flushes", vandal.flushes, f">= {each}")
        report.say("kills", vandal.kills, f">= {each}")
        report.say("click_to_object_p100", max(delays), f"<= {WITHIN}", unit="s", n=len(delays))
        report.say("click_to_object_p50", quantile(delays, 0.5), unit="s", n=len(delays))
        lost, asked_in_control = _control(site)
        judge(report, site, asked + asked_in_control)
    report.control("the reconciler stopped", failed=lost > 0, detail=f"lost {lost} of {PLAIN} until it went on")
    return report


@contextlib.contextmanager
def _ground() -> Iterator[Site]:
    folder = tempfile.TemporaryDirectory(prefix="drydock-r7-")
    with folder, fleet(Path(folder.name), CLUSTERS, takes=0.5) as ships, at_work(ships) as site:
        yield site


def _load(site: Site, seed: int, count: int) -> list[Asked]:
    """People who ask for backups of clusters chosen at random."""
    choose, asked = random.Random(seed), list[Future[Asked]]()
    for _ in arrivals(choose, RATE, 10 * count / RATE):
        asked.append(site.ask(choose.choice(site.fleet.members).row))
        if len(asked) == count:
            break
    return [one.result() for one in asked]


class Vandal(threading.Thread):
    """Flushes and kills Valkey, `each` as often, in an order and at instants that depend on the seed alone."""

    def __init__(self, site: Site, seed: int, each: int, seconds: float) -> None:
        super().__init__(name="vandal", daemon=True)
        self.var = site.fleet.var
        choose = random.Random(seed + 1)
        self.deeds = [self.flush, self.kill] * each
        choose.shuffle(self.deeds)
        self.pauses = [choose.expovariate(len(self.deeds) / seconds) for _ in self.deeds]
        self.flushes = self.kills = 0

    def run(self) -> None:
        for pause, deed in zip(self.pauses, self.deeds, strict=True):
            time.sleep(pause)
            within(PATIENCE, deed)  # it may not be up again from the last time

    def flush(self) -> bool:
        """Whether there was one to flush."""
        done = bool(told(self.var, "flushall"))
        self.flushes += done
        return done

    def kill(self) -> bool:
        """Whether there was one to kill."""
        there = told(self.var, "info", "server")
        if there:
            stack.kill(there["process_id"])
        self.kills += bool(there)
        return bool(there)


def told(var: Path, command: str, *words: str) -> Any:
    """What Valkey answers; nothing when it is not there."""
    try:
        with Redis(unix_socket_path=str(var / "valkey.sock"), retry=Retry(NoBackoff(), 0)) as connection:
            return getattr(connection, command)(*words)
    except RedisError:
        return None


def _control(site: Site) -> tuple[int, list[Asked]]:
    """How many wishes stay undone when messages are lost and nobody looks again; what was asked for."""
    var = site.fleet.var
    _signal(var, RECONCILER, signal.SIGSTOP)
    _signal(var, WORKER, signal.SIGSTOP)
    asked = [one.result() for one in [site.ask(site.fleet.members[n % CLUSTERS].row) for n in range(PLAIN)]]
    told(var, "flushall")
    _signal(var, WORKER, signal.SIGCONT)
    site.all_seen(asked, PLAIN_WAIT)
    lost = sum(one.name not in site.seen for one in asked)
    _signal(var, RECONCILER, signal.SIGCONT)
    return lost, asked


def _signal(var: Path, words: tuple[str, ...], number: signal.Signals) -> None:
    for pid in stack.processes_of(var, *words):
        os.kill(pid, number)
