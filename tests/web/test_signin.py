"""Signing in: too many guesses, one door, and a session under a new key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from axes.models import AccessAttempt
from django.test import Client
from django.urls import reverse

from accounts import throttle
from accounts.models import AuditEvent, Session, User
from accounts.sessions import stored_key
from tests.conftest import PASSWORD

HERE, THERE = "192.0.2.7", "198.51.100.9"


def sign_in(client: Client, email: str, password: str = PASSWORD, address: str = HERE) -> Any:
    return client.post(reverse("login"), {"username": email, "password": password}, REMOTE_ADDR=address)


def lock_out(client: Client, email: str) -> None:
    for _ in range(throttle.GUESSES):
        sign_in(client, email, "wrong")


def test_too_many_guesses_are_told_how_long_to_wait(client: Client, alice: User) -> None:
    lock_out(client, alice.email)
    answer = sign_in(client, alice.email)
    assert answer.status_code == 429 and 0 < int(answer["Retry-After"]) <= 15 * 60 + 1
    assert "Too many attempts from here. Try again in 15 minutes." in answer.text
    assert not client.session.get("_auth_user_id")
    assert sign_in(client, alice.email, address=THERE).status_code == 302


def test_the_page_says_nothing_about_whether_there_is_such_a_person(client: Client, alice: User) -> None:
    pages = set()
    for email in (alice.email, "nobody@nowhere.example"):
        lock_out(client, email)
        pages.add(sign_in(client, email).text)
    assert len(pages) == 1


def test_every_refused_and_every_locked_attempt_leaves_one_row(client: Client, alice: User) -> None:
    before = AuditEvent.objects.count()
    for number in range(throttle.GUESSES + 5):
        sign_in(client, alice.email, "wrong")
        assert AuditEvent.objects.count() == before + number + 1
    rows = AuditEvent.objects.order_by("id")[before:]
    assert {(row.verb, row.outcome, row.actor, row.target, row.address) for row in rows} == {
        ("session.create", "denied", "Drydock", alice.email, HERE)
    }
    assert [row.details for row in rows] == [{}] * 10 + [{"reason": "too many attempts"}] * 5


def test_a_locked_attempt_at_nobodys_address_keeps_nothing_that_was_typed(client: Client, db: None) -> None:
    lock_out(client, "planted-password")
    assert sign_in(client, "planted-password").status_code == 429
    assert "planted" not in repr([*AuditEvent.objects.values(), *AccessAttempt.objects.values()])


def test_signing_in_gives_the_attempts_back(client: Client, alice: User) -> None:
    for _ in range(3):
        for _ in range(throttle.GUESSES - 1):
            sign_in(Client(), alice.email, "wrong")
        assert sign_in(Client(), alice.email).status_code == 302


def test_behind_a_proxy_the_browser_counts_and_not_the_proxy(client: Client, alice: User, settings: Any) -> None:
    settings.BEHIND_TLS = True

    def attempt(password: str, browser: str) -> Any:
        typed = {"username": alice.email, "password": password}
        named = {"HTTP_X_FORWARDED_FOR": f"10.1.1.1, {browser}", "REMOTE_ADDR": "10.0.0.1"}
        return client.post(reverse("login"), typed, **named)  # type: ignore[arg-type]

    for _ in range(throttle.GUESSES):
        attempt("wrong", HERE)
    assert attempt(PASSWORD, HERE).status_code == 429
    assert attempt(PASSWORD, THERE).status_code == 302
    assert AuditEvent.objects.latest("id").address == THERE


# A session


def test_a_new_key_that_nobody_had_before(client: Client, alice: User) -> None:
    """Whoever made somebody use a session of theirs is not signed in with them."""
    planted = client.session
    planted["planted"] = "before"
    planted.save()
    before = planted.session_key
    assert sign_in(client, alice.email).status_code == 302
    assert client.session.session_key != before
    thief = Client()
    thief.cookies["sessionid"] = before
    assert thief.get(reverse("profile")).status_code == 302
    assert not Session.objects.filter(pk=stored_key(str(before))).exists()


def test_a_key_invented_by_the_browser_is_not_taken_up(client: Client, alice: User) -> None:
    client.cookies["sessionid"] = "planted0planted0planted0planted0"
    sign_in(client, alice.email)
    assert client.cookies["sessionid"].value != "planted0planted0planted0planted0"


def test_who_reads_the_database_cannot_be_anybody(client: Client, alice: User) -> None:
    sign_in(client, alice.email)
    key = client.cookies["sessionid"].value
    rows = repr(list(Session.objects.values()))
    assert key not in rows and stored_key(key) in rows
    thief = Client()
    thief.cookies["sessionid"] = stored_key(key)
    assert thief.get(reverse("profile")).status_code == 302


def test_nothing_else_begins_a_session() -> None:
    """The way from a password to a session is one: a second factor would stand in it."""
    begun = re.compile(r"auth\.(login|authenticate)\(|from django.contrib.auth import .*\b(login|authenticate)\b")
    found = {
        str(file)
        for room in ("accounts", "backups", "console", "workspaces")
        for file in Path(room).rglob("*.py")
        if begun.search(file.read_text())
    }
    assert found == {"accounts/signin.py"}


# Django admin


def test_django_admin_has_no_door_of_its_own(client: Client, alice: User) -> None:
    asked = client.get("/admin/", follow=True)
    assert asked.redirect_chain[-1][0].startswith(f"{reverse('login')}?next=/admin/")
    client.post("/admin/login/", {"username": alice.email, "password": PASSWORD})
    assert client.get(reverse("profile")).status_code == 302


def test_whoever_may_not_use_it_finds_nothing_there(alices: Client) -> None:
    assert alices.get("/admin/", follow=True).status_code == 404


def test_a_superusers_sign_in_says_so_in_the_log(client: Client, db: None) -> None:
    User.objects.create_superuser("root@harbor.example", PASSWORD)
    typed = {"username": "root@harbor.example", "password": PASSWORD, "next": "/admin/"}
    answer = client.post(reverse("login"), typed)
    assert answer["Location"] == "/admin/"
    assert client.get("/admin/").status_code == 200
    row = AuditEvent.objects.get(verb="session.create")
    assert row.details == {"site_owner": True} and row.actor == "root@harbor.example"
