"""Watches, the same cases against the fake API server and the real one."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from console.kube.connection import Connection
from console.kube.paths import custom
from console.kube.watch import Event, list_then_watch
from tests.contract.conftest import Target
from tests.contract.test_kube import backup

pytestmark = pytest.mark.slow


class Watching:
    """A watch in a thread, with what it has seen."""

    def __init__(self, target: Target, **options: Any) -> None:
        self.events: list[Event] = []
        self.failure: Exception | None = None
        self.stop = threading.Event()
        self._connection = target.connect()
        self._source = list_then_watch(self._connection, target.backups(), stop=self.stop, **options)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for event in self._source:
                self.events.append(event)
        except Exception as error:
            self.failure = error

    def seen(self) -> list[tuple[str, str]]:
        return [(event.type, event.object["metadata"].get("name", "")) for event in list(self.events)]

    def wait_for(self, *expected: tuple[str, str], seconds: float = 8.0) -> None:
        deadline = time.monotonic() + seconds
        while self.seen()[-len(expected) :] != list(expected):
            assert self.failure is None, self.failure
            assert time.monotonic() < deadline, self.seen()
            time.sleep(0.02)

    def end(self) -> float:
        """Stop it; the seconds it took."""
        started = time.monotonic()
        self.stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._connection.close()
        return time.monotonic() - started


class TestWatch:
    def test_it_lists_then_sees_add_modify_delete(self, target: Target, connection: Connection) -> None:
        connection.create(target.backups(), backup("old"))
        watching = Watching(target)
        watching.wait_for(("LISTED", "old"), ("SYNCED", ""))
        connection.create(target.backups(), backup("new"))
        connection.merge_patch(target.backups("new"), {"status": {"phase": "InProgress"}})
        connection.delete(target.backups("new"))
        watching.wait_for(("ADDED", "new"), ("MODIFIED", "new"), ("DELETED", "new"))
        assert watching.end() < 1.5
        assert watching.failure is None

    def test_it_goes_on_when_the_server_ends_the_watch(self, target: Target, connection: Connection) -> None:
        watching = Watching(target, timeout_seconds=1)
        watching.wait_for(("SYNCED", ""))
        time.sleep(2.2)
        connection.create(target.backups(), backup("late"))
        watching.wait_for(("SYNCED", ""), ("ADDED", "late"))
        watching.end()
        assert watching.seen() == [("SYNCED", ""), ("ADDED", "late")]

    def test_an_idle_watch_stops_at_once(self, target: Target) -> None:
        watching = Watching(target)
        watching.wait_for(("SYNCED", ""))
        assert watching.end() < 1.5
        assert watching.failure is None

    def test_labels_select_in_the_watch_too(self, target: Target, connection: Connection) -> None:
        watching = Watching(target, labelSelector="mine=yes")
        watching.wait_for(("SYNCED", ""))
        connection.create(target.backups(), backup("theirs"))
        body = backup("mine")
        body["metadata"]["labels"] = {"mine": "yes"}
        connection.create(target.backups(), body)
        connection.merge_patch(target.backups("mine"), {"metadata": {"labels": {"mine": "no"}}})
        watching.wait_for(("SYNCED", ""), ("ADDED", "mine"), ("DELETED", "mine"))
        watching.end()

    def test_a_version_that_is_too_old_is_told_as_expired(self, target: Target, connection: Connection) -> None:
        if target.fake is not None:
            target.fake.store.compact()
        watch = connection.open_watch(target.backups(), read_timeout=10, resourceVersion="1", timeoutSeconds=5)
        events = list(watch.events())
        watch.close()
        assert [event["type"] for event in events] == ["ERROR"]
        assert events[0]["object"]["code"] == 410
        assert events[0]["object"]["reason"] == "Expired"

    def test_a_bookmark_carries_the_version_of_what_happened_elsewhere(
        self, target: Target, connection: Connection
    ) -> None:
        connection.create(target.backups(), backup("a"))
        version = connection.list_page(target.backups())["metadata"]["resourceVersion"]
        watch = connection.open_watch(
            target.backups(), read_timeout=10, resourceVersion=version, timeoutSeconds=4, allowWatchBookmarks=True
        )
        elsewhere = custom("velero.io", "v1", "backups", "default")
        other = connection.create(elsewhere, backup("") | {"metadata": {"generateName": "elsewhere-"}})
        events = list(watch.events())
        watch.close()
        assert {event["type"] for event in events} == {"BOOKMARK"}
        assert events[-1]["object"]["metadata"] == {"resourceVersion": other["metadata"]["resourceVersion"]}
        connection.delete(f"{elsewhere}/{other['metadata']['name']}")
