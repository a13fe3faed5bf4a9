"""What states a backup or restore can be in, which steps between them are legal, and what Velero's phases mean to us.

Pure: no Django, no I/O. Velero's phases are those of 1.18 (apis/velero/v1/backup_types.go:291-358, restore_types.go).
Both kinds share the table; a phase that is not in it is kept verbatim in the row and shown as it is.

    requested ─► submitting ─► submitted ─► running ─► completed | partially_failed | failed
        │             │             │          │
        ▼             ▼             ▼          ▼
     canceled      unknown       rejected   unknown      (unknown is left as soon as the cluster answers)
"""

from __future__ import annotations

import re
import secrets
import string
from datetime import datetime
from enum import StrEnum

from console.lib.errors import BadInput

LONGEST_NAME = 38
RANDOM_CHARACTERS = 8
NAME_PATTERN = r"[a-z0-9]([a-z0-9-]{0,36}[a-z0-9])?"
NAME_RULE = (
    f"lower-case letters, digits and hyphens, beginning and ending with a letter or digit, {LONGEST_NAME} characters "
    "at most"
)


class State(StrEnum):
    """Where a wish stands, in our words."""

    REQUESTED = "requested"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    RUNNING = "running"
    UNKNOWN = "unknown"
    COMPLETED = "completed"
    PARTIALLY_FAILED = "partially_failed"
    FAILED = "failed"
    REJECTED = "rejected"
    CANCELED = "canceled"


TERMINAL = frozenset({State.COMPLETED, State.PARTIALLY_FAILED, State.FAILED, State.REJECTED, State.CANCELED})
OPEN = frozenset(State) - TERMINAL
TO_SUBMIT = frozenset({State.REQUESTED, State.SUBMITTING, State.UNKNOWN})
IN_CLUSTER = frozenset({State.SUBMITTED, State.RUNNING})
RESTORABLE = frozenset({State.COMPLETED, State.PARTIALLY_FAILED})

_NEXT: dict[State, frozenset[State]] = {
    State.REQUESTED: frozenset({State.SUBMITTING, State.REJECTED, State.CANCELED}),
    State.SUBMITTING: TERMINAL | {State.SUBMITTED, State.RUNNING, State.UNKNOWN},  # a watch may see the end first
    State.SUBMITTED: (TERMINAL - {State.CANCELED}) | {State.RUNNING, State.UNKNOWN},
    State.RUNNING: (TERMINAL - {State.CANCELED}) | {State.UNKNOWN},
    State.UNKNOWN: TERMINAL | {State.SUBMITTING, State.SUBMITTED, State.RUNNING},
}

_PHASES: dict[str, State] = {
    "": State.SUBMITTED,
    "New": State.SUBMITTED,
    "Queued": State.SUBMITTED,
    "ReadyToStart": State.SUBMITTED,
    "InProgress": State.RUNNING,
    "WaitingForPluginOperations": State.RUNNING,
    "WaitingForPluginOperationsPartiallyFailed": State.RUNNING,
    "Finalizing": State.RUNNING,
    "FinalizingPartiallyFailed": State.RUNNING,
    "Deleting": State.RUNNING,
    "FailedValidation": State.REJECTED,
    "Completed": State.COMPLETED,
    "PartiallyFailed": State.PARTIALLY_FAILED,
    "Failed": State.FAILED,
}


def state_of_phase(phase: str) -> State:
    """Our state for a Velero phase; a phase we do not know means the work is neither done nor lost: running."""
    return _PHASES.get(phase, State.RUNNING)


def may_become(current: State, following: State) -> bool:
    """Whether the step is legal. An open state may be written again; a terminal one is never written again."""
    return following in _NEXT.get(current, frozenset()) or (current == following and current not in TERMINAL)


def check_name(name: str, field: str) -> None:
    """Raises BadInput for what no object can be called."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise BadInput(f"Use {NAME_RULE}.", field=field)


def object_name(name: str) -> str:
    """`<name>-<8 random characters>`: unique in the whole fleet, because Velero matches backups by name only.

    A name that is too long is cut here and refused where it is saved; dots of names that others gave become hyphens.
    """
    alphabet = string.ascii_lowercase + string.digits
    return (
        f"{name[:LONGEST_NAME].replace('.', '-')}-{''.join(secrets.choice(alphabet) for _ in range(RANDOM_CHARACTERS))}"
    )


def chosen_name(object_name: str) -> str:
    """The name that `object_name` was made from."""
    return object_name[: -RANDOM_CHARACTERS - 1]


def run_name(prefix: str, at: datetime, tie: str = "") -> str:
    """What a backup of a policy is called: `<prefix>-YYYYMMDDhhmmss`, the prefix cut so that it remains a name.

    `tie` tells apart what would be called the same.
    """
    end = f"{f'-{tie}' if tie else ''}-{at:%Y%m%d%H%M%S}"
    return prefix[: LONGEST_NAME - len(end)].rstrip("-") + end
