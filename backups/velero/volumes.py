"""What Velero will do with each volume claim, foretold from the spec we send and from what is in the cluster.

Rules of Velero 1.18 (velero v1.18.3), the first that applies decides:
1. A claim with `velero.io/exclude-from-backup` is left out (pkg/backup/item_backupper.go:116).
2. A claim without volume holds nothing; with CSI snapshots on, Velero counts it as an error
   (pkg/util/kube/pvc_pv.go:423-433 by way of item_backupper.go:422).
3. A pod that mounts the claim may choose file-system backup by its annotation, or not decline it where that is the
   default (internal/volumehelper/volume_policy_helper.go, shouldPerformFSBackupLegacy). Then no snapshot is taken, even
   if the pod cannot be backed up so: it must run, on a node with a node agent, with the volume mounted as files, and
   the volume must not be a hostPath (pkg/podvolume/backupper.go:267-371).
4. `snapshotVolumes: false` ends it.
5. A CSI volume, with the server's feature EnableCSI: a VolumeSnapshotClass is sought by the claim's annotation, the
   label, the default annotation, or because it is the driver's only one (pkg/util/csi/volume_snapshot.go:311-459).
   `snapshotMoveData` then moves the snapshot into the bucket, which takes a node agent (csi/pvc_action.go:344).
6. Any other volume: the provider's snapshot, if a VolumeSnapshotLocation of a plugin that knows its kind is there
   (item_backupper.go:577-732) and volumes, which are cluster resources, are not left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

from backups.velero import names
from backups.velero.inventory import (
    AGENTS,
    CLASSES,
    LOCATIONS,
    PODS,
    SETTINGS,
    SNAPSHOT_CLASSES,
    VOLUMES,
    Inventory,
    claims_of,
    dicts,
    qualified,
)
from backups.velero.names import Json
from backups.velero.reading import Fields

INCLUDE, EXCLUDE = "backup.velero.io/backup-volumes", "backup.velero.io/backup-volumes-excludes"
SNAPSHOT_CLASS = "velero.io/csi-volumesnapshot-class"  # a label of a class, an annotation of a claim
DEFAULT_SNAPSHOT_CLASS = "snapshot.storage.kubernetes.io/is-default-class"
COUNTS_AS_ERROR = "Velero counts this as an error: the backup will end as partially failed."
# Volume sources and CSI drivers that the official plugins take snapshots of (GetVolumeID of each plugin).
SOURCES = {"awsElasticBlockStore": "aws", "gcePersistentDisk": "gcp", "azureDisk": "azure"}
DRIVERS = {
    "ebs.csi.aws.com": "aws",
    "pd.csi.storage.gke.io": "gcp",
    "gcp.csi.confidential.cloud": "gcp",
    "disk.csi.azure.com": "azure",
}
OFFICIAL = {f"velero.io/{cloud}" for cloud in ("aws", "gcp", "azure")}


class Method(StrEnum):
    """What becomes of a volume's data, the least welcome first."""

    NOT_SAVED = "not_saved"
    UNKNOWN = "unknown"
    CSI_SNAPSHOT = "csi_snapshot"
    PROVIDER_SNAPSHOT = "provider_snapshot"
    DATA_MOVER = "data_mover"
    FILES = "files"


@dataclass(frozen=True)
class Verdict:
    """`reason` is a sentence; `remedy` what to do about it, empty where there is nothing to do."""

    method: Method
    reason: str
    remedy: str = ""


@dataclass(frozen=True)
class Foretold:
    """A claim and its verdict. `size` is Kubernetes' quantity, such as `5Gi`."""

    namespace: str
    name: str
    storage_class: str
    size: str
    verdict: Verdict


@dataclass(frozen=True)
class Plan:
    """All claims in the backup, the least welcome verdicts first, and what is to be said of the backup as a whole."""

    claims: list[Foretold]
    counts: dict[Method, int]
    notes: list[str]


