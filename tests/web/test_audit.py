"""The audit page, its rows and its export: the own tenant's rows, ever."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import audit, chain
from accounts.models import AuditChain, AuditEvent, Tenant, User
from accounts.roles import ProjectAdmin, ProjectViewer, WorkspaceAdmin
from accounts.views.audit import PAGE, Line
from tests.people import person
from workspaces.models import Cluster, Project, Workspace

pytestmark = pytest.mark.django_db


def text(answer: Any) -> str:
    return unescape(answer.content.decode())


@pytest.fixture
def address(tenant: Tenant) -> str:
    return reverse("audit_list", args=[tenant.pk])


def write(tenant: Tenant, at: datetime | None = None, **fields: Any) -> AuditEvent:
    values = {"actor": "bob@harbor.example", "verb": "cluster.update", "target_kind": "cluster", "target": "east"}
    with time_machine.travel(at or timezone.now(), tick=False):
        return AuditEvent.objects.create(tenant_id=tenant.pk, **values | fields)


def test_rows_in_words_newest_first(alices: Client, address: str, tenant: Tenant, east: Cluster, alice: User) -> None:
    audit.record(by=alice, verb="cluster.register", target=east, changed=["name", "tags"], forced=True)
    page = text(alices.get(address))
    assert "registered cluster harbor-east" in page and "Changed: name, tags" in page and "Forced: yes" in page
    assert page.index("registered cluster") < page.index("created tenant Harbor")


WORDS = [
    ({"verb": "session.create"}, "signed in "),
    ({"verb": "session.create", "outcome": "denied", "actor": "Drydock", "actor_id": None}, "refused to sign in bob"),
    ({"verb": "team.add_member", "target": "On call"}, "added a member to team On call"),
    ({"verb": "request.post", "target_kind": "page", "target": "cluster_settings"}, "sent a form of cluster settings"),
    ({"verb": "role.create"}, "gave a role to bob"),
    ({"verb": "moon.land", "target": "Sea"}, "moon.land Sea"),
]


@pytest.mark.parametrize(("fields", "says"), WORDS, ids=lambda each: each if isinstance(each, str) else "")
def test_a_row_reads_as_a_sentence(tenant: Tenant, alice: User, fields: dict[str, Any], says: str) -> None:
    row = write(tenant, **{"target": "bob", "actor_id": alice.pk, "target_id": str(alice.pk)} | fields)
    assert f"{Line(row).deed} {Line(row).target}" == says


@pytest.mark.parametrize("role", [ProjectAdmin, ProjectViewer, WorkspaceAdmin, None])
@pytest.mark.parametrize("page", ["audit_list", "audit_export", "audit_detail"])
def test_only_tenant_admins_know_of_it(
    client: Client, project: Project, charlie: User, role: type | None, page: str
) -> None:
    on = Workspace.objects.create(project=project, name="shop") if role is WorkspaceAdmin else project
    client.force_login(person("bob", role=role, on=on) if role else charlie)
    event = AuditEvent.objects.filter(tenant_id=project.tenant_id)[0]
    arguments = [project.tenant_id, *([event.pk] if page == "audit_detail" else [])]
    before = AuditEvent.objects.count()
    assert client.get(reverse(page, args=arguments)).status_code == 404
    assert AuditEvent.objects.count() == before
    assert "Audit log" not in text(client.get(reverse("profile"))) or role is None


def test_rows_of_another_tenant_or_of_none_are_never_there(
    alices: Client, address: str, tenant: Tenant, charlie: User
) -> None:
    theirs = write(charlie.memberships.get().tenant, target="their-cluster", actor="alice@harbor.example")
    nobodys = AuditEvent.objects.create(actor="Drydock", verb="credentials.rotate", target="every tenant")
    for query in ("", "?person=alice", "?object=their-cluster", f"?before={nobodys.pk + 1}"):
        page = text(alices.get(address + query))
        assert "their-cluster" not in page.split("<table")[-1] or "Nothing matches" in page
        assert "every tenant" not in page and "Elsewhere" not in page
    for pk in (theirs.pk, nobodys.pk, 2**63, 10**30):
        assert alices.get(f"{address}{pk}/").status_code == 404
    assert "their-cluster" not in exported(alices, address)


def test_the_menu_leads_here(alices: Client, address: str) -> None:
    assert f'href="{address}" aria-current="page"' in text(alices.get(address))


FILTERS = {
    "person=ALICE": {"a"},
    "verb=cluster": {"a", "b"},
    "verb=team.create": {"c"},
    "object=west": {"b"},
    "object=0c7d": {"c"},
    "outcome=denied": {"b"},
    "person=bob&verb=cluster": {"b"},
    "since=2020-01-02T00:30": {"b", "c"},
    "until=2020-01-02T00:30": {"a", "b"},
    "since=2020-01-02T00:30&until=2020-01-02T00:30": {"b"},
    "since=yesterday": set(),
    "since=2020-01-03T00:00&until=2020-01-01T00:00": set(),
    "outcome=odd": set(),
    "person=%00": set("abc"),
}


@pytest.mark.parametrize("query", FILTERS)
def test_filters(client: Client, tenant: Tenant, alice: User, address: str, query: str) -> None:
    """Times are Alice's, one hour ahead of UTC."""
    alice.time_zone = "Europe/Berlin"
    alice.save()
    client.force_login(alice)
    write(tenant, reference="row-a", at=datetime(2020, 1, 1, 23, 0, tzinfo=UTC), actor="alice@harbor.example")
    write(tenant, reference="row-b", at=datetime(2020, 1, 1, 23, 30, 59, tzinfo=UTC), target="west", outcome="denied")
    write(tenant, reference="row-c", at=datetime(2020, 1, 1, 23, 31, tzinfo=UTC), verb="team.create", target_id="0c7d")
    answer = client.get(f"{address}?{query}&before=999999")
    shown = {line.event.reference[-1] for line in answer.context["lines"] if line.event.reference.startswith("row-")}
    assert answer.status_code == 200 and shown == FILTERS[query]
    taken = exported(client, address, f"?{query}")
    assert {name for name in "abc" if f"row-{name}" in taken} == FILTERS[query]


