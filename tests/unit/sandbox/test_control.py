"""Orders to a running sandbox, as they travel."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from sandbox import control
from sandbox.errors import SandboxError
from sandbox.state import Progress, State


def answered(home: Path, answer: bytes) -> tuple[threading.Thread, list[Any]]:
    """A keeper that gives one answer and notes what it was asked."""
    heard: list[Any] = []
    listener = control.listening_socket(home)
    listener.listen()

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            heard.append(json.loads(connection.makefile().readline()))
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread, heard


def state(home: Path) -> State:
    return State(home, "ready", Progress(1, 1, ""), "", None, 1, {}, {}, None)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (lambda s: control.stop_velero(s, "east"), {"do": "stop", "part": "east/velero"}),
        (lambda s: control.stop_velero(s, "east", kill=True), {"do": "kill", "part": "east/velero"}),
        (lambda s: control.start_velero(s, "east"), {"do": "start", "part": "east/velero"}),
        (lambda s: control.stop_api_server(s, "west"), {"do": "stop", "part": "west/kube-apiserver"}),
        (lambda s: control.start_api_server(s, "west"), {"do": "start", "part": "west/kube-apiserver"}),
    ],
)
def test_an_order_reaches_the_keeper(tmp_path: Path, order: Any, expected: dict) -> None:
    thread, heard = answered(tmp_path, b'{"error": ""}\n')
    order(state(tmp_path))
    thread.join()
    assert heard == [expected]


def test_a_home_may_have_a_long_path(tmp_path: Path) -> None:
    home = tmp_path / ("a" * 100) / ("b" * 100)
    home.mkdir(parents=True)
    thread, heard = answered(home, b'{"error": ""}\n')
    control.order(home, "stop", "s3")
    thread.join()
    assert heard


def test_a_refusal_comes_back_as_its_sentence(tmp_path: Path) -> None:
    thread, _ = answered(tmp_path, b'{"error": "The sandbox cannot stop x."}\n')
    with pytest.raises(SandboxError, match=r"^The sandbox cannot stop x\.$"):
        control.order(tmp_path, "stop", "x")
    thread.join()


@pytest.mark.parametrize("answer", [b"", b"nonsense\n"])
def test_a_keeper_that_ends_meanwhile_is_a_sentence(tmp_path: Path, answer: bytes) -> None:
    thread, _ = answered(tmp_path, answer)
    with pytest.raises(SandboxError, match="does not take orders"):
        control.order(tmp_path, "stop", "s3")
    thread.join()


def test_nobody_there_is_a_sentence(tmp_path: Path) -> None:
    for home in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(SandboxError, match="does not take orders"):
            control.order(home, "stop", "s3")
