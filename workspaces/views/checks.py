"""A connection check on a page: its steps, those still to come included."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from workspaces.models import ClusterCheck, Wish
from workspaces.models.cluster import CheckState

# In the order the worker takes them; tests hold them equal to its own.
STEPS = (
    ("kubeconfig", "Read the kubeconfig"),
    ("reach", "Reach the API server"),
    ("identity", "Recognise the cluster"),
    ("rights", "Check what this account may do"),
    ("velero", "Find Velero"),
    ("storage", "Look at storage classes and nodes"),
)
UNTAKEN_AFTER = timedelta(seconds=10)


@dataclass(frozen=True)
class ShownCheck:
    """A check with every step there is. `untaken`: no worker took it within seconds."""

    check: ClusterCheck
    steps: list[dict[str, Any]]
    untaken: bool

    @property
    def running(self) -> bool:
        return self.check.is_open

    @property
    def reached(self) -> bool:
        """Whether the cluster was reached, whatever is missing there."""
        return self.check.state == CheckState.COMPLETED

    @property
    def warned(self) -> bool:
        return self.reached and any(step.get("outcome") == "warning" for step in self.steps)


def shown(check: ClusterCheck) -> ShownCheck:
    """`check` with the step under way and those to come, while it runs."""
    known = {step["id"] for step in check.steps}
    rest = [{"id": id_, "title": title, "outcome": ""} for id_, title in STEPS if id_ not in known]
    if check.is_open and check.attempt and rest:
        rest[0]["outcome"] = "running"
    if not check.is_open:
        rest = [step | {"outcome": "skipped"} for step in rest]
    return ShownCheck(check, [*check.steps, *rest], is_untaken(check))


def is_untaken(wish: Wish) -> bool:
    """Whether no worker took it within seconds."""
    return wish.is_open and not wish.attempt and timezone.now() - wish.created_at > UNTAKEN_AFTER
