"""How every check says what it found: one line per figure, its bound and its reference beside it; red when outside.

A check is green when all its figures are inside their bounds and each of its controls failed as it must: a check that
cannot fail is red itself. `write` puts the figures into `docs/measured.md`, one section per check, so that no figure
stands there that no command has printed.
"""

from __future__ import annotations

import operator
import os
import platform
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

MEASURED = Path(__file__).resolve().parent.parent / "docs" / "measured.md"
_COMPARE = {"<=": operator.le, ">=": operator.ge, "=": operator.eq, "<": operator.lt, ">": operator.gt}
_HEAD = """# Measured

Written by `make bench` and `make faults`; a section is replaced when its check runs again at full size. Ratios count:
a reference is measured in the same run, on the same machine, interleaved. Absolute times say how this machine was.

What was **not** run: there is no kubelet, so no pod ran, no hook in a container and no node agent; no volume data was
moved, neither by CSI snapshots nor from file systems. API servers, Velero, object storage and console shared two cores
and spoke over loopback: no figure holds the delay of a network or the quota of a cloud.
"""


@dataclass(frozen=True)
class Figure:
    """One measured value. `bound` is an operator and a number, such as `<= 1.1`; empty: told, not judged."""

    metric: str
    value: float
    bound: str = ""
    reference: str = ""
    unit: str = ""
    n: int = 1

    @property
    def good(self) -> bool:
        """Whether the value is inside its bound; not a number is not."""
        if not self.bound:
            return True
        compare, number = self.bound.split()
        return bool(_COMPARE[compare](self.value, float(number)))

    @property
    def text(self) -> str:
        """The value as it is printed: whole numbers whole, others with three figures behind the point."""
        return f"{self.value:.0f}{self.unit}" if self.value == int(self.value) else f"{self.value:.3f}{self.unit}"

    def line(self) -> str:
        """`metric=value bound=… reference=… n=…`."""
        parts = [f"{self.metric}={self.text}", f"n={self.n}"]
        parts += [f"bound={self.bound.replace(' ', '')}"] if self.bound else []
        parts += [f"reference={self.reference.replace(' ', '_')}"] if self.reference else []
        return " ".join([*parts, "" if self.good else "OUTSIDE"]).strip()


@dataclass
class Report:
    """What one check found. `id` is its number in the list of checks, such as R1."""

    id: str
    title: str
    full: bool = True  # at reduced size nothing is written down
    notes: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    controls: list[tuple[str, bool, str]] = field(default_factory=list)

    def say(self, metric: str, value: float, bound: str = "", **rest: object) -> Figure:
        """Print a figure and keep it."""
        figure = Figure(metric, value, bound, **rest)  # type: ignore[arg-type]
        self.figures.append(figure)
        print(f"{self.id} {figure.line()}", flush=True)
        return figure

    def control(self, name: str, *, failed: bool, detail: str) -> None:
        """Note a control, which must fail where the console does not."""
        self.controls.append((name, failed, detail))
        print(f"{self.id} control={name.replace(' ', '_')} failed={'yes' if failed else 'NO'} ({detail})", flush=True)

    def note(self, text: str) -> None:
        """Print a remark and keep it beside the figures."""
        self.notes.append(text)
        print(f"{self.id} note: {text}", flush=True)

    @property
    def good(self) -> bool:
        """All figures inside, all controls failed, and there was at least one figure."""
        return bool(self.figures) and all(f.good for f in self.figures) and all(bad for _, bad, _ in self.controls)

    def finish(self, *, write: bool = False) -> int:
        """Say how it went; the exit code. At full size the figures are written down if `write`."""
        if write and self.full:
            put_section(self.id, self.section())
        print(f"{self.id} {'passed' if self.good else 'FAILED'}: {self.title}", flush=True)
        return 0 if self.good else 1

    def section(self) -> str:
        """The section of `docs/measured.md`."""
        rows = [f"| {f.metric} | {f.text} | {f.bound or '-'} | {f.reference or '-'} | {f.n} |" for f in self.figures]
        table = ["| metric | value | bound | reference | n |", "|---|---|---|---|---|", *rows]
        controls = [f"- Control, must fail: {name}: {detail}." for name, _, detail in self.controls]
        notes = [f"- {note}" for note in self.notes]
        when = f"{datetime.now(UTC):%Y-%m-%d}, {machine()}. {'Passed' if self.good else 'Failed'}."
        tail = ["", *controls, *notes] if controls or notes else []
        return "\n".join([f"## {self.id} {self.title}", "", when, "", *table, *tail]) + "\n"


def machine() -> str:
    """What it ran on, as far as figures depend on it."""
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.machine()}"


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that `share` of them do not exceed. Raises ValueError when there are none."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1))]


def put_section(id: str, text: str, path: Path = MEASURED) -> None:
    """Replace the section of this check, or add it; sections are in the order of their ids."""
    found = dict(_sections(path.read_text())) if path.exists() else {}
    found[id] = text
    ordered = sorted(found, key=lambda name: (name[0], int(re.sub(r"\D", "", name) or 0)))
    path.write_text("\n".join([_HEAD, *(found[name] for name in ordered)]))


def _sections(text: str) -> list[tuple[str, str]]:
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return [(part.split()[1], part.rstrip() + "\n") for part in parts]


def fail(sentence: str) -> int:
    """For a check that could not be made at all: that is no pass."""
    print(sentence, file=sys.stderr, flush=True)
    return 1
