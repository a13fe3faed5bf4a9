"""Threads that listen to clusters. They never touch the ORM: what they hear goes into one queue, which writers drain.

A cluster with open rows is watched, one thread for Backups and one for Restores. Every cluster is looked at now and
then by a few shared threads, whose finds are collected once a round: no more of them lie in memory than there are
threads.
"""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from backups.velero import names
from backups.velero.location import LocationReport, read_location
from console.kube.connection import Connection, connect
from console.kube.facts import KUBE_SYSTEM, cluster_uid, namespaces
from console.kube.kubeconfig import ClusterAccess
from console.kube.watch import list_then_watch
from console.lib import outbound
from console.lib.errors import Busy, ConsoleError, Missing, NotPermitted, Refused, TryLater
from workspaces.models.cluster import ClusterState

log = structlog.get_logger(__name__)

Raw = dict[str, Any]
REST = 2.0  # seconds between a broken connection and the next
SLOW = 1.0  # seconds from nothing to the first answer; over a distance of a quarter of a second it takes 0.75
PATHS = {"backup": names.backups_path, "restore": names.restores_path}


@dataclass(frozen=True)
class Place:
    """A cluster as a thread needs it, read from its row beforehand."""

    cluster: uuid.UUID
    access: ClusterAccess
    uid: str
    namespace: str


@dataclass(frozen=True)
class Changed:
    """One object was made, changed or removed."""

    cluster: uuid.UUID
    kind: str
    object: Raw
    gone: bool = False


@dataclass(frozen=True)
class Listed:
    """All objects of a kind, by name. What is not among them did not exist when the list began.

    `slow`: the cluster took long to answer at all.
    """

    cluster: uuid.UUID
    kind: str
    objects: Mapping[str, Raw] = field(repr=False)
    began: datetime
    slow: bool = False


@dataclass(frozen=True)
class Looked:
    """One look at a cluster: objects by kind and name, what Velero says of the locations, the namespaces there are.

    What is not among the objects did not exist when the look began. `slow`: the cluster took long to answer at all.
    `schedules`: by name; None where we may not list them.
    """

    cluster: uuid.UUID
    objects: Mapping[str, Mapping[str, Raw]] = field(repr=False)
    began: datetime
    locations: Mapping[str, LocationReport]
    namespaces: tuple[str, ...] = ()
    slow: bool = False
    schedules: Mapping[str, Raw] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Lost:
    """The cluster did not answer, or not as it should; `state` is what it is in therefore."""

    cluster: uuid.UUID
    reason: str
    state: ClusterState = ClusterState.UNREACHABLE


Heard = Changed | Listed | Looked | Lost


def lost(cluster: uuid.UUID, error: ConsoleError) -> Lost:
    """What an error means for the cluster: one that says no, or not now, is not out of reach."""
    if isinstance(error, Missing):
        return Lost(cluster, "Velero is not installed in this cluster.", ClusterState.VELERO_MISSING)
    answered = isinstance(error, Refused | Busy)
    return Lost(cluster, error.sentence(), ClusterState.DEGRADED if answered else ClusterState.UNREACHABLE)


def name_of(raw: Raw) -> str:
    """An object's name; empty for something that has none."""
    metadata = raw.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""


def _recognise(place: Place, uid: str) -> None:
    if uid != place.uid:
        raise Refused("Another cluster answers at this address.", remedy="Replace the kubeconfig.")


