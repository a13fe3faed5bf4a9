"""Plants a bug into single tests of the suite: `pytest -p bench.access.planting …`, and writes down which were red.

Each test that stands in planted.IN_TESTS runs with its bug in the process. Red is a test that an assertion ended: one
that broke off for another reason has not found the bug.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from bench.access.planted import IN_TESTS

RED = "DRYDOCK_PLANTED_RED"  # the file for what was red
_red: list[str] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    bug = IN_TESTS[item.nodeid]
    with bug.plant():
        try:
            return (yield)
        except (AssertionError, pytest.fail.Exception):
            _red.append(bug.what)
            raise


def pytest_sessionfinish() -> None:
    Path(os.environ[RED]).write_text(json.dumps(_red))
