"""What the console asks a cluster about itself when it is registered and checked. Reads only; nothing is changed.

Self*Reviews are posted, as the API wants it, but the API server answers them without storing anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from console.kube.connection import Connection, Object
from console.kube.paths import core, custom
from console.lib.errors import Missing, NotPermitted, Refused
from console.lib.text import storable

KUBE_SYSTEM = "kube-system"  # the uid of this namespace tells a cluster from every other
_DEFAULT_STORAGE_CLASS = "storageclass.kubernetes.io/is-default-class"
_DEFAULT_SNAPSHOT_CLASS = "snapshot.storage.kubernetes.io/is-default-class"
_NODES_ASKED = 100


@dataclass(frozen=True)
class ServerVersion:
    """The API server's version; `text` as it gives it, such as v1.36.3."""

    text: str
    major: int
    minor: int


@dataclass(frozen=True)
class Identity:
    """Whom the API server takes us for."""

    name: str
    groups: tuple[str, ...]


@dataclass(frozen=True)
class ResourceNeed:
    """A right the console needs. `namespace` empty: in all namespaces; `name` empty: on every object."""

    verb: str
    resource: str
    group: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        resource = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        kind = f"{resource}.{self.group}" if self.group else resource
        return f"{self.verb} {kind}" + (f" in {self.namespace}" if self.namespace else "")


@dataclass(frozen=True)
class Verdict:
    """Whether a need is granted, and the API server's reason, often empty."""

    need: ResourceNeed
    allowed: bool
    reason: str = ""


@dataclass(frozen=True)
class StorageClass:
    """A storage class; `provisioner` is the CSI driver's name."""

    name: str
    provisioner: str
    is_default: bool
    reclaim_policy: str


@dataclass(frozen=True)
class SnapshotClass:
    """A VolumeSnapshotClass; Velero takes the one of the volume's driver that carries its label, or the default."""

    name: str
    driver: str
    is_default: bool
    labels: dict[str, str]


@dataclass(frozen=True)
class Namespace:
    """A namespace; `phase` is Active or Terminating."""

    name: str
    phase: str
    labels: dict[str, str]
    uid: str


def server_version(connection: Connection) -> ServerVersion:
    """The version of the API server. A distribution's suffix (`27+`) is dropped from the numbers."""
    answer = connection.get("/version")
    return ServerVersion(
        text=_text(answer, "gitVersion"), major=_number(answer.get("major")), minor=_number(answer.get("minor"))
    )


def cluster_uid(connection: Connection) -> str:
    """What tells this cluster from every other: the uid of its namespace kube-system.

    Raises: Missing, NotPermitted, Refused (an answer without uid).
    """
    uid = _text(_metadata(connection.get(core("namespaces", None, KUBE_SYSTEM))), "uid")
    if not uid:
        raise Refused(
            f"{connection.host} tells no uid for the namespace kube-system, so the cluster cannot be recognised again.",
            remedy="Check that it is a Kubernetes API server.",
        )
    return uid


def who_am_i(connection: Connection) -> Identity | None:
    """The identity behind the credentials; None where the API is older than 1.28 and cannot tell."""
    path = custom("authentication.k8s.io", "v1", "selfsubjectreviews")
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = connection.ask(path, body)
    except Missing:
        return None
    user = _mapping(_mapping(answer.get("status")).get("userInfo"))
    groups = user.get("groups")
    return Identity(_text(user, "username"), tuple(map(str, groups)) if isinstance(groups, list) else ())


def may_i(connection: Connection, needs: Sequence[ResourceNeed]) -> list[Verdict]:
    """One verdict per need, in order. Asked one after the other on one connection: about a millisecond each."""
    return [_verdict(connection, need) for need in needs]


