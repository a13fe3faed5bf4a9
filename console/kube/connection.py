"""One API server, spoken to in raw JSON over kept-alive connections.

Built on `kubernetes.client.ApiClient` for the HTTP part alone: its typed models are several times slower than dicts
and reject objects they do not know. What differs from the stock client, and why:

- addresses, certificates, redirects and proxies are handled in `transport`;
- nothing is retried here: whether a repeat is safe is known only where the request came from;
- answers are bounded in size and time, and every failure is a ConsoleError that names the server, never a credential.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, cast
from urllib.parse import urlencode

import urllib3
from kubernetes.client import ApiClient

from console.kube import errors
from console.kube.kubeconfig import ClusterAccess
from console.kube.transport import client_for
from console.lib.addresses import AddressPolicy
from console.lib.errors import ConsoleError, TryLater

Object = dict[str, Any]
Param = str | int | bool

LARGEST_ANSWER = 64 * 2**20
LARGEST_REFUSAL = 64 * 1024
PAGE = 500
_CHUNK = 256 * 1024
_MOST_RESTARTS = 3
_MERGE_PATCH = "application/merge-patch+json"
_APPLY_PATCH = "application/apply-patch+yaml"
_JSON = "application/json"


def connect(
    access: ClusterAccess, policy: AddressPolicy, *, connect_timeout: float = 3.0, read_timeout: float = 10.0
) -> Connection:
    """A Connection for `access`; nothing is sent before the first request. Timeouts are in seconds.

    `read_timeout` bounds the silence between two packets; a whole answer may take six times as long.

    Raises: Refused (the credentials or the CA cannot be loaded).
    """
    return Connection(access, client_for(access, policy), connect_timeout, read_timeout)


def warm_up() -> None:
    """Go through a request that our own rules refuse in the end, so that no job spends that after a fork."""
    nowhere = ClusterAccess(server="https://127.0.0.1:1", context="none", cluster="none", user="none")
    with contextlib.suppress(ConsoleError), connect(nowhere, AddressPolicy()) as connection:
        connection.get("/version")


@dataclass(frozen=True)
class _Request:
    """One request. `harmless`: a POST that stores nothing."""

    method: str
    path: str
    params: Mapping[str, Param] = field(default_factory=dict)
    body: Object | None = None
    content_type: str = ""
    harmless: bool = False

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice is the same as once."""
        return self.harmless or self.method == "GET"

    @property
    def target(self) -> str:
        query = urlencode({key: _plain(value) for key, value in self.params.items()})
        return f"{self.path}?{query}" if query else self.path


