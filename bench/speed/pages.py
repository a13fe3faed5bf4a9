"""P5: list pages of a large console on PostgreSQL: 100,000 backups, 1,000 clusters, 50 people with roles.

Pages are asked for through the whole of Django, without a network. The reference is the same page at a hundredth of
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
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from unittest import mock

from bench import postgres
from bench.report import Report, quantile
from bench.stack import CHECKOUT, environment
from console.lib import keys

if TYPE_CHECKING:
    from accounts.models import User
    from backups.models import BackupLocation
    from workspaces.models import Cluster, Project

PROMPT, QUERIES, GROWTH = 0.05, 8, 2.0  # bounds; the first in seconds
PEOPLE = 50
NO_LIST = "project_overview"  # several lists on one page, each of the newest few
FOREIGN = 0.5  # of all clusters are another project's


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
    from django.test.utils import setup_test_environment

    call_command("migrate", verbosity=0, interactive=False)
    setup_test_environment()
    people, pages = _console(clusters, backups)
    with mock.patch("django.contrib.staticfiles.storage.staticfiles_storage.url", lambda name: f"/static/{name}"):
        found = {f"{name}_{who}": vars(_seen(people[who], page, times, planted)) for (name, who), page in pages.items()}
    print(json.dumps(found))


def _console(clusters: int, backups: int) -> tuple[dict[str, User], dict[tuple[str, str], str]]:
    """Everything in rows; people by letter, and the addresses of pages by name and who asks."""
    from django.db import connection
    from django.urls import reverse

    from accounts.actions.tenant import create_tenant
    from accounts.roles import ProjectViewer, TenantAdmin, WorkspaceOperator
    from tests.conftest import make_location
    from tests.people import give, person
    from workspaces.actions.project import create_project
    from workspaces.models import Workspace

    tenant = create_tenant(by=None, name="Harbor")
    project, other = (create_project(by=None, tenant=tenant, name=name) for name in ("Default", "Other"))
    made = _clusters(project, clusters - int(clusters * FOREIGN)) + _clusters(other, int(clusters * FOREIGN))
    spaces = [Workspace.objects.create(project=project, name=f"space-{number}") for number in range(min(20, clusters))]
    for space, cluster in zip(spaces, made, strict=False):
        space.clusters.add(cluster)
    _backups(made, make_location(project), backups, spaces)
    people = {"T": person("t", role=TenantAdmin, on=tenant), "V": person("v", role=ProjectViewer, on=project)}
    people["O"] = person("o", role=WorkspaceOperator, on=spaces[0])
    for number in range(PEOPLE - 3):
        somebody = person(f"p{number}", role=WorkspaceOperator, on=spaces[number % len(spaces)])
        give(somebody, WorkspaceOperator, spaces[(number + 1) % len(spaces)])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    here = {name: reverse(name, args=[project.pk]) for name in ("project_overview", "cluster_list", "location_list")}
    here |= {name: reverse(name, args=[made[0].pk]) for name in ("cluster_backups", "cluster_restores")}
    return people, {(name, who): page for (name, page), who in itertools.product(here.items(), "TV")}


def _clusters(project: Project, count: int) -> list[Cluster]:
    from tests.conftest import make_cluster

    return [make_cluster(project, f"cluster-{number:04}") for number in range(count)]


def _backups(clusters: list[Cluster], location: BackupLocation, count: int, spaces: list[Any]) -> None:
    """Spread over all clusters, ten times as many on the first; each has ended."""
    from django.utils import timezone

    from backups.models import Backup

    now, each = timezone.now(), count // (len(clusters) + 9)

    def rows() -> Iterator[Backup]:
        for index, cluster in enumerate(clusters):
            for number in range(each * 10 if not index else each):
                ended = now - timedelta(hours=number)
                yield Backup(
                    project=cluster.project, cluster=cluster, location=location, name=f"nightly-{number}",
                    object_name=f"nightly-{index}-{number}", keep_for=timedelta(days=30), state="completed",
                    workspace=spaces[0] if not index and not number % 3 else None, due_at=None,
                    started_at=ended, finished_at=ended, requested_by_name="somebody",
                )  # fmt: skip

    for batch in _batched(rows(), 2000):
        Backup.objects.bulk_create(batch)


def _batched(rows: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while batch := list(itertools.islice(rows, size)):
        yield batch


def _seen(user: User, page: str, times: int, planted: bool) -> Seen:
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client()
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
