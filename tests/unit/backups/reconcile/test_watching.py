"""Threads that listen to clusters: what they put into the queue, and that nothing they meet ends them."""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper

from backups.reconcile import watching
from backups.reconcile.loop import place_of
from backups.reconcile.watching import Changed, Heard, Listed, Looked, Lookers, Lost, Place, Watcher, look, name_of
from tests.fakes.apiserver import FakeApiServer, Fault
from tests.unit.backups.reconcile.conftest import VELERO, Site
from workspaces.models.cluster import ClusterState

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
H = TypeVar("H")


@pytest.fixture(autouse=True)
def _restless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "REST", 0.05)


@pytest.fixture
def place(east: Site) -> Place:
    found = place_of(east.row)
    assert found is not None
    return found


@pytest.fixture
def heard() -> queue.Queue[Heard]:
    return queue.Queue()


@pytest.fixture
def watcher(place: Place, heard: queue.Queue[Heard]) -> Iterator[Watcher]:
    made = Watcher(place, "backup", heard)
    yield made
    made.stopping.set()
    if made.is_alive():
        made.join(10)
        assert not made.is_alive()


def next_of(heard: queue.Queue[Heard], kind: type[H], when: Callable[[H], bool] = lambda _: True) -> H:
    """The next of this kind; others in between are passed over."""
    until = time.monotonic() + 10
    while (left := until - time.monotonic()) > 0:
        found = heard.get(timeout=left)
        if isinstance(found, kind) and when(found):
            return found
    raise AssertionError("nothing of that kind was heard")


def put(site: Site, name: str, **status: Any) -> None:
    site.fake.put("backups", {"metadata": {"name": name, "namespace": VELERO}, "spec": {}, "status": status})


def _until_it_watches(site: Site, heard: queue.Queue[Heard]) -> None:
    """A change is heard, so the watch itself is open."""
    next_of(heard, Listed)
    put(site, "before")
    next_of(heard, Changed)