def foretell(spec: Json, inventory: Inventory) -> Plan:
    """What a Backup with this `spec` would do in the cluster as it is."""
    order, mounts = list(Method), _mounts(inventory)
    cases = (_Case(spec, inventory, claim, mounts) for claim in inventory.claims if _is_in(spec, claim))
    found = [case.foretold() for case in cases]
    found.sort(key=lambda one: (order.index(one.verdict.method), one.namespace, one.name))
    counts = Counter(one.verdict.method for one in found)
    return Plan(found, {method: counts[method] for method in order if counts[method]}, _refusals(inventory))


def _is_in(spec: Json, claim: Json) -> bool:
    namespace = Fields(claim).text("metadata.namespace")
    included, excluded = spec["includedNamespaces"], spec["excludedNamespaces"]
    return namespace not in excluded and ("*" in included or namespace in included)


def _refusals(inventory: Inventory) -> list[str]:
    """Several snapshot locations of one provider, none of them the default, make every backup invalid
    (pkg/controller/backup_controller.go:679-694)."""
    providers = Counter(qualified(Fields(one).text("spec.provider")) for one in inventory.snapshot_locations)
    defaults = inventory.settings.snapshot_locations if inventory.settings else {}
    return [
        f"The cluster has {count} VolumeSnapshotLocations of {provider} and none is known to be Velero's default: "
        "Velero refuses every backup then. Remove all but one, or name one in --default-volume-snapshot-locations."
        for provider, count in providers.items()
        if count > 1 and provider not in defaults
    ]


Mounts = Mapping[tuple[str, str], Sequence[tuple[Json, str]]]  # (namespace, claim) → pods and their volumes' names


def _mounts(inventory: Inventory) -> Mounts:
    found: dict[tuple[str, str], list[tuple[Json, str]]] = {}
    for pod in inventory.pods:
        namespace = Fields(pod).text("metadata.namespace")
        for volume, claim in claims_of(pod).items():
            found.setdefault((namespace, claim), []).append((pod, volume))
    return found