class Connection:
    """Requests to one API server. Safe to use from several threads. A context manager that closes its sockets.

    All methods raise classes of `console.lib.errors` only.
    """

    def __init__(self, access: ClusterAccess, client: ApiClient, connect_timeout: float, read_timeout: float) -> None:
        self.host = access.host
        self._server = access.server
        self._client = client
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._headers = {"Accept": _JSON, "User-Agent": "drydock"}
        if access.token:
            self._headers["Authorization"] = f"Bearer {access.token}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Connection to {self.host}>"

    def close(self) -> None:
        """Close the kept-alive sockets. The Connection can still be used: it opens new ones."""
        self._client.close()  # type: ignore[no-untyped-call]

    def get(self, path: str, **params: Param) -> Object:
        """The object at `path`. Raises: Missing and the rest of the tree except Unanswered."""
        return self._answer(_Request("GET", path, params))

    def list_page(self, path: str, *, limit: int = PAGE, token: str = "", **params: Param) -> Object:
        """One page as the server sends it: `items`, `metadata.continue`, `metadata.resourceVersion`.

        `token` is `metadata.continue` of the page before. Raises: Expired (TryLater) when it is too old.
        """
        if token:
            params["continue"] = token
        page = self._answer(_Request("GET", path, {"limit": limit, **params}))
        items = page.get("items")  # `null` on the wire when there are none
        page["items"] = [item for item in items if isinstance(item, dict)] if isinstance(items, Sequence) else []
        return page

    def list(self, path: str, *, limit: int = PAGE, **params: Param) -> Iterator[Object]:
        """All objects of a collection, page by page, each once.

        A continue token that expires half-way starts the list again; what was already given is left out.
        """
        given: set[tuple[str, str]] = set()
        for attempt in range(_MOST_RESTARTS + 1):
            try:
                for item in self._pages(path, limit, params):
                    key = _key(item)
                    if key not in given:
                        given.add(key)
                        yield item
                return
            except errors.Expired:
                if attempt == _MOST_RESTARTS:
                    raise

    def create(self, path: str, body: Object) -> Object:
        """POST `body` to a collection. Raises: AlreadyThere, Unanswered (look by name before repeating)."""
        return self._answer(_Request("POST", path, {}, body, _JSON))

    def ask(self, path: str, body: Object) -> Object:
        """POST a review, which the API server answers without storing it; like `get`, it may be repeated."""
        return self._answer(_Request("POST", path, {}, body, _JSON, harmless=True))

    def merge_patch(self, path: str, body: Object) -> Object:
        """RFC 7396 merge patch; with `metadata.resourceVersion` in it, Changed if the object moved on."""
        return self._answer(_Request("PATCH", path, {}, body, _MERGE_PATCH))

    def apply(self, path: str, body: Object, field_manager: str = "drydock", force: bool = True) -> Object:
        """Server-side apply: creates or updates. `body` needs apiVersion and kind."""
        params: dict[str, Param] = {"fieldManager": field_manager, "force": force}
        return self._answer(_Request("PATCH", path, params, body, _APPLY_PATCH))

    def delete(self, path: str, *, uid: str | None = None) -> None:
        """Delete one object. With `uid`, only that very object: Changed if another took its name."""
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        self._answer(_Request("DELETE", path, {}, options, _JSON))

    def open_watch(self, path: str, *, read_timeout: float, **params: Param) -> Watch:
        """An open watch on a collection; the caller reads and closes it. `read_timeout` in seconds of silence."""
        return Watch(self._send(_Request("GET", path, {"watch": True, **params}), read_timeout), self.host)

    def _pages(self, path: str, limit: int, params: Mapping[str, Param]) -> Iterator[Object]:
        token = ""
        while True:
            page = self.list_page(path, limit=limit, token=token, **params)
            yield from page["items"]
            token = (page.get("metadata") or {}).get("continue") or ""
            if not token:
                return

    def _answer(self, request: _Request) -> Object:
        response = self._send(request, self._read_timeout)
        with errors.translated(self.host, repeatable=request.repeatable):
            data = self._read(response, LARGEST_ANSWER, repeatable=request.repeatable)
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise errors.unreadable(self.host, repeatable=request.repeatable) from error
        if not isinstance(answer, dict):
            raise errors.unreadable(self.host, repeatable=request.repeatable)
        return answer

    def _send(self, request: _Request, read_timeout: float) -> urllib3.HTTPResponse:
        """A successful answer whose body is still to be read; anything else is raised."""
        headers = self._headers | ({"Content-Type": request.content_type} if request.content_type else {})
        timeouts = (self._connect_timeout, read_timeout)
        with errors.translated(self.host, repeatable=request.repeatable):
            answer = self._client.call_api(
                request.method, self._server + request.target, headers, request.body, _request_timeout=timeouts
            )
            response = cast(urllib3.HTTPResponse, answer.response)
            if 200 <= response.status < 300:
                return response
            data = self._read_refusal(response)
        raise errors.refusal(response.status, response.headers, data, self.host, repeatable=request.repeatable)

    def _read(self, response: urllib3.HTTPResponse, limit: int, *, repeatable: bool) -> bytes:
        """The body, at most `limit` bytes and six read timeouts. We ask for no compression, so none is undone."""
        deadline = time.monotonic() + 6 * self._read_timeout
        parts: list[bytes] = []
        size = 0
        while part := response.read1(_CHUNK, decode_content=False):
            size += len(part)
            if size > limit:
                response.close()
                raise errors.too_large(self.host, limit, repeatable=repeatable)
            if time.monotonic() > deadline:
                response.close()
                raise TimeoutError("the answer takes too long")
            parts.append(part)
        response.release_conn()
        return b"".join(parts)

    def _read_refusal(self, response: urllib3.HTTPResponse) -> bytes:
        """As much of a refusal's body as is worth reading: the status code alone is answer enough."""
        try:
            return self._read(response, LARGEST_REFUSAL, repeatable=True)
        except (ConsoleError, urllib3.exceptions.HTTPError, OSError):
            return b""


class Watch:
    """The events of one watch request, as dicts, until the server ends it. Close it from any thread."""

    def __init__(self, response: urllib3.HTTPResponse, host: str) -> None:
        self._response = response
        self._host = host
        self._socket = getattr(response.connection, "live_socket", None)

    def events(self) -> Iterator[Object]:
        """Events as they come. Raises: TryLater (broken off, silent for too long, not JSON)."""
        with errors.translated(self._host, repeatable=True):
            for line in self._lines():
                try:
                    event = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise errors.unreadable(self._host, repeatable=True) from error
                if isinstance(event, dict):
                    yield event

    def interrupt(self) -> None:
        """Wake a reader that waits in another thread: it sees the connection end."""
        if self._socket is not None:
            try:
                # Past the TLS layer on purpose: its shutdown would write to a connection another thread reads.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
            except OSError:
                return  # already gone

    def close(self) -> None:
        """Give the connection back if the server ended the watch, else close it."""
        if self._response.isclosed():
            self._response.release_conn()
        else:
            self._response.close()

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        while part := self._response.read1(_CHUNK, decode_content=False):
            *lines, rest = (rest + part).split(b"\n")
            yield from (line for line in lines if line.strip())
            if len(rest) > LARGEST_ANSWER:
                raise TryLater(f"{self._host} sent an event that is too large to read.")
        if rest.strip():
            yield rest


def _plain(value: Param) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _key(item: Object) -> tuple[str, str]:
    metadata = item.get("metadata") or {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
