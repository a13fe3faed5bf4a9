"""The command line of a list of checks: `python -m bench.faults [R1 R7 …] [--reduced] [--seed N]`.

A check is a module with `check(*, full: bool, seed: int) -> Report`, run in a process of its own, because settings are
read once per process. At full size the figures go into `docs/measured.md`. The seed is printed; given again it replays
what was random.
"""

from __future__ import annotations

import argparse
import importlib
import random
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from bench.report import Report
from bench.stack import CHECKOUT


def run(checks: Mapping[str, str], arguments: Sequence[str] | None = None) -> int:
    """Run the checks named, or all; `checks` gives the module of each id. The exit code: 0 when all are green."""
    options = _options(checks, arguments)
    print(f"seed={options.seed} size={'reduced' if options.reduced else 'full'}", flush=True)
    results = {id: _one(checks[id], options) for id in options.ids or checks}
    red = [id for id, good in results.items() if not good]
    print(f"{len(results) - len(red)} of {len(results)} checks passed{'; red: ' if red else ''}{' '.join(red)}")
    return 1 if red else 0


def _options(checks: Mapping[str, str], arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("ids", nargs="*", choices=[*checks, []], metavar="ID", help=" ".join(checks))
    parser.add_argument("--reduced", action="store_true", help="the size CI runs; nothing is written down")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="replay what was random")
    return parser.parse_args(arguments)


def _one(module: str, options: argparse.Namespace) -> bool:
    """Whether the check passed; one that breaks off has not."""
    began = time.monotonic()
    program = f"from bench.checks import carry_out; carry_out({module!r}, {not options.reduced}, {options.seed})"
    code = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, check=False).returncode
    print(f"took {time.monotonic() - began:.0f} s\n", flush=True)
    return code == 0


def carry_out(module: str, full: bool, seed: int) -> None:
    """One check, in this process. Exits with its code."""
    report: Report = importlib.import_module(module).check(full=full, seed=seed)
    sys.exit(report.finish(write=True))
