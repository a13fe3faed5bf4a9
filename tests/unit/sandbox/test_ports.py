"""Choosing ports: the same ones again where possible, never one twice."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import SandboxError
from sandbox.ports import FIRST, LAST, choose, choose_for_home, is_free, saved

NAMES = ["api", "etcd", "s3"]


@pytest.mark.slow
@given(
    wanted=st.dictionaries(st.sampled_from(NAMES), st.integers(FIRST, FIRST + 4)),
    taken=st.sets(st.integers(FIRST, FIRST + 4)),
)
def test_ports_are_free_and_differ_whatever_was_saved(wanted: dict[str, int], taken: set[int]) -> None:
    chosen = choose(NAMES, wanted, lambda port: port not in taken)
    assert list(chosen) == NAMES
    assert len(set(chosen.values())) == len(NAMES)
    assert not taken & set(chosen.values())
    for name, port in wanted.items():
        if port not in taken and list(wanted.values()).count(port) == 1:
            assert chosen[name] == port


def test_a_new_port_is_below_the_range_of_outgoing_connections() -> None:
    assert all(FIRST <= port < LAST for port in choose(NAMES, {}, lambda port: True).values())


def test_no_port_left_is_a_sentence() -> None:
    with pytest.raises(SandboxError, match="No free port"):
        choose(NAMES, {}, lambda port: False)


def test_a_port_somebody_listens_on_is_not_free() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


def test_a_home_keeps_its_ports(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = choose_for_home(file, NAMES)
    assert choose_for_home(file, NAMES) == first == saved(file)


@pytest.mark.parametrize("text", ["", "[]", '{"api": "x"}', "{"])
def test_a_broken_memory_is_forgotten(tmp_path: Path, text: str) -> None:
    file = tmp_path / "ports.json"
    file.write_text(text)
    assert saved(file) == {}
