"""An S3 server in this process that goes wrong on order: moto's answers behind the faults of `apiserver_faults`."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Self

import boto3
from botocore.config import Config
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.fakes.apiserver_faults import Fault, Faults, Request

NAME = "s3"  # what a fault's `cluster` says to hit this server
Start = Callable[..., Any]
_ERROR = '<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
_CODES = {409: "OperationAborted", 429: "SlowDown", 500: "InternalError", 503: "SlowDown"}


@cache
def _moto() -> DomainDispatcherApplication:
    """One for all servers: what it holds is the process's anyway, and it reads megabytes of models to begin."""
    return DomainDispatcherApplication(create_backend_app)


@cache
def client(url: str, access_key: str = "any", secret_key: str = "any") -> Any:
    """A stock client, for what somebody else did to a bucket."""
    keys = {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key}
    path_style = Config(s3={"addressing_style": "path"})
    return _session().client("s3", endpoint_url=url, region_name="us-east-1", config=path_style, **keys)


@cache
def _session() -> boto3.Session:
    return boto3.Session()


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Nothing: a reset is what was asked for."""


class FakeS3:
    """The server and its thread. A context manager; `url` is known after it has started."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.requests: deque[Request] = deque(maxlen=5000)
        self._moto = _moto()
        self._server = make_server("127.0.0.1", 0, self._serve, threaded=True, request_handler=_Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, name="fake-s3", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def _serve(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        request = Request(NAME, environ["REQUEST_METHOD"], environ["PATH_INFO"], {"q": environ["QUERY_STRING"]})
        self.requests.append(request)
        fault = self.faults.strike(request)
        if fault is None:
            return self._moto(environ, start)  # type: ignore[no-any-return]
        return self._misbehave(fault, environ, start)

    def _misbehave(self, fault: Fault, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if fault.action in ("hang", "delay"):
            time.sleep(fault.seconds)
        if fault.action == "status":
            return _refuse(fault, environ, start)
        if fault.action == "reset_after":
            self._apply(environ)
        if fault.action in ("reset_before", "reset_after", "hang"):
            _reset(environ["werkzeug.socket"])
            return []
        return self._moto(environ, start)  # type: ignore[no-any-return]

    def _apply(self, environ: dict[str, Any]) -> None:
        for _ in self._moto(environ, lambda *_: lambda _: None):
            continue


def _refuse(fault: Fault, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    body = _ERROR.format(code=_CODES.get(fault.status, "InternalError"), message=fault.message).encode()
    start(f"{fault.status} Refused", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]


def _reset(connection: socket.socket) -> None:
    """RST, not FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
