"""The proxy does what each of its modes says, to new connections and to open ones."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.proxy import Door, Proxy


def echo(listener: socket.socket) -> None:
    """Send back what comes, on every connection, until the listener is closed."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=[connection], daemon=True).start()


def answer(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        while text := connection.recv(1024):
            connection.sendall(text)


@contextlib.contextmanager
def serving(listener: socket.socket) -> Iterator[socket.socket]:
    threading.Thread(target=echo, args=[listener], daemon=True).start()
    yield listener
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as running:
        yield running


@pytest.fixture
def door(proxy: Proxy) -> Iterator[Door]:
    with serving(socket.create_server(("127.0.0.1", 0))) as listener:
        yield proxy.open(listener.getsockname())


@contextlib.contextmanager
def client(door: Door) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", door.port), timeout=2) as connection:
        yield connection


def said(connection: socket.socket, text: bytes = b"ping") -> bytes:
    connection.sendall(text)
    return connection.recv(1024)


def hears_nothing(connection: socket.socket) -> bool:
    connection.settimeout(0.05)
    connection.sendall(b"ping")
    try:
        return connection.recv(1) is None
    except TimeoutError:
        return True


class TestPass:
    def test_hands_on_both_ways(self, door: Door) -> None:
        with client(door) as one, client(door) as other:
            assert (said(one, b"a"), said(other, b"b"), said(one, b"c")) == (b"a", b"b", b"c")
        assert door.accepted == 2

    def test_the_end_of_one_side_is_handed_on(self, door: Door) -> None:
        with client(door) as connection:
            connection.sendall(b"last")
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1024) == b"last"
            assert connection.recv(1024) == b""

    def test_a_unix_socket_upstream(self, proxy: Proxy, tmp_path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(str(tmp_path / "s"))
            unix.listen()
            with serving(unix), client(proxy.open(str(tmp_path / "s"))) as connection:
                assert said(connection) == b"ping"

    def test_no_upstream_is_a_reset(self, proxy: Proxy) -> None:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            address = gone.getsockname()
        with pytest.raises(ConnectionResetError), client(proxy.open(address)) as connection:
            connection.recv(1)


class TestSlow:
    def test_each_chunk_is_late_in_both_directions(self, door: Door) -> None:
        with client(door) as connection:
            door.be("slow", delay=0.04)
            began = time.monotonic()
            assert said(connection) == b"ping"
            assert time.monotonic() - began >= 0.08


class TestSilent:
    def test_takes_connections_and_answers_nothing(self, door: Door) -> None:
        door.be("silent")
        with client(door) as connection:
            assert hears_nothing(connection)

    def test_an_open_connection_falls_silent_and_stays_so_when_it_has_lost_something(self, door: Door) -> None:
        with client(door) as lost, client(door) as idle:
            assert (said(lost), said(idle)) == (b"ping", b"ping")
            door.be("silent")
            assert hears_nothing(lost)
            door.be("pass")
            assert hears_nothing(lost)
            assert said(idle) == b"ping"
        with client(door) as fresh:
            assert said(fresh) == b"ping"


class TestReset:
    def test_resets_open_and_new_connections(self, door: Door) -> None:
        with client(door) as connection:
            assert said(connection) == b"ping"
            door.be("reset")
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
        with pytest.raises(ConnectionResetError), client(door) as fresh:
            fresh.recv(1)


class TestRefuse:
    def test_nobody_listens_and_the_port_is_kept(self, door: Door) -> None:
        with client(door) as connection:
            assert said(connection) == b"ping"
            door.be("refuse")
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
        with pytest.raises(ConnectionRefusedError), client(door):
            raise AssertionError
        door.be("pass")
        with client(door) as again:
            assert said(again) == b"ping"
