"""R2: every step of every operation by every fault. A step is one request that the operation sends when all goes well.

In each cell exactly one request goes wrong, in the way the column says; then workers and reconciler go on as they do,
with their waits cut short. The invariants must hold in every cell: the wish ends (I1, I4), there is one object for it
or none if it was refused (I2), no step goes backward (I6), and what only delays must not decide the outcome. The
control is a submitter that does not look before it repeats.
"""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.faults.ground import HANG, Cell, Disturbance, Ground, Servers, fresh, servers
from bench.faults.watches import watch_cells
from bench.report import Report

SHARE = 4  # at reduced size one cell in so many is played
FEWEST_CELLS = 500  # at full size; grows with the operations, never falls
FAULTS = (
    Disturbance("killed before", "reset_before", kill=True),
    Disturbance("killed after", "reset_after", kill=True),
    Disturbance("applied, then reset", "reset_after"),
    Disturbance("409", "status", status=409, reason="AlreadyExists"),
    Disturbance("429", "status", status=429, reason="TooManyRequests"),
    Disturbance("500", "status", status=500, reason="InternalError"),
    Disturbance("timeout", "hang", seconds=HANG),
)
DECIDES = {"409"}  # an answer, not a delay: the wish may end refused


@dataclass(frozen=True)
class Operation:
    """`prepare` makes the wish; `message` is what a worker gets for it; `done` says whether it is over."""

    name: str
    prepare: Callable[[Ground], Any]
    message: str = ""  # empty: the wish's own job, until the wish has ended
    done: Callable[[Any], bool] = lambda wish: not wish.is_open

    def turn(self, ground: Ground, wish: Any) -> None:
        """One turn of a worker or of the reconciler."""
        if self.message:
            ground.end_rests()
            ground.servers.run(self.message, wish.pk, wish.attempt)
        else:
            ground.step(wish)


def _cluster_check(ground: Ground) -> Any:
    from workspaces.actions.cluster import request_recheck

    return request_recheck(by=ground.servers.admin, cluster=ground.east)


def _location_check(ground: Ground) -> Any:
    from backups.actions.location import request_check

    project = ground.servers.project
    return request_check(
        by=ground.servers.admin, project=project, bucket="cells", prefix=f"new/{ground.east.pk}", **ground.store()
    )


def _reading(ground: Ground) -> Any:
    from backups.actions.reading import request_log

    return request_log(by=ground.servers.admin, of=ground.completed_backup())


def _with_errors(ground: Ground) -> Any:
    backup = ground.completed_backup()
    type(backup).objects.filter(pk=backup.pk).update(errors=1)
    return fresh(backup)


def _old_restore(ground: Ground) -> Any:
    return ground.carried(ground.restore(elsewhere=True))


def _roll_out(ground: Ground) -> Any:
    from backups.reconcile.location_change import roll_out

    ground.completed_backup()
    ground.location.credentials_version += 1
    ground.location.save()
    roll_out(ground.location, ground.servers.admin)
    return ground.location.changes.get()


def _leaving(ground: Ground) -> Any:
    from backups.actions.location_delete import delete_location

    ground.completed_backup().delete()
    delete_location(by=ground.servers.admin, location=ground.location, typed_name=ground.location.name)
    return ground.location.changes.get()


def _scan(ground: Ground) -> Any:
    from backups.actions.location_scan import request_scan

    ground.completed_backup()
    return request_scan(by=ground.servers.admin, location=ground.location)


OPERATIONS = (
    Operation("backup", Ground.backup),
    Operation("restore in place", lambda ground: ground.restore(elsewhere=False)),
    Operation("restore elsewhere", lambda ground: ground.restore(elsewhere=True)),
    Operation("connection check", _cluster_check),
    Operation("location check", _location_check),
    Operation("log", _reading),
    Operation("results", _with_errors, "backups.jobs.read_results", lambda backup: backup.results is not None),
    Operation("tidying", _old_restore, "backups.jobs.tidy_restore", lambda restore: restore.tidied_at is not None),
    Operation("roll-out", _roll_out),
    Operation("leaving a cluster", _leaving),
    Operation("scan", _scan),
)


def check(*, full: bool, seed: int) -> Report:
    """All cells at full size; the seed chooses which part of them at reduced size."""
    report = Report("R2", "every step of every operation by every fault", full)
    with tempfile.TemporaryDirectory(prefix="drydock-cells-") as folder, servers(Path(folder)) as both:
        share = 1 if full else SHARE
        cells = [*_cells(both, share, seed), *watch_cells(both, share, seed)]
        _print_table(cells)
        broken = [cell for cell in cells if cell.broken]
        report.say("cells", len(cells), f">= {FEWEST_CELLS // (1 if full else SHARE + 1)}")
        report.say("broken", len(broken), "= 0", n=len(cells))
        for cell in broken[:20]:
            print(f"  {cell.operation}, step {cell.step}, {cell.fault}: {'; '.join(cell.broken)}\n{cell.story}")
        bad = _naive(both)
        report.control("a submitter that does not look before it repeats", failed=bad > 0, detail=f"{bad} cells broken")
    return report


