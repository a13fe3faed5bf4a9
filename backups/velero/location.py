"""BackupStorageLocations: one per (location, cluster), with its Secret; also the read-only ones for restores."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from backups.velero import names
from backups.velero.objects import Identity, as_read, identity, read_name, remove, shares_labels
from backups.velero.reading import Fields
from backups.velero.secret import CLOUD
from console.lib.errors import AlreadyThere, BadInput, Refused

READ_WRITE: Final = "ReadWrite"
READ_ONLY: Final = "ReadOnly"
AVAILABLE = "Available"
_OWNER = (names.MANAGED_BY, names.LOCATION, names.CLUSTER)
# Changing these would make Velero purge the backups of the old place (velero.md §0.8).
_FIXED = (("provider",), ("objectStorage", "bucket"), ("objectStorage", "prefix"))


@dataclass(frozen=True, kw_only=True)
class LocationRequest:
    """A place in a bucket for one cluster. `prefix` is the leaf prefix; `secret_key` the key inside the Secret.

    `backup_sync_period`: None leaves Velero's default (1 min), 0 turns the sync off; likewise `validation_frequency`.
    """

    name: str
    namespace: str
    bucket: str
    prefix: str
    config: Mapping[str, str]
    secret_name: str
    provider: str = "aws"
    secret_key: str = CLOUD
    ca_pem: str | None = None
    access_mode: Literal["ReadWrite", "ReadOnly"] = READ_WRITE
    backup_sync_period: timedelta | None = None
    validation_frequency: timedelta | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LocationReport:
    """A BackupStorageLocation as the cluster has it. Absent text is empty; times are UTC."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    created_at: datetime | None
    deleting_at: datetime | None
    request_id: str
    provider: str
    bucket: str
    prefix: str
    config: Mapping[str, str]
    access_mode: str
    phase: str
    message: str
    last_validated_at: datetime | None
    last_synced_at: datetime | None
    oddities: tuple[str, ...]

    @property
    def is_available(self) -> bool:
        """Whether Velero can use it now."""
        return self.phase == AVAILABLE


def aws_config(region: str, s3_url: str = "", path_style: bool = False) -> dict[str, str]:
    """The location's `config` for the AWS plugin (object_store.go:96-112); all values are texts.

    `profile` is always named: keys in the server's environment would win otherwise. Stores other than AWS often do not
    know the plugin's checksums, so these are off for them.

    Raises: BadInput (no region, an S3 URL with a path or of another kind).
    """
    if not region:
        raise BadInput("The region is missing.", field="region", remedy="For a store without regions use us-east-1.")
    config = {"region": region, "profile": "default", "s3ForcePathStyle": "true" if path_style else "false"}
    if s3_url:
        config |= {"s3Url": _s3_url(s3_url), "checksumAlgorithm": ""}
    return config


def gcp_config(endpoint: str = "") -> dict[str, str]:
    """The location's `config` for the GCP plugin (object_store.go:38-44). `endpoint`: the sandbox's stand-in.

    Google's Go client takes the endpoint with the API's path (storage http_client.go:115-128), ours without.
    """
    return {"storeEndpoint": f"{endpoint.rstrip('/')}/storage/v1/"} if endpoint else {}


def _s3_url(text: str) -> str:
    # The file-system uploader takes host and port only and drops a path without a word (unified_repo.go:589).
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise BadInput(
            "The S3 URL must be http:// or https:// with a host and perhaps a port, and nothing behind it.",
            field="s3_url",
            remedy="Write the bucket and the prefix into their own fields.",
        )
    return f"{parts.scheme}://{parts.netloc}"


def location_manifest(request: LocationRequest) -> names.Json:
    """The BackupStorageLocation to post.

    Raises: BadInput (writing without a prefix: the root of a bucket would see every other prefix as foreign).
    """
    prefix = request.prefix.strip("/")
    if not prefix and request.access_mode != READ_ONLY:
        raise BadInput("A cluster never writes at the root of a bucket.", field="prefix")
    storage: names.Json = {"bucket": request.bucket, **({"prefix": prefix} if prefix else {})}
    if request.ca_pem:
        storage["caCert"] = base64.b64encode(request.ca_pem.encode()).decode()
    spec: names.Json = {
        "provider": request.provider,
        "objectStorage": storage,
        "credential": {"name": request.secret_name, "key": request.secret_key},
        "config": dict(request.config),
        "accessMode": request.access_mode,
        **_periods(request),
    }
    return names.resource(
        "BackupStorageLocation", names.metadata(request.name, request.namespace, request.labels), spec
    )


def _periods(request: LocationRequest) -> dict[str, str]:
    periods = {"backupSyncPeriod": request.backup_sync_period, "validationFrequency": request.validation_frequency}
    return {key: names.go_duration(value) for key, value in periods.items() if value is not None}


def read_location(obj: object) -> LocationReport:
    """Never fails; see `oddities`. Field names: apis/velero/v1/backupstoragelocation_types.go:29-160."""
    fields = Fields(obj)
    who: Identity = identity(fields)
    return LocationReport(**who, **_spec(fields), oddities=fields.oddities)


def _spec(fields: Fields) -> dict[str, Any]:
    return {
        "provider": fields.text("spec.provider"),
        "bucket": fields.text("spec.objectStorage.bucket"),
        "prefix": fields.text("spec.objectStorage.prefix"),
        "config": fields.mapping("spec.config"),
        "access_mode": fields.text("spec.accessMode") or READ_WRITE,
        "phase": fields.text("status.phase"),
        "message": fields.text("status.message"),
        "last_validated_at": fields.moment("status.lastValidationTime"),
        "last_synced_at": fields.moment("status.lastSyncedTime"),
    }