def test_a_filter_that_cannot_be_understood_says_so(alices: Client, address: str) -> None:
    page = text(alices.get(f"{address}?since=yesterday&person=bob"))
    assert "Give a date and a time" in page and 'value="yesterday"' in page and 'value="bob"' in page


@pytest.mark.parametrize("before", ["x", "-1", "0", "9" * 30, "²"])
def test_an_odd_page_is_a_page(alices: Client, address: str, before: str) -> None:
    assert alices.get(address, {"before": before}).status_code == 200


def test_pages_go_on_from_the_last_row_and_count_nothing(
    alices: Client, address: str, tenant: Tenant, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    for number in range(PAGE + 5):
        write(tenant, target=f"cluster-{number:03}")
    chain.seal("one")
    with django_assert_max_num_queries(8) as captured:
        first = alices.get(address, {"verb": "cluster"})
    assert not [query for query in captured.captured_queries if "COUNT(" in query["sql"].upper()]
    assert first.context["lines"][0].event.target == f"cluster-{PAGE + 4:03}"
    assert len(first.context["lines"]) == PAGE
    older = first.context["older"]
    assert f'href="?verb=cluster&before={older}"' in text(first)
    second = alices.get(address, {"verb": "cluster", "before": older})
    assert [line.event.target for line in second.context["lines"]] == [f"cluster-{n:03}" for n in range(4, -1, -1)]
    assert second.context["older"] is None and "Newest" in text(second)


def test_a_row_leads_to_its_object_while_it_is_there(alices: Client, address: str, alice: User, east: Cluster) -> None:
    row = audit.record(by=alice, verb="cluster.update", target=east)
    shown = reverse("cluster_overview", args=[east.pk])
    assert f'href="{shown}"' in text(alices.get(f"{address}{row.pk}/")) and alices.get(shown).status_code == 200
    east.delete()
    page = text(alices.get(f"{address}{row.pk}/"))
    assert f'href="{shown}"' not in page and "harbor-east" in page
    assert alices.get(address, {"object": str(row.target_id)}).context["lines"][0].event == row


def test_every_kind_of_row_has_a_page(alices: Client, address: str, tenant: Tenant) -> None:
    for kind, pk in (("user", "x"), ("page", ""), ("cluster", ""), ("backup", "../x"), ("odd", "7")):
        row = write(tenant, target_kind=kind, target_id=pk, verb="odd", details={"a": None, "b": {"c_d": []}, "e": ""})
        page = text(alices.get(f"{address}{row.pk}/"))
        assert "c d: none" in page and "<dt>A</dt><dd>none</dd>" in page


def test_what_was_written_is_never_markup(alices: Client, address: str, tenant: Tenant) -> None:
    planted = "<script>x</script>"
    row = write(tenant, target=planted, actor=planted, verb=planted, details={planted: [planted]})
    for page in (address, f"{address}{row.pk}/"):
        assert planted.encode() not in alices.get(page).content


def test_whether_the_log_is_as_it_was_sealed(alices: Client, address: str) -> None:
    assert "not sealed yet" in text(alices.get(address))
    chain.seal("one")
    assert "The chain of rows was intact" in text(alices.get(address))
    with time_machine.travel(timezone.now() + timedelta(minutes=6)):
        assert "The log was last sealed" in text(alices.get(address))
    AuditChain.objects.update(trouble="audit row 7: was changed")
    page = text(alices.get(address))
    assert "The log was altered" in page and "audit row 7" not in page
    AuditChain.objects.all().delete()
    assert "The log was altered" in text(alices.get(address)), "its head was taken away"


def test_nothing_matches(alices: Client, address: str) -> None:
    assert "Nothing matches" in text(alices.get(address, {"person": "nobody-of-that-name"}))


# Export


def exported(client: Client, address: str, query: str = "") -> str:
    answer = client.get(f"{address}export/{query}")
    assert answer.status_code == 200 and answer["Content-Type"].startswith("text/csv")
    assert "attachment" in answer["Content-Disposition"]
    return b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]


