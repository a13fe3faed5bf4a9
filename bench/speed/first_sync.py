"""P9: the first sync of 10,000 Backups from a real API server, beside paged GETs and json.loads alone.

Ours is what the reconciler does with a cluster that it begins to watch: connect, recognise it, list, and hold what was
listed against the rows. The objects lie in a namespace of their own, which Velero does not look into.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from statistics import median
from typing import Any
from urllib.parse import quote, urlsplit

from bench.compare import open_cluster
from bench.faults.campaign import Site
from bench.fleet import ended_backup
from bench.report import Report
from bench.speed.ground import in_turn, real_console
from console.kube.connection import PAGE, Connection
from console.kube.kubeconfig import ClusterAccess, parse_kubeconfig
from console.kube.watch import list_then_watch

BOUND = 2.0
NAMESPACE = "bench-first-sync"
HANDS = 8


def check(*, full: bool, seed: int) -> Report:
    """10,000 objects and 9 pairs at full size; 1,000 and 4 reduced."""
    report = Report("P9", "first sync of Backups from a real API server, beside raw paged GETs", full)
    count = 10_000 if full else 1_000
    with real_console() as site:
        kubeconfig = site.state.clusters["harbor-west"].kubeconfig
        access, n = parse_kubeconfig(kubeconfig.read_text()), 9 if full else 4
        with open_cluster(kubeconfig) as connection:
            path = _made(connection, count)
            ours, theirs = in_turn(n, lambda: _first_sync(site, count), lambda: _raw(access, path, count))
            slow = _listed(connection, path, limit=2, count=count) / median(theirs)
    reference = f"raw {median(theirs):.3f} s"
    report.say("median_ratio", median(ours) / median(theirs), f"<= {BOUND}", reference=reference, n=n)
    report.say("first_sync_median", median(ours), unit=" s", n=n, reference=reference)
    report.say("objects", count)
    report.control("pages of 2", failed=slow > BOUND, detail=f"ratio {slow:.2f}")
    return report


def _made(connection: Connection, count: int) -> str:
    """`count` Backups that have ended; the path of their collection. They go with the sandbox."""
    from backups.velero import names
    from console.kube.paths import core

    path, namespace = names.backups_path(NAMESPACE), {"metadata": {"name": NAMESPACE}}
    connection.create(core("namespaces"), {"apiVersion": "v1", "kind": "Namespace", **namespace})

    def make(number: int) -> None:
        body = ended_backup(f"nightly-{number:05}", datetime.now(UTC))
        metadata = {key: body["metadata"][key] for key in ("name", "labels")}
        connection.create(path, names.resource("Backup", metadata, body["spec"]) | {"status": body["status"]})

    with ThreadPoolExecutor(HANDS) as hands:
        list(hands.map(make, range(count)))
    return path


def _first_sync(site: Site, count: int) -> float:
    """Seconds until a new watcher's list has been held against the rows."""
    from backups.reconcile import loop
    from backups.reconcile.watching import Heard, Listed, Watcher

    place, heard = loop.place_of(site.fleet.west), queue.Queue[Heard]()
    assert place is not None
    watcher = Watcher(replace(place, namespace=NAMESPACE), "backup", heard)
    began = time.monotonic()
    watcher.start()
    listed = heard.get(timeout=120)
    loop.write(listed)
    took = time.monotonic() - began
    watcher.stopping.set()
    watcher.join(10)
    assert isinstance(listed, Listed)
    assert len(listed.objects) == count
    return took


def _raw(access: ClusterAccess, path: str, count: int) -> float:
    """Seconds for the same pages over one connection, decoded and thrown away."""
    began = time.monotonic()
    where = urlsplit(access.server)
    assert access.ca_data is not None
    trust = ssl.create_default_context(cadata=access.ca_data.decode())
    connection = http.client.HTTPSConnection(where.hostname or "", where.port, context=trust)
    seen, token = 0, ""
    with contextlib.closing(connection):
        while seen == 0 or token:
            connection.request("GET", f"{path}?limit={PAGE}&continue={quote(token)}", headers=_headers(access))
            page: dict[str, Any] = json.loads(connection.getresponse().read())
            seen, token = seen + len(page["items"]), page["metadata"].get("continue", "")
    assert seen == count
    return time.monotonic() - began


def _headers(access: ClusterAccess) -> dict[str, str]:
    return {"Authorization": f"Bearer {access.token}", "Accept": "application/json"}


def _listed(connection: Connection, path: str, limit: int, count: int) -> float:
    """Seconds for a list in pages of `limit`."""
    began, seen = time.monotonic(), 0
    for event in list_then_watch(connection, path, stop=lambda: False, limit=limit):
        if event.type == "SYNCED":
            break
        seen += 1
    assert seen == count
    return time.monotonic() - began
