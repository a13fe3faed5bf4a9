"""What is in a cluster that decides what becomes of its volumes in a backup: each list read once, none beyond a bound.

A list that cannot be had is empty, and `unseen` says why: whoever judges by it must say *unknown*, not *none*.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from backups.velero import names
from backups.velero.names import Json, KubeApi
from backups.velero.reading import Fields
from console.kube import paths
from console.lib.errors import Missing, NotPermitted

MOST_OBJECTS = 10_000  # of one kind
MOST_NAMESPACES = 20  # asked one by one; with more of them the whole cluster is asked
CLAIMS, VOLUMES, PODS = "persistentvolumeclaims", "persistentvolumes", "pods"
CLASSES, SNAPSHOT_CLASSES, LOCATIONS = "storageclasses", "volumesnapshotclasses", "volumesnapshotlocations"
AGENTS, SETTINGS = "node agents", "settings"
_AGENT = "role=node-agent"  # pkg/nodeagent/node_agent.go:121


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Flags of Velero's server that fill what a Backup leaves open (pkg/cmd/server/config/config.go).

    `snapshot_locations`: the default one of each provider.
    """

    csi: bool = False
    files_by_default: bool = False
    move_data: bool = False
    snapshot_locations: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """Objects as the API server gives them. `agents` are nodes on which Velero's node agent runs."""

    claims: tuple[Json, ...] = ()
    volumes: Mapping[str, Json]
    pods: tuple[Json, ...] = ()
    classes: Mapping[str, Json]
    snapshot_classes: tuple[Json, ...] = ()
    snapshot_locations: tuple[Json, ...] = ()
    agents: frozenset[str] = frozenset()
    settings: Settings | None = None
    unseen: Mapping[str, str]


def look(conn: KubeApi, velero_namespace: str, namespaces: Collection[str]) -> Inventory:
    """Read it; no `namespaces` means all. Raises: NotPermitted for the claims alone, and what the connection raises."""
    glance = _Glance(conn)
    claims = glance.across(CLAIMS, namespaces)
    if CLAIMS in glance.unseen:
        raise NotPermitted(glance.unseen[CLAIMS], remedy="Apply the ServiceAccount manifest shown under Connection.")
    return Inventory(
        claims=claims,
        volumes=_by_name(glance.listed(VOLUMES, paths.core(VOLUMES))),
        pods=tuple(pod for pod in glance.across(PODS, namespaces) if claims_of(pod)),
        classes=_by_name(glance.listed(CLASSES, paths.custom("storage.k8s.io", "v1", CLASSES))),
        snapshot_classes=glance.listed(
            SNAPSHOT_CLASSES, paths.custom("snapshot.storage.k8s.io", "v1", SNAPSHOT_CLASSES)
        ),
        snapshot_locations=glance.listed(LOCATIONS, names.path(LOCATIONS, velero_namespace)),
        agents=_nodes(glance.listed(AGENTS, paths.core(PODS, velero_namespace), labelSelector=_AGENT)),
        settings=glance.settings(paths.custom("apps", "v1", "deployments", velero_namespace, "velero")),
        unseen=glance.unseen,
    )


class _Glance:
    """Reads lists, and notes why one cannot be had."""

    def __init__(self, conn: KubeApi) -> None:
        self._conn = conn
        self.unseen: dict[str, str] = {}

    def across(self, plural: str, namespaces: Collection[str]) -> tuple[Json, ...]:
        """A kind in some namespaces, or in all."""
        if not 0 < len(namespaces) <= MOST_NAMESPACES:
            return self.listed(plural, paths.core(plural))
        return tuple(item for name in namespaces for item in self.listed(plural, paths.core(plural, name)))

    def listed(self, what: str, path: str, **params: Any) -> tuple[Json, ...]:
        """One list; a kind that the cluster does not serve has no objects."""
        try:
            found = tuple(islice(self._conn.list(path, **params), MOST_OBJECTS + 1))
        except Missing:
            return ()
        except NotPermitted:
            self.unseen[what] = f"Drydock's account may not list {PODS if what == AGENTS else what}."
            return ()
        if len(found) > MOST_OBJECTS:
            self.unseen[what] = f"The cluster has more than {MOST_OBJECTS:,} {what}; they were not all looked at."
        return found

    def settings(self, path: str) -> Settings | None:
        """The server's flags, as its Deployment has them."""
        try:
            deployment = self._conn.get(path)
        except (Missing, NotPermitted):
            self.unseen[SETTINGS] = "The Deployment velero cannot be read, so Velero's settings are not known."
            return None
        if (deployment.get("spec") or {}).get("replicas") == 0:
            self.unseen[SETTINGS] = "Velero's server runs outside the cluster, so its settings are not known."
            return None
        return read_settings(deployment)


def read_settings(deployment: Json) -> Settings:
    """The flags in the Deployment's first container, as `velero install` and the Helm chart write them."""
    template = (deployment.get("spec") or {}).get("template") or {}
    first = (dicts((template.get("spec") or {}).get("containers")) or [{}])[0]
    flags = _flags([*Fields(first).strings("command"), *Fields(first).strings("args")])
    pairs = (pair.partition(":") for pair in flags.get("default-volume-snapshot-locations", "").split(",") if pair)
    return Settings(
        csi="EnableCSI" in flags.get("features", "").split(","),
        files_by_default=flags.get("default-volumes-to-fs-backup") == "true",
        move_data=flags.get("default-snapshot-move-data") == "true",
        snapshot_locations={qualified(provider): name for provider, _, name in pairs},
    )


def _flags(words: list[str]) -> dict[str, str]:
    """`--name=value`, `--name value`, and `--name` alone, which is true."""
    flags: dict[str, str] = {}
    for word, following in zip(words, [*words[1:], "--"], strict=True):
        if word.startswith("--"):
            name, given, value = word[2:].partition("=")
            flags[name] = value if given else "true" if following.startswith("--") else following
    return flags


def qualified(provider: str) -> str:
    """`velero.io/aws` for `aws`, as Velero completes bare names."""
    return provider if "/" in provider else f"velero.io/{provider}"


def claims_of(pod: Json) -> dict[str, str]:
    """Names of the pod's volumes that are claims, and of these claims."""
    volumes = dicts((pod.get("spec") or {}).get("volumes"))
    return {
        Fields(volume).text("name"): claim
        for volume in volumes
        if (claim := Fields(volume).text("persistentVolumeClaim.claimName"))
    }


def dicts(value: Any) -> list[Json]:
    """The objects of a list; none when it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _by_name(objects: tuple[Json, ...]) -> dict[str, Json]:
    return {Fields(item).text("metadata.name"): item for item in objects}


def _nodes(agents: tuple[Json, ...]) -> frozenset[str]:
    running = (Fields(pod) for pod in agents if Fields(pod).text("status.phase") == "Running")
    return frozenset(pod.text("spec.nodeName") for pod in running)
