"""HTTP for the stand-ins: whole requests in, whole answers out, and passing a request on."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from typing import Any
from urllib.parse import parse_qsl, urlsplit

# Said anew by whoever sends; the length is counted.
OF_THE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length", "te", "trailer", "expect"}


@dataclass(frozen=True)
class Request:
    """`target` as it stands in the request line; header names in small letters; the body unchunked."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        """Still encoded, as a signature covers it."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> list[tuple[str, str]]:
        """Decoded, with empty values."""
        return parse_qsl(self.target.partition("?")[2], keep_blank_values=True)


@dataclass(frozen=True)
class Reply:
    """`headers` without the length. For HEAD `length` is that of the body which is not sent."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None


Answer = Callable[[Request], Reply]


def serve(port: int, answer: Answer) -> ThreadingHTTPServer:
    """A server on 127.0.0.1 in threads of its own; 0 chooses a port."""
    server = _Server(("127.0.0.1", port), _handler(answer))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


@contextmanager
def served(answer: Answer) -> Iterator[str]:
    """The URL of a server that lasts as long as the block."""
    server = serve(0, answer)
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def pass_on(request: Request, url: str, headers: Mapping[str, str]) -> Reply:
    """The answer of the server at `url` to the same request with other headers; 502 when it gives none."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            if name not in OF_THE_CONNECTION:
                connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(request.body)))
        connection.endheaders(request.body or None)
        answer = connection.getresponse()
        return _reply(answer, answer.read())
    except (OSError, http.client.HTTPException):
        return Reply(502, b"The server behind this gate does not answer.")
    finally:
        connection.close()


def _reply(answer: http.client.HTTPResponse, body: bytes) -> Reply:
    told = {name: value for name, value in answer.getheaders() if name.lower() not in OF_THE_CONNECTION}
    length = answer.getheader("Content-Length", "")
    return Reply(answer.status, body, told, int(length) if length.isdigit() else None)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        return  # a client that has read enough turns away


def _handler(answer: Answer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, _body(self.rfile, headers))
            self._send(answer(request))

        def _send(self, reply: Reply) -> None:
            silent = self.command == "HEAD"
            self.send_response_only(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            length = reply.length if silent and reply.length is not None else len(reply.body)
            if reply.status != 204:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(b"" if silent else reply.body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = _do  # noqa: N815 - the base class looks for these names

        def log_message(self, format: str, *args: Any) -> None:
            return

    return Handler


def _body(stream: BufferedIOBase, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return stream.read(int(headers.get("content-length") or 0))
    parts = []
    while size := int(stream.readline().split(b";")[0], 16):
        parts.append(stream.read(size))
        stream.readline()
    while stream.readline().strip():  # trailers
        pass
    return b"".join(parts)
