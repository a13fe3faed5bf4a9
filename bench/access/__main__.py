"""`make prove-access`: who may do what, asked of every page. Each check carries a control that must fail."""

from __future__ import annotations

import sys

from bench.checks import run

CHECKS = {
    "S1": "bench.access.matrix",
}

if __name__ == "__main__":
    sys.exit(run(CHECKS))
