"""What the console cannot try a cluster's Velero tries, and nothing of that is left there."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from backups import storage
from backups.models import CheckState, LocationCheck
from backups.reconcile import location as locations
from backups.storage import ProbeStep as Step
from tests.unit.backups.reconcile.conftest import Site, claim, fresh
from workspaces.models import Project

pytestmark = pytest.mark.django_db
NOT_HERE = Step("sign_in", "Sign in", "not_checkable", "Only a cluster can try this.", "Ask one.")
UNREACHED = Step("endpoint", "Reach", "fail", "Nothing listens.", "Start it.")


@pytest.fixture
def ask(project: Project, east: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[..., LocationCheck]:
    def run(*steps: Step, s3_url: str = "") -> LocationCheck:
        monkeypatch.setattr(storage, "probe", lambda *_, **__: iter(steps))
        keys = {"access_key": "A", "secret_key": "planted"}
        draft = {"bucket": "b", "prefix": "p", "region": "r", "s3_url": s3_url, "credentials": keys}
        row = LocationCheck.objects.create(project=project, asked_of=east.row, draft=draft)
        locations.check(claim(row))
        return fresh(row)

    return run


@pytest.mark.parametrize("step", [NOT_HERE, UNREACHED])
def test_it_can_use_it(step: Step, ask: Callable[..., LocationCheck], east: Site) -> None:
    check = ask(step)
    assert (check.state, check.message, check.is_verdict) == (CheckState.COMPLETED, "", True)
    posted = [r.body for r in east.fake.server.requests_to(east.fake.name, ("POST",)) if "backupst" in r.path]
    (body,) = map(json.loads, posted)
    assert body["spec"]["accessMode"] == "ReadOnly" and body["spec"]["backupSyncPeriod"] == "0h0m0s"
    assert body["spec"]["objectStorage"]["prefix"] == f"p/{east.row.uid}"
    assert east.fake.objects("backupstoragelocations") == east.fake.objects("secrets") == []


def test_it_cannot(ask: Callable[..., LocationCheck], east: Site) -> None:
    east.velero.verdict = ("Unavailable", "no such bucket")
    check = ask(NOT_HERE)
    assert (check.state, check.steps[-1]["id"]) == (CheckState.FAILED, "velero")
    assert check.message
    assert east.fake.objects("backupstoragelocations") == east.fake.objects("secrets") == []


def test_what_is_wrong_anyway_is_not_asked(ask: Callable[..., LocationCheck], east: Site) -> None:
    wrong = Step("bucket", "Bucket", "fail", "No bucket.", "Make one.")
    assert ask(Step("endpoint", "Reach", "pass"), wrong).message == "No bucket. Make one."
    metadata = ask(UNREACHED, s3_url="http://169.254.169.254")
    assert (metadata.state, "metadata" in metadata.message) == (CheckState.FAILED, True)
    assert east.writes() == []
