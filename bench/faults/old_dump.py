"""R10: the console's database is lost and an old copy of it is put back; nothing is forgotten and nothing made again.

1. Backups and restores are made; some are asked for and not sent yet; the database is copied as the README says.
2. More are made: into the other cluster, from there, some that run and some that are not sent when the console stops.
3. The console stops, the copy is put back, the console starts. Every object in the clusters must have its row again,
   with what the lost row said, and no object may have been made, replaced or removed.

Real clusters, real Velero, the console's real processes; SQLite, and at full size PostgreSQL, too. The control is a
reconciler that adopts nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from unittest import mock

import django

from bench import mainjob, postgres, stack
from bench.faults.campaign import Site, logs_on_failure
from bench.report import Report
from sandbox import sample

if TYPE_CHECKING:
    from backups.models import Backup, Restore, VeleroWish
    from workspaces.models import Cluster

WITHIN = 180.0  # seconds from the start to the last row: two looks at each cluster, and a busy machine
COLUMNS = (
    *("project_id", "cluster_id", "object_name", "cluster_resources", "requested_by_name"),
    *("state", "phase", "object_uid", "items_done", "items_total", "errors", "warnings", "started_at", "completed_at"),
)
OF_BACKUP = ("name", "location_id", "include_disks", "keep_for")
OF_RESTORE = ("backup_id", "namespace_mapping", "restore_volumes", "preserve_node_ports", "existing_objects")
MOVING = frozenset({"state", "phase", "items_done", "items_total", "errors", "warnings", "started_at", "completed_at"})
PLACE = ("location_id", "cluster_id", "source_id", "access", "object_name", "prefix")
FORGETFUL = """import django; django.setup()
from django.core.management import call_command
from backups.reconcile import readoption
readoption.readopt = lambda *_: None
call_command("reconcile")"""


class Store(Protocol):
    """The console's database, and how whoever runs it copies it and puts the copy back."""

    name: str
    environment: Mapping[str, str]

    def settings(self) -> dict[str, Any]:
        """Django's, for this process."""

    def copy(self) -> None:
        """Keep a copy, while the console runs."""

    def put_back(self) -> None:
        """Put the copy in the place of the database, with the console stopped."""


class Lite:
    """The embedded SQLite, copied by `manage.py backupconsole`."""

    name = "sqlite"
    environment: Mapping[str, str] = {}

    def __init__(self, var: Path) -> None:
        self.file, self.kept = var / "drydock.sqlite3", var / "copy"

    def settings(self) -> dict[str, Any]:
        from django.conf import settings

        options = dict(settings.SQLITE_OPTIONS)
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(self.file), "OPTIONS": options}

    def copy(self) -> None:
        command = [sys.executable, "manage.py", "backupconsole", str(self.kept)]
        subprocess.run(command, cwd=stack.CHECKOUT, check=True, stdout=subprocess.DEVNULL)

    def put_back(self) -> None:
        for beside in self.file.parent.glob("drydock.sqlite3*"):
            beside.unlink()
        shutil.copy(self.kept / self.file.name, self.file)


class Postgres:
    """PostgreSQL, copied by `pg_dump`."""

    name = "postgresql"

    def __init__(self, server: postgres.Server) -> None:
        self.server, self.kept = server, b""
        self.environment: Mapping[str, str] = {"DATABASE_URL": server.url}

    def settings(self) -> dict[str, Any]:
        import environ

        return dict(environ.Env.db_url_config(self.server.url))

    def copy(self) -> None:
        self.kept = self.server.dump()

    def put_back(self) -> None:
        self.server.load(self.kept)


@dataclass(frozen=True)
class Size:
    """How many of each are made: before the copy, not sent at the copy, after it, running when the console stops."""

    before: int
    waiting: int
    after: int
    running: int


def check(*, full: bool, seed: int) -> Report:
    """Both databases at full size, SQLite reduced; nothing here is random."""
    report = Report("R10", "the console's database restored from an old copy", full)
    size = Size(before=6, waiting=3, after=8, running=4) if full else Size(before=2, waiting=1, after=3, running=2)
    with tempfile.TemporaryDirectory(prefix="drydock-dump-") as folder:
        var = Path(folder)
        os.environ.update(stack.environment(var, 0))
        with stack.sandbox(var), logs_on_failure(var):
            _lose(report, var, Lite(var), size)
            if full:
                with postgres.server() as server:
                    _lose(report, var, Postgres(server), size)
    return report


