"""All failures, and the table of them in `docs/`: written from what the console says, never by hand."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from backups.storage import ProbeStep
from tests.contract.failures import clouds, stores, wire
from tests.contract.failures.case import Case, at
from tests.contract.failures.ground import Ground

FILE = Path(__file__).resolve().parents[3] / "docs" / "location-failures.md"
_HEAD = """# What goes wrong with a location, and what is said

Written by `make prove-locations`, which tries each of these; `tests/contract/test_failures.py` holds the table against
what the console says. **real**: the real program refuses, or the console itself does before anything is sent.
**emulated**: the sandbox's stand-ins for the clouds decide as the cloud would; they check signatures, trust, External
IDs, tokens and rights. **fake**: a server gives the answer in question and no other.

AWS says the same words for a role that is not there, one that does not trust the account and a wrong External ID, so
the console cannot tell them apart either.
"""
_COLUMNS = ("| failure | how | shows at | what the page says | what to do |", "|---|---|---|---|---|")
_PASSING = (
    (re.compile(r"\b(127\.0\.0\.1|localhost):\d+"), r"\1:PORT"),
    (re.compile(r"drydock-probe/[0-9a-f]{32}"), "drydock-probe/…"),
)


def cases() -> list[Case]:
    """In the order of the table."""
    network = [*wire.network(), *wire.tls(), *wire.other_servers(), *wire.addresses()]
    return [
        *network,
        *stores.keys(),
        *stores.bucket(),
        *stores.rights(),
        *clouds.roles(),
        *clouds.files(),
        *clouds.google(),
    ]


def right_ones() -> list[Case]:
    """The control: the places that failures are tried on, with nothing wrong."""
    places = {"S3": Ground.s3, "TLS": Ground.tls, "roles": Ground.role, "Google Cloud": Ground.gcs}
    return [Case(name, "nothing wrong", "real", "", "", "", at(target)) for name, target in places.items()]


def row(case: Case, failed: list[ProbeStep]) -> str:
    """One line of the table: the first step that failed; what differs from run to run is left out."""
    first = failed[0]
    told = (f"{case.group}: {case.name}", f"{case.how}: {case.by}", first.title, first.cause, first.remedy)
    return f"| {' | '.join(_lasting(text).replace('|', '/') for text in told)} |"


def document(rows: dict[Case, str]) -> str:
    """The whole file."""
    how = Counter(case.how for case in rows)
    counts = f"{len(rows)} failures: {how['real']} real, {how['emulated']} emulated, {how['fake']} fake."
    return "\n".join([_HEAD, counts, "", *_COLUMNS, *rows.values()]) + "\n"


def written() -> Iterator[str]:
    """The rows that stand in the file."""
    lines = FILE.read_text().splitlines()
    yield from (line for line in lines if line.startswith("| ") and line not in _COLUMNS)


def _lasting(text: str) -> str:
    for pattern, instead in _PASSING:
        text = pattern.sub(instead, text)
    return text
