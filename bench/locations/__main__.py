"""`make prove-locations`: every kind of location from Validate to a restore, every failure with its sentence, and that
neither an address nor a secret goes where it must not."""

from __future__ import annotations

import sys

from bench.checks import run

CHECKS = {
    "L1": "bench.locations.kinds",
    "L2": "bench.locations.failures",
    "S3": "bench.locations.addresses",
    "S4": "bench.locations.leaks",
    "S5": "bench.locations.rotation",
}

if __name__ == "__main__":
    sys.exit(run(CHECKS))
