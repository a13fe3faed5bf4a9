"""Where the console may connect to: judged on the resolved address, on every connect.

Cluster servers and storage endpoints are typed by people, so a name or a number may lead to the cloud's metadata
service, to the console's own database or back to this machine. A check of the *text* cannot hold: `2130706433`,
`0x7f.1`, `localhost.` and `::ffff:127.0.0.1` are one address, and a name may answer differently at the second lookup.
So the name is resolved once, each address is judged, and the socket is opened to the judged address (the name is used
for TLS only).

Not a firewall: private networks are allowed unless `allowed` says otherwise, because that is where clusters live.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from console.lib.errors import ConsoleError, Refused, Unreachable, clip

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOKUP_SECONDS = 5.0

# Instance metadata and host agents: AWS/GCP/Azure/DigitalOcean, AWS over IPv6, GCP over IPv6, Alibaba, Oracle, Azure.
_METADATA: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "169.254.169.254/32",
        "169.254.170.2/32",
        "fd00:ec2::254/128",
        "fd20:ce::254/128",
        "100.100.100.200/32",
        "192.0.0.192/32",
        "168.63.129.16/32",
    )
)
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")
_BROADCAST = ipaddress.ip_address("255.255.255.255")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_IPV4_COMPATIBLE = ipaddress.ip_network("::/96")


@dataclass(frozen=True)
class Destination:
    """One address that passed the policy, in the form `socket.connect` takes."""

    family: socket.AddressFamily
    sockaddr: tuple[Any, ...]

    @property
    def address(self) -> Address:
        """The address without zone, as written on the wire."""
        return _without_zone(self.sockaddr[0])


@dataclass(frozen=True)
class AddressPolicy:
    """What may be connected to.

    `allowed`: when not empty, nothing else may be reached (loopback still depends on `allow_loopback` alone).
    `refused_endpoints`: host and port of the console's own Redis and database, compared after resolution.
    """

    allow_loopback: bool = False
    allowed: tuple[Network, ...] = ()
    refused_endpoints: frozenset[tuple[str, int]] = field(default_factory=frozenset)

    def resolve(self, host: str, port: int) -> list[Destination]:
        """The addresses of `host` that may be connected to, in the resolver's order.

        Raises: Unreachable (the name does not resolve), Refused (no address of it is permitted).
        """
        reasons: list[str] = []
        permitted: list[Destination] = []
        for destination in _look_up(host, port):
            reason = self._objection(destination.address, port)
            if reason:
                reasons.append(f"{destination.address} {reason}")
            elif destination not in permitted:
                permitted.append(destination)
        if not permitted:
            raise Refused(
                f"The console does not connect to {clip(host, 120)}: {reasons[0]}.",
                remedy="Use another address, or ask the site owner to change which addresses are allowed.",
            )
        return permitted

    def _objection(self, address: Address, port: int) -> str:
        """Why `address` may not be connected to, empty if it may. Every IPv4 address hidden in it is judged, too."""
        faces = _faces(address)
        for face in faces:
            reason = _never(face)
            if reason:
                return reason
        if self._is_own_endpoint(faces, port):
            return f"with port {port} is a part of the console itself"
        if any(face.is_loopback for face in faces):
            return "" if self.allow_loopback else "is the machine the console runs on"
        if self.allowed and not any(face in network for face in faces for network in self.allowed):
            return "is outside the networks that the site owner allows"
        return ""

    def _is_own_endpoint(self, faces: tuple[Address, ...], port: int) -> bool:
        """True for an own endpoint under any of its addresses; an endpoint on loopback is guarded on all of ours."""
        for own_host, own_port in self.refused_endpoints:
            if own_port != port:
                continue
            own = _addresses_of(own_host, own_port)
            if any(face in own for face in faces):
                return True
            on_this_machine = any(address.is_loopback or address.is_unspecified for address in own)
            if on_this_machine and any(_is_this_machine(face) for face in faces):
                return True
        return False


def _never(address: Address) -> str:
    """Why nobody may connect to `address` under any configuration; empty if there is no such reason."""
    if any(address in network for network in _METADATA):
        return "is a metadata service of the cloud"
    if address.is_link_local:
        return "is a link-local address"
    if address.is_multicast or address == _BROADCAST:
        return "is a multicast address"
    if address.is_unspecified or address in _THIS_NETWORK:
        return "is not an address of a server"
    return ""


def _faces(address: Address) -> tuple[Address, ...]:
    """`address` and the IPv4 address it carries when it is mapped, compatible, 6to4 or NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and (address in _NAT64 or (address in _IPV4_COMPATIBLE and int(address) > 1)):
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return (address,) if inner is None else (address, inner)


def _without_zone(text: str) -> Address:
    return ipaddress.ip_address(text.partition("%")[0])


