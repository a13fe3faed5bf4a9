"""A new password by letter, and changing the one there is."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.core.mail import EmailMessage
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import throttle
from accounts.models import AuditEvent, Session, User
from console.lib.mail import send_soon
from tests.conftest import PASSWORD

NEW = "three unrelated words"
LINK = re.compile(r"https?://\S+")

pytestmark = pytest.mark.usefixtures("commits_at_once")


@pytest.fixture(autouse=True)
def _letters(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """There is a mail server, and letters are there when the request is answered."""
    settings.MAIL_IS_SENT = True
    monkeypatch.setattr(threading.Thread, "start", lambda thread: thread.run())
    yield


def ask(client: Client, email: str) -> Any:
    return client.post(reverse("password_forgotten"), {"email": email})


def link(client: Client, user: User) -> str:
    ask(client, user.email)
    found = LINK.search(str(mail.outbox[-1].body))
    assert found
    return found[0].removeprefix("http://testserver")


def set_new(client: Client, address: str, password: str = NEW) -> Any:
    return client.post(address, {"new_password1": password, "new_password2": password})


def test_by_letter_to_a_new_password(client: Client, alice: User) -> None:
    there = Client()
    there.force_login(alice)
    address = link(client, alice)
    assert mail.outbox[-1].to == [alice.email] and "works once, for an hour" in str(mail.outbox[-1].body)
    assert client.get(address).status_code == 200
    assert set_new(client, address)["Location"] == reverse("login")
    alice.refresh_from_db()
    assert alice.check_password(NEW)
    assert there.get(reverse("profile")).status_code == 302, "signed out everywhere"
    assert not Session.objects.filter(user=alice).exists()
    assert client.get(reverse("profile")).status_code == 302, "a link is no sign-in"


def test_it_leaves_its_rows(client: Client, alice: User) -> None:
    before = AuditEvent.objects.count()
    set_new(client, link(client, alice))
    rows = AuditEvent.objects.order_by("id")[before:]
    assert [(row.verb, row.actor, row.target) for row in rows] == [
        ("user.ask_password_reset", "Drydock", alice.email),
        ("user.reset_password", alice.email, alice.email),
    ]
    assert NEW not in repr(list(AuditEvent.objects.values()))


def test_the_same_answer_for_every_address(client: Client, alice: User, charlie: User) -> None:
    User.objects.filter(pk=charlie.pk).update(is_active=False)
    invited = User.objects.create_user("invited@harbor.example")
    emails = [alice.email, charlie.email, invited.email, "nobody@nowhere.example"]
    answers = [ask(client, email) for email in emails]
    assert {answer.status_code for answer in answers} == {200} and len({answer.text for answer in answers}) == 1
    assert [letter.to for letter in mail.outbox] == [[alice.email]]
    assert "nobody@nowhere" not in repr(list(AuditEvent.objects.values()))


def test_a_link_works_once(client: Client, alice: User) -> None:
    address = link(client, alice)
    set_new(client, address)
    again = set_new(client, address, "other unrelated words")
    assert again.status_code == 410 and "no longer valid" in again.text
    alice.refresh_from_db()
    assert alice.check_password(NEW)


def test_a_link_works_for_an_hour(client: Client, alice: User) -> None:
    address = link(client, alice)
    with time_machine.travel(timezone.now() + timedelta(minutes=59)):
        assert client.get(address).status_code == 200
    with time_machine.travel(timezone.now() + timedelta(minutes=61)):
        assert client.get(address).status_code == 410
        assert set_new(client, address).status_code == 410


@pytest.mark.parametrize("uid", ["MQ", "_w", "x", "MDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAw"])
def test_an_invented_link(client: Client, alice: User, uid: str) -> None:
    assert client.get(reverse("password_reset", args=[uid, "c-0"])).status_code == 410


def test_a_link_of_somebody_deactivated_meanwhile(client: Client, alice: User) -> None:
    address = link(client, alice)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert set_new(client, address).status_code == 410


def test_a_weak_password_is_refused(client: Client, alice: User) -> None:
    answer = set_new(client, link(client, alice), "short")
    assert answer.status_code == 200 and "too short" in answer.text


def test_nobody_is_flooded_with_letters(client: Client, alice: User) -> None:
    answers = [ask(client, alice.email).status_code for _ in range(10)]
    assert len(mail.outbox) == throttle.LETTERS and answers[-1] == 429
    for number in range(60):
        answers.append(ask(client, f"person{number}@harbor.example").status_code)
    assert answers.count(200) == throttle.LETTERS_TO_ANYBODY


def test_letters_take_nothing_from_guesses(client: Client, alice: User) -> None:
    for _ in range(20):
        ask(client, alice.email)
    assert client.post(reverse("login"), {"username": alice.email, "password": PASSWORD}).status_code == 302


def test_without_a_mail_server_nothing_is_offered(client: Client, alice: User, settings: Any) -> None:
    assert reverse("password_forgotten") in client.get(reverse("login")).text
    settings.MAIL_IS_SENT = False
    assert reverse("password_forgotten") not in client.get(reverse("login")).text
    assert client.get(reverse("password_forgotten")).status_code == 404
    assert ask(client, alice.email).status_code == 404 and not mail.outbox


def test_a_mail_server_that_fails_is_logged_without_the_letter(
    client: Client, alice: User, monkeypatch: pytest.MonkeyPatch, caplog: Any, capsys: Any
) -> None:
    def send(letter: EmailMessage) -> None:
        raise OSError("planted: the server said no to alice")

    monkeypatch.setattr(EmailMessage, "send", send)
    assert ask(client, alice.email).status_code == 200
    said = caplog.text + "".join(capsys.readouterr())
    assert "letter not sent" in said and "OSError" in said and "planted" not in said and "/login/reset/" not in said


def test_nobody_waits_for_the_mail_server(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    monkeypatch.setattr(threading.Thread, "start", lambda thread: started.append(thread.name))
    send_soon(lambda: pytest.fail("written in the request"))
    assert started == ["letter"]


# Changing it


def change(client: Client, old: str) -> Any:
    return client.post(reverse("password_change"), {"old_password": old, "new_password1": NEW, "new_password2": NEW})


def test_the_current_password_cannot_be_guessed_here_either(alices: Client, alice: User) -> None:
    before = AuditEvent.objects.count()
    for _ in range(throttle.GUESSES):
        assert "This is not your current password." in change(alices, "wrong").text
    locked = change(alices, PASSWORD)
    assert "Too many attempts from here." in locked.text
    rows = AuditEvent.objects.order_by("id")[before:]
    assert {(row.verb, row.outcome, row.actor) for row in rows} == {("session.confirm", "denied", alice.email)}
    assert len(rows) == throttle.GUESSES + 1
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def test_changing_it_removes_the_other_sessions(alices: Client, alice: User) -> None:
    other = Client()
    other.force_login(alice)
    assert change(alices, PASSWORD)["Location"] == reverse("profile")
    assert alices.get(reverse("profile")).status_code == 200
    assert other.get(reverse("profile")).status_code == 302
    assert Session.objects.filter(user=alice).count() == 1
