"""P11: the tests without the sandbox, on two cores, beside collecting them alone.

At reduced size a part of them runs, within its share of the time: all of them run beside it anyway.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence

from bench.report import Report
from bench.stack import CHECKOUT
from console.lib.keys import new_key

BOUND, SHARE = 60, 0.25
NO_TESTS = 5  # pytest's exit code for a run without cases
PART = ("tests/web",)
CASES = 1500  # that many there are at least; the number never falls
COUNT = re.compile(r"(\d+) passed")
AS_CI_DOES = re.compile(r"^unit\(\) \{ tests unit (.*) tests; \}$", re.MULTILINE)


def check(*, full: bool, seed: int) -> Report:
    """All at full size; the web tests reduced."""
    report = Report("P11", "tests without the sandbox", full)
    collected = _run("--collect-only", *_which(full))[0]
    seconds, cases = _run(*_which(full))
    bound = BOUND if full else BOUND * SHARE
    report.say("seconds", seconds, f"<= {bound:g}", reference=f"collecting alone {collected:.1f} s", unit=" s")
    report.say("cases", cases, f">= {CASES}" if full else ">= 1")
    nothing = _run("-k", "no_case_has_this_name", *PART)[1]
    report.control("a run without cases", failed=nothing == 0, detail=f"{nothing} passed")
    return report


def _which(full: bool) -> Sequence[str]:
    return ("tests",) if full else PART


def _run(*words: str) -> tuple[float, int]:
    """Seconds, and how many cases passed: none when one did not."""
    began = time.monotonic()
    command = [sys.executable, "-m", "pytest", *_arguments(), *words]
    done = subprocess.run(command, cwd=CHECKOUT, env=_environment(), capture_output=True, text=True, check=False)
    found = COUNT.search(done.stdout)
    if done.returncode not in (0, NO_TESTS):
        print(done.stdout[-2000:], flush=True)
    return time.monotonic() - began, int(found.group(1)) if found and not done.returncode else 0


def _arguments() -> list[str]:
    """What `.ci/suite` gives pytest for the group `unit`."""
    found = AS_CI_DOES.search((CHECKOUT / ".ci" / "suite").read_text())
    assert found, "the group unit is no longer where it was in .ci/suite"
    return shlex.split(found.group(1))


def _environment() -> dict[str, str]:
    """Compiled code is kept; what the caller's console uses is left out."""
    left_out = ("PYTHONDONTWRITEBYTECODE", "DATABASE_URL", "REDIS_URL", "DRYDOCK_VAR")
    rest = {name: value for name, value in os.environ.items() if name not in left_out}
    own = {"SECRET_KEY": new_key() * 2, "CONSOLE_KEYS": new_key(), "OUTBOUND_ALLOW_LOOPBACK": "1"}
    return rest | own
