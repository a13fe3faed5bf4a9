"""What the sandbox says about itself while it is being built: the file at settings.SANDBOX_STATE.

The sandbox writes it (sandbox/state.py says how); the console only shows it and never depends on it: a file that is
absent, broken or half written means "no sandbox".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.conf import settings

MOVING = frozenset({"building", "starting"})


@dataclass(frozen=True)
class Provisioning:
    """`stage` is building, starting, ready, failed or stopped; `total` is 0 while the end is not in sight."""

    stage: str
    message: str
    what: str
    done: int
    total: int
    log: str

    @property
    def moving(self) -> bool:
        return self.stage in MOVING


def expected() -> bool:
    """Whether this console has a sandbox, ready or not, which registers what there is to see by itself."""
    return settings.SANDBOX_STATE.exists()


def read() -> Provisioning | None:
    """How far the sandbox is; None where there is none, or when it is ready and all its parts run."""
    try:
        found = _parse(json.loads(settings.SANDBOX_STATE.read_text()))
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return None if found.stage == "ready" and not found.message.startswith("degraded") else found


def _parse(raw: dict[str, Any]) -> Provisioning:
    progress = raw.get("progress") or {}
    return Provisioning(
        stage=str(raw.get("stage", "")),
        message=str(raw.get("message") or ""),
        what=str(progress.get("what") or ""),
        done=int(progress.get("done") or 0),
        total=int(progress.get("total") or 0),
        log=str(raw.get("log") or ""),
    )