class Watcher(threading.Thread):
    """Lists and watches one kind in one cluster until stopped; starts anew after every failure.

    A connection that breaks off is no news; that no new one can be had is.
    """

    def __init__(self, place: Place, kind: str, heard: queue.Queue[Heard]) -> None:
        super().__init__(name=f"watch-{kind}-{place.cluster}", daemon=True)
        self.place, self.kind, self.heard = place, kind, heard
        self.stopping = threading.Event()
        self.listening = False

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                began = time.monotonic()
                with connect(self.place.access, outbound.policy()) as connection:
                    _recognise(self.place, cluster_uid(connection))
                    self._listen(connection, slow=time.monotonic() - began > SLOW)
            except ConsoleError as error:
                if not (self.listening and isinstance(error, TryLater)):
                    self.heard.put(lost(self.place.cluster, error))
            except Exception:
                log.exception("watch broke", cluster=str(self.place.cluster))
                self.heard.put(Lost(self.place.cluster, "Something went wrong while watching this cluster."))
            self.listening = False
            self.stopping.wait(REST)

    def _listen(self, connection: Connection, slow: bool) -> None:
        listing: dict[str, Raw] = {}
        quiet_since = datetime.now(UTC)  # a list that is begun anew begins after the last event
        for event in list_then_watch(connection, PATHS[self.kind](self.place.namespace), stop=self.stopping):
            if event.type == "LISTED":
                listing[name_of(event.object)] = event.object
            elif event.type == "SYNCED":
                self.listening = True
                self.heard.put(Listed(self.place.cluster, self.kind, listing, quiet_since, slow))
                listing, quiet_since = {}, datetime.now(UTC)
            else:
                quiet_since = datetime.now(UTC)
                self.heard.put(Changed(self.place.cluster, self.kind, event.object, event.type == "DELETED"))


class Lookers:
    """A few threads that look at clusters in turn: each cluster once every `every` seconds, never twice at a time."""

    def __init__(self, threads: int, every: float) -> None:
        self.threads, self.every = threads, every
        self._began: dict[uuid.UUID, float] = {}
        self._waiting: deque[uuid.UUID] = deque()
        self._out: dict[uuid.UUID, Future[Looked | Lost]] = {}
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="look")

    def plan(self, clusters: Iterable[uuid.UUID], ahead: float) -> None:
        """Line up those of `clusters` that fall due within `ahead` seconds, the longest unseen first."""
        began = {pk: self._began.get(pk, 0.0) for pk in clusters}
        due = time.monotonic() + ahead - self.every
        self._began = {pk: at for pk, at in began.items() if at}
        self._waiting = deque(sorted((pk for pk in began if began[pk] <= due), key=lambda pk: began[pk]))

    def next(self) -> list[uuid.UUID]:
        """Whose turn it is now: no more than there are threads free."""
        turn: list[uuid.UUID] = []
        while self._waiting and len(self._out) + len(turn) < self.threads:
            if (pk := self._waiting.popleft()) not in self._out:
                turn.append(pk)
        self._began |= dict.fromkeys(turn, time.monotonic())
        return turn

    def send(self, place: Place) -> None:
        """Have a thread look there."""
        self._out[place.cluster] = self._pool.submit(look, place)

    def found(self) -> list[Looked | Lost]:
        """What the threads have found since they were asked last."""
        ended = [pk for pk, future in self._out.items() if future.done()]
        return [self._out.pop(pk).result() for pk in ended]

    def stop(self) -> None:
        """Ask nobody any more, wait for nobody."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def look(place: Place) -> Looked | Lost:
    """List a cluster's namespaces, Backups, Restores, locations and Schedules once."""
    try:
        with connect(place.access, outbound.policy()) as connection:
            return _look(place, connection)
    except ConsoleError as error:
        return lost(place.cluster, error)
    except Exception:
        log.exception("look broke", cluster=str(place.cluster))
        return Lost(place.cluster, "Something went wrong while looking at this cluster.")


def _look(place: Place, connection: Connection) -> Looked:
    began, clock = datetime.now(UTC), time.monotonic()
    there = {namespace.name: namespace.uid for namespace in namespaces(connection)}
    slow = time.monotonic() - clock > SLOW
    _recognise(place, there.get(KUBE_SYSTEM, ""))
    paths = {kind: path(place.namespace) for kind, path in PATHS.items()}
    found = {kind: {name_of(raw): raw for raw in connection.list(path)} for kind, path in paths.items()}
    reports = [read_location(raw) for raw in connection.list(names.locations_path(place.namespace))]
    locations = {report.name: report for report in reports}
    return Looked(place.cluster, found, began, locations, tuple(there), slow, schedules=_schedules(place, connection))


def _schedules(place: Place, connection: Connection) -> dict[str, Raw] | None:
    """None where the account's rights are from before there were policies: the rest is worth knowing all the same."""
    try:
        return {name_of(raw): raw for raw in connection.list(names.schedules_path(place.namespace))}
    except NotPermitted:
        return None
