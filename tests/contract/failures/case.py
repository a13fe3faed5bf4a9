"""One failure of a location.

real      the real program refuses (SeaweedFS, the resolver, the kernel, TLS), or the console itself does before
          anything is sent
emulated  the sandbox's stand-ins decide as the cloud would (signatures, trust, External ID, tokens, rights)
fake      a server that gives the answer in question and no other
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Literal

from backups.storage import ProbeStep, StorageTarget, probe
from tests.contract.failures.ground import Ground
from tests.contract.realstore import POLICY

How = Literal["real", "emulated", "fake"]
Place = Callable[[Ground], AbstractContextManager[StorageTarget]]
Row = tuple[str, How, str, str, str, Place]
UNSENT = "the console itself, before anything is sent"


@dataclass(frozen=True)
class Case:
    """`by`: who refuses. `step`: where it shows. `says`: words of the cause. `place` sets up what it is tried on."""

    group: str
    name: str
    how: How
    by: str
    step: str
    says: str
    place: Place

    def tried(self, ground: Ground) -> list[ProbeStep]:
        """The steps that failed."""
        with self.place(ground) as target:
            return [step for step in probe(target, POLICY) if step.outcome == "fail"]

    def miss(self, failed: list[ProbeStep]) -> str:
        """Why this is not the failure as it should show; empty when it is. A remedy there must always be."""
        first = next(iter(failed), None)
        if not first:
            return "nothing failed"
        if first.id != self.step or self.says not in first.cause:
            return f"{first.id}: {first.cause}"
        return "" if first.remedy else "no remedy"


def group(name: str, *rows: Row) -> list[Case]:
    """`rows`: name, how, by whom, step, words of the cause, place."""
    return [Case(name, *row) for row in rows]


def at(target: Callable[[Ground], StorageTarget]) -> Place:
    """A place where nothing has to be set up."""

    @contextmanager
    def place(ground: Ground) -> Iterator[StorageTarget]:
        yield target(ground)

    return place
