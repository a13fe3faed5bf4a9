"""`make faults`: what the console does on a bad day. Each check carries a control that must fail."""

from __future__ import annotations

import sys

from bench.checks import run

CHECKS = {
    "R1": "bench.faults.kills",
    "R2": "bench.faults.cells",
    "R3": "bench.faults.next_attempt",
    "R4": "bench.faults.late_holders",
    "R7": "bench.faults.redis_lost",
    "R8": "bench.faults.one_bad_cluster",
    "R10": "bench.faults.old_dump",
    "R12": "bench.faults.stops",
}

if __name__ == "__main__":
    sys.exit(run(CHECKS))