def ensure_location(
    conn: names.KubeApi, manifest: names.Json, still_wanted: Callable[[], None] = lambda: None
) -> LocationReport:
    """Create, or bring credential, certificate, configuration, access mode and sync period of ours up to date.

    `still_wanted` as for a Secret (secret.py): what is older never replaces what is newer.

    Raises: Refused (the name belongs to somebody else, or the place in the bucket differs), Changed, what
    `still_wanted` and the connection raise.
    """
    meta = manifest["metadata"]
    still_wanted()
    try:
        return read_location(conn.create(names.locations_path(meta["namespace"]), manifest))
    except AlreadyThere:
        pass
    path = names.path("backupstoragelocations", meta["namespace"], meta["name"])
    existing = conn.get(path)
    _check_ours(existing, manifest)
    patch = _changes(existing.get("spec") or {}, manifest["spec"])
    if not patch:
        return read_location(existing)
    still_wanted()
    which = as_read(existing)
    return read_location(conn.merge_patch(path, {"spec": patch, **({"metadata": which} if which else {})}))


def _check_ours(existing: names.Json, manifest: names.Json) -> None:
    name = manifest["metadata"]["name"]
    if not shares_labels(existing, manifest["metadata"]["labels"], _OWNER):
        raise Refused(
            f"The cluster has a BackupStorageLocation {name} that this console did not make.",
            remedy="Rename or remove it in the cluster, then try again.",
        )
    if any(_dig(existing["spec"], steps) != _dig(manifest["spec"], steps) for steps in _FIXED):
        raise Refused(
            f"The BackupStorageLocation {name} in the cluster points to another place than this location.",
            remedy="Use a new backup location; changing the place would lose the backups made so far.",
        )


def _dig(spec: Any, steps: tuple[str, ...]) -> Any:
    for step in steps:
        spec = spec.get(step) if isinstance(spec, dict) else None
    return spec or ""


def _changes(existing: names.Json, wanted: names.Json) -> names.Json:
    """The merge patch from `existing` to `wanted`; empty when they agree. Null removes a key (RFC 7386)."""
    patch: names.Json = {}
    for key in ("credential", "accessMode", "backupSyncPeriod"):
        if key in wanted and existing.get(key) != wanted[key]:
            patch[key] = wanted[key]
    config = existing.get("config") or {}
    if config != wanted["config"]:
        patch["config"] = {**dict.fromkeys(config), **wanted["config"]}
    certificate = wanted["objectStorage"].get("caCert")
    if _dig(existing, ("objectStorage", "caCert")) != (certificate or ""):
        patch["objectStorage"] = {"caCert": certificate}
    return patch


def get_location(conn: names.KubeApi, namespace: str, name: str) -> LocationReport:
    """Raises: Missing, and whatever the connection raises."""
    return read_location(conn.get(names.path("backupstoragelocations", namespace, name)))


def revalidate_location(conn: names.KubeApi, namespace: str, name: str) -> LocationReport:
    """Make Velero look again at once, not at its next tick: any change of the spec does (velero.md §2).

    The change is one second more or less of validation period. The result still shows the old verdict: wait until
    `last_validated_at` moves.
    """
    path = names.path("backupstoragelocations", namespace, name)
    period = Fields(conn.get(path)).text("spec.validationFrequency")
    return read_location(conn.merge_patch(path, {"spec": {"validationFrequency": _other_minute(period)}}))


def _other_minute(period: str) -> str:
    return "1m1s" if period == "1m0s" else "1m0s"


def delete_location(conn: names.KubeApi, namespace: str, name: str) -> None:
    """Remove it; its Backup objects stay behind and must be removed before (velero.md §0.8)."""
    remove(conn, names.path("backupstoragelocations", namespace, name))


def forget_backups(conn: names.KubeApi, namespace: str, name: str) -> int:
    """Remove the Backup objects that belong to a location; how many. What they stand for stays in the bucket: only a
    DeleteBackupRequest touches that.

    While the location is there and syncs, Velero brings them back (backup_sync_controller.go:134-275).
    """
    selector = f"{names.STORAGE_LOCATION}={names.label_value(name)}"
    found = [read_name(raw) for raw in conn.list(names.path("backups", namespace), labelSelector=selector)]
    for each in found:
        remove(conn, names.path("backups", namespace, each))
    return len(found)


def remove_snapshot_locations(conn: names.KubeApi, namespace: str, labels: Mapping[str, str]) -> None:
    """Remove the VolumeSnapshotLocations that carry `labels` and that we made."""
    selector = ",".join(f"{key}={value}" for key, value in {**labels, names.MANAGED_BY: names.DRYDOCK}.items())
    for raw in list(conn.list(names.path("volumesnapshotlocations", namespace), labelSelector=selector)):
        remove(conn, names.path("volumesnapshotlocations", namespace, read_name(raw)))


def switch_sync_on(conn: names.KubeApi, namespace: str, name: str) -> None:
    """Let Velero bring the backups of this location into the cluster by itself, at its next tick (1 min)."""
    conn.merge_patch(names.path("backupstoragelocations", namespace, name), {"spec": {"backupSyncPeriod": "10s"}})


def adopted_snapshot_location_manifest(
    raw: names.Json, namespace: str, secret_name: str, labels: Mapping[str, str]
) -> names.Json:
    """A VolumeSnapshotLocation of the source for the target, where a restore looks it up by name; with our Secret."""
    fields = Fields(raw)
    spec = {"provider": fields.text("spec.provider"), "config": fields.mapping("spec.config")}
    meta = names.metadata(fields.text("metadata.name"), namespace, labels)
    return names.resource("VolumeSnapshotLocation", meta, {**spec, "credential": {"name": secret_name, "key": CLOUD}})