def _lose(report: Report, var: Path, store: Store, size: Size) -> None:
    with stack.console(var, store.environment) as url:
        django.setup()
        with _rows_of(store):
            site = Site(var, url, mainjob.register(mainjob.wait_for_sandbox()))
            known = _until_the_copy(site, store, size)
            _after_the_copy(site, size)
    with _rows_of(store):
        lost, places = _rows(), _places()
        objects = _settled_objects(site)
    store.put_back()
    with stack.console(var, store.environment), _rows_of(store):
        _judge(report, store, site, Lost(known, lost, places, objects))
    store.put_back()
    with stack.console(var, {**store.environment, "RECONCILERS": "0"}), _rows_of(store):
        _control(report, var, store, objects)


@contextlib.contextmanager
def _rows_of(store: Store) -> Iterator[None]:
    """Point this process at the console's database."""
    from django.db import connections
    from django.db.utils import load_backend

    database, before = store.settings(), connections["default"]
    wrapper = load_backend(database["ENGINE"]).DatabaseWrapper({**connections.settings["default"], **database})
    connections["default"] = wrapper
    try:
        yield
    finally:
        wrapper.close()
        connections["default"] = before


# What is made


def _until_the_copy(site: Site, store: Store, size: Size) -> set[str]:
    """Finished ones, and some that nobody has sent yet; the ids that the copy knows."""
    fleet = site.fleet
    backups = [_back_up(site, fleet.east, f"before-{number}") for number in range(size.before)]
    restores = [_restore(site, mainjob.completed(mainjob.finished(backups[0])), fleet.east)]
    _all_ended([*backups, *restores])
    waiting = [_unsent(site, f"waiting-{number}") for number in range(size.waiting)]
    store.copy()
    for wish in waiting:
        _make_due(wish)
    _all_ended(waiting)
    return {str(wish.pk) for wish in (*backups, *restores, *waiting)}


def _after_the_copy(site: Site, size: Size) -> None:
    """What the copy knows nothing of; the last ones run, or are not even sent, when the console stops."""
    east, west = site.fleet.east, site.fleet.west
    backups = [_back_up(site, east, f"after-{number}") for number in range(size.after)]
    _all_ended(backups)
    _all_ended([_restore(site, backup, west) for backup in backups])
    _all_ended([_back_up(site, west, f"west-{number}") for number in range(size.after)])
    running = [_back_up(site, east, f"running-{number}", namespaces=[]) for number in range(size.running)]
    for wish in running:
        _until(lambda wish=wish: _fresh(wish).submitted_at is not None, 60)  # type: ignore[misc]
    _unsent(site, "never-sent")


def _back_up(site: Site, cluster: Cluster, name: str, **fields: Any) -> Backup:
    from backups.actions.backup import request_backup

    asked: dict[str, Any] = {
        "namespaces": sample.NAMESPACES,
        "cluster_resources": "always",
        "include_disks": False,
    } | fields
    location, week = site.fleet.location, timedelta(days=7)
    return request_backup(by=site.fleet.admin, cluster=cluster, location=location, name=name, keep_for=week, **asked)


def _restore(site: Site, backup: Backup, target: Cluster) -> Restore:
    from backups.actions.restore import request_restore

    asked: dict[str, Any] = {"cluster_resources": "always", "preserve_node_ports": True}
    return request_restore(by=site.fleet.admin, backup=_fresh(backup), target=target, **asked)


def _unsent(site: Site, name: str) -> Backup:
    """A wish whose message was lost, and whose next try is half a minute away."""
    from django.utils import timezone

    later = timezone.now() + timedelta(seconds=30)
    with mock.patch("console.lib.queue._send"), mock.patch("workspaces.models.wish.FIRST_REDRIVE", timedelta(hours=1)):
        wish = _back_up(site, site.fleet.east, name)
    type(wish).objects.filter(pk=wish.pk).update(due_at=later)
    return wish


def _make_due(wish: VeleroWish) -> None:
    from django.utils import timezone

    type(wish)._default_manager.filter(pk=wish.pk).update(due_at=timezone.now())


def _all_ended(wishes: list[Any]) -> None:
    for wish in wishes:
        mainjob.completed(mainjob.finished(wish))


def _fresh(wish: Any) -> Any:
    return type(wish)._default_manager.get(pk=wish.pk)


def _until(when: Callable[[], object], seconds: float) -> bool:
    """Whether it came about in time."""
    until = time.monotonic() + seconds
    while not when():
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


# What is there


@dataclass(frozen=True)
class Lost:
    """What there was when the console stopped: ids in the copy, rows, places, and objects by request."""

    known: set[str]
    rows: dict[str, dict[str, Any]]
    places: set[tuple[Any, ...]]
    objects: dict[str, list[tuple[str, str]]]


def _rows() -> dict[str, dict[str, Any]]:
    """What every row says, by its id."""
    from backups.models import Backup, Restore

    found = {}
    for model, columns in ((Backup, OF_BACKUP), (Restore, OF_RESTORE)):
        for row in model.objects.all():
            said = {name: getattr(row, name) for name in (*COLUMNS, *columns)}
            found[str(row.pk)] = said | {"namespaces": sorted(row.namespaces), "open": row.is_open}
    return found


