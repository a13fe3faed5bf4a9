"""Namespaces as people type them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from console.lib.errors import BadInput, clip
from workspaces.models import Cluster

DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def refuse_bad_namespaces(namespaces: Sequence[str], cluster: Cluster, field: str = "namespaces") -> None:
    """Raises BadInput for what no namespace can be called, and for Velero's own: a backup never carries our keys."""
    for name in namespaces:
        if not DNS_LABEL.fullmatch(name):
            raise BadInput(f"“{clip(name, 80)}” cannot be a namespace's name.", field=field)
        if name == cluster.velero_namespace:
            raise BadInput(
                f"Velero's own namespace, {name}, is never backed up or restored: it holds the bucket's keys.",
                field=field,
            )
