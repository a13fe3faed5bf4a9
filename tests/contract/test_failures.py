"""Every failure of a location shows where it should, in the words that `docs/location-failures.md` gives for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.contract import realstore
from tests.contract.failures.case import Case
from tests.contract.failures.ground import Ground, ground
from tests.contract.failures.table import FILE, cases, document, right_ones, row, written

CASES = cases()
SECRETS = ("cloud-secret", "PRIVATE KEY", "ya29.", *(keys["secret_key"] for keys in (realstore.KEYS, realstore.EDITOR)))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with ground(tmp_path_factory.mktemp("failures")) as made:
        yield made


@pytest.mark.sandbox
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.group}: {case.name}")
def test_it_shows_and_is_written_down(servers: Ground, case: Case) -> None:
    failed = case.tried(servers)
    assert case.miss(failed) == ""
    assert row(case, failed) in written(), "Run `make prove-locations`."
    assert not [secret for secret in SECRETS if secret in repr(failed)]


@pytest.mark.sandbox
def test_what_is_right_does_not_fail(servers: Ground) -> None:
    """The control: each place is good as long as nothing is wrong with it."""
    for right in right_ones():
        assert right.miss(right.tried(servers)) == "nothing failed"


def test_the_table_holds_these_failures_and_no_other() -> None:
    names = [f"| {case.group}: {case.name} |" for case in CASES]
    assert Counter(line[: line.index(" |", 2) + 2] for line in written()) == Counter(names)
    assert len(names) >= 25
    assert sum(case.how != "fake" for case in CASES) >= 18


def test_the_file_says_how_many_there_are() -> None:
    rows = dict(zip(CASES, written(), strict=True))
    assert FILE.read_text() == document(rows)
