"""The ServiceAccount that people are offered for the console: exactly the rights of `backups.velero.rights`, no more.

Made from the same list that the connection check asks about, so that the two cannot drift apart. Everything carries the
label that keeps it out of backups: a backup must not hold the console's token, nor a restore bring its account into
another cluster. No Namespace is in it: whoever deletes the manifest's objects must not delete Velero with them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from backups.velero import names
from backups.velero.rights import needs
from console.kube.facts import ResourceNeed

ACCOUNT = "drydock"
CLUSTER_ROLE = "drydock-reads"  # cluster-wide, so it needs a name that says whose it is
LABELS = {names.MANAGED_BY: names.DRYDOCK, names.EXCLUDE_FROM_BACKUP: "true"}
RBAC = "rbac.authorization.k8s.io"


def access_manifest(namespace: str) -> str:
    """ServiceAccount, Role and ClusterRole with their bindings, as YAML; `namespace` is Velero's."""
    inside = [need for need in needs(namespace) if need.namespace]
    outside = [need for need in needs(namespace) if not need.namespace]
    documents = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(ACCOUNT, namespace)},
        _role("Role", _metadata(ACCOUNT, namespace), inside),
        _binding("RoleBinding", _metadata(ACCOUNT, namespace), "Role", namespace),
        _role("ClusterRole", _metadata(f"{CLUSTER_ROLE}-{namespace}"), outside),
        _binding("ClusterRoleBinding", _metadata(f"{CLUSTER_ROLE}-{namespace}"), "ClusterRole", namespace),
    ]
    return str(yaml.safe_dump_all(documents, sort_keys=False))


def _metadata(name: str, namespace: str = "") -> dict[str, Any]:
    place = {"namespace": namespace} if namespace else {}
    return {"name": name, **place, "labels": dict(LABELS)}


def _role(kind: str, metadata: dict[str, Any], granted: Iterable[ResourceNeed]) -> dict[str, Any]:
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, "rules": _rules(granted)}


def _rules(granted: Iterable[ResourceNeed]) -> list[dict[str, Any]]:
    """One rule for all resources of a group that are needed with the same verbs and names."""
    verbs: dict[tuple[str, str, str], list[str]] = {}
    for need in granted:
        resource = f"{need.resource}/{need.subresource}" if need.subresource else need.resource
        verbs.setdefault((need.group, resource, need.name), []).append(need.verb)
    alike: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for (group, resource, name), allowed in verbs.items():
        alike.setdefault((group, name, tuple(allowed)), []).append(resource)
    return [_rule(group, name, resources, allowed) for (group, name, allowed), resources in alike.items()]


def _rule(group: str, name: str, resources: list[str], verbs: tuple[str, ...]) -> dict[str, Any]:
    only = {"resourceNames": [name]} if name else {}
    return {"apiGroups": [group], "resources": resources, **only, "verbs": list(verbs)}


def _binding(kind: str, metadata: dict[str, Any], role: str, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": kind,
        "metadata": metadata,
        "roleRef": {"apiGroup": RBAC, "kind": role, "name": metadata["name"]},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}],
    }