def _places() -> set[tuple[Any, ...]]:
    from backups.models import PlacedLocation

    return set(PlacedLocation.objects.values_list(*PLACE))


def _objects(site: Site) -> dict[str, list[tuple[str, str]]]:
    """Name and uid of every object in its own cluster, by the request it carries."""
    found: dict[str, list[tuple[str, str]]] = {}
    for plural in ("backups", "restores"):
        for request, objects in site.objects(plural).items():
            found[request] = [(one["metadata"]["name"], one["metadata"]["uid"]) for one in objects]
    return found


def _settled_objects(site: Site) -> dict[str, list[tuple[str, str]]]:
    """The same once Velero, which nobody stopped, has finished with all of them."""
    from backups.lifecycle import TERMINAL, state_of_phase

    def running() -> list[str]:
        objects = [one for plural in ("backups", "restores") for many in site.objects(plural).values() for one in many]
        phases = [one.get("status", {}).get("phase", "") for one in objects]
        return [phase for phase in phases if state_of_phase(phase) not in TERMINAL]

    _until(lambda: not running(), 180)
    return _objects(site)


# What must be so


def _judge(report: Report, store: Store, site: Site, lost: Lost) -> None:
    """Wait for the rows, then hold them against the lost ones and the objects against what they were."""
    began = time.monotonic()
    wanted = lost.objects.keys()
    _until(lambda: wanted <= {key for key, row in _rows().items() if not row["open"]}, WITHIN)
    took, rows, objects = time.monotonic() - began, _rows(), _objects(site)
    unknown = wanted - lost.known
    again = unknown & rows.keys()
    differing = [key for key in wanted if _differs(lost.rows.get(key), rows.get(key))]
    made = [key for key in objects if objects[key] != lost.objects.get(key)]
    name = store.name
    report.say(f"{name}_re_adopted", len(again), f"= {len(unknown)}", n=len(unknown))
    report.say(f"{name}_re_created", len(made) + len(wanted - objects.keys()), "= 0", n=len(wanted))
    report.say(f"{name}_rows_that_disagree", len(differing), "= 0", n=len(wanted))
    report.say(f"{name}_places_that_disagree", len(lost.places ^ _places()), "= 0", n=len(lost.places))
    report.say(f"{name}_rows_without_object", len(rows.keys() - wanted), "= 0", n=len(rows))
    report.note(f"{name}: all rows there {took:.0f} s after the console was up")
    for key in differing[:5]:
        print(f"  {key}\n    lost: {lost.rows.get(key)}\n    now:  {rows.get(key)}", flush=True)
    _works_again(report, store, site, lost)


def _differs(before: dict[str, Any] | None, now: dict[str, Any] | None) -> bool:
    """Whether the row says something else; what was still moving when the console stopped has moved on since."""
    if before is None or now is None or now["open"]:
        return True
    ignored = MOVING | {"open"} if before["open"] else {"open"}
    return any(before[name] != now[name] for name in before if name not in ignored)


def _works_again(report: Report, store: Store, site: Site, lost: Lost) -> None:
    """The clusters are used as before, at the places that are there."""
    backup = _back_up(site, site.fleet.west, "and-on")
    wishes = [backup, _restore(site, mainjob.completed(mainjob.finished(backup)), site.fleet.east)]
    _until(lambda: not any(_fresh(wish).is_open for wish in wishes), 90)
    done = [wish for wish in wishes if _fresh(wish).state == "completed"]
    more = _places() - lost.places  # a reader in east, which there was none of before
    report.say(f"{store.name}_completed_afterwards", len(done), f"= {len(wishes)}", n=len(wishes))
    report.say(f"{store.name}_new_places_afterwards", len(more), "= 1", n=len(lost.places))


def _control(report: Report, var: Path, store: Store, objects: Mapping[str, object]) -> None:
    """The same copy, and a reconciler that looks at every cluster and adopts nothing."""
    from django.utils import timezone

    from workspaces.models import Cluster

    began = timezone.now()
    env = {**os.environ, **store.environment}
    with (var / "log" / "forgetful.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", FORGETFUL], cwd=stack.CHECKOUT, env=env, stdout=log, stderr=log
        )
        try:
            _until(lambda: not Cluster.objects.exclude(seen_at__gt=began).exists(), 60)
            _until(lambda: not [row for row in _rows().values() if row["open"]], 60)
            missing = objects.keys() - _rows().keys()
        finally:
            stack.end(process)
    detail = f"{len(missing)} of {len(objects)} objects without a row"
    report.control(f"a reconciler that adopts nothing, {store.name}", failed=bool(missing), detail=detail)
