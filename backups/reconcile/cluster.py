"""Checking a connection step by step, and looking at clusters nothing is running in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts import audit
from backups.velero.rights import needs
from backups.velero.server import VeleroFacts, installed
from console.kube import facts
from console.kube.connection import Connection, connect
from console.kube.kubeconfig import ClusterAccess, parse_kubeconfig
from console.lib import outbound
from console.lib.errors import BadInput, ConsoleError
from console.lib.queue import enqueue
from workspaces.actions.cluster import refuse_twice_in_a_tenant
from workspaces.connections import access_to, note_seen
from workspaces.models import Cluster, ClusterCheck, Overtaken
from workspaces.models.cluster import CheckState, ClusterState

RECHECK_EVERY = timedelta(minutes=1)
RECHECKED_AT_ONCE = 20


@dataclass(frozen=True)
class Step:
    """One line of a check. `outcome`: pass, warning, fail."""

    id: str
    title: str
    outcome: str
    cause: str = ""
    remedy: str = ""


def check(check: ClusterCheck) -> None:
    """Try the connection; each step is shown as soon as it is known, and the first failure ends the check."""
    steps: list[dict[str, Any]] = []
    found: dict[str, Any] = {}
    try:
        for step in _steps(check, found):
            steps.append(asdict(step))
            check.write(steps=steps)
        check.write(state=CheckState.COMPLETED, facts=found, message=found.get("state_reason", ""))
        _remember(check, found)
    except Overtaken:
        return
    except ConsoleError as error:
        id, title = TITLES[min(len(steps), len(TITLES) - 1)]
        steps.append(asdict(Step(id, title, "fail", error.message, error.remedy)))
        with contextlib.suppress(Overtaken):
            check.write(state=CheckState.FAILED, steps=steps, facts=found, message=error.sentence())


TITLES = (
    ("kubeconfig", "Read the kubeconfig"),
    ("reach", "Reach the API server"),
    ("identity", "Recognise the cluster"),
    ("rights", "Check what this account may do"),
    ("velero", "Find Velero"),
    ("storage", "Look at storage classes and nodes"),
)


def recheck_doubtful(holder: str) -> int:
    """Check the clusters of a reconciler again whose Velero was silent or missing, or rights were; how many.

    Of each only the last such check is kept.
    """
    doubtful = Cluster.objects.in_doubt(timezone.now() - RECHECK_EVERY).filter(watched_by=holder)
    found = list(doubtful.select_related("project")[:RECHECKED_AT_ONCE])
    for cluster in found:
        ended = cluster.checks.filter(state__in=ClusterCheck.terminal, kubeconfig__isnull=True)
        ended.filter(requested_by=None).delete()
        again = ClusterCheck(project=cluster.project, cluster=cluster, velero_namespace=cluster.velero_namespace)
        again.requested_by_name = audit.SYSTEM
        again.save()
        enqueue(again.job, again.pk, again.attempt, queue="slow")
    return len(found)


def _steps(check: ClusterCheck, found: dict[str, Any]) -> Iterator[Step]:
    access = _access(check)
    yield _passed(0, f"Context {access.context}, server {access.server}")
    with connect(access, outbound.policy()) as connection:
        looks: tuple[Callable[[ClusterCheck, Connection, dict[str, Any]], Step], ...] = (
            _reach,
            _identify,
            _rights,
            _velero,
            _storage,
        )
        for look in looks:
            yield look(check, connection, found)


def _passed(index: int, cause: str) -> Step:
    return Step(*TITLES[index], "pass", cause)


def _access(check: ClusterCheck) -> ClusterAccess:
    if check.cluster and not check.kubeconfig:
        return access_to(check.cluster)
    return parse_kubeconfig(check.kubeconfig["kubeconfig"], context=check.kubeconfig["context"] or None)


def _reach(check: ClusterCheck, connection: Connection, found: dict[str, Any]) -> Step:
    found["version"] = facts.server_version(connection).text
    return _passed(1, f"Kubernetes {found['version']}")


def _identify(check: ClusterCheck, connection: Connection, found: dict[str, Any]) -> Step:
    uid = facts.cluster_uid(connection)
    if check.cluster and check.cluster.uid != uid:
        raise BadInput(f"This is another cluster than {check.cluster}.", remedy="Register it under a name of its own.")
    if not check.cluster:
        refuse_twice_in_a_tenant(check.project, uid)
    found["uid"] = uid
    who = facts.who_am_i(connection)
    return _passed(2, f"Signed in as {who.name}" if who else "Signed in")


def _rights(check: ClusterCheck, connection: Connection, found: dict[str, Any]) -> Step:
    verdicts = facts.may_i(connection, needs(check.velero_namespace))
    missing = [str(verdict.need) for verdict in verdicts if not verdict.allowed]
    found["missing_rights"] = missing
    if not missing:
        return _passed(3, f"All {len(verdicts)} rights that Drydock needs")
    remedy = "Apply the ServiceAccount manifest shown beside the form, and use its token."
    return Step(*TITLES[3], "warning", f"Not allowed: {', '.join(missing)}.", remedy)


def _velero(check: ClusterCheck, connection: Connection, found: dict[str, Any]) -> Step:
    seen = installed(connection, check.velero_namespace)
    found["velero"] = {
        "version": seen.version,
        "plugins": [plugin.name for plugin in seen.plugins],
        "node_agent": seen.node_agent,
    }
    found["state"], found["state_reason"] = _state(seen, found["missing_rights"])
    if found["state"] == ClusterState.HEALTHY:
        return _passed(4, f"Velero {seen.version} in namespace {check.velero_namespace}")
    return Step(*TITLES[4], "warning", seen.message or found["state_reason"], seen.remedy)


def _state(seen: VeleroFacts, missing_rights: list[str]) -> tuple[str, str]:
    if not seen.present:
        return ClusterState.VELERO_MISSING, f"{seen.message} {seen.remedy}"
    if seen.message:
        return ClusterState.DEGRADED, f"{seen.message} {seen.remedy}"
    if missing_rights:
        return ClusterState.DEGRADED, f"Drydock's account is not allowed: {', '.join(missing_rights)}."
    return ClusterState.HEALTHY, ""


def _storage(check: ClusterCheck, connection: Connection, found: dict[str, Any]) -> Step:
    found["storage_classes"] = [asdict(one) for one in facts.storage_classes(connection)]
    found["snapshot_classes"] = [asdict(one) for one in facts.snapshot_classes(connection)]
    found["namespaces"] = [namespace.name for namespace in facts.namespaces(connection)]
    found["cloud"] = facts.cloud_provider(connection)
    return _passed(5, f"{len(found['storage_classes'])} storage classes, {len(found['namespaces'])} namespaces")


def _remember(check: ClusterCheck, found: dict[str, Any]) -> None:
    if check.cluster and not check.kubeconfig:
        Cluster.objects.remember(check.cluster.pk, found)
        note_seen(check.cluster, found["state"], found["state_reason"])