def storage_classes(connection: Connection) -> tuple[StorageClass, ...]:
    """All storage classes, by name."""
    found = (
        StorageClass(
            name=_text(_metadata(item), "name"),
            provisioner=_text(item, "provisioner"),
            is_default=_is_marked(item, _DEFAULT_STORAGE_CLASS),
            reclaim_policy=_text(item, "reclaimPolicy"),
        )
        for item in connection.list(custom("storage.k8s.io", "v1", "storageclasses"))
    )
    return tuple(sorted(found, key=lambda storage_class: storage_class.name))


def snapshot_classes(connection: Connection) -> tuple[SnapshotClass, ...]:
    """All VolumeSnapshotClasses, by name; none where the snapshot CRDs are not installed."""
    try:
        items = list(connection.list(custom("snapshot.storage.k8s.io", "v1", "volumesnapshotclasses")))
    except Missing:
        return ()
    found = (
        SnapshotClass(
            name=_text(_metadata(item), "name"),
            driver=_text(item, "driver"),
            is_default=_is_marked(item, _DEFAULT_SNAPSHOT_CLASS),
            labels=_labels(item),
        )
        for item in items
    )
    return tuple(sorted(found, key=lambda snapshot_class: snapshot_class.name))


def namespaces(connection: Connection) -> tuple[Namespace, ...]:
    """All namespaces, by name."""
    found = (
        Namespace(
            name=_text(_metadata(item), "name"),
            phase=_text(_mapping(item.get("status")), "phase"),
            labels=_labels(item),
            uid=_text(_metadata(item), "uid"),
        )
        for item in connection.list(core("namespaces"))
    )
    return tuple(sorted(found, key=lambda namespace: namespace.name))


def cloud_provider(connection: Connection) -> str:
    """The cloud that most nodes name: aws, azure, gce, vsphere, openstack, …; empty when none does.

    `spec.providerID` reads `<cloud>:///…`; the labels of managed services are used where it is missing. Nodes that may
    not be listed are as good as none.
    """
    try:
        nodes = connection.list_page(core("nodes"), limit=_NODES_ASKED)["items"]
    except NotPermitted:
        return ""
    clouds = Counter(cloud for cloud in map(_cloud_of, nodes) if cloud)
    return clouds.most_common(1)[0][0] if clouds else ""


def _verdict(connection: Connection, need: ResourceNeed) -> Verdict:
    attributes = {
        "verb": need.verb,
        "group": need.group,
        "resource": need.resource,
        "subresource": need.subresource,
        "namespace": need.namespace,
        "name": need.name,
    }
    body: Object = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
    answer = connection.ask(custom("authorization.k8s.io", "v1", "selfsubjectaccessreviews"), body)
    status = _mapping(answer.get("status"))
    return Verdict(need, status.get("allowed") is True, _text(status, "reason"))


def _cloud_of(node: Object) -> str:
    scheme, separator, _ = _text(_mapping(node.get("spec")), "providerID").partition("://")
    if separator:
        return scheme
    labels = _labels(node)
    managed = {"eks.amazonaws.com/": "aws", "kubernetes.azure.com/": "azure", "cloud.google.com/gke": "gce"}
    return next((cloud for prefix, cloud in managed.items() if any(key.startswith(prefix) for key in labels)), "")


def _is_marked(item: Object, annotation: str) -> bool:
    return _mapping(_metadata(item).get("annotations")).get(annotation) == "true"


def _labels(item: Object) -> dict[str, str]:
    return {str(key): str(value) for key, value in _mapping(_metadata(item).get("labels")).items()}


def _metadata(item: Object) -> Object:
    return _mapping(item.get("metadata"))


def _mapping(value: Any) -> Object:
    return value if isinstance(value, dict) else {}


def _text(mapping: Object, key: str) -> str:
    value = mapping.get(key)
    return storable(value) if isinstance(value, str) else ""


def _number(value: object) -> int:
    digits = "".join(character for character in str(value) if character.isdecimal())
    return int(digits) if digits and len(digits) < 6 else 0
