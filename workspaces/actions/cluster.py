"""Registering clusters and having their connection checked."""

from __future__ import annotations

import re
from collections.abc import Mapping

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from accounts.permissions import Verb, require
from console.kube.kubeconfig import parse_kubeconfig
from console.lib.errors import BadInput, NotVisible
from console.lib.queue import enqueue
from console.lib.rows import save_changed, save_new
from workspaces.models import Cluster, ClusterCheck, Project
from workspaces.models.cluster import CheckState, ClusterState

DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@transaction.atomic
def request_check(  # noqa: PLR0913 - the form's fields
    *,
    by: User,
    project: Project,
    kubeconfig: str,
    context: str = "",
    velero_namespace: str = "velero",
    replaces: Cluster | None = None,
) -> ClusterCheck:
    """Have a kubeconfig tried: that of a new cluster, or one to replace that of `replaces`.

    Raises BadInput for a kubeconfig we refuse, before anything of it is stored.
    """
    require(by, project, Verb.CLUSTER_CREATE)
    if replaces and replaces.project_id != project.pk:
        raise NotVisible("There is nothing here.")
    parse_kubeconfig(kubeconfig, context=context or None)
    if not DNS_LABEL.fullmatch(velero_namespace):
        raise BadInput("Name the namespace that Velero runs in, usually velero.", field="velero_namespace")
    check = ClusterCheck(
        project=project,
        kubeconfig={"kubeconfig": kubeconfig, "context": context},
        velero_namespace=velero_namespace,
        cluster=replaces,
        requested_by=by,
        requested_by_name=str(by),
    )
    save_new(check)
    audit.record(by=by, verb="cluster.check", target=check)
    enqueue(check.job, check.pk, check.attempt, queue="interactive")
    return check


@transaction.atomic
def request_recheck(*, by: User, cluster: Cluster) -> ClusterCheck:
    """Have a registered cluster's connection checked again."""
    require(by, cluster, Verb.CLUSTER_UPDATE)
    check = ClusterCheck(
        project=cluster.project,
        cluster=cluster,
        velero_namespace=cluster.velero_namespace,
        requested_by=by,
        requested_by_name=str(by),
    )
    save_new(check)
    audit.record(by=by, verb="cluster.check", target=cluster)
    enqueue(check.job, check.pk, check.attempt, queue="interactive")
    return check


@transaction.atomic
def register_cluster(*, by: User, check: ClusterCheck, name: str, **basics: object) -> Cluster:
    """Register the cluster that `check` reached. `basics`: description, tags, cloud_type, cloud_account.

    Raises BadInput when the check did not reach it, or the cluster is registered in this tenant already.
    """
    require(by, check.project, Verb.CLUSTER_CREATE)
    if check.state != CheckState.COMPLETED or not check.kubeconfig or not check.facts.get("uid"):
        raise BadInput("The connection has not been checked, or the check failed.", field="kubeconfig")
    refuse_twice_in_a_tenant(check.project, check.facts["uid"])
    cluster = Cluster(project=check.project, name=name, **_connection(check), **basics)
    save_new(cluster)
    audit.record(by=by, verb="cluster.register", target=cluster, server=cluster.server, uid=cluster.uid)
    return cluster


def refuse_twice_in_a_tenant(project: Project, uid: str) -> None:
    """Raises BadInput when a cluster of this uid is registered somewhere in the project's tenant."""
    twin = (
        Cluster.objects.registered()
        .filter(project__tenant_id=project.tenant_id, uid=uid)
        .select_related("project")
        .first()
    )
    if twin:
        where = "this project" if twin.project_id == project.pk else "another project of your organisation"
        raise BadInput(f"This cluster is registered in {where} already, as {twin.name}.", field="kubeconfig")


def _connection(check: ClusterCheck) -> Mapping[str, object]:
    access = parse_kubeconfig(check.kubeconfig["kubeconfig"], context=check.kubeconfig["context"] or None)
    return {
        "kubeconfig": check.kubeconfig,
        "server": access.server,
        "access_expires_at": access.expires_at,
        "velero_namespace": check.velero_namespace,
        "uid": check.facts["uid"],
        "facts": check.facts,
        "state": check.facts.get("state", ClusterState.PENDING),
        "state_reason": check.facts.get("state_reason", ""),
        "seen_at": check.finished_at or timezone.now(),
    }


@transaction.atomic
def update_cluster(*, by: User, cluster: Cluster, **basics: object) -> Cluster:
    """Change name, description, tags, cloud type or cloud account label. Raises BadInput."""
    require(by, cluster, Verb.CLUSTER_UPDATE)
    for name, value in basics.items():
        setattr(cluster, name, value)
    save_changed(cluster, *basics)
    audit.record(by=by, verb="cluster.update", target=cluster, changed=sorted(basics))
    return cluster


@transaction.atomic
def replace_kubeconfig(*, by: User, cluster: Cluster, check: ClusterCheck) -> Cluster:
    """Use the kubeconfig that `check` tried from now on. Raises BadInput unless it reached this very cluster."""
    require(by, cluster, Verb.CLUSTER_UPDATE)
    tried = check.state == CheckState.COMPLETED and check.kubeconfig and check.project_id == cluster.project_id
    if not tried or check.facts.get("uid") != cluster.uid:
        raise BadInput(f"This kubeconfig was not seen to reach {cluster}.", field="kubeconfig")
    connection = _connection(check)
    for name, value in connection.items():
        setattr(cluster, name, value)
    cluster.retry_at = None
    save_changed(cluster, *connection, "retry_at")
    audit.record(by=by, verb="cluster.replace_kubeconfig", target=cluster, server=cluster.server)
    return cluster


@transaction.atomic
def deregister_cluster(*, by: User, cluster: Cluster, typed_name: str) -> None:
    """Forget the cluster's credentials and show it no more. Its backups, in rows and bucket, stay.

    Raises BadInput unless `typed_name` is its name.
    """
    require(by, cluster, Verb.CLUSTER_DELETE)
    if typed_name != cluster.name:
        raise BadInput(f"Type {cluster.name} to deregister it.", field="typed_name")
    cluster.deregistered_at = timezone.now()
    cluster.kubeconfig = {"kubeconfig": "", "context": ""}
    cluster.watched_by, cluster.watched_until = "", None
    cluster.save(update_fields=["deregistered_at", "kubeconfig", "watched_by", "watched_until"])
    cluster.checks.update(kubeconfig=None)  # one that was tried to replace it
    audit.record(by=by, verb="cluster.deregister", target=cluster)
