"""Servers that misbehave on the wire below HTTP or TLS."""

from __future__ import annotations

import os
import re
import socket
import ssl
import threading

from tests.fakes.pki import Authority


class RawServer:
    """Answers every connection with the same bytes as a 200, or with `whole` as it stands."""

    def __init__(self, body: bytes = b"", *, whole: bytes = b"", endless: bytes = b"") -> None:
        self._answer = whole or b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        self._endless = endless
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.connections = 0

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                try:
                    _read_request(connection)
                    connection.sendall(self._answer)
                    while self._endless:
                        connection.sendall(self._endless)
                except OSError:
                    continue


def _read_request(connection: socket.socket) -> None:
    """With its body: what lies unread when a connection is closed makes the kernel reset it, answer and all."""
    request = connection.recv(65536)
    while request.split(b" ")[0].isalpha() and b"\r\n\r\n" not in request:  # else it is no HTTP
        if not (more := connection.recv(65536)):
            return
        request += more
    head, _, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)^content-length: *(\d+)", head, re.MULTILINE)
    missing = int(length[1]) - len(body) if length else 0
    while missing > 0 and (more := connection.recv(65536)):
        missing -= len(more)


class TlsServer:
    """Shakes hands with a certificate that ends in `days`."""

    def __init__(self, authority: Authority, *, days: int) -> None:
        self._authority = authority
        self._pair = authority.server(days=days)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> tuple[str, bytes]:
        self._thread.start()
        return f"https://127.0.0.1:{self._listener.getsockname()[1]}", self._authority.certificate

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with os.fdopen(os.memfd_create("server"), "wb") as memory:
            memory.write(self._pair.certificate + self._pair.key)
            memory.flush()
            context.load_cert_chain(f"/proc/self/fd/{memory.fileno()}")
        connection, _ = self._listener.accept()
        with connection:
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                return


def relay(listener: socket.socket, port: int) -> None:
    try:
        incoming, _ = listener.accept()
    except OSError:
        return
    with incoming, socket.create_connection(("127.0.0.1", port)) as outgoing:
        back = threading.Thread(target=_pump, args=(outgoing, incoming), daemon=True)
        back.start()
        _pump(incoming, outgoing)
        back.join(5)


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
