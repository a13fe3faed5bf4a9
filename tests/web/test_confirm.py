"""The password again, before what only its person should do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import time_machine
from django.http import HttpResponse
from django.test import Client
from django.urls import include, path, reverse
from django.utils import timezone

from accounts import throttle
from accounts.holders import holders_of
from accounts.models import AuditEvent, AuthenticatedHttpRequest, Tenant, User
from accounts.roles import ProjectViewer
from accounts.signin import AGAIN, require_recent_sign_in
from console import views
from tests.conftest import PASSWORD
from tests.people import person
from workspaces.models import Project

HELD = "/handing/out/?to=bob"
done: list[dict[str, list[str]]] = []


def handing_out(request: AuthenticatedHttpRequest) -> HttpResponse:
    require_recent_sign_in(request)
    if request.method == "POST":
        done.append({name: values for name, values in request.POST.lists() if name != AGAIN})
    return HttpResponse("the form")


class UrlsWithHandingOut:
    urlpatterns = [path("handing/out/", handing_out, name="handing_out"), path("", include("console.urls"))]
    handler500 = staticmethod(views.server_error)


@pytest.fixture(autouse=True)
def _page(settings: Any) -> Iterator[None]:
    settings.ROOT_URLCONF = UrlsWithHandingOut
    done.clear()
    yield


@pytest.fixture
def clock() -> Iterator[Any]:
    with time_machine.travel(timezone.now(), tick=False) as travelling:
        yield travelling


@pytest.fixture
def here(clock: Any, client: Client, alice: User) -> Client:
    """Alice signed in eleven minutes ago."""
    client.post(reverse("login"), {"username": alice.email, "password": PASSWORD})
    clock.shift(timedelta(minutes=11))
    return client


def confirm(client: Client, password: str, following: str = HELD) -> Any:
    return client.post(reverse("session_confirm"), {"password": password, "next": following})


def rows(since: int) -> list[tuple[str, str, str]]:
    return list(AuditEvent.objects.order_by("id")[since:].values_list("verb", "outcome", "actor"))


def test_whoever_has_just_signed_in_is_not_asked(clock: Any, client: Client, alice: User) -> None:
    client.post(reverse("login"), {"username": alice.email, "password": PASSWORD})
    clock.shift(timedelta(minutes=9))
    assert client.get(HELD).content == b"the form"


def test_a_page_is_led_to_by_way_of_the_password(here: Client, alice: User) -> None:
    asked = here.get(HELD)
    assert asked["Location"] == f"{reverse('session_confirm')}?{urlencode({'next': HELD})}"
    assert f'value="{HELD}"' in here.get(asked["Location"]).text
    before, key = AuditEvent.objects.count(), here.session.session_key
    assert confirm(here, PASSWORD)["Location"] == HELD
    assert here.get(HELD).content == b"the form"
    assert rows(before) == [("session.confirm", "done", alice.email)]
    assert here.session.session_key != key


def test_it_is_asked_again_after_a_while(here: Client, clock: Any) -> None:
    confirm(here, PASSWORD)
    clock.shift(timedelta(minutes=11))
    assert here.get(HELD).status_code == 302


def test_a_wrong_password_is_said_and_leaves_one_row(here: Client, alice: User) -> None:
    before = AuditEvent.objects.count()
    answer = confirm(here, "planted-wrong")
    assert answer.status_code == 200 and "This is not your password." in answer.text
    assert "planted-wrong" not in answer.text and here.get(HELD).status_code == 302
    assert rows(before) == [("session.confirm", "denied", alice.email)]


def test_guessing_here_is_braked_like_signing_in(here: Client, alice: User) -> None:
    for _ in range(throttle.GUESSES):
        confirm(here, "wrong")
    before = AuditEvent.objects.count()
    locked = confirm(here, PASSWORD)
    assert locked.status_code == 429 and "Try again in 15 minutes." in locked.text
    assert here.get(HELD).status_code == 302
    assert rows(before) == [("session.confirm", "denied", alice.email)]
    assert Client().post(reverse("login"), {"username": alice.email, "password": PASSWORD}).status_code == 429


def test_somebody_elses_password_is_not_ones_own(here: Client, charlie: User) -> None:
    charlie.set_password("another long password")
    charlie.save()
    assert confirm(here, "another long password").status_code == 200


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_it_never_leads_elsewhere(here: Client, elsewhere: str) -> None:
    assert confirm(here, PASSWORD, elsewhere)["Location"] == reverse("home")


# A form that was posted too late

FORM = {"role": ["project_admin"], "to": ["bob", "eve"], "note": ['a "quoted" <b>&amp; line\nand another']}


def hidden(page: str) -> dict[str, list[str]]:
    """What the page holds, as a browser would send it."""
    from html.parser import HTMLParser

    found: dict[str, list[str]] = {}

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            given = dict(attrs)
            if tag == "input" and given.get("type") == "hidden" and given.get("name") != "csrfmiddlewaretoken":
                found.setdefault(str(given["name"]), []).append(str(given["value"]))

    Reader().feed(page.split("<main")[1])
    return found


def test_a_posted_form_is_kept_and_goes_on_with_the_password(here: Client, alice: User) -> None:
    held = here.post(HELD, FORM)
    assert held.status_code == 403 and "what you filled in is kept here" in held.text and done == []
    kept = hidden(held.text)
    assert kept == FORM
    answer = here.post(HELD, {**kept, AGAIN: PASSWORD})
    assert answer.content == b"the form" and done == [FORM]


def test_a_wrong_password_keeps_it_too(here: Client, alice: User) -> None:
    before = AuditEvent.objects.count()
    held = here.post(HELD, {**FORM, AGAIN: "planted-wrong"})
    assert held.status_code == 403 and "This is not your password." in held.text
    assert hidden(held.text) == FORM and "planted-wrong" not in held.text and done == []
    assert rows(before) == [("session.confirm", "denied", alice.email)], "a wrong password is no denial besides"


def test_too_many_keep_it_too(here: Client) -> None:
    for _ in range(throttle.GUESSES):
        here.post(HELD, {**FORM, AGAIN: "wrong"})
    held = here.post(HELD, {**FORM, AGAIN: PASSWORD})
    assert held.status_code == 429 and hidden(held.text) == FORM and done == []


def test_a_form_without_the_password_is_asked_for_it_and_counted_as_nothing(here: Client) -> None:
    before = AuditEvent.objects.count()
    here.post(HELD, FORM)
    assert rows(before) == []


def test_a_forged_post_is_refused_before_any_password(clock: Any, alice: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    assert "The form was not sent" in strict.post(HELD, {**FORM, AGAIN: PASSWORD}).text
    assert done == []


def test_the_page_has_nothing_inline(here: Client) -> None:
    assert not re.search(r"\sstyle=|\son[a-z]+=|<script(?![^>]*src=)", here.post(HELD, FORM).text.replace("&", ""))


def test_the_pages_that_give_roles_ask(here: Client, tenant: Tenant) -> None:
    bob = person("bob", tenant=tenant)
    address = reverse("user_admin", args=[tenant.pk, bob.pk, "give"])
    assert here.get(address).headers.get("Location", "").startswith(reverse("session_confirm"))
    held = here.post(address)
    assert held.status_code == 403 and not bob.memberships.get().is_admin
    assert here.post(address, {**hidden(held.text), AGAIN: PASSWORD}).status_code == 302
    assert bob.memberships.get().is_admin


def test_whoever_may_not_is_told_so_without_a_password(here: Client, tenant: Tenant, charlie: User) -> None:
    tenant.memberships.update(is_admin=False)
    bob = person("bob", tenant=tenant)
    assert here.get(reverse("user_admin", args=[tenant.pk, bob.pk, "give"])).status_code == 404
    assert here.post(reverse("user_admin", args=[tenant.pk, bob.pk, "give"])).status_code == 404


def test_a_wizard_that_gives_roles_asks_when_it_is_confirmed(
    clock: Any, client: Client, alice: User, project: Project
) -> None:
    client.post(reverse("login"), {"username": alice.email, "password": PASSWORD})
    bob = person("bob", tenant=project.tenant)
    step = client.get(reverse("user_roles_add", args=[project.tenant_id, bob.pk, "projects"]))["Location"]
    step = client.post(step, {"project": project.pk})["Location"]
    review = client.post(step, {"role": ProjectViewer.codename})["Location"]
    clock.shift(timedelta(minutes=11))
    held = client.post(review)
    assert held.status_code == 403 and not holders_of(project)
    assert client.post(review, {**hidden(held.text), AGAIN: PASSWORD}).status_code == 302
    assert [each.to for each in holders_of(project)] == [bob]