def test_the_export_holds_what_the_filter_leaves_and_is_audited(
    alices: Client, address: str, tenant: Tenant, alice: User
) -> None:
    write(tenant, target="one", details={"fields": ["name"]})
    write(tenant, target="two")
    head, *rows = list(csv.reader(io.StringIO(exported(alices, address, "?object=one&before=1"))))
    assert head[:5] == ["time (UTC)", "person", "verb", "object kind", "object"]
    assert [row[4] for row in rows] == ["one"] and rows[0][-1] == '{"fields": ["name"]}'
    last = AuditEvent.objects.all()[0]
    assert (last.verb, last.actor, last.tenant_id) == ("audit.export", alice.email, tenant.pk)
    assert last.details == {"filter": {"object": "one"}}


@pytest.mark.parametrize(
    "planted", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\uff1d1", "\uff0b1"]
)
def test_no_cell_is_a_formula(alices: Client, address: str, tenant: Tenant, planted: str) -> None:
    write(tenant, target=planted, actor=planted, reference=planted, target_id=planted)
    rows = list(csv.reader(io.StringIO(exported(alices, address), newline="")))
    assert [rows[1][column] for column in (1, 4, 5, 8)] == [f"'{planted}"] * 4


def test_a_long_log_is_streamed(alices: Client, address: str, tenant: Tenant) -> None:
    at = timezone.now()
    AuditEvent.objects.bulk_create(AuditEvent(tenant_id=tenant.pk, at=at, actor=str(n)) for n in range(2500))
    answer = alices.get(f"{address}export/")
    assert answer.streaming
    assert sum(chunk.count(b"\r\n") for chunk in answer.streaming_content) > 2500  # type: ignore[attr-defined]
