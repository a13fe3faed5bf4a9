"""`make bench`: how fast it is, beside what it could be at best, measured in the same run."""

from __future__ import annotations

import contextlib
import sys

from bench.checks import run
from bench.speed.ground import shared

CHECKS = {
    "P1": "bench.speed.click_to_completed",
    "P2": "bench.speed.change_to_page",
    "P3": "bench.speed.first_line",
    "P9": "bench.speed.first_sync",
    "P5": "bench.speed.pages",
    "P10": "bench.speed.throughput",
    "P7": "bench.speed.rounds",
    "P11": "bench.speed.own_tests",
}
ON_REAL_CLUSTERS = {"P1", "P2", "P3", "P9"}


def main() -> int:
    """One console on real clusters serves all checks that need one."""
    asked = ON_REAL_CLUSTERS.intersection(sys.argv) or not set(CHECKS).intersection(sys.argv)
    with shared() if asked else contextlib.nullcontext():
        return run(CHECKS)


if __name__ == "__main__":
    sys.exit(main())
