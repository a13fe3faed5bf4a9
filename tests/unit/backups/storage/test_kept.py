"""Stores that are kept for the next reading: never shared, never for long, never after trouble."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from backups.storage import store as stores
from backups.storage.store import kept
from backups.storage.target import StorageTarget
from backups.storage.trouble import Kind, StoreError, Trouble
from console.lib.addresses import AddressPolicy
from console.lib.errors import ConsoleError

POLICY = AddressPolicy()


@dataclass(eq=False)
class Fake:
    closed: bool = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Fake]]:
    """Every store that was made."""
    found: list[Fake] = []

    def make(*_: object) -> Fake:
        found.append(Fake())
        return found[-1]

    monkeypatch.setattr(stores, "_made", make)
    monkeypatch.setattr(stores._Kept, "idle", {})
    yield found


def target(bucket: str = "backups") -> StorageTarget:
    return StorageTarget(bucket=bucket, prefix="", region="us-east-1", access_key="a", secret_key="b")


def test_one_is_taken_again(made: list[Fake]) -> None:
    for _ in range(3):
        with kept(target(), POLICY):
            pass
    assert len(made) == 1
    assert not made[0].closed


def test_two_at_once_are_two(made: list[Fake]) -> None:
    with kept(target(), POLICY) as first, kept(target(), POLICY) as second:
        assert first is not second
    assert sorted(fake.closed for fake in made) == [False, True]


def test_other_keys_or_rules_are_another(made: list[Fake]) -> None:
    for where, policy in (
        (target(), POLICY),
        (target("other"), POLICY),
        (target(), AddressPolicy(allow_loopback=True)),
    ):
        with kept(where, policy):
            pass
    assert len(made) == 3


def test_not_after_trouble(made: list[Fake]) -> None:
    with pytest.raises(ConsoleError), kept(target(), POLICY):
        raise StoreError(Trouble(Kind.NO_ANSWER))
    assert made[0].closed
    assert stores._Kept.idle == {}


def test_not_for_long(made: list[Fake], monkeypatch: pytest.MonkeyPatch) -> None:
    with kept(target(), POLICY):
        pass
    monkeypatch.setattr(stores, "KEPT_FOR", -1.0)
    with kept(target(), POLICY):
        assert made[0].closed
    assert len(made) == 2


def test_not_too_many(made: list[Fake]) -> None:
    for number in range(stores.MOST_KEPT + 2):
        with kept(target(str(number)), POLICY):
            pass
    assert len(stores._Kept.idle) == stores.MOST_KEPT
    assert [fake.closed for fake in made[:3]] == [True, True, False]