class _Case:
    """One claim, judged rule by rule."""

    def __init__(self, spec: Json, inventory: Inventory, claim: Json, mounts: Mounts) -> None:
        self.spec, self.inventory, self.claim = spec, inventory, Fields(claim)
        self.namespace, self.name = self.claim.text("metadata.namespace"), self.claim.text("metadata.name")
        self.mounts = mounts.get((self.namespace, self.name), ())
        self.volume = inventory.volumes.get(self.claim.text("spec.volumeName"))
        self.source = (self.volume or {}).get("spec") or {}

    def foretold(self) -> Foretold:
        """The claim with its verdict."""
        size = self.claim.text("status.capacity.storage") or self.claim.text("spec.resources.requests.storage")
        return Foretold(self.namespace, self.name, self.claim.text("spec.storageClassName"), size, self.verdict())

    def verdict(self) -> Verdict:
        """The first rule that decides."""
        rules: tuple[Callable[[], Verdict | None], ...] = (
            self._left_out, self._unbound, self._files, self._no_disks, self._volume, self._csi, self._provider,
        )  # fmt: skip
        return next(verdict for rule in rules if (verdict := rule()))

    def _left_out(self) -> Verdict | None:
        if _is_excluded(self.claim):
            return _none(f"The claim carries the label {names.EXCLUDE_FROM_BACKUP}.", "Remove the label to include it.")
        return None

    def _unbound(self) -> Verdict | None:
        phase = self.claim.text("status.phase")
        if self.claim.text("spec.volumeName") and phase == "Bound":
            return None
        settings = self.inventory.settings
        return _none(
            f"It has no volume yet ({phase or 'Pending'}).", COUNTS_AS_ERROR if settings and settings.csi else ""
        )

    # File-system backup

    def _files(self) -> Verdict | None:
        if PODS in self.inventory.unseen:
            return self._unknown(PODS)
        choices = [(pod, volume, self._is_chosen(pod, volume)) for pod, volume in self.mounts]
        chosen = [(pod, volume) for pod, volume, wanted in choices if wanted]
        if not chosen:
            return self._unknown(SETTINGS) if any(wanted is None for *_, wanted in choices) else None
        verdicts = [self._from_pod(pod, volume) for pod, volume in chosen]
        return next((verdict for verdict in verdicts if verdict.method == Method.FILES), verdicts[0])

    def _is_chosen(self, pod: Json, volume: str) -> bool | None:
        """Whether the pod wants this volume backed up as files; None when that hangs on a setting we cannot see."""
        notes = Fields(pod).mapping("metadata.annotations")
        opted_in = volume in notes.get(INCLUDE, "").split(",")
        opted_out = volume in notes.get(EXCLUDE, "").split(",")
        by_default = self._setting("defaultVolumesToFsBackup", "files_by_default")
        if by_default is None:
            return opted_in if opted_in != opted_out else None
        return not opted_out if by_default else opted_in

    def _setting(self, field: str, flag: str) -> bool | None:
        """What the spec says, else the server's flag, which fills it; None when neither is known."""
        said = self.spec.get(field)
        return getattr(self.inventory.settings, flag, None) if said is None else bool(said)

    def _from_pod(self, pod: Json, volume: str) -> Verdict:
        mounted = Verdict(Method.FILES, f"The pod {Fields(pod).text('metadata.name')} mounts it.")
        return next(chain(self._obstacles_in(pod, volume), self._obstacles_below(Fields(pod))), mounted)

    def _obstacles_in(self, raw: Json, volume: str) -> Iterator[Verdict]:
        """Why the pod itself cannot be the one, the first being the one that counts."""
        pod, name = Fields(raw), Fields(raw).text("metadata.name")
        if _is_excluded(pod):
            yield _none(f"The pod {name}, which is to back it up, is left out by a label.", "Remove the label.")
        if pod.text("status.phase") != "Running":
            remedy = f"Start the pod, or take the volume out of its annotation {INCLUDE}."
            yield _none(f"It is to be backed up as files by the pod {name}, which does not run.", remedy)
        if volume not in _mounted(raw):
            yield _none(f"The pod {name} does not mount it as files.", "Only mounted file systems are backed up so.")

    def _obstacles_below(self, pod: Fields) -> Iterator[Verdict]:
        """The same of what is below the pod: the volume, the node."""
        node = pod.text("spec.nodeName")
        if VOLUMES in self.inventory.unseen:
            yield self._unknown(VOLUMES)
        if "hostPath" in self.source:
            yield _none("It is a hostPath volume, which the node agent cannot reach.")
        if AGENTS in self.inventory.unseen:
            yield self._unknown(AGENTS)
        if node not in self.inventory.agents:
            yield _none(f"Velero's node agent does not run on {node}.", "Install Velero with --use-node-agent.")

    # Snapshots

    def _no_disks(self) -> Verdict | None:
        return _none("Disks are not included in this backup.") if self.spec["snapshotVolumes"] is False else None

    def _volume(self) -> Verdict | None:
        if self.volume is not None:
            return None
        if VOLUMES in self.inventory.unseen:
            return self._unknown(VOLUMES)
        return _none(f"Its volume {self.claim.text('spec.volumeName')} is not in the cluster.", COUNTS_AS_ERROR)

    def _csi(self) -> Verdict | None:
        if "csi" not in self.source:
            return None
        if self.inventory.settings is None:
            return self._unknown(SETTINGS)
        return self._csi_snapshot() if self.inventory.settings.csi else None

    def _csi_snapshot(self) -> Verdict:
        for needed in (CLASSES, SNAPSHOT_CLASSES):
            if needed in self.inventory.unseen:
                return self._unknown(needed)
        named = self.claim.text("spec.storageClassName")
        storage_class = self.inventory.classes.get(named)
        if storage_class is None:
            return _none(f"Its storage class {named or '(none)'} is not in the cluster.", COUNTS_AS_ERROR)
        driver = Fields(storage_class).text("provisioner")
        found = self._snapshot_class(driver)
        return self._snapshot(found) if found else self._without_snapshot_class(driver)

    def _snapshot_class(self, driver: str) -> str:
        """The VolumeSnapshotClass that Velero takes; empty when it finds none or cannot decide."""
        of_driver = [Fields(one) for one in self.inventory.snapshot_classes if Fields(one).text("driver") == driver]
        wanted = self.claim.mapping("metadata.annotations").get(SNAPSHOT_CLASS, "").lower()
        by_name = [one for one in of_driver if one.text("metadata.name").lower() == wanted]
        labelled = [one for one in of_driver if SNAPSHOT_CLASS in one.mapping("metadata.labels")]
        default = [one for one in of_driver if DEFAULT_SNAPSHOT_CLASS in one.mapping("metadata.annotations")]
        only = of_driver if len(of_driver) == 1 else []
        return next((one.text("metadata.name") for one in (*by_name, *labelled, *default, *only)), "")

    def _without_snapshot_class(self, driver: str) -> Verdict:
        some = any(Fields(one).text("driver") == driver for one in self.inventory.snapshot_classes)
        remedy = f"Label one with {SNAPSHOT_CLASS}=true." if some else "Create one, or save it as files by its pod."
        how = (
            f"None of the VolumeSnapshotClasses for {driver} is marked"
            if some
            else f"{driver} has no VolumeSnapshotClass"
        )
        return _none(f"{how}.", f"{remedy} {COUNTS_AS_ERROR}")

    def _snapshot(self, snapshot_class: str) -> Verdict:
        if not self._setting("snapshotMoveData", "move_data"):
            return Verdict(Method.CSI_SNAPSHOT, f"Snapshot class {snapshot_class}.")
        if AGENTS in self.inventory.unseen:
            return self._unknown(AGENTS)
        if not self.inventory.agents:
            remedy = f"Install Velero with --use-node-agent. {COUNTS_AS_ERROR}"
            return _none("Snapshots are to be moved into the bucket, and no node agent runs.", remedy)
        return Verdict(Method.DATA_MOVER, f"Snapshot class {snapshot_class}, then moved into the bucket.")

    def _provider(self) -> Verdict:
        if self.spec.get("includeClusterResources") is False or _is_excluded(Fields(self.volume)):
            return _none("The volume itself, a cluster resource, is left out.", "Include cluster resources: Auto.")
        if LOCATIONS in self.inventory.unseen:
            return self._unknown(LOCATIONS)
        cloud = self._cloud()
        offered = {
            qualified(Fields(one).text("spec.provider")): Fields(one) for one in self.inventory.snapshot_locations
        }
        if location := offered.get(f"velero.io/{cloud}"):
            return Verdict(Method.PROVIDER_SNAPSHOT, f"Snapshot location {location.text('metadata.name')}.")
        if others := sorted(offered.keys() - OFFICIAL):
            return Verdict(Method.UNKNOWN, f"Whether {', '.join(others)} takes snapshots of it is not known.")
        return self._without_provider(cloud)

    def _cloud(self) -> str:
        """The plugin that knows this kind of volume; empty when none of the official ones does."""
        driver = Fields(self.source).text("csi.driver")
        return DRIVERS.get(driver) or next((cloud for source, cloud in SOURCES.items() if source in self.source), "")

    def _without_provider(self, cloud: str) -> Verdict:
        if "csi" in self.source:
            return _none("Velero runs without CSI snapshots here.", "Start its server with --features=EnableCSI.")
        if cloud:
            return _none("The cluster has no VolumeSnapshotLocation.", f"Create one for the provider {cloud}.")
        kind = next((key for key in self.source if key in ("nfs", "hostPath", "local", "iscsi", "cephfs")), "")
        how = f"There are no snapshots of {kind} volumes." if kind else "There are no snapshots of this kind of volume."
        return _none(how, "" if kind == "hostPath" else f"Save it as files: annotate its pod with {INCLUDE}.")

    def _unknown(self, what: str) -> Verdict:
        return Verdict(Method.UNKNOWN, self.inventory.unseen[what])


def _none(reason: str, remedy: str = "") -> Verdict:
    return Verdict(Method.NOT_SAVED, reason, remedy)


def _is_excluded(fields: Fields) -> bool:
    return fields.mapping("metadata.labels").get(names.EXCLUDE_FROM_BACKUP) == "true"


def _mounted(pod: Json) -> set[str]:
    """Names of the volumes that a container has as files; as block devices they do not count."""
    containers = dicts((pod.get("spec") or {}).get("containers"))
    mounts = {Fields(mount).text("name") for each in containers for mount in dicts(each.get("volumeMounts"))}
    return mounts - {Fields(device).text("name") for each in containers for device in dicts(each.get("volumeDevices"))}
