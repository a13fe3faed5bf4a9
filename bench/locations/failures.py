"""L2: every failure of a location is tried and shows where it should, with its sentence and what to do.

At full size the table in `docs/location-failures.md` is written from what was said. The control: the same places with
nothing wrong, which must be missed.
"""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from bench.report import Report

if TYPE_CHECKING:
    from tests.contract.failures.case import Case
    from tests.contract.failures.ground import Ground

FEWEST, FEWEST_NOT_FAKE = 25, 18


def check(*, full: bool, seed: int) -> Report:
    """The same at both sizes, but for the table."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    from tests.contract.failures.ground import ground
    from tests.contract.failures.table import FILE, cases, document, right_ones

    report = Report("L2", "every failure of a location, each with its sentence", full)
    with tempfile.TemporaryDirectory(prefix="drydock-failures-") as folder, ground(Path(folder)) as servers:
        rows = _rows(report, servers, cases())
        right = [case.miss(case.tried(servers)) for case in right_ones()]
    report.say("failures tried", len(cases()), f">= {FEWEST}")
    report.say("not fake", sum(case.how != "fake" for case in rows), f">= {FEWEST_NOT_FAKE}", n=len(rows))
    report.control("locations with nothing wrong", failed=all(right), detail=f"{len(right)} places, {set(right)}")
    if full and report.good:
        FILE.write_text(document(rows))
    return report


def _rows(report: Report, servers: Ground, cases: list[Case]) -> dict[Case, str]:
    """One line per group; those that show as they should, with their lines of the table."""
    from tests.contract.failures.table import row

    rows: dict[Case, str] = {}
    groups: defaultdict[str, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.group].append(case)
    for name, members in groups.items():
        for case in members:
            failed = case.tried(servers)
            if why := case.miss(failed):
                report.note(f"missed: {name}, {case.name}: {why}")
            else:
                rows[case] = row(case, failed)
        shown = sum(case in rows for case in members)
        how = ", ".join(f"{sum(case.how == how for case in members)} {how}" for how in ("real", "emulated", "fake"))
        report.say(name, shown, f"= {len(members)}", n=len(members), reference=how)
    return rows
