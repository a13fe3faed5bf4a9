"""P5: list pages of a large console on PostgreSQL: 100,000 backups, 1,000 clusters, 50 people with roles.

Pages are asked for through the whole of Django, without a network; nothing is noted down of how they are rendered, as
Django's test environment would, which takes as long as the rendering. The reference is the same page at a hundredth of
the size, in a database of its own on the same server.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from unittest import mock

from bench import postgres
from bench.report import Report, quantile
from bench.speed.rows import Large, fill
from bench.stack import CHECKOUT, environment
from console.lib import keys

if TYPE_CHECKING:
    from accounts.models import User

PROMPT, QUERIES, GROWTH = 0.05, 8, 2.0  # bounds; the first in seconds
NO_LIST = "project_overview"  # several lists on one page, each of the newest few


@dataclass(frozen=True)
class Seen:
    """One page for one person: seconds of each request, and how many queries it took."""

    took: list[float]
    queries: int


def check(*, full: bool, seed: int) -> Report:
    """1,000 clusters and 100,000 backups beside 10 and 1,000; reduced a tenth of each."""
    report = Report("P5", "list pages of a large console", full)
    large, small = ((1000, 100_000), (10, 1000)) if full else ((100, 10_000), (10, 1000))
    here, there = _measured(*large, full), _measured(*small, full)
    for name, seen in here.items():
        before = there[name]
        p95, reference = quantile(seen.took, 0.95), f"{large[0] // small[0]} times smaller {median(before.took):.3f} s"
        report.say(f"{name}_p95", p95, f"<= {PROMPT}", unit=" s", n=len(seen.took))
        report.say(f"{name}_growth", median(seen.took) / median(before.took), f"<= {GROWTH}", reference=reference)
        bound = "" if name.startswith(NO_LIST) else f"<= {QUERIES}"
        report.say(f"{name}_queries", max(seen.queries, before.queries), bound)
    slow = _measured(*small, full, planted=True)["cluster_backups_T"]
    report.control("a query for every row", failed=slow.queries > QUERIES, detail=f"{slow.queries} queries")
    return report


def _measured(clusters: int, backups: int, full: bool, *, planted: bool = False) -> dict[str, Seen]:
    """In a process of its own: settings name one database."""
    with postgres.server() as server, tempfile.TemporaryDirectory() as var:
        words = [str(word) for word in (clusters, backups, 40 if full else 15, int(planted), var)]
        env = environment(Path(var), 0) | {"DATABASE_URL": server.url, "LOG_LEVEL": "ERROR"}
        command = [sys.executable, "-m", "bench.speed.pages", *words]
        done = subprocess.run(command, cwd=CHECKOUT, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return {name: Seen(**found) for name, found in json.loads(done.stdout.splitlines()[-1]).items()}


def _main(clusters: int, backups: int, times: int, planted: bool, var: str) -> None:
    import django

    keys.ensure(Path(var))
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)
    made = fill(clusters, backups)
    pages = {f"{name}_{who}": (who, page) for who, name, page in _pages(made)}
    with mock.patch("django.contrib.staticfiles.storage.staticfiles_storage.url", lambda name: f"/static/{name}"):
        found = {name: vars(_seen(made.people[who], page, times, planted)) for name, (who, page) in pages.items()}
    print(json.dumps(found))


def _pages(made: Large) -> Iterator[tuple[str, str, str]]:
    """Who asks, the page's name, and its address."""
    from django.urls import reverse

    project, cluster, space, tenant = made.project.pk, made.clusters[0].pk, made.workspaces[0].pk, made.tenant.pk
    of = dict.fromkeys(("project_overview", "cluster_list", "location_list", "workspace_list"), project)
    of |= dict.fromkeys(("cluster_backups", "cluster_restores"), cluster)
    asked = [(who, name, of[name]) for who, name in itertools.product("TV", of)]
    asked += [("O", "workspace_list", project)]
    asked += [("O", name, space) for name in ("workspace_backups", "workspace_restores", "workspace_members")]
    asked += [("T", name, tenant) for name in ("project_list", "user_list", "team_list", "audit_list")]
    yield from ((who, name, reverse(name, args=[pk])) for who, name, pk in asked)


def _seen(user: User, page: str, times: int, planted: bool) -> Seen:
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    client.get(page)  # notes in the session where one was last
    with _query_for_each_row(planted), CaptureQueriesContext(connection) as queries:
        assert client.get(page).status_code == 200, page
        count = len(queries)
    return Seen([_once(client, page) for _ in range(times)], count)


def _once(client: Any, page: str) -> float:
    began = time.perf_counter()
    client.get(page)
    return time.perf_counter() - began


def _query_for_each_row(planted: bool) -> Any:
    """The classic mistake: what is shown beside a row is looked up row by row."""
    from django.db.models import QuerySet

    plain = QuerySet.select_related
    forgets = mock.patch.object(QuerySet, "select_related", lambda rows, *names: plain(rows, None))
    return forgets if planted else mock.patch.object(QuerySet, "select_related", plain)


if __name__ == "__main__":
    given = sys.argv[1:]
    _main(int(given[0]), int(given[1]), int(given[2]), bool(int(given[3])), given[4])
