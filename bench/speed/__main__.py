"""`make bench`: how fast it is, beside what it could be at best, measured in the same run."""

from __future__ import annotations

import sys

from bench.checks import run

CHECKS: dict[str, str] = {}

if __name__ == "__main__":
    sys.exit(run(CHECKS))
