"""A location that the console cannot try from here: a cluster's Velero is asked about it."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import AuditEvent, User
from backups.models import BackupLocation, LocationCheck
from tests.conftest import make_cluster
from tests.web.locations import REFUSED, SENT, STEPS, draft_url, end, filled, no_secret, text, validated
from workspaces.actions.project import create_project
from workspaces.models import Cluster, Project

pytestmark = pytest.mark.usefixtures("commits_at_once")
UNREACHED = {**STEPS[0], "outcome": "fail", "cause": "Nothing listens there.", "remedy": "Start it."}


def test_where_the_console_does_not_get_a_clusters_velero_is_asked(
    alices: Client, project: Project, east: Cluster, charlie: User, sent: SENT
) -> None:
    """What it can use is saved as any other, and not shown as if the console knew."""
    check = validated(alices, project)
    end(check, UNREACHED)
    assert "Ask its Velero" in text(alices.get(draft_url(check)))
    elsewhere = create_project(by=None, tenant=charlie.memberships.get().tenant, name="X")
    theirs = make_cluster(elsewhere, "theirs")
    assert alices.post(draft_url(check), filled(do="ask", cluster=theirs.pk)).status_code == 422
    for _ in range(2):
        asked = alices.post(draft_url(check), filled(do="ask", cluster=east.pk))
    trial = LocationCheck.objects.exclude(pk=check.pk).get()
    assert asked["Location"] == f"{draft_url(trial)}#validation"
    assert trial.asked_of == east
    trial.write(steps=[UNREACHED, {**STEPS[0], "id": "velero"}], state="completed")
    assert "the Velero of harbor-east can use it" in text(alices.get(draft_url(trial)))
    no_secret(alices.post(draft_url(trial), filled(do="save"), follow=True))
    assert BackupLocation.objects.get().state == "unknown"
    assert AuditEvent.objects.get(verb="location.create").details["validated"] is True


def test_what_is_wrong_wherever_it_is_tried_from_no_cluster_is_asked(
    alices: Client, project: Project, east: Cluster, sent: SENT
) -> None:
    check = validated(alices, project)
    end(check, *STEPS, REFUSED)
    assert "Ask its Velero" not in text(alices.get(draft_url(check)))
