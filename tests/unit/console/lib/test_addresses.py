"""Outbound addresses: every spelling is judged after resolution, and the judged address is the one connected to."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3
from botocore.awsrequest import AWSHTTPConnection, AWSHTTPConnectionPool, AWSHTTPSConnectionPool

from console.lib.addresses import (
    AddressPolicy,
    console_error_in,
    guarded_pool_classes,
    open_connection,
)
from console.lib.errors import Refused, Unreachable

OPEN = AddressPolicy()
SANDBOX = AddressPolicy(allow_loopback=True)

LOOPBACK = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "127.255.255.254",
    "localhost",
    "localhost.",
    "LOCALHOST",
    "::1",
    "0:0:0:0:0:0:0:1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
]
NEVER = [
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.254.170.2",
    "169.254.0.1",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "64:ff9b::169.254.169.254",
    "2002:a9fe:a9fe::1",
    "fe80::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "0.0.0.0",
    "0",
    "::",
    "0.1.2.3",
    "::ffff:0.0.0.0",
    "224.0.0.1",
    "239.255.255.250",
    "255.255.255.255",
    "ff02::1",
]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A DNS of our own: name → addresses, one after the other if the test changes it."""
    table: dict[str, list[str]] = {"localhost.": ["127.0.0.1", "::1"]}
    real = socket.getaddrinfo

    def look_up(host: str, port: int, *args: Any, **options: Any) -> list[Any]:
        if host in table:
            return [answer for address in table[host] for answer in real(address, port, *args, **options)]
        return real(host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return table


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        yield server


class TestPolicy:
    @pytest.mark.parametrize("host", LOOPBACK)
    def test_this_machine_only_when_allowed(self, host: str, names: dict[str, list[str]]) -> None:
        with pytest.raises(Refused):
            OPEN.resolve(host, 443)

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "::1"])
    def test_this_machine_in_the_sandbox(self, host: str) -> None:
        assert all(found.address.is_loopback for found in SANDBOX.resolve(host, 443))

    @pytest.mark.parametrize("host", NEVER)
    @pytest.mark.parametrize("policy", [OPEN, SANDBOX, AddressPolicy(allowed=(ipaddress.ip_network("0.0.0.0/0"),))])
    def test_never_under_any_policy(self, host: str, policy: AddressPolicy) -> None:
        with pytest.raises(Refused) as raised:
            policy.resolve(host, 443)
        assert raised.value.message.endswith(".")
        assert raised.value.remedy

    @pytest.mark.parametrize("host", ["203.0.113.7", "10.0.0.1", "192.168.1.1", "2001:db8::7", "fd12:3456::1"])
    def test_clusters_live_on_public_and_private_networks(self, host: str) -> None:
        assert [str(found.address) for found in OPEN.resolve(host, 443)] == [host]

    def test_the_metadata_service_is_called_by_name(self) -> None:
        with pytest.raises(Refused, match="metadata service"):
            OPEN.resolve("169.254.169.254", 80)

    def test_a_zone_does_not_hide_a_link_local_address(self) -> None:
        with pytest.raises((Refused, Unreachable)):
            OPEN.resolve("fe80::1%lo", 443)

    def test_an_allow_list_is_exhaustive(self) -> None:
        policy = AddressPolicy(allowed=(ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::/32")))
        assert policy.resolve("10.1.2.3", 443)
        assert policy.resolve("::ffff:10.1.2.3", 443)
        assert policy.resolve("2001:db8::7", 443)
        for host in ("203.0.113.7", "127.0.0.1", "::ffff:203.0.113.7"):
            with pytest.raises(Refused):
                policy.resolve(host, 443)

    def test_of_a_name_with_several_addresses_the_permitted_are_left(self, names: dict[str, list[str]]) -> None:
        names["mixed.example"] = ["169.254.169.254", "203.0.113.7"]
        assert [str(found.address) for found in OPEN.resolve("mixed.example", 443)] == ["203.0.113.7"]
        names["mixed.example"] = ["169.254.169.254", "127.0.0.1"]
        with pytest.raises(Refused, match=r"169\.254\.169\.254"):
            OPEN.resolve("mixed.example", 443)

    @pytest.mark.parametrize("host", ["no-such-name.invalid", "a" * 300, "", "a..b", "bad\x00name", "[::1]"])
    def test_what_does_not_resolve_is_unreachable(self, host: str, names: dict[str, list[str]]) -> None:
        names["no-such-name.invalid"] = []
        with pytest.raises((Unreachable, Refused)):
            OPEN.resolve(host, 443)

    @pytest.mark.slow
    def test_a_dead_resolver_does_not_hold_its_caller(self, monkeypatch: pytest.MonkeyPatch) -> None:
        honest, given_up = socket.getaddrinfo, threading.Event()

        def dead(host: str, *args: Any, **options: Any) -> list[Any]:
            if options.get("flags") != socket.AI_NUMERICHOST:
                given_up.wait(5)
            return honest(host, *args, **options)

        monkeypatch.setattr(socket, "getaddrinfo", dead)
        monkeypatch.setattr("console.lib.addresses.LOOKUP_SECONDS", 0.1)
        started = time.monotonic()
        with pytest.raises(Unreachable):
            OPEN.resolve("localhost", 443)
        assert time.monotonic() - started < 2
        given_up.set()

    def test_a_name_without_addresses_is_unreachable(self, names: dict[str, list[str]]) -> None:
        names["empty.example"] = []
        with pytest.raises(Unreachable, match="cannot be resolved"):
            OPEN.resolve("empty.example", 443)


class TestOwnEndpoints:
    def policy(self, host: str, port: int) -> AddressPolicy:
        return AddressPolicy(allow_loopback=True, refused_endpoints=frozenset({(host, port)}))

    @pytest.mark.parametrize("host", [*LOOPBACK, "127.9.9.9"])
    def test_an_endpoint_here_is_refused_in_every_spelling(self, host: str, names: dict[str, list[str]]) -> None:
        with pytest.raises(Refused, match="part of the console"):
            self.policy("localhost", 6379).resolve(host, 6379)

    def test_other_ports_are_not(self) -> None:
        assert self.policy("127.0.0.1", 6379).resolve("127.0.0.1", 6443)

    def test_an_endpoint_on_all_interfaces_is_refused_on_each(self) -> None:
        own = socket.gethostbyname(socket.gethostname())
        with pytest.raises(Refused):
            self.policy("0.0.0.0", 6379).resolve(own, 6379)

    def test_an_endpoint_elsewhere_is_compared_after_resolution(self, names: dict[str, list[str]]) -> None:
        names["database.internal"] = ["10.0.0.5"]
        names["innocent.example"] = ["10.0.0.5"]
        policy = self.policy("database.internal", 5432)
        for host in ("innocent.example", "10.0.0.5", "::ffff:10.0.0.5", "0x0a000005"):
            with pytest.raises(Refused, match="part of the console"):
                policy.resolve(host, 5432)
        assert policy.resolve("innocent.example", 443)
        assert policy.resolve("10.0.0.6", 5432)


class TestConnecting:
    def manager(self, policy: AddressPolicy) -> urllib3.PoolManager:
        manager = urllib3.PoolManager(retries=False, timeout=2)
        manager.pool_classes_by_scheme = guarded_pool_classes(policy)
        return manager

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "127.1"])
    def test_a_refused_address_is_never_touched(self, host: str, listener: socket.socket) -> None:
        port = listener.getsockname()[1]
        for scheme in ("http", "https"):
            with pytest.raises(Refused):
                self.manager(OPEN).request("GET", f"{scheme}://{host}:{port}/")
        listener.settimeout(0.05)
        with pytest.raises(TimeoutError):
            listener.accept()

    def test_the_name_is_looked_up_once(self, names: dict[str, list[str]], listener: socket.socket) -> None:
        """DNS rebinding: the second answer, which nobody judged, is never asked for."""
        port = listener.getsockname()[1]
        lookups: list[str] = []
        honest = socket.getaddrinfo

        def rebinding(host: str, *args: Any, **options: Any) -> list[Any]:
            if options.get("flags") == socket.AI_NUMERICHOST:
                return honest(host, *args, **options)
            lookups.append(host)
            return honest("127.0.0.1" if len(lookups) == 1 else "169.254.169.254", *args, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", rebinding)
            answering = threading.Thread(target=self.answer, args=(listener,))
            answering.start()
            response = self.manager(SANDBOX).request("GET", f"http://rebind.example:{port}/")
            answering.join()
        assert response.status == 204
        assert lookups == ["rebind.example"]

    def answer(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            self.head = connection.recv(10_000)
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    def test_the_name_stays_in_the_request(self, names: dict[str, list[str]], listener: socket.socket) -> None:
        port = listener.getsockname()[1]
        names["api.example"] = ["127.0.0.1"]
        answering = threading.Thread(target=self.answer, args=(listener,))
        answering.start()
        self.manager(SANDBOX).request("GET", f"http://api.example:{port}/x")
        answering.join()
        assert f"Host: api.example:{port}".encode() in self.head

    def test_nobody_there(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        with pytest.raises(urllib3.exceptions.NewConnectionError):
            self.manager(SANDBOX).request("GET", f"http://127.0.0.1:{port}/")

    def test_the_next_address_is_tried(self, names: dict[str, list[str]], listener: socket.socket) -> None:
        names["two.example"] = ["::1", "127.0.0.1"]
        destinations = SANDBOX.resolve("two.example", listener.getsockname()[1])
        assert len(destinations) == 2
        with open_connection(destinations, timeout=2) as sock:
            assert sock.getpeername()[0] == "127.0.0.1"
            assert sock.gettimeout() == 2

    def test_one_timeout_covers_all_addresses(self) -> None:
        with pytest.raises(TimeoutError):
            open_connection(SANDBOX.resolve("127.0.0.1", 9), timeout=0)

    def test_botocore_keeps_its_own_connections(self, listener: socket.socket) -> None:
        classes = guarded_pool_classes(OPEN, http=AWSHTTPConnectionPool, https=AWSHTTPSConnectionPool)
        assert issubclass(classes["http"], AWSHTTPConnectionPool)
        assert issubclass(classes["http"].ConnectionCls, AWSHTTPConnection)
        pool = classes["http"]("127.0.0.1", listener.getsockname()[1])
        with pytest.raises(Refused):
            pool.urlopen("GET", "/", retries=False)


def test_an_error_that_was_wrapped_is_found_again() -> None:
    inner = Refused("no")
    try:
        try:
            raise inner
        except Refused as error:
            raise ValueError("wrapped") from error
    except ValueError as error:
        assert console_error_in(error) is inner
    assert console_error_in(ValueError("plain")) is None
