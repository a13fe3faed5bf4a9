"""Holds restored objects against their originals, through the API: every kind, every object, field by field.

Left out are only fields that a cluster sets itself (see `_clean`), and kinds that are records of what happened or are
made by controllers from other objects' state (see `RECORDS`).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.kube.connection import Connection, connect
from console.kube.kubeconfig import parse_kubeconfig
from console.lib.addresses import AddressPolicy

Json = dict[str, Any]
Key = tuple[str, str, str]  # kind, namespace, name

RECORDS = {"Event", "Endpoints", "EndpointSlice", "ControllerRevision", "Lease"}
PUBLISHED_BY_THE_CLUSTER = {("ConfigMap", "kube-root-ca.crt")}  # every cluster writes its own authority into it
CLUSTER_SET_METADATA = (
    "uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink", "ownerReferences",
    "generateName",  # has done its work when the object has a name; Velero restores by that name
)  # fmt: skip
VELERO_LABELS = ("velero.io/backup-name", "velero.io/restore-name")
CLUSTER_SET_ANNOTATIONS = ("pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller")
CLUSTER_SET_SPEC = {
    "Service": ("clusterIP", "clusterIPs"),
    "PersistentVolume": ("claimRef",),
    "Pod": ("nodeName",),
}


@dataclass(frozen=True)
class Result:
    """`equal` of `total` originals were found the same; `first` names the first difference, empty if none."""

    equal: int
    total: int
    per_kind: Mapping[str, int]
    first: str = ""

    @property
    def same(self) -> bool:
        return self.total > 0 and not self.first


def open_cluster(kubeconfig: Path) -> Connection:
    """A connection with the sandbox's own kubeconfig."""
    return connect(parse_kubeconfig(kubeconfig.read_text()), AddressPolicy(allow_loopback=True))


def snapshot(connection: Connection, namespaces: Sequence[str], extra: Sequence[Key] = ()) -> dict[Key, Json]:
    """Every object in `namespaces`, the namespaces themselves, and the cluster-scoped objects named in `extra`."""
    found: dict[Key, Json] = {}
    for base, resource in _listable(connection):
        for item in _items(connection, base, resource, namespaces):
            if (resource["kind"], item["metadata"]["name"]) in PUBLISHED_BY_THE_CLUSTER:
                continue
            key = (resource["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"])
            if key[1] or key in extra or (key[0] == "Namespace" and key[2] in namespaces):
                found[key] = _clean(resource["kind"], item)
    return found


def compare(originals: Mapping[Key, Json], copies: Mapping[Key, Json]) -> Result:
    """Hold each original against its copy; objects that only the copy has are differences, too."""
    differences = [text for key in sorted(originals) if (text := _difference(key, originals, copies))]
    surplus = [f"{_name(key)} is in the copy only" for key in sorted(copies.keys() - originals.keys())]
    per_kind = Counter(kind for kind, _, _ in originals)
    equal = len(originals) - len(differences)
    return Result(equal, len(originals), dict(sorted(per_kind.items())), next(iter([*differences, *surplus]), ""))


def digest(item: Json) -> str:
    """Of what is left of an object without cluster-set fields."""
    return hashlib.sha256(json.dumps(item, sort_keys=True).encode()).hexdigest()


def _difference(key: Key, originals: Mapping[Key, Json], copies: Mapping[Key, Json]) -> str:
    if key not in copies:
        return f"{_name(key)} is missing"
    if digest(originals[key]) == digest(copies[key]):
        return ""
    return f"{_name(key)} differs at {_first_path(originals[key], copies[key])}"


def _first_path(one: Any, other: Any, path: str = "") -> str:
    if isinstance(one, dict) and isinstance(other, dict):
        for field in sorted(one.keys() | other.keys()):
            if one.get(field) != other.get(field):
                return _first_path(one.get(field), other.get(field), f"{path}.{field}")
    return f"{path or '.'}: {json.dumps(one)[:120]} became {json.dumps(other)[:120]}"


def _name(key: Key) -> str:
    kind, namespace, name = key
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def _listable(connection: Connection) -> Iterator[tuple[str, Json]]:
    groups = connection.get("/apis")["groups"]
    bases = ["/api/v1", *(f"/apis/{group['preferredVersion']['groupVersion']}" for group in groups)]
    for base in bases:
        for resource in connection.get(base)["resources"]:
            if "list" in resource["verbs"] and "/" not in resource["name"] and resource["kind"] not in RECORDS:
                yield base, resource


def _items(connection: Connection, base: str, resource: Json, namespaces: Sequence[str]) -> Iterator[Json]:
    if not resource["namespaced"]:
        yield from connection.list(f"{base}/{resource['name']}")
        return
    for namespace in namespaces:
        yield from connection.list(f"{base}/namespaces/{namespace}/{resource['name']}")


def _clean(kind: str, item: Json) -> Json:
    """The object without what a cluster sets itself."""
    metadata = {key: value for key, value in item["metadata"].items() if key not in CLUSTER_SET_METADATA}
    labels = {key: value for key, value in metadata.pop("labels", {}).items() if key not in VELERO_LABELS}
    notes = {k: v for k, v in metadata.pop("annotations", {}).items() if k not in CLUSTER_SET_ANNOTATIONS}
    rest = {key: value for key, value in item.items() if key not in ("metadata", "status", "apiVersion", "kind")}
    if isinstance(rest.get("spec"), dict):
        rest["spec"] = {k: v for k, v in rest["spec"].items() if k not in CLUSTER_SET_SPEC.get(kind, ())}
    return {"metadata": metadata | {"labels": labels, "annotations": notes}, **rest}
