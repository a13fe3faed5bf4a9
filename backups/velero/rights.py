"""What the console's account must be allowed in a cluster: asked at the check, granted by the manifest we offer."""

from __future__ import annotations

from backups.velero import names
from console.kube.facts import ResourceNeed

_WRITTEN = ("backups", "restores", "schedules", "backupstoragelocations", "podvolumebackups", "serverstatusrequests")


def needs(namespace: str) -> tuple[ResourceNeed, ...]:
    """Rights in Velero's `namespace`, and the reads outside it of the connection check and of `inventory`."""
    inside = [
        ResourceNeed(verb, resource, names.GROUP, namespace)
        for resource in _WRITTEN
        for verb in ("get", "list", "watch", "create", "patch", "delete")
    ]
    secrets = [ResourceNeed(verb, "secrets", "", namespace) for verb in ("get", "create", "patch", "delete")]
    workloads = [
        ResourceNeed("get", "deployments", "apps", namespace),
        ResourceNeed("get", "daemonsets", "apps", namespace),
    ]
    places = "volumesnapshotlocations"
    snapshots = [ResourceNeed(verb, places, names.GROUP, namespace) for verb in ("get", "list", "create", "delete")]
    links = [ResourceNeed(verb, "downloadrequests", names.GROUP, namespace) for verb in ("get", "create", "delete")]
    outside = [ResourceNeed("get", "namespaces"), ResourceNeed("list", "namespaces")]
    classes = [ResourceNeed("list", "storageclasses", "storage.k8s.io"), ResourceNeed("list", "nodes")]
    classes += [ResourceNeed("list", "volumesnapshotclasses", "snapshot.storage.k8s.io")]
    volumes = [ResourceNeed("list", kind) for kind in ("persistentvolumes", "persistentvolumeclaims", "pods")]
    return (*inside, *secrets, *workloads, *snapshots, *links, *outside, *classes, *volumes)
