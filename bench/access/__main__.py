"""`make prove-access`: who may do what, and what guards it. Each check carries a control that must fail."""

from __future__ import annotations

import sys

from bench.checks import run

CHECKS = {
    "S0": "bench.access.planted",
    "S1": "bench.access.matrix",
    "S8": "bench.access.surroundings",
    "S9": "bench.access.trail",
    "S10": "bench.access.guesses",
}

if __name__ == "__main__":
    sys.exit(run(CHECKS))
