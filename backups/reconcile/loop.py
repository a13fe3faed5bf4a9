"""The reconciler: one long-lived process, or several that share the clusters by leases in the database.

Every round, in this order:
1. Renew the leases on this process's share of the clusters; take those whose reconciler is gone.
2. Watch clusters that have open rows or a policy's run due; let go of the others; list the idle ones every 45 seconds.
3. Write what the watches heard into the rows, as it arrives.
4. Drive again every row whose next step is due and that nobody holds.
5. Say so where Velero has not begun within a minute; seal the audit log; tidy up after old restores; look at locations
   again, and bring clusters up to date with them.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import Error, InterfaceError, OperationalError
from django.db import connection as database
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts import chain, throttle
from accounts.models import Session
from backups import lifecycle
from backups.models import (
    Backup,
    LocationChange,
    LocationCheck,
    LocationScan,
    PlacedLocation,
    PolicyChange,
    Reading,
    Restore,
    VeleroWish,
    VolumePreview,
)
from backups.reconcile import cluster as clusters
from backups.reconcile import location as locations
from backups.reconcile import (
    location_change,
    location_draft,
    location_health,
    observation,
    policy,
    policy_drift,
    policy_reading,
    readoption,
    volumes,
)
from backups.reconcile import reading as readings
from backups.reconcile.watching import Changed, Heard, Listed, Looked, Lookers, Lost, Place, Raw, Watcher, name_of
from console.lib import heartbeat, metrics, spool
from console.lib.errors import ConsoleError
from console.lib.queue import QueueName, enqueue, reachable
from workspaces.actions.kubeconfig import purge_tried
from workspaces.connections import access_to, note_seen, note_slow, note_unreachable, queue_for
from workspaces.models import Cluster, ClusterCheck, Overtaken, Presence, Wish
from workspaces.models.cluster import ClusterState
from workspaces.wizard import purge_drafts

log = structlog.get_logger(__name__)

LEASE = 15.0
ROUND = 0.25
IDLE_EVERY = 45.0
UPKEEP_EVERY = 5.0
SWEEP_EVERY = 60.0
REDRIVE_AGAIN = timedelta(seconds=15)
READ_RESULTS_WITHIN = timedelta(hours=1)
ALLOWANCE = timedelta(seconds=5)  # for clocks of workers that differ from ours
KEEP_RESTORES = timedelta(days=30)
WISHES: dict[type[Wish], QueueName] = {
    Backup: "commands",
    Restore: "commands",
    LocationCheck: "interactive",
    LocationChange: "slow",
    PolicyChange: "slow",
    LocationScan: "slow",
    ClusterCheck: "interactive",
    Reading: "interactive",
    VolumePreview: "interactive",
}


class Reconciler:
    """Runs until `stopping` is set."""

    def __init__(self) -> None:
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:6]}"[:64]
        self.heard: queue.Queue[Heard] = queue.Queue()
        self.unwritten: Heard | None = None  # heard while the database was away
        self.watchers: dict[tuple[uuid.UUID, str], Watcher] = {}
        self.lookers = Lookers(16, IDLE_EVERY)
        self.nurses = Lookers(8, UPKEEP_EVERY)  # for clusters in trouble, who take long
        self.stopping = threading.Event()
        self.upkeep_at = self.sweep_at = 0.0

    def run(self) -> None:
        """Rounds until stopped. A round that fails is logged, and the next one starts anew."""
        while not self.stopping.is_set():
            heartbeat.beat()
            try:
                self.round()
            except Exception:
                log.exception("round failed")
                database.close()
                self.stopping.wait(1)
        self._stop()

    def round(self) -> None:
        """One round; takes `ROUND` seconds, or as long as there is something to write."""
        if time.monotonic() >= self.upkeep_at:
            self.upkeep_at = time.monotonic() + UPKEEP_EVERY
            self._upkeep()
        self._tend_watchers()
        self._look_around()
        redrive()
        self._write(until=time.monotonic() + ROUND)

    def _upkeep(self) -> None:
        Cluster.objects.lease_watch(self.holder, LEASE, alive=Presence.objects.announce(self.holder, LEASE))
        self._let_go_of_old_places()
        observation.flag_not_picked_up()
        observation.end_orphans()
        send_reading_of_results()
        location_change.ask_for_overdue()
        policy.ask_for_overdue()
        policy_drift.move_on()
        location_health.recheck_due()
        seal_audit_log(self.holder)
        self._plan_looks()
        if time.monotonic() >= self.sweep_at:
            self.sweep_at = time.monotonic() + SWEEP_EVERY
            sweep()
            clusters.recheck_doubtful(self.holder)

    def _tend_watchers(self) -> None:
        wanted = {(pk, kind) for kind, model in observation.KINDS.items() for pk in self._busy(model)}
        wanted |= {(pk, "backup") for pk in policy_drift.running_now(self.holder)}
        for key in self.watchers.keys() - wanted:
            self.watchers.pop(key).stopping.set()
        missing = wanted - self.watchers.keys()
        for cluster in Cluster.objects.filter(pk__in={pk for pk, _ in missing}):
            for kind in [kind for pk, kind in missing if pk == cluster.pk]:
                self._watch(cluster, kind)

    def _let_go_of_old_places(self) -> None:
        """A cluster with a new kubeconfig is watched anew, in this same round."""
        watched = Cluster.objects.in_bulk({pk for pk, _ in self.watchers})
        for key, watcher in list(self.watchers.items()):
            if key[0] not in watched or place_of(watched[key[0]]) != watcher.place:
                self.watchers.pop(key).stopping.set()

    def _busy(self, model: type[VeleroWish]) -> list[uuid.UUID]:
        """Clusters of ours with open rows of this kind."""
        mine = {"cluster__watched_by": self.holder, "state__in": lifecycle.OPEN}
        return list(model._default_manager.filter(**mine).values_list("cluster_id", flat=True).distinct())

    def _watch(self, cluster: Cluster, kind: str) -> None:
        if place := place_of(cluster):
            self.watchers[cluster.pk, kind] = Watcher(place, kind, self.heard)
            self.watchers[cluster.pk, kind].start()

    def _plan_looks(self) -> None:
        """A cluster in trouble is looked at every time, breaker or not, so that it is seen at once when it is well."""
        mine = Cluster.objects.filter(watched_by=self.holder).order_by().values_list("pk", flat=True)
        self.lookers.plan(mine.filter(retry_at=None), ahead=UPKEEP_EVERY)
        self.nurses.plan(mine.exclude(retry_at=None), ahead=UPKEEP_EVERY)

    def _look_around(self) -> None:
        """Write what was found, and send on who is free."""
        for lookers in (self.lookers, self.nurses):
            for found in lookers.found():
                _write_one(found)
            for cluster in Cluster.objects.filter(pk__in=lookers.next(), watched_by=self.holder):
                if place := place_of(cluster):
                    lookers.send(place)

    def _write(self, until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            try:
                heard = self.unwritten = self.unwritten or self.heard.get(timeout=left)
            except queue.Empty:
                return
            _write_one(heard)
            self.unwritten = None

    def _stop(self) -> None:
        for watcher in self.watchers.values():
            watcher.stopping.set()
        self.lookers.stop()
        self.nurses.stop()
        with contextlib.suppress(Error):  # without a database the leases run out by themselves
            Cluster.objects.let_go_of_watch(self.holder)
            Presence.objects.leave(self.holder)


def seal_audit_log(holder: str) -> None:
    """What cannot be sealed is said in the log and on the audit page; clusters do not wait for it."""
    try:
        chain.seal(holder)
    except ConsoleError as error:
        log.error("audit log not sealed", reason=error.sentence())


def place_of(cluster: Cluster) -> Place | None:
    """What a thread needs to know of a cluster; None, and said on its page, when its kubeconfig cannot be used."""
    try:
        return Place(cluster.pk, access_to(cluster), cluster.uid, cluster.velero_namespace)
    except ConsoleError as error:
        note_unreachable(cluster, error.sentence())
        return None


def redrive() -> int:
    """Send every row again whose next step is due and that nobody holds; how many were sent.

    While Redis is away the rows stay due, so that they are sent in the round after it is back.
    """
    due = [wish for model in WISHES for wish in _due(model)]
    for wish in due:
        if wish.is_hopeless:
            _give_up(wish)
    if not due or not reachable():
        return 0
    return sum(_send_again(wish, _queue_of(wish)) for wish in due if wish.is_open)


def _due(model: type[Wish]) -> Iterable[Wish]:
    """Not of clusters that are being left alone: nothing would come of it but one attempt more."""
    due: QuerySet[Any] = model._default_manager.due().order_by("due_at")
    if issubclass(model, VeleroWish):
        due = due.exclude(cluster__retry_at__gt=timezone.now()).select_related("cluster")
    return due[:500]


def _queue_of(wish: Wish) -> QueueName:
    if isinstance(wish, Reading):
        return readings.queue_of(wish)
    return queue_for(wish.cluster) if isinstance(wish, VeleroWish) else WISHES[type(wish)]


def _send_again(wish: Wish, queue_name: QueueName) -> int:
    """Of several reconcilers the first to move `due_at` sends the row."""
    mine = type(wish)._default_manager.filter(pk=wish.pk, attempt=wish.attempt, due_at=wish.due_at)
    sent = mine.update(due_at=timezone.now() + REDRIVE_AGAIN)
    if sent:
        metrics.redriven_total.labels(wish._meta.model_name).inc()
        enqueue(wish.job, wish.pk, wish.attempt, queue=queue_name)
    return sent


def _give_up(wish: Wish) -> None:
    with contextlib.suppress(Overtaken):
        wish.give_up()


def sweep() -> None:
    """Remove what has lived: spools, drafts, sessions, kubeconfigs that were only tried, objects of old restores."""
    send_tidying()
    spool.sweep()
    purge_drafts()
    location_draft.purge_drafts()
    volumes.purge_previews()
    purge_tried()
    Session.objects.purge()
    throttle.purge()


def send_reading_of_results() -> None:
    """Have the size read of backups that have ended, and the warnings and errors of what has ended with some."""
    since, troubled = timezone.now() - READ_RESULTS_WITHIN, Q(errors__gt=0) | Q(warnings__gt=0)
    worth = {Backup: troubled | Q(started_at__isnull=False), Restore: troubled}
    for model, condition in worth.items():
        ended = model._default_manager.filter(results__isnull=True, finished_at__gt=since, state__in=lifecycle.TERMINAL)
        for wish in ended.filter(condition)[:20]:
            enqueue("backups.jobs.read_results", wish.pk, wish.attempt, queue="interactive")


def send_tidying() -> None:
    """Have old restores tidied up, one message a round each."""
    old = timezone.now() - KEEP_RESTORES
    reachable = Cluster.objects.registered().quiet_breaker()
    left = Restore.objects.filter(finished_at__lt=old, tidied_at=None, cluster__in=reachable)
    for restore in left.order_by("finished_at")[:20]:
        enqueue("backups.jobs.tidy_restore", restore.pk, restore.attempt, queue="slow")


def _write_one(heard: Heard) -> None:
    """One odd object must not keep the others from being written; a database that is away must."""
    try:
        write(heard)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("could not be written", cluster=str(heard.cluster), heard=type(heard).__name__)


def write(heard: Heard) -> None:
    """Bring the rows up to what was heard."""
    match heard:
        case Changed():
            _write_changed(heard)
        case Listed():
            note_answer(heard.cluster, slow=heard.slow)
            _write_objects(heard.cluster, heard.kind, heard.objects, heard.began)
        case Looked():
            _write_looked(heard)
        case Lost():
            _write_lost(heard)


def _open_rows(cluster: uuid.UUID, kind: str) -> QuerySet[VeleroWish]:
    return observation.KINDS[kind]._default_manager.filter(cluster_id=cluster, state__in=lifecycle.OPEN)


def _write_changed(heard: Changed) -> None:
    for wish in _open_rows(heard.cluster, heard.kind).filter(object_name=name_of(heard.object)):
        observation.removed(wish, heard.object) if heard.gone else observation.observe(wish, heard.object)
    if heard.kind == "backup" and not heard.gone:
        readoption.adopt_run(heard.cluster, heard.object)


def _write_looked(heard: Looked) -> None:
    note_answer(heard.cluster, slow=heard.slow, namespaces=heard.namespaces)
    readoption.readopt_locations(heard.cluster, heard.locations)
    if heard.schedules is not None:
        policy_reading.readopt(heard.cluster, heard.schedules)
        policy_drift.observe(heard.cluster, heard.schedules, heard.began - ALLOWANCE)
    for kind, objects in heard.objects.items():
        _write_objects(heard.cluster, kind, objects, heard.began)
    for placed in PlacedLocation.objects.filter(cluster_id=heard.cluster):
        if report := heard.locations.get(placed.object_name):
            locations.note_verdict(placed, report)


def _write_objects(cluster: uuid.UUID, kind: str, objects: Mapping[str, Raw], began: datetime) -> None:
    settled = began - ALLOWANCE  # one submitted while the list was being read may not be in it
    for wish in _open_rows(cluster, kind):
        if raw := objects.get(wish.object_name):
            observation.observe(wish, raw)
        elif wish.state in lifecycle.IN_CLUSTER and wish.submitted_at and wish.submitted_at < settled:
            observation.vanished(wish)
    readoption.readopt(cluster, kind, objects)


def _write_lost(heard: Lost) -> None:
    cluster = Cluster.objects.get(pk=heard.cluster)
    if heard.state == ClusterState.UNREACHABLE:
        note_unreachable(cluster, heard.reason)
    else:
        note_seen(cluster, heard.state, heard.reason)


def note_answer(pk: uuid.UUID, *, slow: bool = False, namespaces: Sequence[str] = ()) -> None:
    """The cluster answered as it should: it is what it was at its last check.

    Slowness alone is no trouble: it may be our own. A cluster that was in trouble is so until it answers quickly.
    """
    cluster = Cluster.objects.get(pk=pk)
    if slow and cluster.retry_at:
        note_slow(cluster, f"{cluster} answers so slowly that its backups and restores have to wait for one another.")
    else:
        note_seen(cluster, cluster.facts.get("state", ClusterState.PENDING), cluster.facts.get("state_reason", ""))
    if namespaces and list(namespaces) != cluster.facts.get("namespaces"):  # people pick from them
        Cluster.objects.remember(pk, {"namespaces": list(namespaces)})
