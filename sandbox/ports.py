"""Free ports on 127.0.0.1, the same ones at every start of a home as far as possible."""

from __future__ import annotations

import contextlib
import json
import random
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.files import write_private

# Below Linux's range for outgoing connections (from 32768), so that no client connection sits on a port of ours
# between two starts.
FIRST, LAST = 20000, 32000


def is_free(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose(names: Iterable[str], wanted: dict[str, int], free: Callable[[int], bool] = is_free) -> dict[str, int]:
    """A port for every name: the wanted one where it is free, else a new one; never the same twice."""
    chosen: dict[str, int] = {}
    for name in names:
        keep = wanted.get(name)
        taken = set(chosen.values()) | {port for other, port in wanted.items() if other != name}
        chosen[name] = keep if keep and keep not in taken and free(keep) else _new(taken, free)
    return chosen


def _new(taken: set[int], free: Callable[[int], bool]) -> int:
    for port in random.sample(range(FIRST, LAST), 500):
        if port not in taken and free(port):
            return port
    raise SandboxError(f"No free port between {FIRST} and {LAST} was found. Stop some of what listens there.")


def saved(path: Path) -> dict[str, int]:
    """The choice remembered in the file `path`; empty if there is none."""
    try:
        return {str(name): int(port) for name, port in json.loads(path.read_text()).items()}
    except (OSError, ValueError, AttributeError):
        return {}


def choose_for_home(path: Path, names: Iterable[str]) -> dict[str, int]:
    """As `choose`, remembering the choice in the file `path`."""
    chosen = choose(names, saved(path))
    write_private(path, json.dumps(chosen, indent=1))
    return chosen
