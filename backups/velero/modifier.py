"""Storage-class mapping for one restore, as a resource modifier: Velero's own ConfigMap would change every restore."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from backups.velero import names
from backups.velero.objects import remove, shares_labels
from console.kube import paths
from console.lib.errors import AlreadyThere, BadInput, Refused

_CLASS_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_PLACES = {"persistentvolumeclaims": "/spec/storageClassName", "persistentvolumes": "/spec/storageClassName"}


def storage_class_modifier(
    name: str, namespace: str, classes: Mapping[str, str], labels: Mapping[str, str]
) -> names.Json:
    """The ConfigMap for `RestoreRequest.resource_modifier`; `classes` maps old names to new.

    Rules: internal/resourcemodifiers/resource_modifiers.go:39-67. JSON is YAML. Values carry quotes of their own, or a
    class called `true` or `1` would become a boolean or a number (json_patch.go addQuotes).

    Raises: BadInput (a name that no storage class can have).
    """
    for storage_class in (*classes.keys(), *classes.values()):
        if not _CLASS_NAME.fullmatch(storage_class):
            raise BadInput("This is not the name of a storage class.", field="storage_classes")
    rules = [
        {
            "conditions": {"groupResource": resource, "matches": [{"path": place, "value": json.dumps(old)}]},
            "patches": [{"operation": "replace", "path": place, "value": json.dumps(new)}],
        }
        for old, new in sorted(classes.items())
        for resource, place in _PLACES.items()
    ]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": names.metadata(name, namespace, labels),
        "data": {"rules.json": json.dumps({"version": "v1", "resourceModifierRules": rules})},
    }


def create_modifier(conn: names.KubeApi, manifest: names.Json) -> None:
    """Post it; ours of the same request is the same thing. Raises: Refused (the name belongs to somebody else)."""
    meta = manifest["metadata"]
    try:
        conn.create(paths.core("configmaps", meta["namespace"]), manifest)
    except AlreadyThere:
        existing = conn.get(paths.core("configmaps", meta["namespace"], meta["name"]))
        if not shares_labels(existing, meta["labels"], (names.MANAGED_BY, names.REQUEST)):
            raise Refused(f"The cluster has a ConfigMap {meta['name']} that this console did not make.") from None


def delete_modifier(conn: names.KubeApi, namespace: str, name: str) -> None:
    """Remove it; gone already is gone."""
    remove(conn, paths.core("configmaps", namespace, name))
