"""What an audit row says."""

from __future__ import annotations

import pytest

from accounts import audit
from accounts.models import AuditEvent, Tenant, User
from console.lib import context
from tests.conftest import make_cluster
from workspaces.models import Project

pytestmark = pytest.mark.django_db


def test_who_what_where_and_for_which_request(alice: User, project: Project) -> None:
    cluster = make_cluster(project, "harbor-east")
    with context.caused_by("0123456789ab", address="192.0.2.7"):
        row = audit.record(by=alice, verb="cluster.update", target=cluster, changed=["name"])
    stored = AuditEvent.objects.get(pk=row.pk)
    assert (stored.actor_id, stored.actor) == (alice.pk, "alice@harbor.example")
    assert (stored.verb, stored.target_kind, stored.target_id, stored.target) == (
        "cluster.update",
        "cluster",
        str(cluster.pk),
        "harbor-east",
    )
    assert (stored.tenant_id, stored.project_id) == (project.tenant_id, project.pk)
    assert (stored.address, stored.reference) == ("192.0.2.7", "0123456789ab")
    assert (stored.outcome, stored.details) == ("done", {"changed": ["name"]})


def test_the_console_itself(project: Project) -> None:
    row = audit.record(by=None, verb="backup.adopt", target=project)
    assert (row.actor_id, row.actor, row.address) == (None, "Drydock", None)


def test_a_project_is_in_itself_and_a_tenant_in_none(tenant: Tenant, project: Project) -> None:
    assert audit.record(by=None, verb="x", target=project).project_id == project.pk
    assert audit.record(by=None, verb="x", target=tenant, tenant_id=tenant.pk).project_id is None


def test_a_long_target_is_cut(project: Project) -> None:
    project.name = "x" * 400
    assert len(audit.record(by=None, verb="x", target=project).target) == 254