class TestWatcher:
    def test_the_list_then_every_change(self, east: Site, watcher: Watcher, heard: queue.Queue[Heard]) -> None:
        put(east, "one")
        before = datetime.now(UTC)
        watcher.start()
        listing = next_of(heard, Listed)
        assert list(listing.objects) == ["one"]
        assert before <= listing.began <= datetime.now(UTC)
        put(east, "two", phase="New")
        put(east, "two", phase="InProgress")
        east.fake.remove("backups", "one", namespace=VELERO)
        changes = [next_of(heard, Changed) for _ in range(3)]
        assert [(name_of(one.object), one.gone) for one in changes] == [("two", False), ("two", False), ("one", True)]

    def test_an_empty_list_is_one_too(self, watcher: Watcher, heard: queue.Queue[Heard]) -> None:
        watcher.start()
        assert next_of(heard, Listed).objects == {}

    def test_a_list_begun_anew_does_not_claim_to_be_older_events(
        self, east: Site, watcher: Watcher, heard: queue.Queue[Heard], api: FakeApiServer
    ) -> None:
        """After 410 everything is listed again; what was submitted since the last event may not be in it."""
        watcher.start()
        first = next_of(heard, Listed)
        put(east, "one")
        next_of(heard, Changed)
        api.add_faults(Fault("expire", "GET", "/backups", when=lambda request: request.is_watch))
        api.drop_connections()
        second = next_of(heard, Listed)
        assert list(second.objects) == ["one"]
        assert second.began > first.began

    def test_a_connection_that_breaks_off_is_no_news(
        self, api: FakeApiServer, east: Site, watcher: Watcher, heard: queue.Queue[Heard]
    ) -> None:
        """A load balancer restarts: nobody needs to read that the cluster is out of reach."""
        watcher.start()
        _until_it_watches(east, heard)
        api.drop_connections()
        assert isinstance(heard.get(timeout=10), Listed)
        put(east, "after")
        assert name_of(next_of(heard, Changed).object) == "after"

    def test_that_no_new_one_can_be_had_is(
        self, api: FakeApiServer, east: Site, watcher: Watcher, heard: queue.Queue[Heard]
    ) -> None:
        watcher.start()
        next_of(heard, Listed)
        api.add_faults(Fault("reset_before", "GET", times=None))
        api.drop_connections()
        found = next_of(heard, Lost)
        assert found.state == ClusterState.UNREACHABLE
        api.faults.clear()
        assert next_of(heard, Listed)

    def test_another_cluster_at_the_address_is_not_listened_to(self, east: Site, heard: queue.Queue[Heard]) -> None:
        put(east, "theirs")
        elsewhere = Place(east.row.pk, east.fake.access(), "another-uid", VELERO)
        made = Watcher(elsewhere, "backup", heard)
        made.start()
        try:
            assert "Another cluster answers" in next_of(heard, Lost).reason
        finally:
            made.stopping.set()
            made.join(10)
        assert not any(isinstance(found, Listed | Changed) for found in list(heard.queue))

    def test_no_bug_of_ours_ends_it(
        self, watcher: Watcher, heard: queue.Queue[Heard], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        broken = iter([True, False, False, False])
        plain = watching.list_then_watch

        def sometimes(*args: Any, **kwargs: Any) -> Any:
            if next(broken):
                raise KeyError("planted-detail")
            return plain(*args, **kwargs)

        monkeypatch.setattr(watching, "list_then_watch", sometimes)
        watcher.start()
        assert "planted" not in next_of(heard, Lost).reason
        assert next_of(heard, Listed)

    def test_it_stops_at_once_even_while_it_waits_for_an_event(
        self, watcher: Watcher, heard: queue.Queue[Heard]
    ) -> None:
        watcher.start()
        next_of(heard, Listed)
        began = time.monotonic()
        watcher.stopping.set()
        watcher.join(10)
        assert not watcher.is_alive()
        assert time.monotonic() - began < 3

    def test_it_never_touches_the_database(
        self, east: Site, watcher: Watcher, heard: queue.Queue[Heard], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its thread would open a connection of its own, which nobody closes."""
        opened: list[str] = []
        monkeypatch.setattr(
            BaseDatabaseWrapper, "ensure_connection", lambda self: opened.append(threading.current_thread().name)
        )
        watcher.start()
        next_of(heard, Listed)
        put(east, "one")
        next_of(heard, Changed)
        assert not [name for name in opened if name.startswith("watch-")]


class TestLook:
    def test_backups_restores_locations_and_namespaces(self, east: Site, place: Place) -> None:
        put(east, "one", phase="Completed")
        location = {"metadata": {"name": "l", "namespace": VELERO}, "spec": {}, "status": {"phase": "Unavailable"}}
        east.fake.put("backupstoragelocations", location)
        before = datetime.now(UTC)
        found = look(place)
        assert isinstance(found, Looked)
        assert {kind: list(objects) for kind, objects in found.objects.items()} == {"backup": ["one"], "restore": []}
        assert before <= found.began <= datetime.now(UTC)
        assert found.locations["l"].phase in ("Available", "Unavailable")
        assert found.namespaces == ("default", "kube-system", "velero")

    def test_another_cluster_at_the_address(self, east: Site) -> None:
        found = look(Place(east.row.pk, east.fake.access(), "another-uid", VELERO))
        assert isinstance(found, Lost)
        assert "Another cluster answers" in found.reason

    def test_a_bug_of_ours_is_said_without_its_detail(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(watching, "namespaces", lambda connection: connection.planted_detail)
        found = look(place)
        assert isinstance(found, Lost)
        assert found.reason == "Something went wrong while looking at this cluster."

    @pytest.mark.parametrize(
        ("fault", "state"),
        [
            (Fault("reset_before"), "unreachable"),
            (Fault("garbage"), "unreachable"),
            (Fault("status", status=503), "degraded"),
            (Fault("status", status=429), "degraded"),
            (Fault("status", status=401), "degraded"),
            (Fault("status", status=403), "degraded"),
        ],
    )
    def test_what_goes_wrong_is_said(self, api: FakeApiServer, place: Place, fault: Fault, state: str) -> None:
        """One that says no, or not now, is not out of reach."""
        api.add_faults(fault)
        found = look(place)
        assert isinstance(found, Lost)
        assert found.state == state
        assert found.reason

    def test_without_velero(self, east: Site, place: Place) -> None:
        east.fake.remove_group("velero.io")
        sentence = "Velero is not installed in this cluster."
        assert look(place) == Lost(east.row.pk, sentence, ClusterState.VELERO_MISSING)


class TestLookers:
    """Two threads, three clusters, and looks that end when the test says so."""

    A, B, C = (uuid.UUID(int=number) for number in (1, 2, 3))

    @pytest.fixture
    def gate(self, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
        """Looks end when it opens."""
        opened = threading.Event()

        def wait(place: Place) -> Lost:
            opened.wait(10)
            return Lost(place.cluster, "seen")

        monkeypatch.setattr(watching, "look", wait)
        return opened

    @pytest.fixture
    def lookers(self, gate: threading.Event) -> Iterator[Lookers]:
        made = Lookers(2, every=45)
        yield made
        gate.set()
        made.stop()

    def sent(self, lookers: Lookers, place: Place) -> list[uuid.UUID]:
        turn = lookers.next()
        for pk in turn:
            lookers.send(replace(place, cluster=pk))
        return turn

    def collected(self, lookers: Lookers, count: int) -> set[uuid.UUID]:
        found: list[Looked | Lost] = []
        until = time.monotonic() + 10
        while len(found) < count and time.monotonic() < until:
            found += lookers.found()
        return {one.cluster for one in found}

    def test_no_more_at_a_time_than_there_are_threads(
        self, lookers: Lookers, place: Place, gate: threading.Event
    ) -> None:
        lookers.plan([self.A, self.B, self.C], ahead=0)
        assert self.sent(lookers, place) == [self.A, self.B]
        assert self.sent(lookers, place) == lookers.found() == []
        gate.set()
        assert self.collected(lookers, 2) == {self.A, self.B}
        assert self.sent(lookers, place) == [self.C]

    def test_never_twice_at_a_time(self, lookers: Lookers, place: Place) -> None:
        lookers.plan([self.A], ahead=0)
        assert self.sent(lookers, place) == [self.A]
        lookers.every = 0
        lookers.plan([self.A, self.B], ahead=0)
        assert self.sent(lookers, place) == [self.B]

    def test_each_once_in_its_time_and_the_longest_unseen_first(
        self, lookers: Lookers, place: Place, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gate.set()
        clock = iter([100.0, 100.0, 110.0, 110.0, 140.0, 146.0, 160.0])
        monkeypatch.setattr(watching, "time", SimpleNamespace(monotonic=lambda: next(clock)))
        lookers.plan([self.A], ahead=5)  # at 100
        assert self.turn(lookers, place) == [self.A]
        lookers.plan([self.A, self.B], ahead=5)  # at 110
        assert self.turn(lookers, place) == [self.B]
        lookers.plan([self.A, self.B], ahead=4)  # at 140: the first falls due at 145
        assert lookers._waiting == deque()
        lookers.plan([self.A, self.B], ahead=5)  # at 146
        assert list(lookers._waiting) == [self.A]
        lookers.plan([self.B, self.C, self.A], ahead=5)  # at 160
        assert list(lookers._waiting) == [self.C, self.A, self.B]

    def turn(self, lookers: Lookers, place: Place) -> list[uuid.UUID]:
        turn = self.sent(lookers, place)
        for future in lookers._out.values():
            future.result(10)
        lookers.found()
        return turn


def test_a_kubeconfig_that_cannot_be_used_is_said_on_the_clusters_page(east: Site) -> None:
    east.row.kubeconfig = {"kubeconfig": "", "context": ""}
    east.row.save()
    assert place_of(east.row) is None
    assert east.fresh().state == "unreachable"
    assert east.fresh().state_reason
