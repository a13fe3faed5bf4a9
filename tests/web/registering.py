"""A connection as one gives it to the wizards, and what a worker makes of it."""

from __future__ import annotations

from typing import Any

import yaml
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.unit.console.kube.kubeconfigs import document
from tests.web.test_cluster import BASICS, FACTS
from workspaces.models import ClusterCheck, Draft
from workspaces.models.cluster import CheckState

TOKEN = "planted-token-of-a-kubeconfig"
NEWER = "planted-token-of-another-one"
PASSED = {"id": "kubeconfig", "title": "Read the kubeconfig", "outcome": "pass", "cause": "", "remedy": ""}


def kubeconfig(token: str = TOKEN, **changes: Any) -> str:
    return str(yaml.safe_dump(document(user={"token": token}, **changes)))


def several_contexts() -> str:
    found = document(user={"token": TOKEN})
    del found["current-context"]
    found["contexts"].append({"name": "west-ops", "context": {"cluster": "east", "user": "ops"}})
    return str(yaml.safe_dump(found))


def at(draft: Draft, step: str) -> str:
    return reverse("wizard_step", args=[draft.pk, step])


def connection(**changes: Any) -> dict[str, Any]:
    return {"kubeconfig": kubeconfig(), "context": "", "velero_namespace": "velero"} | changes


def connected(client: Client, draft: Draft) -> ClusterCheck:
    """Both forms are filled in; the check has been asked for."""
    client.post(at(draft, "basics"), BASICS)
    answer = client.post(at(draft, "connection"), connection())
    assert answer.headers["Location"] == at(draft, "check")
    return ClusterCheck.objects.get()


def passes(check: ClusterCheck, **facts: Any) -> None:
    ClusterCheck.objects.filter(pk=check.pk).update(
        state=CheckState.COMPLETED, steps=[PASSED], facts=FACTS | facts, finished_at=timezone.now()
    )


def fails(check: ClusterCheck) -> None:
    step = {"id": "reach", "title": "Reach", "outcome": "fail", "cause": "No route to host.", "remedy": "Look at it."}
    ClusterCheck.objects.filter(pk=check.pk).update(
        state=CheckState.FAILED, steps=[PASSED, step], finished_at=timezone.now()
    )
