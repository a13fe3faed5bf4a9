"""Which namespaces and resources a Backup or Restore may touch: the rules both manifests share.

The Velero namespace is excluded **always**, not only when all namespaces are meant: a pattern or a list that happens to
name every namespace would otherwise count as everything (collections/includes_excludes.go IncludeEverything), and a
backup of that namespace carries the bucket's keys and the repository password.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from console.lib.errors import BadInput, clip

EVERYTHING = "*"
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

# What a workspace role must not bring into a cluster (product.md §3): rights, and code that runs for everyone.
CLUSTER_POWERS = (
    "clusterroles.rbac.authorization.k8s.io",
    "clusterrolebindings.rbac.authorization.k8s.io",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
    "validatingadmissionpolicies.admissionregistration.k8s.io",
    "validatingadmissionpolicybindings.admissionregistration.k8s.io",
    "customresourcedefinitions.apiextensions.k8s.io",
    "apiservices.apiregistration.k8s.io",
)


def included(namespaces: Iterable[str], velero_namespace: str) -> list[str]:
    """The list for `includedNamespaces`; none named means all, also those made later.

    Patterns are refused: what they match is decided in the cluster, after the rights were checked here.

    Raises: BadInput (field `namespaces`).
    """
    named = sorted(set(namespaces))
    for name in named:
        check_namespace(name, velero_namespace)
    return named or [EVERYTHING]


def check_namespace(name: str, velero_namespace: str, field: str = "namespaces") -> None:
    """Raises: BadInput when `name` is not one namespace, or is Velero's own."""
    if not _DNS_LABEL.fullmatch(name):
        raise BadInput(
            f"“{clip(name, 80)}” is not the name of a namespace.",
            field=field,
            remedy="Use lower-case letters, digits and hyphens, at most 63; patterns are not possible here.",
        )
    if name == velero_namespace:
        raise BadInput(
            f"The namespace “{name}” belongs to Velero and holds its keys, so it is never backed up or restored.",
            field=field,
            remedy="Leave it out.",
        )


def cluster_resources(include: bool | None, namespaces: list[str]) -> bool | None:
    """The value for `includeClusterResources`; None leaves the field out.

    *Auto* over all namespaces means everything, but any exclusion switches Velero's own Auto to "related only"
    (restore.go:2589), and we always exclude one namespace. So it is said explicitly.
    """
    return True if include is None and namespaces == [EVERYTHING] else include
