"""List-then-watch under faults: no gap, no repetition, no busy circle, and an end when asked."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest

from console.kube import watch
from console.kube.connection import Connection, connect
from console.kube.paths import custom
from console.kube.watch import Event, list_then_watch
from console.lib.errors import NotPermitted, SignInRefused, TryLater
from tests.fakes.apiserver import ADMIN_TOKEN, Cluster, Fault, User
from tests.fakes.oddservers import RawServer
from tests.unit.console.kube.conftest import POLICY

BACKUPS = custom("velero.io", "v1", "backups", "velero")

pytestmark = pytest.mark.slow


def put(cluster: Cluster, *names: str) -> None:
    for name in names:
        cluster.put("backups", {"metadata": {"name": name, "namespace": "velero"}})


def take(source: Iterator[Event], count: int) -> list[tuple[str, str]]:
    return [(event.type, event.object["metadata"].get("name", "")) for event in islice(source, count)]


@pytest.fixture
def source(cluster: Cluster, connection: Connection) -> Iterator[Iterator[Event]]:
    events = list_then_watch(connection, BACKUPS, stop=threading.Event(), timeout_seconds=1, limit=2)
    yield events
    events.close()  # type: ignore[attr-defined]


class TestOrder:
    def test_pages_then_synced_then_changes(self, cluster: Cluster, source: Iterator[Event]) -> None:
        put(cluster, "a", "b", "c")
        assert take(source, 4) == [("LISTED", "a"), ("LISTED", "b"), ("LISTED", "c"), ("SYNCED", "")]
        put(cluster, "d")
        cluster.patch("backups", "a", {"status": {"phase": "Weird"}}, namespace="velero")
        cluster.remove("backups", "b", namespace="velero")
        assert take(source, 3) == [("ADDED", "d"), ("MODIFIED", "a"), ("DELETED", "b")]

    def test_an_empty_collection_is_synced_at_once(self, source: Iterator[Event]) -> None:
        event = next(source)
        assert event.type == "SYNCED"
        assert int(event.object["metadata"]["resourceVersion"]) > 0

    def test_nothing_is_lost_between_list_and_watch(self, cluster: Cluster, source: Iterator[Event]) -> None:
        put(cluster, "a")
        assert take(source, 2) == [("LISTED", "a"), ("SYNCED", "")]
        put(cluster, "b", "c")
        cluster.remove("backups", "b", namespace="velero")
        assert take(source, 3) == [("ADDED", "b"), ("ADDED", "c"), ("DELETED", "b")]


class TestFaults:
    def test_an_ended_watch_goes_on_where_it_was(self, cluster: Cluster, source: Iterator[Event]) -> None:
        put(cluster, "a")
        cluster.server.add_faults(Fault("end_watch", events=1, times=3))
        assert take(source, 2) == [("LISTED", "a"), ("SYNCED", "")]
        put(cluster, "b", "c", "d", "e")
        assert take(source, 4) == [("ADDED", name) for name in "bcde"]
        lists = [request for request in cluster.server.requests_to("east") if not request.is_watch]
        assert len(lists) == 1

    def test_an_expired_version_lists_again(self, cluster: Cluster, source: Iterator[Event]) -> None:
        put(cluster, "a", "b")
        cluster.server.add_faults(Fault("expire", when=lambda request: request.is_watch))
        assert take(source, 3) == [("LISTED", "a"), ("LISTED", "b"), ("SYNCED", "")]
        cluster.remove("backups", "a", namespace="velero")
        assert take(source, 2) == [("LISTED", "b"), ("SYNCED", "")]
        put(cluster, "c")
        assert take(source, 1) == [("ADDED", "c")]

    def test_a_compacted_history_lists_again(self, cluster: Cluster, source: Iterator[Event]) -> None:
        put(cluster, "a")
        assert take(source, 2) == [("LISTED", "a"), ("SYNCED", "")]
        put(cluster, "b")
        cluster.store.compact()
        assert take(source, 3) == [("LISTED", "a"), ("LISTED", "b"), ("SYNCED", "")]

    def test_versions_that_always_expire_end_it(self, cluster: Cluster, source: Iterator[Event]) -> None:
        cluster.server.add_faults(Fault("expire", when=lambda request: request.is_watch, times=None))
        assert take(source, 2) == [("SYNCED", ""), ("SYNCED", "")]
        with pytest.raises(TryLater, match="keeps forgetting"):
            next(source)

    def test_a_list_that_expires_half_way_is_begun_by_the_caller(
        self, cluster: Cluster, source: Iterator[Event]
    ) -> None:
        put(cluster, "a", "b", "c")
        cluster.server.add_faults(Fault("expire", when=lambda request: "continue" in request.query))
        assert take(source, 2) == [("LISTED", "a"), ("LISTED", "b")]
        with pytest.raises(TryLater):
            next(source)

    @pytest.mark.parametrize("fault", [Fault("cut_watch", events=1), Fault("cut_watch", events=0)])
    def test_a_broken_watch_is_the_caller_s_to_repeat(
        self, fault: Fault, cluster: Cluster, source: Iterator[Event]
    ) -> None:
        cluster.server.add_faults(fault)
        assert take(source, 1) == [("SYNCED", "")]
        put(cluster, "a")
        with pytest.raises(TryLater, match="broke the connection off"):
            take(source, 2)

    def test_silence_beyond_the_server_s_timeout_is_a_broken_watch(
        self, cluster: Cluster, source: Iterator[Event], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watch, "_GRACE", -0.7)
        cluster.server.add_faults(Fault("hang", when=lambda request: request.is_watch))
        assert take(source, 1) == [("SYNCED", "")]
        with pytest.raises(TryLater, match="took too long"):
            next(source)

    def test_lost_rights_are_told(self, cluster: Cluster, source: Iterator[Event]) -> None:
        assert take(source, 1) == [("SYNCED", "")]
        cluster.users[ADMIN_TOKEN] = User("admin", (), lambda right: right.verb != "watch")
        with pytest.raises(NotPermitted, match="cannot watch resource"):
            next(source)

    def test_a_revoked_token_is_told(self, cluster: Cluster, source: Iterator[Event]) -> None:
        assert take(source, 1) == [("SYNCED", "")]
        del cluster.users[ADMIN_TOKEN]
        with pytest.raises(SignInRefused):
            next(source)

    def test_a_server_that_ends_every_watch_is_not_asked_in_a_circle(
        self, cluster: Cluster, connection: Connection
    ) -> None:
        cluster.server.add_faults(Fault("end_watch", events=0, times=None))
        end = time.monotonic() + 1
        list(list_then_watch(connection, BACKUPS, stop=lambda: time.monotonic() > end))
        assert len(cluster.server.requests_to("east")) <= 8


class TestOddEvents:
    def read(self, lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, connection: Connection) -> list[Event]:
        """What becomes of a watch that says exactly this, once."""

        class Said:
            def events(self) -> Iterator[dict[str, Any]]:
                yield from lines

            def interrupt(self) -> None:
                pass

            def close(self) -> None:
                stop.set()

        stop = threading.Event()
        monkeypatch.setattr(connection, "open_watch", lambda *_, **__: Said())
        return list(list_then_watch(connection, BACKUPS, stop=stop))[1:]

    def test_unknown_types_and_missing_objects_are_passed_over(
        self, cluster: Cluster, connection: Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lines: list[dict[str, Any]] = [
            {"type": "RENAMED", "object": {}},
            {"type": "ADDED"},
            {"type": "ADDED", "object": None},
            {"type": ["ADDED"], "object": {}},
            {"object": {"metadata": {"name": "a"}}},
            {},
            {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}},
            {"type": "ADDED", "object": {"metadata": "odd"}},
            {"type": "ADDED", "object": {"metadata": {"name": "b"}}},
        ]
        events = self.read(lines, monkeypatch, connection)
        assert [(event.type, event.object["metadata"]) for event in events] == [
            ("ADDED", "odd"),
            ("ADDED", {"name": "b"}),
        ]

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            ({"kind": "Status", "code": 500, "message": "etcd is unwell"}, TryLater),
            ({"kind": "Status", "code": 401}, SignInRefused),
            ({"kind": "Status"}, TryLater),
            ({"code": "x"}, TryLater),
            ("words", TryLater),
            (None, TryLater),
        ],
    )
    def test_an_error_event_is_translated(
        self,
        status: Any,
        error: type[Exception],
        cluster: Cluster,
        connection: Connection,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with pytest.raises(error):
            self.read([{"type": "ERROR", "object": status}], monkeypatch, connection)

    @pytest.mark.parametrize("body", [b"not json\n", b'{"type": "ADDED"', b"\xff\xff\n", b"[" * 100_000])
    def test_what_is_not_json(self, body: bytes, cluster: Cluster) -> None:
        with RawServer(body) as url, connect(replace(cluster.access(), server=url), POLICY) as odd:
            opened = odd.open_watch(BACKUPS, read_timeout=1)
            with pytest.raises(TryLater, match="cannot be read"):
                list(opened.events())
            opened.close()

    def test_an_endless_line_is_cut(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("console.kube.connection.LARGEST_ANSWER", 2**20)
        endless = RawServer(whole=b"HTTP/1.1 200 OK\r\n\r\n", endless=b"x" * 65536)
        with endless as url, connect(replace(cluster.access(), server=url), POLICY) as odd:
            opened = odd.open_watch(BACKUPS, read_timeout=1)
            with pytest.raises(TryLater, match="too large"):
                list(opened.events())
            opened.close()

    def test_an_answer_that_is_no_watch(self, cluster: Cluster, source: Iterator[Event]) -> None:
        cluster.server.add_faults(Fault("status", status=200, message="x", when=lambda request: request.is_watch))
        assert take(source, 1) == [("SYNCED", "")]
        put(cluster, "later")
        assert take(source, 1) == [("ADDED", "later")]


class Running:
    """An idle watch in a thread."""

    def __init__(self, cluster: Cluster, stop: Any) -> None:
        self.events: list[Event] = []
        self.failure: Exception | None = None
        self._connection = connect(cluster.access(), POLICY)
        self._source = list_then_watch(self._connection, BACKUPS, stop=stop)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.events.extend(self._source)
        except Exception as error:
            self.failure = error
        finally:
            self._connection.close()


def until(condition: Any) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class TestStop:
    def watches(self, cluster: Cluster) -> int:
        return sum(request.is_watch for request in cluster.server.requests_to("east"))

    @pytest.mark.parametrize("kind", ["event", "function"])
    def test_idle_watches_end_within_a_second(self, kind: str, cluster: Cluster) -> None:
        stop = threading.Event()
        running = [Running(cluster, stop if kind == "event" else stop.is_set) for _ in range(10)]
        until(lambda: self.watches(cluster) == 10)
        started = time.monotonic()
        stop.set()
        for each in running:
            each.thread.join(5)
        assert time.monotonic() - started < 1
        assert [each.failure for each in running] == [None] * 10

    def test_one_thread_looks_after_all_and_goes_when_there_are_none(self, cluster: Cluster) -> None:
        stop = threading.Event()
        running = [Running(cluster, stop) for _ in range(5)]
        until(lambda: self.watches(cluster) == 5)
        doormen = [thread for thread in threading.enumerate() if thread.name == "watch-doorman"]
        assert len(doormen) == 1
        stop.set()
        for each in running:
            each.thread.join(5)
        until(lambda: not doormen[0].is_alive())

    def test_stopped_before_it_began(self, cluster: Cluster, connection: Connection) -> None:
        stop = threading.Event()
        stop.set()
        assert list(list_then_watch(connection, BACKUPS, stop=stop)) == []
        assert cluster.server.requests_to("east") == []

    def test_a_consumer_that_leaves_closes_the_watch(self, cluster: Cluster, connection: Connection) -> None:
        put(cluster, "a")
        source = list_then_watch(connection, BACKUPS, stop=threading.Event())
        assert take(source, 2) == [("LISTED", "a"), ("SYNCED", "")]
        put(cluster, "b")
        assert take(source, 1) == [("ADDED", "b")]
        source.close()  # type: ignore[attr-defined]
        until(lambda: not cluster.store._listeners)

    def test_a_forked_child_can_stop_its_own_watch(self, cluster: Cluster) -> None:
        """The thread that wakes watches does not survive a fork; the child starts its own."""
        stop = threading.Event()
        parent = Running(cluster, stop)
        until(lambda: self.watches(cluster) == 1)
        child = os.fork()
        if child == 0:
            code = 1
            signal.alarm(20)  # a child that hangs must not keep its parent waiting
            try:
                own = threading.Event()
                watching = Running(cluster, own)
                time.sleep(0.5)
                own.set()
                watching.thread.join(2)
                code = 0 if not watching.thread.is_alive() and watching.failure is None else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        stop.set()
        parent.thread.join(5)
        assert os.waitstatus_to_exitcode(status) == 0
