"""Guessing is refused before anything is hashed: how often, for whom, for how long, and what is kept of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from axes.models import AccessAttempt
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import RequestFactory
from django.utils import timezone

from accounts import throttle
from accounts.models import User
from console.lib.middleware import client_address
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
HERE, THERE = "192.0.2.7", "198.51.100.9"


def asking(address: str = HERE) -> Any:
    return RequestFactory().post("/login/", REMOTE_ADDR=address)


def guess(email: str, password: str = "wrong", address: str = HERE) -> User | None:
    return authenticate(asking(address), username=email, password=password)  # type: ignore[return-value]


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """One entry for each hash that is computed, of a known person's password or in the place of one."""
    computed: list[str] = []
    real = MD5PasswordHasher.encode

    def encode(self: Any, password: str, salt: str, *args: Any) -> str:
        computed.append(salt)
        return real(self, password, salt, *args)

    monkeypatch.setattr(MD5PasswordHasher, "encode", encode)
    yield computed


@pytest.mark.slow
@pytest.mark.parametrize(("known", "guesses"), [(True, 1000), (False, 100)])
def test_a_thousand_guesses_compute_ten_hashes(alice: User, hashed: list[str], known: bool, guesses: int) -> None:
    """S10. What is measured from outside is the same for an address that nobody has."""
    hashed.clear()
    for number in range(guesses):
        guess(alice.email if known else "nobody@nowhere.example", f"guess {number}")
    assert len(hashed) == throttle.GUESSES == 10


@pytest.mark.slow
def test_control_without_the_throttle_it_is_a_thousand(alice: User, hashed: list[str], settings: Any) -> None:
    settings.AXES_ENABLED = False
    hashed.clear()
    for number in range(1000):
        guess(alice.email, f"guess {number}")
    assert len(hashed) == 1000


def test_the_person_gets_in_from_elsewhere(alice: User) -> None:
    for _ in range(30):
        guess(alice.email)
    assert guess(alice.email, PASSWORD) is None
    assert guess(alice.email, PASSWORD, THERE) == alice


def test_others_get_in_from_the_same_address(alice: User, charlie: User) -> None:
    for _ in range(30):
        guess(alice.email)
    assert guess(charlie.email, PASSWORD) == charlie


def test_however_the_address_is_written_it_is_one_person(alice: User) -> None:
    for spelling in (alice.email, alice.email.upper(), f" {alice.email} ") * 4:
        guess(spelling)
    assert guess(alice.email, PASSWORD) is None


def test_it_cools_off_and_refused_guesses_make_nobody_wait_longer(alice: User) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(throttle.GUESSES):
            guess(alice.email)
        clock.shift(throttle.COOL_OFF - timedelta(seconds=1))
        assert guess(alice.email, PASSWORD) is None
        clock.shift(timedelta(seconds=2))
        assert guess(alice.email, PASSWORD) == alice


def test_slow_guesses_are_as_many_in_any_quarter_of_an_hour(alice: User, hashed: list[str]) -> None:
    """One a minute for two hours: ten, then a quarter of an hour nothing, and so on."""
    with time_machine.travel(timezone.now(), tick=False) as clock:
        times = []
        for minute in range(120):
            hashed.clear()
            guess(alice.email)
            times += [minute] if hashed else []
            clock.shift(timedelta(minutes=1))
    assert max(sum(start <= each < start + 15 for each in times) for start in range(120)) <= throttle.GUESSES


def test_one_address_cannot_try_many_people_without_end(alice: User, hashed: list[str]) -> None:
    hashed.clear()
    for number in range(120):
        guess(f"person{number}@harbor.example")
    assert len(hashed) == throttle.GUESSES_OF_ANYBODY
    assert guess(alice.email, PASSWORD) is None
    assert guess(alice.email, PASSWORD, THERE) == alice


def test_hammering_one_person_does_not_shut_the_whole_office_out(alice: User, charlie: User) -> None:
    for _ in range(150):
        guess(alice.email)
    assert guess(charlie.email, PASSWORD) == charlie


def test_an_office_that_mistypes_now_and_then_is_never_shut_out(alice: User) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for number in range(120):
            clock.shift(timedelta(minutes=1))
            assert guess(f"person{number}@harbor.example") is None
        assert guess(alice.email, PASSWORD) == alice


