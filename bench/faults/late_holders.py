"""R4: a worker that comes too late writes nothing. Its parent is gone, it goes on all the same; another has the row.

In each case the first child is held at one of its requests; its lease runs out, a second child takes the row and
brings it to its end; then the first one goes on. Every write that succeeds is noted by its child, with the attempt it
holds. The control is a row without a fencing token.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from bench.faults.cells import OPERATIONS, Operation, steps_of
from bench.faults.ground import Disturbance, Ground, Servers, fresh, servers
from bench.report import Report

HELD = Disturbance("held", "delay", seconds=0.35)  # long enough for the second child, short of the client's patience
TO_CHECK = ("backup", "restore in place", "restore elsewhere")


@dataclass(frozen=True)
class Case:
    """One step at which the first child was held. `late`: writes of the first child after the second had the row."""

    operation: str
    step: int
    late: int
    agrees: bool


def check(*, full: bool, seed: int) -> Report:
    """Every step of backups and restores, at both sizes."""
    report = Report("R4", "a worker left running by a dead parent writes nothing once another has the row", full)
    with tempfile.TemporaryDirectory(prefix="drydock-late-") as folder, servers(Path(folder)) as both:
        log = Path(folder, "writes")
        log.touch()
        with _noted(log):
            cases = [case for operation in _operations() for case in _cases(both, operation, log)]
            report.say("overlapping_writes", sum(case.late for case in cases), "= 0", n=len(cases))
            report.say("unlike_the_cluster", sum(not case.agrees for case in cases), "= 0", n=len(cases))
            with _without_token():
                late = sum(case.late for case in _cases(both, _operations()[0], log))
            report.control("a row without a fencing token", failed=late > 0, detail=f"{late} late writes")
    return report


def _operations() -> list[Operation]:
    return [operation for operation in OPERATIONS if operation.name in TO_CHECK]


def _cases(both: Servers, operation: Operation, log: Path) -> Iterator[Case]:
    for step in steps_of(both, operation):
        ground = Ground(both)
        wish = operation.prepare(ground)
        log.write_text("")
        _overtake(both, ground, wish, step)
        wish = ground.carried(wish)
        yield Case(operation.name, step, _late_writes(log, wish), _agrees(ground, wish))


def _overtake(both: Servers, ground: Ground, wish: Any, step: int) -> None:
    """The first child is held at `step`, the second one takes the row, and both come to their end."""
    with both.disturbed(step, HELD):
        first = both.start(wish.job, wish.pk, wish.attempt)
        both.until(lambda: both.struck or both.has_ended(first))
        ground.expire(wish)
        both.wait(both.start(wish.job, wish.pk, fresh(wish).attempt))
        both.wait(first)


def _late_writes(log: Path, wish: Any) -> int:
    """Lines are `<pk> <attempt held>`, in the order of the writes: those of an attempt after a later one wrote."""
    held = [int(line.split()[1]) for line in log.read_text().splitlines() if line.startswith(str(wish.pk))]
    return sum(attempt < max(held[: position + 1]) for position, attempt in enumerate(held))


def _agrees(ground: Ground, wish: Any) -> bool:
    objects = [one for one in ground.objects(wish.cluster, f"{wish._meta.model_name}s") if _is_of(one, wish)]
    return wish.state == "completed" and len(objects) == 1


def _is_of(raw: dict[str, Any], wish: Any) -> bool:
    return bool(raw["metadata"]["name"] == wish.object_name)


@contextlib.contextmanager
def _noted(log: Path) -> Iterator[None]:
    """Children note each write that succeeded, with the attempt they hold."""
    from workspaces.models import Wish

    plain_write = Wish.write

    def write(wish: Wish, **values: Any) -> None:
        plain_write(wish, **values)
        _note(log, wish)

    with mock.patch.object(Wish, "write", write):
        yield


def _note(log: Path, wish: Any) -> None:
    line = f"{wish.pk} {wish.attempt}\n".encode()
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, line)
    os.close(descriptor)


@contextlib.contextmanager
def _without_token() -> Iterator[None]:
    """A write that asks for the row alone."""
    from workspaces.models import Wish

    def write(wish: Wish, _: object, values: dict[str, Any]) -> None:
        type(wish)._default_manager.filter(pk=wish.pk).update(**values)
        for name, value in values.items():
            setattr(wish, name, value)

    with mock.patch.object(Wish, "_write", write):
        yield
