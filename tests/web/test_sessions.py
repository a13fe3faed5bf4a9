"""How long a session lasts, and ending it: here, there, everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent, Membership, Session, Tenant, User
from tests.conftest import PASSWORD
from workspaces.models import Project

LIVE = {"Live": "1"}
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def clock() -> Iterator[Any]:
    with time_machine.travel(timezone.now(), tick=False) as travelling:
        yield travelling


def browser(user: User, agent: str = "Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0", **extra: str) -> Client:
    client = Client(HTTP_USER_AGENT=agent, **extra)
    assert client.post(reverse("login"), {"username": user.email, "password": PASSWORD}).status_code == 302
    return client


def signed_in(client: Client, **headers: str) -> bool:
    return client.get(reverse("session"), headers=headers).status_code in (200, 204)


def test_an_idle_session_ends(clock: Any, alice: User) -> None:
    here = browser(alice)
    clock.shift(59 * MINUTE)
    assert signed_in(here)
    clock.shift(59 * MINUTE)
    assert signed_in(here), "what one does keeps it alive"
    clock.shift(60 * MINUTE)
    assert not signed_in(here)
    assert not Session.objects.live(alice)


def test_a_page_that_stays_live_keeps_nobody_signed_in(clock: Any, alice: User) -> None:
    here = browser(alice)
    for _ in range(11):
        clock.shift(5 * MINUTE)
        assert signed_in(here, **LIVE)
    clock.shift(5 * MINUTE)
    assert not signed_in(here, **LIVE)


def test_any_session_ends_however_busy(clock: Any, alice: User) -> None:
    here = browser(alice)
    for _ in range(23):
        clock.shift(30 * MINUTE)
        assert signed_in(here)
        here.post(reverse("profile"), {"name": "Alice", "time_zone": "UTC"})
    clock.shift(30 * MINUTE)
    assert not signed_in(here)


def test_writing_into_a_session_is_no_activity(clock: Any, alice: User, project: Project) -> None:
    """The project last visited is written by a page, a live one included."""
    here = browser(alice)
    clock.shift(30 * MINUTE)
    session = here.session
    session["project"] = str(project.pk)
    session.save()
    clock.shift(31 * MINUTE)
    assert not signed_in(here)


def test_a_tenants_own_limits(clock: Any, alice: User, tenant: Tenant) -> None:
    Tenant.objects.filter(pk=tenant.pk).update(session_idle_minutes=10, session_hours=1)
    here = browser(alice)
    clock.shift(9 * MINUTE)
    assert signed_in(here)
    clock.shift(10 * MINUTE)
    assert not signed_in(here)
    busy = browser(alice)
    for _ in range(7):
        clock.shift(8 * MINUTE)
        assert signed_in(busy)
    clock.shift(4 * MINUTE)
    assert not signed_in(busy)


def test_of_several_tenants_the_strictest_holds(clock: Any, alice: User, tenant: Tenant) -> None:
    strict = Tenant.objects.create(name="Strict", session_idle_minutes=5, session_hours=100)
    member = Membership.objects.create(tenant=strict, user=alice)
    here = browser(alice)
    clock.shift(5 * MINUTE)
    assert not signed_in(here)
    Membership.objects.filter(pk=member.pk).update(is_active=False)
    here = browser(alice)
    clock.shift(59 * MINUTE)
    assert signed_in(here), "a tenant one is no longer active in has no say"


def test_a_limit_counts_from_the_next_request(clock: Any, alice: User, tenant: Tenant) -> None:
    here = browser(alice)
    clock.shift(30 * MINUTE)
    Tenant.objects.filter(pk=tenant.pk).update(session_idle_minutes=20)
    assert not signed_in(here)


def test_somebody_without_a_tenant_has_the_usual_limits(clock: Any, db: None) -> None:
    here = browser(User.objects.create_user("new@harbor.example", PASSWORD))
    clock.shift(59 * MINUTE)
    assert signed_in(here)
    clock.shift(60 * MINUTE)
    assert not signed_in(here)


def test_limits_cost_no_query(alices: Client, django_assert_num_queries: Any) -> None:
    signed_in(alices, **LIVE)
    with django_assert_num_queries(2):  # the session with its limits, the person
        assert signed_in(alices, **LIVE)


def test_a_deactivated_person_is_out_at_the_next_request_live_ones_too(alice: User) -> None:
    here = browser(alice)
    assert signed_in(here, **LIVE)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert not signed_in(here, **LIVE) and not signed_in(here)


# The list, and ending


def test_the_profile_lists_where_one_is_signed_in(alice: User, charlie: User) -> None:
    here = browser(alice, REMOTE_ADDR="192.0.2.7")
    browser(alice, "Mozilla/5.0 (iPhone; CPU iPhone OS 20_0) Safari/600", REMOTE_ADDR="198.51.100.9")
    browser(charlie, "Charlies own", REMOTE_ADDR="203.0.113.5")
    page = here.get(reverse("profile")).text
    for shown in ("Firefox on Linux", "Safari on iPhone", "192.0.2.7", "198.51.100.9"):
        assert shown in page
    assert page.count("This browser") == 1 and "203.0.113.5" not in page and "Charlies own" not in page


def test_a_browsers_name_is_text(alice: User) -> None:
    here = browser(alice, "<script>planted()</script>" + "x" * 500)
    assert "<script>planted" not in here.get(reverse("profile")).text


def other_key(user: User, not_of: Client) -> str:
    from accounts.sessions import stored_key

    mine = stored_key(not_of.cookies["sessionid"].value)
    return str(Session.objects.filter(user=user).exclude(pk=mine).get().pk)


def test_signing_out_in_one_other_browser(alice: User) -> None:
    here, there = browser(alice), browser(alice)
    key = other_key(alice, here)
    before = AuditEvent.objects.count()
    assert here.post(reverse("session_end", args=[key]))["Location"] == reverse("profile")
    assert signed_in(here) and not signed_in(there)
    assert AuditEvent.objects.count() == before + 1
    assert here.post(reverse("session_end", args=[key])).status_code == 404


def test_nobody_ends_somebody_elses(alice: User, charlie: User) -> None:
    his, hers = browser(charlie), browser(alice)
    key = other_key(alice, his)
    assert his.post(reverse("session_end", args=[key])).status_code == 404
    assert signed_in(hers)


def test_signing_out_everywhere(alice: User, charlie: User) -> None:
    here, there, his = browser(alice), browser(alice), browser(charlie)
    assert here.post(reverse("session_end_all"))["Location"] == reverse("login")
    assert not signed_in(here) and not signed_in(there) and signed_in(his)
    assert list(AuditEvent.objects.filter(verb="session.delete_all").values_list("details")) == [({"sessions": 2},)]


def test_ended_sessions_are_removed(clock: Any, alice: User) -> None:
    browser(alice)
    Session.objects.purge()
    assert Session.objects.count() == 1
    clock.shift(timedelta(days=8))
    Session.objects.purge()
    assert not Session.objects.exists()