def _cells(both: Servers, share: int, seed: int) -> Iterator[Cell]:
    """Every `share`th cell; which ones, the seed says."""
    number = itertools.count(seed)
    for operation in OPERATIONS:
        for step in steps_of(both, operation):
            for fault in FAULTS:
                if next(number) % share == 0 and (cell := play(both, operation, step, fault)):
                    yield cell


def steps_of(both: Servers, operation: Operation) -> list[int]:
    """The numbers of the requests that the operation sends when all goes well, the first of each kind alone."""
    ground = Ground(both)
    wish = operation.prepare(ground)
    both.api.requests.clear()
    both.s3.requests.clear()
    operation.turn(ground, wish)
    kinds = [(one.cluster, one.method, one.path, str(one.query)) for one in [*both.api.requests, *both.s3.requests]]
    return sorted(kinds.index(kind) for kind in set(kinds))


def play(both: Servers, operation: Operation, step: int, fault: Disturbance) -> Cell | None:
    """None when the disturbed request was never sent: another step then stands for it."""
    ground = Ground(both)
    wish = operation.prepare(ground)
    with both.disturbed(step, fault):
        operation.turn(ground, wish)
    if not both.struck:
        return None
    for _ in range(12):
        if operation.done(wish := fresh(wish)):
            break
        operation.turn(ground, wish)
    return Cell(operation.name, step, fault.name, list(_broken(ground, operation, fresh(wish), fault)), _story(wish))


def _story(wish: Any) -> str:
    from backups.models import VeleroWish
    from bench.faults import history

    return history.story(wish) if isinstance(wish, VeleroWish) else f"    {wish}: {wish.state} {wish.message}"


def _broken(ground: Ground, operation: Operation, wish: Any, fault: Disturbance) -> Iterator[str]:
    from backups.models import VeleroWish

    if not operation.done(wish):
        yield f"I1, I4: still {wish.state}"
    elif fault.kill and wish.state != "completed":
        yield f"a kill decided the outcome: {wish.state}"
    if isinstance(wish, VeleroWish):
        yield from _broken_in_cluster(ground, wish, fault)
    if wish.state not in ("completed", "requested") and not wish.message:
        yield f"{wish.state}, and nobody says why"


def _broken_in_cluster(ground: Ground, wish: Any, fault: Disturbance) -> Iterator[str]:
    from bench.faults import history

    plural = f"{wish._meta.model_name}s"
    count = sum(one["metadata"]["name"] == wish.object_name for one in ground.objects(wish.cluster, plural))
    tidied = getattr(wish, "tidied_at", None)
    if count != (0 if wish.state == "rejected" or tidied else 1):
        yield f"I2: {count} objects for a wish that is {wish.state}"
    if fault.name not in DECIDES and wish.state != "completed":
        yield f"a delay decided the outcome: {wish.state}"
    if any(not step.legal for step in history.steps(wish)):
        yield "I6: a backward step"
    for cluster in (ground.east, ground.west):
        places = Counter(_place(one) for one in ground.objects(cluster, "backupstoragelocations"))
        if any(times > 1 for times in places.values()):
            yield f"two locations for one place in {cluster}"


def _place(location: dict[str, Any]) -> str:
    return str(location["spec"].get("objectStorage"))


def _print_table(cells: list[Cell]) -> None:
    """Good cells of all cells, a line per operation, a column per fault."""
    faults = list(dict.fromkeys(cell.fault for cell in cells))
    print("R2 " + " | ".join(["operation".ljust(18), *(fault.rjust(8) for fault in faults)]))
    for name in dict.fromkeys(cell.operation for cell in cells):
        row = [_tally(cells, name, fault).rjust(max(8, len(fault))) for fault in faults]
        print("R2 " + " | ".join([name.ljust(18), *row]))


def _tally(cells: list[Cell], operation: str, fault: str) -> str:
    here = [cell for cell in cells if (cell.operation, cell.fault) == (operation, fault)]
    return f"{sum(not cell.broken for cell in here)}/{len(here)}" if here else "-"


@contextmanager
def _without_looking() -> Iterator[None]:
    """The plain way: an attempt posts, and takes a conflict for somebody else's object."""
    from unittest import mock

    with (
        mock.patch("backups.reconcile.backup.settled", lambda *_: False),
        mock.patch("backups.velero.backup.create_once", _post),
    ):
        yield


def _post(conn: Any, plural: str, body: Any) -> Any:
    from backups.velero import names

    return conn.create(names.path(plural, body["metadata"]["namespace"]), body)


def _naive(both: Servers) -> int:
    """How many cells of a backup the plain way breaks."""
    backup = OPERATIONS[0]
    with _without_looking():
        applied = [fault for fault in FAULTS if fault.action == "reset_after"]
        cells = [play(both, backup, step, fault) for step in steps_of(both, backup) for fault in applied]
    return sum(bool(cell and cell.broken) for cell in cells)