def _look_up(host: str, port: int) -> list[Destination]:
    try:
        found = _addresses_in_time(host, port)
    except (OSError, UnicodeError, ValueError, OverflowError) as error:
        raise _unresolved(host) from error
    destinations = [
        Destination(family, cast("tuple[Any, ...]", sockaddr))
        for family, _, _, _, sockaddr in found
        if family in (socket.AF_INET, socket.AF_INET6)
    ]
    if not destinations:
        raise _unresolved(host)
    return destinations


def _addresses_in_time(host: str, port: int) -> list[Any]:
    """`getaddrinfo`, given up after `LOOKUP_SECONDS`: left alone, a dead DNS server holds its caller for half a minute.

    Raises: OSError, UnicodeError, ValueError.
    """
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass  # a name, so somebody has to be asked
    answer: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:
            answer.put(error)

    threading.Thread(target=ask, name="lookup", daemon=True).start()
    try:
        found = answer.get(timeout=LOOKUP_SECONDS)
    except queue.Empty:
        raise TimeoutError("no answer from DNS") from None
    if isinstance(found, Exception):
        raise found
    return found


def _unresolved(host: str) -> Unreachable:
    return Unreachable(
        f"The name {clip(host, 120)} cannot be resolved.",
        remedy="Check the spelling, and that the console's DNS knows it.",
    )


def _addresses_of(host: str, port: int) -> set[Address]:
    try:
        found = {destination.address for destination in _look_up(host, port)}
    except Unreachable:
        return set()
    return {face for address in found for face in _faces(address)}


def _is_this_machine(address: Address) -> bool:
    """Whether a local interface carries `address`: only then can a socket be bound to it."""
    if address.is_loopback:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def open_connection(
    destinations: Iterable[Destination],
    *,
    timeout: float | None,
    socket_options: Iterable[tuple[int, int, int | bytes]] = (),
) -> socket.socket:
    """A TCP connection to the first destination that answers. `timeout` is in seconds and covers all of them.

    Raises: OSError of the last attempt.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    failure: OSError = TimeoutError("timed out")
    for destination in destinations:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            break
        sock = socket.socket(destination.family, socket.SOCK_STREAM)
        try:
            for option in socket_options:
                sock.setsockopt(*option)
            sock.settimeout(left)
            sock.connect(destination.sockaddr)
        except OSError as error:
            sock.close()
            failure = error
        else:
            sock.settimeout(timeout)
            return sock
    raise failure


def guarded_connection_class(base: type[HTTPConnection], policy: AddressPolicy) -> type[HTTPConnection]:
    """A subclass of a urllib3 connection class that connects only to what `policy` permits.

    The name stays the one TLS checks the certificate against. `Refused` and `Unreachable` pass through urllib3
    unwrapped; botocore wraps them (see `console_error_in`).
    """

    def _new_conn(self: HTTPConnection) -> socket.socket:
        # `_dns_host` keeps a trailing dot, which `host` drops: the lookup must see what was typed.
        destinations = policy.resolve(self._dns_host, self.port)
        try:
            sock = open_connection(destinations, timeout=self.timeout, socket_options=self.socket_options or ())
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"Connection to {self.host} timed out") from error
        except OSError as error:
            raise NewConnectionError(self, f"Failed to establish a new connection: {error}") from error
        sys.audit("http.client.connect", self, self.host, self.port)
        return sock

    return type(f"Guarded{base.__name__}", (base,), {"_new_conn": _new_conn})


def guarded_pool_classes(
    policy: AddressPolicy,
    *,
    http: type[HTTPConnectionPool] = HTTPConnectionPool,
    https: type[HTTPSConnectionPool] = HTTPSConnectionPool,
) -> dict[str, type[HTTPConnectionPool]]:
    """For `PoolManager.pool_classes_by_scheme`: pools whose connections obey `policy`.

    For boto3 pass botocore's own pool classes as `http` and `https`, so that their `Expect: 100-continue` stays, and
    put the result into the HTTP session's manager.
    """
    return {
        scheme: _guarded_pool_class(pool_class, policy) for scheme, pool_class in (("http", http), ("https", https))
    }


def _guarded_pool_class(pool_class: type[HTTPConnectionPool], policy: AddressPolicy) -> type[HTTPConnectionPool]:
    connection_class = guarded_connection_class(cast("type[HTTPConnection]", pool_class.ConnectionCls), policy)
    return type(f"Guarded{pool_class.__name__}", (pool_class,), {"ConnectionCls": connection_class})


def console_error_in(error: BaseException) -> ConsoleError | None:
    """The ConsoleError that an SDK wrapped into its own exception, if there is one."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if isinstance(current, ConsoleError):
            return current
        seen.add(id(current))
        current = current.__cause__ or current.__context__
    return None
