"""Threads that listen to clusters. They never touch the ORM: what they hear goes into one queue, which writers drain.

A cluster with open rows is watched, one thread for Backups and one for Restores. A cluster where nothing runs is
listed now and then by a few shared threads.
"""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from backups.velero import names
from backups.velero.location import LocationReport, read_location
from backups.velero.reading import Fields
from console.kube.connection import Connection, connect
from console.kube.facts import cluster_uid, namespaces
from console.kube.kubeconfig import ClusterAccess
from console.kube.watch import list_then_watch
from console.lib import outbound
from console.lib.errors import Busy, ConsoleError, Missing, Refused, TryLater
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
class Verdicts:
    """What Velero says of the locations in a cluster, by name, and the namespaces there are."""

    cluster: uuid.UUID
    locations: Mapping[str, LocationReport]
    namespaces: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lost:
    """The cluster did not answer, or not as it should; `state` is what it is in therefore."""

    cluster: uuid.UUID
    reason: str
    state: ClusterState = ClusterState.UNREACHABLE


Heard = Changed | Listed | Verdicts | Lost


def lost(cluster: uuid.UUID, error: ConsoleError) -> Lost:
    """What an error means for the cluster: one that says no, or not now, is not out of reach."""
    if isinstance(error, Missing):
        return Lost(cluster, "Velero is not installed in this cluster.", ClusterState.VELERO_MISSING)
    answered = isinstance(error, Refused | Busy)
    return Lost(cluster, error.sentence(), ClusterState.DEGRADED if answered else ClusterState.UNREACHABLE)


def name_of(raw: Raw) -> str:
    """An object's name; empty for something that has none."""
    return Fields(raw).text("metadata.name")


@contextmanager
def _opened(place: Place) -> Iterator[tuple[Connection, bool]]:
    """A connection that has answered, and whether that took long."""
    began = time.monotonic()
    with connect(place.access, outbound.policy()) as connection:
        if cluster_uid(connection) != place.uid:
            raise Refused("Another cluster answers at this address.", remedy="Replace the kubeconfig.")
        yield connection, time.monotonic() - began > SLOW


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
                with _opened(self.place) as (connection, slow):
                    self._listen(connection, slow)
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


def look(place: Place, heard: queue.Queue[Heard]) -> None:
    """List an idle cluster's Backups, Restores, locations and namespaces once."""
    try:
        with _opened(place) as (connection, slow):
            for kind, path in PATHS.items():
                began = datetime.now(UTC)
                objects = {name_of(raw): raw for raw in connection.list(path(place.namespace))}
                heard.put(Listed(place.cluster, kind, objects, began, slow))
            reports = [read_location(raw) for raw in connection.list(names.locations_path(place.namespace))]
            there = tuple(namespace.name for namespace in namespaces(connection))
            heard.put(Verdicts(place.cluster, {report.name: report for report in reports}, there))
    except ConsoleError as error:
        heard.put(lost(place.cluster, error))
