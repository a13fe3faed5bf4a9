"""The wire of the fake API server: HTTP/1.1 kept alive, watches as chunks, faults where they strike."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from tests.fakes import apiserver_api as api
from tests.fakes import apiserver_rules as rules
from tests.fakes.apiserver_faults import Fault, Request
from tests.fakes.apiserver_store import Change

if TYPE_CHECKING:
    from tests.fakes.apiserver import Cluster, FakeApiServer

_JSON = "application/json"


class _Reset(Exception):
    """The connection is to be reset now."""


@dataclass(frozen=True)
class _Incoming:
    """A parsed request with what the faults do not need to know."""

    request: Request
    headers: dict[str, str]
    certificate: dict[str, Any] | None

    @property
    def token(self) -> str | None:
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" else None


async def serve_client(server: FakeApiServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests on one connection until either side closes it."""
    try:
        while (incoming := await _read(reader, writer)) is not None:
            server.requests.append(incoming.request)
            await _answer(server, incoming, writer)
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
        pass  # the client is gone
    except _Reset:
        _reset(writer)
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Incoming | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length") or 0))
    path, _, query = target.partition("?")
    cluster, path = _split(path)
    request = Request(cluster, method, path, dict(parse_qsl(query, keep_blank_values=True)), body)
    return _Incoming(request, headers, writer.get_extra_info("peercert"))


def _split(path: str) -> tuple[str, str]:
    """Cluster and rest: a path that begins like an API path belongs to the cluster at the root."""
    first, _, rest = path.lstrip("/").partition("/")
    if first in ("api", "apis", "version", "readyz", "livez", "healthz"):
        return "", path
    return first, f"/{rest}"


async def _answer(server: FakeApiServer, incoming: _Incoming, writer: asyncio.StreamWriter) -> None:
    request = incoming.request
    fault = server.faults.strike(request)
    try:
        if fault is not None:
            await _strike_before(fault, request)
        cluster = server.clusters.get(request.cluster)
        if cluster is None:
            raise rules.Refusal(404, "NotFound", "the server could not find the requested resource", {})
        user = server.user_of(cluster, incoming.token, incoming.certificate)
        call = api.route(cluster, user, request, incoming.headers.get("content-type", ""))
        if request.is_watch and call.resource is not None:
            await _watch(server, cluster, call, fault, writer)
            return
        status, body = api.perform(call)
    except api.PlainNotFound:
        _write(writer, 404, b"404 page not found\n", "text/plain; charset=utf-8")
        return
    except rules.Refusal as refusal:
        headers = fault.headers if fault is not None else {}
        _write(writer, refusal.code, json.dumps(refusal.body).encode(), _JSON, headers)
        return
    if fault is not None and fault.action == "reset_after":
        raise _Reset
    if fault is not None and fault.action == "garbage":
        status, body = 200, b"<html>not the answer you expect</html>"
    _write(writer, status, body, _JSON if body[:1] in (b"{", b"[") else "text/plain; charset=utf-8")


async def _strike_before(fault: Fault, request: Request) -> None:
    if fault.seconds:
        await asyncio.sleep(fault.seconds)
    if fault.action == "hang":
        await asyncio.sleep(3600)
    if fault.action == "reset_before":
        raise _Reset
    if fault.action == "status":
        raise rules.Refusal(fault.status, fault.reason, fault.message)
    if fault.action == "expire" and not request.is_watch:
        raise rules.Refusal(410, "Expired", "The provided continue parameter is too old to display a list.")


async def _watch(
    server: FakeApiServer, cluster: Cluster, call: api.Call, fault: Fault | None, writer: asyncio.StreamWriter
) -> None:
    """Replay what happened since, then follow; bookmarks in between and before the end."""
    queue: asyncio.Queue[Change] = asyncio.Queue()

    def listener(change: Change) -> None:
        if change.resource == call.resource:
            server.loop.call_soon_threadsafe(queue.put_nowait, change)

    with cluster.store.lock:
        try:
            if fault is not None and fault.action == "expire":
                raise rules.too_old(call.request.query.get("resourceVersion", ""), cluster.store.version)
            backlog = api.backlog(call)
        except rules.Refusal as refusal:
            if refusal.code != 410:
                raise
            _start_chunks(writer)
            _write_chunk(writer, {"type": "ERROR", "object": refusal.body})
            writer.write(b"0\r\n\r\n")
            return
        cluster.store.listen(listener)
    try:
        _start_chunks(writer)
        await _follow(server, cluster, call, fault, backlog, queue, writer)
        writer.write(b"0\r\n\r\n")
    finally:
        cluster.store.unlisten(listener)


async def _follow(
    server: FakeApiServer,
    cluster: Cluster,
    call: api.Call,
    fault: Fault | None,
    backlog: list[bytes],
    queue: asyncio.Queue[Change],
    writer: asyncio.StreamWriter,
) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + float(call.request.query.get("timeoutSeconds") or 1800)
    bookmarks = call.request.query.get("allowWatchBookmarks") in ("true", "1")
    told = cluster.store.version  # a bookmark is worth sending only when something happened elsewhere
    limit = fault.events if fault is not None and fault.action in ("cut_watch", "end_watch") else None
    sent = 0
    waiting = list(backlog)
    while True:
        for line in waiting:
            if limit is not None and sent >= limit:
                break
            _write_chunk(writer, line)
            sent += 1
        await writer.drain()
        if limit is not None and sent >= limit:
            if fault is not None and fault.action == "cut_watch":
                raise _Reset
            return
        left = end - loop.time()
        try:
            change = await asyncio.wait_for(queue.get(), max(0.0, min(left, server.bookmark_seconds)))
            waiting = api.event_lines(call, change)
        except TimeoutError:
            waiting = []
            if bookmarks and queue.empty() and cluster.store.version > told:
                told = cluster.store.version
                _write_chunk(writer, api.bookmark(call, told))
            if loop.time() >= end and queue.empty():
                return


def _start_chunks(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")


def _write_chunk(writer: asyncio.StreamWriter, event: dict[str, Any] | bytes) -> None:
    line = (event if isinstance(event, bytes) else json.dumps(event).encode()) + b"\n"
    writer.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")


def _write(
    writer: asyncio.StreamWriter, status: int, body: bytes, content_type: str, headers: dict[str, str] | None = None
) -> None:
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Status"
    lines = [f"HTTP/1.1 {status} {phrase}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST, not FIN: what a crashed server or a dropped NAT entry looks like."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
