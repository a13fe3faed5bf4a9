"""P10: pages a second under gunicorn, beside fifty rows in plain Django under the same gunicorn.

Both are up at the same time, on one PostgreSQL, with the same workers and threads; loads of a fixed number of requests
are taken in turn. The client is on the same machine and costs both the same.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from bench import postgres
from bench.report import Report
from bench.stack import CHECKOUT, end, environment, free_port
from console.lib import keys

BOUND = 0.6
VISITORS = 8
OURS, BARE = "console.wsgi", "bench.speed.bare:application_of_gunicorn()"
CLUSTERS, BACKUPS = 10, 1000
READY_WITHIN, ANSWER_WITHIN = 60.0, 10.0  # seconds
SLOW = "bench.speed.throughput:slowed_down()"


def check(*, full: bool, seed: int) -> Report:
    """Five rounds of 200 requests at full size, three of 60 reduced."""
    report = Report("P10", "pages a second under gunicorn, beside plain Django", full)
    rounds, count = (5, 200) if full else (3, 60)
    with _ground() as (env, cookie, pages), _served(BARE, env) as bare, _served(OURS, env) as ours:
        usual = []
        for name, page in pages.items():
            mine, theirs = _in_turn(rounds, (ours, page), (bare, "/rows/"), cookie, count)
            usual.append(median(theirs))
            reference, ratio = f"plain Django {median(theirs):.0f} a second", median(map(_share, mine, theirs))
            report.say(f"{name}_ratio", ratio, f">= {BOUND}", reference=reference, n=rounds * count)
            report.say(f"{name}_a_second", median(mine), n=rounds * count)
        with _served(SLOW, env) as slow:
            held = _load(slow, next(iter(pages.values())), cookie, count // 4) / median(usual)
        report.control("a pause of 0.1 s in every page", failed=held < BOUND, detail=f"ratio {held:.2f}")
    return report


def _share(mine: float, theirs: float) -> float:
    return mine / theirs


def _in_turn(
    rounds: int, ours: tuple[int, str], bare: tuple[int, str], cookie: str, count: int
) -> tuple[list[float], list[float]]:
    """Requests a second of each round; who goes first alternates."""
    found: tuple[list[float], list[float]] = [], []
    for where in (ours, bare):
        _load(*where, cookie, VISITORS * 4)  # each thread has its connection and its templates
    for turn in range(rounds):
        for which in (0, 1) if turn % 2 else (1, 0):
            found[which].append(_load(*(ours, bare)[which], cookie, count))
    return found


def _load(port: int, page: str, cookie: str, count: int) -> float:
    """Requests a second of `count` by VISITORS at once, each on a connection that is kept."""
    left, wrong = iter(range(count)), list[str]()
    lock = threading.Lock()

    def visit() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_WITHIN)
        while True:
            with lock:
                if next(left, None) is None:
                    return connection.close()
            connection.request("GET", page, headers={"Cookie": cookie})
            answer = connection.getresponse()
            if b"</table>" not in answer.read() or answer.status != http.client.OK:
                wrong.append(f"{page} answered {answer.status}")

    threads, began = [threading.Thread(target=visit) for _ in range(VISITORS)], time.perf_counter()
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong, wrong[0]
    return count / (time.perf_counter() - began)


@contextlib.contextmanager
def _ground() -> Iterator[tuple[dict[str, str], str, dict[str, str]]]:
    """The environment of a filled console, the cookie of a Tenant Admin, and the pages by name."""
    with postgres.server() as server, tempfile.TemporaryDirectory() as var:
        env = environment(Path(var), 0) | {"DATABASE_URL": server.url, "LOG_LEVEL": "ERROR"}
        keys.ensure(Path(var))
        command = [sys.executable, "-m", "bench.speed.throughput"]
        done = subprocess.run(command, cwd=CHECKOUT, env=env, stdout=subprocess.PIPE, text=True, check=True)
        cookie, pages = json.loads(done.stdout.splitlines()[-1])
        yield env, cookie, pages


@contextlib.contextmanager
def _served(application: str, env: dict[str, str]) -> Iterator[int]:
    """The port of an application as gunicorn serves the console."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "gunicorn"), "-c", "python:console.webserver"]
    process = subprocess.Popen([*command, "--bind", f"127.0.0.1:{port}", application], cwd=CHECKOUT, env=env)
    try:
        _wait(port, process)
        yield port
    finally:
        end(process)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + READY_WITHIN
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_WITHIN)
            connection.request("GET", "/healthz")
            return connection.getresponse().close()
        time.sleep(0.1)
    raise RuntimeError("gunicorn did not come up")


def slowed_down() -> Any:
    """The console, each of whose answers takes a tenth of a second longer."""
    from console.wsgi import application

    def slow(*asked: Any) -> Any:
        time.sleep(0.1)
        return application(*asked)

    return slow


def _fill() -> None:
    """In a process of its own, on the database of the environment; prints what `_ground` gives."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.test import Client
    from django.urls import reverse

    from bench.speed.rows import fill

    call_command("migrate", verbosity=0, interactive=False)
    call_command("collectstatic", verbosity=0, interactive=False)
    made, browser = fill(CLUSTERS, BACKUPS), Client()
    browser.force_login(made.people["T"])
    pages = {"cluster_backups": made.clusters[0].pk, "cluster_list": made.project.pk, "audit_list": made.tenant.pk}
    addresses = {name: reverse(name, args=[pk]) for name, pk in pages.items()}
    print(json.dumps([f"sessionid={browser.cookies['sessionid'].value}", addresses]))


if __name__ == "__main__":
    _fill()
