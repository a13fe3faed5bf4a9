"""References: given along when they are well formed, made new when not."""

from __future__ import annotations

import threading

import pytest

from console.lib import context


def test_work_without_cause_has_none() -> None:
    assert context.current() == context.Cause("", "")


def test_inside_is_the_cause_and_after_it_the_one_before() -> None:
    with context.caused_by("outer-request", address="192.0.2.1") as outer:
        assert context.current() is outer
        with context.caused_by() as inner:
            assert context.current().id == inner.id != outer.id
            assert inner.address == ""
        assert context.current() is outer
    assert context.current().id == ""


@pytest.mark.parametrize(
    "asked", ["", "short", "x" * 65, "line\nbreak-here", "<script>alert", "spaces in it here", "ä" * 12]
)
def test_what_is_not_well_formed_is_replaced(asked: str) -> None:
    with context.caused_by(asked) as cause:
        assert cause.id != asked
        assert context.WELL_FORMED.fullmatch(cause.id)


def test_what_is_well_formed_is_kept() -> None:
    with context.caused_by("abc-DEF-123456") as cause:
        assert cause.id == "abc-DEF-123456"


def test_an_error_ends_it_too() -> None:
    with pytest.raises(ValueError, match="x"), context.caused_by("abc-DEF-123456"):
        raise ValueError("x")
    assert context.current().id == ""


def test_threads_have_their_own() -> None:
    seen: list[str] = []
    with context.caused_by("abc-DEF-123456"):
        thread = threading.Thread(target=lambda: seen.append(context.current().id))
        thread.start()
        thread.join()
    assert seen == [""]


def test_new_ids_can_be_read_out() -> None:
    made = {context.new_id() for _ in range(200)}
    assert len(made) == 200
    assert all(len(one) == 12 and one.isalnum() for one in made)
