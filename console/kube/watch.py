"""List, then watch: a collection's objects and every change after, without gaps.

1. List all pages; each object is given as LISTED, then SYNCED tells that the list is complete.
2. Watch from the list's resourceVersion, with bookmarks and a server timeout, so that a dead connection shows.
3. A watch that the server ends goes on from the last version seen.
4. 410 (the version is too old): back to 1. What is known but was not LISTED before the next SYNCED is gone.
5. A broken connection raises TryLater: how long to wait is the caller's decision.

Unknown event types are ignored. Not a cache and not a thread: the caller owns both.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from console.kube import errors
from console.kube.connection import PAGE, Connection, Object, Param, Watch
from console.lib.errors import TryLater

EventType = Literal["LISTED", "SYNCED", "ADDED", "MODIFIED", "DELETED"]
Stop = Callable[[], bool] | threading.Event

_CHANGES: dict[str, EventType] = {"ADDED": "ADDED", "MODIFIED": "MODIFIED", "DELETED": "DELETED"}
_GRACE = 10
_SHORTEST_WATCH = 1.0
_STOP_CHECK = 0.25


@dataclass(frozen=True)
class Event:
    """One object and what happened to it. SYNCED carries only `metadata.resourceVersion`."""

    type: EventType
    object: Object


def list_then_watch(
    connection: Connection, path: str, *, stop: Stop, timeout_seconds: int = 45, limit: int = PAGE, **params: Param
) -> Iterator[Event]:
    """Events of the collection at `path` until `stop` says so, which is noticed within about a second.

    `timeout_seconds`: after this long the server ends a watch; silence of ten seconds more is a broken connection.
    `params` are sent with both requests (labelSelector, fieldSelector). A `stop` function is called from other threads,
    too, and must be quick.

    Raises: TryLater, SignInRefused, NotPermitted, Missing; after any of them the caller starts anew.
    """
    stopped = stop.is_set if isinstance(stop, threading.Event) else stop
    rounds_without_event = 0
    while not stopped():
        version = ""
        for event in _listed(connection, path, limit, params):
            yield event
            version = _version(event.object) if event.type == "SYNCED" else version
            if stopped():
                return
        try:
            for event in _changes(connection, path, version, stopped, {"timeoutSeconds": timeout_seconds, **params}):
                rounds_without_event = 0
                yield event
        except errors.Expired as error:
            rounds_without_event += 1
            if rounds_without_event > 1:
                # Fresh versions that are too old already: the server is unwell, listing in a circle makes it worse.
                raise TryLater(f"{connection.host} keeps forgetting the version it has just given.") from error


def _listed(connection: Connection, path: str, limit: int, params: Mapping[str, Param]) -> Iterator[Event]:
    """Every page as LISTED, then SYNCED. A token that expires half-way is TryLater: the list would have a gap."""
    token = ""
    while True:
        page = connection.list_page(path, limit=limit, token=token, **params)
        for item in page["items"]:
            yield Event("LISTED", item)
        token = str(_metadata(page).get("continue") or "")
        if not token:
            yield Event("SYNCED", {"metadata": {"resourceVersion": _version(page)}})
            return


def _changes(
    connection: Connection, path: str, version: str, stopped: Callable[[], bool], params: dict[str, Param]
) -> Iterator[Event]:
    """Changes after `version`, over as many watch requests as it takes. Raises: Expired."""
    silence = int(params["timeoutSeconds"]) + _GRACE
    while not stopped():
        started = time.monotonic()
        quiet = True
        watch = connection.open_watch(
            path, read_timeout=silence, resourceVersion=version, allowWatchBookmarks=True, **params
        )
        with _closing(watch, stopped):
            for raw in _until_stopped(watch, stopped):
                version = _version(raw.get("object")) or version
                if raw.get("type") == "ERROR":
                    raise errors.event_error(raw.get("object"), connection.host)
                change = _CHANGES.get(str(raw.get("type")))
                if change and isinstance(raw.get("object"), dict):
                    quiet = False
                    yield Event(change, raw["object"])
        if quiet and time.monotonic() - started < _SHORTEST_WATCH:
            time.sleep(_STOP_CHECK)  # a server that ends every watch at once must not be asked in a circle


def _until_stopped(watch: Watch, stopped: Callable[[], bool]) -> Iterator[Object]:
    """The watch's events; when `stop` cut the connection, that is an end and no failure."""
    try:
        for raw in watch.events():
            if stopped():
                return
            yield raw
    except TryLater:
        if not stopped():
            raise


@contextmanager
def _closing(watch: Watch, stopped: Callable[[], bool]) -> Iterator[None]:
    _doorman.look_after(watch, stopped)
    try:
        yield
    finally:
        _doorman.forget(watch)
        watch.close()


class _Doorman:
    """One thread for all open watches, which interrupts those whose `stop` has come true.

    A reader waits in the kernel and cannot look at a flag; a timeout on the socket would break the half-read stream.
    """

    def __init__(self) -> None:
        self.forget_all()
        # A forked child has neither this thread nor a say in its parent's watches, whose sockets it shares.
        os.register_at_fork(after_in_child=self.forget_all)

    def forget_all(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Watch, Callable[[], bool]] = {}
        self._thread: threading.Thread | None = None

    def look_after(self, watch: Watch, stopped: Callable[[], bool]) -> None:
        with self._lock:
            self._open[watch] = stopped
            if self._thread is None:
                self._thread = threading.Thread(target=self._go_round, name="watch-doorman", daemon=True)
                self._thread.start()

    def forget(self, watch: Watch) -> None:
        with self._lock:
            self._open.pop(watch, None)

    def _go_round(self) -> None:
        while True:
            time.sleep(_STOP_CHECK)
            with self._lock:
                if not self._open:
                    self._thread = None
                    return
                due = [watch for watch, stopped in self._open.items() if stopped()]
            for watch in due:
                watch.interrupt()


_doorman = _Doorman()


def _metadata(thing: object) -> dict[str, object]:
    metadata = thing.get("metadata") if isinstance(thing, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def _version(thing: object) -> str:
    return str(_metadata(thing).get("resourceVersion") or "")