def test_what_was_right_is_given_back(alice: User) -> None:
    request = asking()
    brakes = throttle.guesses(request, alice.email)
    for _ in range(throttle.GUESSES_OF_ANYBODY + 5):
        throttle.take(brakes)
        throttle.give_back(brakes)
    throttle.take(brakes)


def test_it_is_counted_in_the_database(alice: User) -> None:
    """So that a restart, or another web process, knows."""
    for _ in range(throttle.GUESSES):
        guess(alice.email)
    assert sorted(AccessAttempt.objects.values_list("failures_since_start", flat=True)) == [10, 10]
    from axes.handlers.proxy import AxesProxyHandler

    AxesProxyHandler.get_implementation(force=True)
    assert guess(alice.email, PASSWORD) is None


def test_nothing_that_was_typed_is_kept(alice: User) -> None:
    typed = {"username": "planted-password", "password": "planted"}
    request = RequestFactory().post("/login/?next=/planted-next/", typed)
    authenticate(request, username="planted-password", password="planted-too")
    guess(alice.email)
    kept = repr(list(AccessAttempt.objects.values()))
    assert AccessAttempt.objects.count() >= 2
    assert "planted" not in kept and "alice" not in kept


def test_the_words_say_how_long_to_wait() -> None:
    assert throttle.TooManyAttempts(timedelta(seconds=1)).message.endswith("Try again in a minute.")
    assert throttle.TooManyAttempts(timedelta(seconds=61)).message.endswith("Try again in 2 minutes.")
    assert throttle.TooManyAttempts(throttle.COOL_OFF).message.endswith("Try again in 15 minutes.")


@pytest.mark.parametrize(
    ("address", "block"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ("", throttle.NOWHERE),
        ("unix:", throttle.NOWHERE),
    ],
)
def test_what_counts_as_one_address(address: str, block: str) -> None:
    assert throttle.block_of(address) == block


def test_an_administrator_lets_somebody_in_at_once(alice: User) -> None:
    for command, value in [("axes_reset_username", alice.email), ("axes_reset_ip", HERE), ("axes_reset", None)]:
        for _ in range(throttle.GUESSES):
            guess(alice.email)
        assert guess(alice.email, PASSWORD) is None
        call_command(command, *([value] if value else []), verbosity=0)
        assert guess(alice.email, PASSWORD) == alice
        AccessAttempt.objects.all().delete()


def test_what_cooled_off_is_forgotten(alice: User) -> None:
    guess(alice.email)
    throttle.purge()
    assert AccessAttempt.objects.count() == 2
    with time_machine.travel(timezone.now() + throttle.COOL_OFF * 2):
        throttle.purge()
    assert not AccessAttempt.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_guesses_at_the_same_moment_are_counted_like_any_others(transactional_db: None, hashed: list[str]) -> None:
    """Counted before it is tried: otherwise all of them would be hashed before the first is known to be wrong."""
    email = User.objects.create_user("alice@harbor.example", PASSWORD).email
    hashed.clear()
    start = threading.Barrier(12)

    def many() -> None:
        start.wait()
        try:
            for _ in range(5):
                guess(email)
        except OperationalError:  # SQLite in memory is shared and may be busy: a guess less, not one more
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=many) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < len(hashed) <= throttle.GUESSES


# Where a request comes from


@pytest.mark.parametrize(
    ("behind", "proxies", "forwarded", "address"),
    [
        (False, 1, "203.0.113.1", HERE),
        (True, 1, "203.0.113.1", "203.0.113.1"),
        (True, 1, "10.0.0.1, 203.0.113.1", "203.0.113.1"),
        (True, 2, "10.0.0.1, 203.0.113.1, 198.51.100.2", "203.0.113.1"),
        (True, 2, "203.0.113.1", HERE),
        (True, 1, "not an address", HERE),
        (True, 1, "", HERE),
        (True, 1, "2001:db8::1", "2001:db8::1"),
    ],
)
def test_what_a_browser_says_of_itself_counts_for_nothing(
    settings: Any, behind: bool, proxies: int, forwarded: str, address: str
) -> None:
    settings.BEHIND_TLS, settings.PROXIES = behind, proxies
    request = RequestFactory().get("/", REMOTE_ADDR=HERE, HTTP_X_FORWARDED_FOR=forwarded)
    assert client_address(request) == address
