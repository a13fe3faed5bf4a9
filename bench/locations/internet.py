"""An internet inside this process: names that answer as a check wants, servers at public addresses, and canaries.

1. A name in `names` answers what stands there, one answer after the other, the last again and again; numbers and
   spellings of localhost go to the real resolver; every other name is unknown. Nobody is asked over the network.
2. A connection to a public address in `servers` ends at a server of ours on this machine.
3. Every other connection is a **hit**, counted by Python's own audit event, which no library gets round. On this
   machine it is let through: canaries listen there, on 127.0.0.1, another address of 127/8 and ::1, and count as well.
   Beyond this machine it is broken off before anything leaves.
"""

from __future__ import annotations

import contextlib
import ipaddress
import selectors
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

LISTENING = ("127.0.0.1", "127.1.2.3", "127.255.255.254", "::1")
HERE = ("localhost", "localhost.", "ip6-localhost")


class Canaries:
    """Listeners on this machine, all on one port, which nobody may reach. They hang up on whoever comes."""

    def __init__(self) -> None:
        self.port, self._count, self._ends = 0, 0, threading.Event()
        self._waiting = selectors.DefaultSelector()
        for address in LISTENING:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = socket.create_server((address, self.port), family=family, backlog=64)
            self.port = listener.getsockname()[1]
            self._waiting.register(listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._ends.is_set():
            for key, _ in self._waiting.select(0.02):
                incoming, _ = key.fileobj.accept()  # type: ignore[union-attr]
                self._count += 1
                incoming.close()

    def close(self) -> int:
        """How many came, once nobody is waiting any more."""
        while self._waiting.select(0):
            threading.Event().wait(0.01)
        self._ends.set()
        self._thread.join(5)
        for key in list(self._waiting.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        return self._count


@dataclass
class Internet:
    """`servers`: public address to a port on this machine; `allowed`: ports here that may be connected to."""

    names: dict[str, list[list[str]]] = field(default_factory=dict)
    servers: dict[str, int] = field(default_factory=dict)
    allowed: set[int] = field(default_factory=set)
    hits: list[Any] = field(default_factory=list)
    reached: int = 0  # connections to `servers`
    asked: Counter[str] = field(default_factory=Counter)  # how often each name was looked up

    @contextmanager
    def standing(self) -> Iterator[Canaries]:
        """Resolver and network are this one's for a while."""
        canaries, real, connect = Canaries(), socket.getaddrinfo, socket.socket.connect

        def look_up(host: Any, port: Any, *more: Any, **options: Any) -> list[Any]:
            if options.get("flags", 0) & socket.AI_NUMERICHOST or str(host).lower() in HERE:
                return real(host, port, *more, **options)
            with contextlib.suppress(socket.gaierror, UnicodeError):
                return real(host, port, *more, **options | {"flags": socket.AI_NUMERICHOST})
            return [found for one in self._answer(str(host)) for found in real(one, port, *more, **options)]

        def connected(self_: socket.socket, address: Any) -> None:
            if isinstance(address, tuple) and address[0] in self.servers:
                self.reached += 1
                address = ("127.0.0.1", self.servers[address[0]])
            connect(self_, address)

        _Watch.current = self
        try:
            with mock.patch("socket.getaddrinfo", look_up), mock.patch.object(socket.socket, "connect", connected):
                yield canaries
        finally:
            _Watch.current = None

    def _answer(self, name: str) -> list[str]:
        name = name.lower().rstrip(".")
        self.asked[name] += 1
        answers = self.names.get(name, [])
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def judge(self, address: tuple[Any, ...]) -> None:
        """Note a connection that is being made. Raises ConnectionRefusedError for one beyond this machine."""
        here = ipaddress.ip_address(str(address[0]).partition("%")[0])
        if address[1] in self.servers.values() or (here.is_loopback and address[1] in self.allowed):
            return
        self.hits.append(address)
        if not _is_here(here):
            raise ConnectionRefusedError("not in this internet")


def _is_here(address: Any) -> bool:
    """Whether the kernel keeps a connection to it on this machine: 0.0.0.0 and :: are one way to say so."""
    inner = getattr(address, "ipv4_mapped", None) or address
    return bool(inner.is_loopback or inner.is_unspecified)


class _Watch:
    """An audit hook cannot be taken away again, so there is one, and it asks who is watching."""

    current: Internet | None = None

    @classmethod
    def hook(cls, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and cls.current is not None and isinstance(arguments[1], tuple):
            cls.current.judge(arguments[1])


sys.addaudithook(_Watch.hook)
